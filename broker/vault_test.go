package broker

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

func TestVault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.key")
	v := NewVault(path)
	const canary = "CANARY/4e1f0c"
	if _, err := v.Open([]byte("x"), "a"); err == nil {
		t.Error("opened without a key")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a key was made to open something")
	}
	sealed, err := v.Seal([]byte(canary), "a")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte(canary)) {
		t.Error("not sealed")
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v", fi.Mode(), err)
	}
	again := NewVault(path) // the next daemon
	if plain, err := again.Open(sealed, "a"); err != nil || string(plain) != canary {
		t.Errorf("Open = %q, %v", plain, err)
	}
	if plain, err := again.Open(sealed, "b"); err == nil || bytes.Contains([]byte(err.Error()), []byte(canary)) {
		t.Errorf("opened as another's: %q, %v", plain, err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if plain, err := v.Open(bad, "a"); err == nil && string(plain) != canary {
			t.Errorf("byte %d changed: %q", i, plain)
		} else if err == nil {
			t.Errorf("byte %d changed, and it opens", i)
		}
		if _, err := v.Open(sealed[:i], "a"); err == nil {
			t.Errorf("opened with %d bytes", i)
		}
	}
	// The format is public: with the key anybody can open it.
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := age.ParseX25519Identity(strings.TrimSpace(string(key))); err != nil {
		t.Errorf("the key is no age identity: %v", err)
	}
}

// TestVaultKeyIsItsOwnFile: what lies where the key is made, from a crash or put there
// by somebody, is not written to.
func TestVaultKeyIsItsOwnFile(t *testing.T) {
	for name, prepare := range map[string]func(path, other string) error{
		"a link":        func(p, other string) error { return os.Symlink(other, p) },
		"a second name": func(p, other string) error { return os.Link(other, p) },
		"half a key":    func(p, _ string) error { return os.WriteFile(p, []byte("AGE-SECRET"), 0o644) },
	} {
		dir := t.TempDir()
		other, path := filepath.Join(dir, "other"), filepath.Join(dir, "key")
		if err := os.WriteFile(other, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := prepare(path+".new", other); err != nil {
			t.Fatal(err)
		}
		v := NewVault(path)
		sealed, err := v.Seal([]byte("x"), "a")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if plain, err := NewVault(path).Open(sealed, "a"); err != nil || string(plain) != "x" {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
		if b, err := os.ReadFile(other); err != nil || string(b) != "mine" {
			t.Errorf("%s: the key went to another file: %q, %v", name, b, err)
		}
	}
}

func TestVaultRefuses(t *testing.T) {
	dir := t.TempDir()
	other := NewVault(filepath.Join(dir, "other"))
	sealed, err := other.Seal([]byte("x"), "a")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	for name, prepare := range map[string]func(path string) error{
		"others may read it": func(p string) error { return os.WriteFile(p, key, 0o644) },
		"a link":             func(p string) error { return os.Symlink(filepath.Join(dir, "other"), p) },
		"no key":             func(p string) error { return os.WriteFile(p, []byte("AGE-SECRET-KEY-1QQQ"), 0o600) },
		"no folder":          func(string) error { return nil },
		"another key": func(p string) error {
			_, err := NewVault(p).Seal([]byte("y"), "a")
			return err
		},
	} {
		path := filepath.Join(dir, name, "key")
		if name != "no folder" {
			os.Mkdir(filepath.Dir(path), 0o700)
		}
		if err := prepare(path); err != nil {
			t.Fatal(err)
		}
		v := NewVault(path)
		if _, err := v.Open(sealed, "a"); err == nil || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := v.Seal(nil, "a"); err == nil && name != "another key" {
			t.Errorf("%s: sealed", name)
		}
	}
	for _, v := range []*Vault{nil, {}} {
		if _, err := v.Seal(nil, ""); err == nil {
			t.Errorf("%v seals", fmt.Sprint(v))
		}
	}
}
