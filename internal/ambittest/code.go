package ambittest

import (
	"os"
	"path/filepath"
	"testing"
)

// codeVar names the folder of PostgreSQL's compiled grammar, `cache` of an AMBIT_HOME in
// which the tested program has compiled it.
const codeVar = "AMBIT_TEST_CODE"

// CodeCache is a folder for the compiled grammar that several tests use, of which only
// the first compiles it; "" when each is to compile it for itself.
func CodeCache() string { return os.Getenv(codeVar) }

// Compiled gives a home the grammar that the tested program has compiled for
// [CodeCache], as an earlier task of that person would have left it. Without one the
// home stays as it is.
func (h *Home) Compiled(t testing.TB) {
	t.Helper()
	from := CodeCache()
	if from == "" {
		return
	}
	if found, err := os.ReadDir(from); len(found) == 0 {
		t.Fatalf("%s is to hold the compiled grammar, and is empty: %v", codeVar, err)
	}
	if err := os.MkdirAll(h.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(h.State, "cache"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	h.Own(t)
}
