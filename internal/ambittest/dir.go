package ambittest

import (
	"os"
	"testing"
)

// OpenDir makes a folder that other users may enter, unlike t.TempDir, whose
// parents belong to one user alone. It ends with the test.
func OpenDir(t testing.TB) string {
	t.Helper()
	d, err := os.MkdirTemp("", "ambit-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(d); err != nil {
			t.Errorf("cannot clean up: %v", err)
		}
	})
	return d
}
