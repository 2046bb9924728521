package keeper

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/broker"
	"ambit/grants"
)

func profile(files ...string) []*grants.Profile {
	p := &grants.Profile{Name: "tool"}
	for _, f := range files {
		p.Home = append(p.Home, grants.Seed{Path: grants.Text{Value: f}, Data: "begun"})
	}
	return []*grants.Profile{p}
}

// TestHomeBegins: a profile's files are written into an empty home, and what
// is there already stays as it is.
func TestHomeBegins(t *testing.T) {
	home := filepath.Join(t.TempDir(), "agents", "a")
	for range 2 {
		if err := makeHome(home, profile(".tool.json", ".config/tool/settings")); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{".tool.json", ".config/tool/settings"} {
			b, err := os.ReadFile(filepath.Join(home, f))
			i, statErr := os.Stat(filepath.Join(home, f))
			if err != nil || statErr != nil || string(b) != "begun\n" || i.Mode() != 0o600 {
				t.Errorf("%s holds %q: %v, %v", f, b, err, i)
			}
		}
	}
	write(t, home+"/.tool.json", "the agent's", 0o640)
	if err := makeHome(home, profile(".tool.json")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(home + "/.tool.json"); err != nil || string(b) != "the agent's" {
		t.Errorf("an agent's own file became %q, %v", b, err)
	}
}

// TestHomeIsNotLeft: a link that an earlier task left in the home does not lead
// a write out of it, neither at the file nor at a folder on the way.
func TestHomeIsNotLeft(t *testing.T) {
	outside := t.TempDir()
	for name, plant := range map[string]func(home string) error{
		"a file":             func(h string) error { return os.Symlink(outside+"/file", h+"/.tool") },
		"a folder":           func(h string) error { return os.Symlink(outside, h+"/.config") },
		"a folder, by steps": func(h string) error { return os.Symlink("../../../../../../../.."+outside, h+"/.config") },
		"a folder that is to be made": func(h string) error {
			return os.Symlink(outside+"/made", h+"/.config")
		},
	} {
		home := t.TempDir()
		if err := plant(home); err != nil {
			t.Fatal(err)
		}
		err := makeHome(home, profile(".tool", ".config/tool"))
		if isFile := name == "a file"; isFile != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "of the profile tool") {
			t.Errorf("%s: the error does not say what to look at: %v", name, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 0 {
		t.Errorf("outside the home there is %v, %v", left, err)
	}
}

// TestClaudeKnowsThePlaceholder: what Claude Code keeps of an API key that it
// may use is the last 20 letters. They must be those of every placeholder.
func TestClaudeKnowsThePlaceholder(t *testing.T) {
	p, err := grants.LoadProfile("claude")
	if err != nil {
		t.Fatal(err)
	}
	var settings struct {
		CustomAPIKeyResponses struct{ Approved []string }
	}
	if err := json.Unmarshal([]byte(p.Home[0].Data), &settings); err != nil || p.Home[0].Path.Value != ".claude.json" {
		t.Fatalf("%+v: %v", p.Home, err)
	}
	for range 3 {
		v := broker.Placeholder("anthropic")
		if got := settings.CustomAPIKeyResponses.Approved; len(got) != 1 || got[0] != v[len(v)-20:] {
			t.Errorf("the placeholder %s ends otherwise than %q", v, got)
		}
	}
}
