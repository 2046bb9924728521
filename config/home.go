// Package config finds Ambit's state on this machine and reads its settings,
// strictly.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Home is the folder that holds all of Ambit's state. It belongs to one person
// (mode 0700): who can write there can be that person's Ambit.
type Home struct{ Dir string }

// Locate returns AMBIT_HOME, or else "ambit" in the XDG state directory
// (XDG Base Directory Specification 0.8: XDG_STATE_HOME, default
// ~/.local/state). It creates nothing.
func Locate(getenv func(string) string) (Home, error) {
	dir := getenv("AMBIT_HOME")
	if dir == "" {
		state := getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) { // a relative one is to be ignored, says the specification
			user := getenv("HOME")
			if !filepath.IsAbs(user) {
				return Home{}, errors.New("cannot find Ambit's state: neither AMBIT_HOME nor HOME is an absolute path; set AMBIT_HOME")
			}
			state = filepath.Join(user, ".local", "state")
		}
		dir = filepath.Join(state, "ambit")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, fmt.Errorf("cannot find Ambit's state: %w", err)
	}
	return Home{Dir: abs}, nil
}

// Run is where the sockets and the lock are.
func (h Home) Run() string { return filepath.Join(h.Dir, "run") }

// Keys is where the authority's and the log's private keys are.
func (h Home) Keys() string { return filepath.Join(h.Dir, "keys") }

// Log is the log's folder.
func (h Home) Log() string { return filepath.Join(h.Dir, "log") }

// Store is the database's file.
func (h Home) Store() string { return filepath.Join(h.Dir, "store.db") }

// Tasks is where tasks have their throw-away folders.
func (h Home) Tasks() string { return filepath.Join(h.Dir, "tasks") }

// AgentHome is what an agent sees as its HOME, when it is kept between tasks.
func (h Home) AgentHome(agent string) string {
	return filepath.Join(h.Dir, "agents", agent, "home")
}

// Make creates the folders and checks that they are the person's alone.
func (h Home) Make() error {
	for _, d := range []string{h.Dir, h.Run(), h.Keys(), h.Tasks(), filepath.Join(h.Dir, "agents")} {
		if err := private(d); err != nil {
			return err
		}
	}
	return nil
}

func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot create Ambit's state: %w; make %s writable, or set AMBIT_HOME to a folder that is", err, filepath.Dir(dir))
	}
	i, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("cannot use Ambit's state: %w", err)
	}
	// Somebody else's folder, or one that others write to, would let them
	// replace the keys, the log or the sockets.
	if s, ok := i.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Getuid() {
		return fmt.Errorf("cannot use Ambit's state: %s belongs to another user (uid %d); set AMBIT_HOME to a folder of your own", dir, s.Uid)
	}
	if i.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("cannot use Ambit's state: %s is open to others, and cannot be closed: %w", dir, err)
		}
	}
	return nil
}

// Exists says whether there is any state yet.
func (h Home) Exists() bool {
	_, err := os.Stat(h.Dir)
	return !errors.Is(err, fs.ErrNotExist)
}
