package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOtherMachines: what fits one kind of machine only is found for the other, in
// the module's functions too.
func TestOtherMachines(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example.org/m\n\ngo 1.24\n",
		"m.go":       "package m\n\nimport \"syscall\"\n\nfunc Links(s *syscall.Stat_t) uint64 { return plain(s) + only }\n\nfunc plain(s *syscall.Stat_t) uint64 { return uint64(s.Nlink) }\n",
		"m_amd64.go": "package m\n\nconst only = 1\n",
		"m_arm64.go": "package m\n\nconst only = 2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("CGO_ENABLED", "0")
	t.Setenv("GOOS", "linux")
	both := func(change, says string) {
		t.Helper()
		if err := os.WriteFile("n.go", []byte("package m\n\n"+change), 0o600); err != nil {
			t.Fatal(err)
		}
		for arch, says := range map[string]string{"amd64": "", "arm64": says} {
			t.Setenv("GOARCH", arch)
			err := run([]string{"./..."})
			if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q: %v, want %q", arch, change, err, says)
			}
		}
	}
	both("func Fine() {}\n", "")
	both("import \"syscall\"\n\nfunc Wide(s *syscall.Stat_t) uint64 { return s.Nlink }\n", "uint32")
	both("import \"syscall\"\n\nconst Open = syscall.SYS_OPEN\n", "undefined")
	both("func Number() (x [only]int) { return [1]int{} }\n", "cannot use")
}

// TestNothingToCheck: a pattern that names no package of the module is a mistake.
func TestNothingToCheck(t *testing.T) {
	if err := run([]string{"errors"}); err == nil {
		t.Error("nothing of the module was checked, and that was fine")
	}
	if _, err := check(strings.NewReader(""), nil); err == nil {
		t.Error("an unknown machine was fine")
	}
}
