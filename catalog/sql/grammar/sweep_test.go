package grammar

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSweep: what was left half written goes, and nothing else.
func TestSweep(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	in := filepath.Join(dir, "wazero-v1-x")
	if err := os.Mkdir(in, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]struct {
		age  time.Duration
		left bool
	}{
		"ab12":       {48 * time.Hour, true},
		"ab12.1.tmp": {2 * halfLife, false},
		"ab12.2.tmp": {time.Minute, true}, // somebody may be writing it
	} {
		p := filepath.Join(in, name)
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, now, now.Add(-f.age)); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if _, err := os.Stat(p); (err == nil) != f.left {
				t.Errorf("%s: %v, want it left: %v", name, err, f.left)
			}
		}()
	}
	sweep(dir, now.Add(-halfLife))
}
