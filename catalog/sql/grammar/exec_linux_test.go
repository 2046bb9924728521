package grammar

import (
	"os"
	"strings"
	"testing"
)

// executable lists the process's anonymous mappings that can be run.
func executable(t *testing.T) (found []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 5 && strings.Contains(f[1], "x") {
			found = append(found, f[0])
		}
	}
	return found
}

// TestNoCodeIsMadeAfterStart sees that a process can give up the right to make
// executable memory once the grammar is ready: neither reading nor the new
// instance after a failure needs it.
func TestNoCodeIsMadeAfterStart(t *testing.T) {
	g := New("")
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	before := executable(t)
	if len(before) == 0 {
		t.Fatal("no executable memory is seen: the test looks in the wrong place")
	}
	for _, text := range []string{"SELECT 1", "SELEC", "select " + strings.Repeat("(select ", 3000) + "1" + strings.Repeat(")", 3000), "SELECT 2"} {
		if list, err := g.Parse(text); err == nil {
			if _, err := g.Deparse(list[0].Tree); err != nil {
				t.Fatal(err)
			}
		}
	}
	if after := executable(t); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("executable memory was %v and is %v", before, after)
	}
}

// TestCodeCache sees that a start with the code of an earlier one reads as well.
func TestCodeCache(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if _, err := New(dir).Parse("SELECT 1"); err != nil {
			t.Fatal(err)
		}
	}
}
