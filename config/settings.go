package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"
)

// Settings are the person's choices, in settings.yaml below AMBIT_HOME. All
// have defaults, so that nothing needs setting up.
type Settings struct {
	// TrustDomain is the first part of every SPIFFE ID.
	TrustDomain string `yaml:"trust-domain"`
	// Hold is how long a request that waits for a person is held open before
	// the agent gets a ticket; at most 45 s.
	Hold Duration `yaml:"hold"`
	// QuestionExpiry is when an open question becomes a no.
	QuestionExpiry Duration `yaml:"question-expiry"`
	// Idle is how long a daemon that nobody needs stays.
	Idle Duration `yaml:"idle"`
}

// Duration is a time span written as "45s" or "5m".
type Duration time.Duration

// UnmarshalYAML reads a Go duration.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v <= 0 {
		return fmt.Errorf("line %d: %q is not a time span like 45s or 5m", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// The bounds and defaults of settings.
const (
	MaxHold = 45 * time.Second
	maxFile = 64 << 10
)

// Defaults returns the settings of an empty file.
func Defaults() Settings {
	return Settings{
		TrustDomain:    "ambit.local",
		Hold:           Duration(MaxHold),
		QuestionExpiry: Duration(5 * time.Minute),
		Idle:           Duration(10 * time.Minute),
	}
}

// Load reads settings.yaml; a missing file gives the defaults, a broken one an
// error.
func (h Home) Load() (Settings, error) {
	s := Defaults()
	name := filepath.Join(h.Dir, "settings.yaml")
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("cannot read settings: %w", err)
	}
	if len(b) > maxFile {
		return s, fmt.Errorf("cannot read settings: %s has %d bytes, at most %d", name, len(b), maxFile)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil && err != io.EOF {
		return s, fmt.Errorf("cannot read settings: %s: %w", name, err)
	}
	if time.Duration(s.Hold) > MaxHold {
		return s, fmt.Errorf("cannot read settings: %s: hold is %v, at most %v", name, time.Duration(s.Hold), MaxHold)
	}
	return s, nil
}
