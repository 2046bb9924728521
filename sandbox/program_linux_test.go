package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is what one start of a program says of its file's pages.
type program struct {
	Was  bool // some of its code was in huge pages when it began
	Said bool // what HugeProgram answered
}

// TestHugeProgram: who says that a program is in huge pages is right about it, for
// the next process that starts from it, and goes on to work.
func TestHugeProgram(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a program") // that no other process has mapped
	copyInPieces(t, name)
	first, second := startHuge(t, name), startHuge(t, name)
	t.Logf("first start: %+v, second: %+v", first, second)
	if first.Said && !second.Was {
		t.Error("the first start said that the program is in huge pages, and the second did not begin in them")
	}
	if first.Said && !second.Said {
		t.Error("the first start said that the program is in huge pages, and the second that it is not")
	}
}

// copyInPieces writes this program anew in pieces of one page, of which the kernel
// keeps each by itself.
func copyInPieces(t *testing.T, name string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for rest := b; len(rest) > 0; {
		n := min(len(rest), 4096)
		if _, err := f.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
}

func startHuge(t *testing.T, name string) (p program) {
	t.Helper()
	cmd := exec.Command(name)
	cmd.Env = append(os.Environ(), roleEnv+"=huge")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return p
}

// beHuge is the program of TestHugeProgram.
func beHuge() int {
	p := program{Was: codeIsHuge()}
	var err error
	if p.Said, err = HugeProgram(); err == nil {
		err = json.NewEncoder(os.Stdout).Encode(p)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// inHugePages says whether any of this program's own code is in huge pages of its
// file (proc_pid_smaps(5)).
func codeIsHuge() bool {
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return false
	}
	code := false
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) > 4 && strings.Contains(f[0], "-"):
			code = f[1] == "r-xp" && f[4] != "0"
		case len(f) > 1 && f[0] == "FilePmdMapped:" && f[1] != "0" && code:
			return true
		}
	}
	return false
}
