package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestTheGatekeeperIsSealed looks at a real gatekeeper while its command runs: both
// filters are there, and its door is the person's alone and goes with the task.
func TestTheGatekeeperIsSealed(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		run := start(t, h.Ambit("run", "--", "sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.02; done"))
		run.says(t, "up")
		if ours, its := filters(t, os.Getpid()), filters(t, run.Process.Pid); its != ours+2 {
			t.Errorf("the gatekeeper is behind %d filters, want %d and two", its, ours)
		}
		doors, err := filepath.Glob(filepath.Join(h.State, "tasks", "*", "door.sock"))
		if err != nil || len(doors) != 1 {
			t.Fatalf("the doors are %v, %v", doors, err)
		}
		if i, err := os.Lstat(doors[0]); err != nil || i.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("the door: %v, %v", i.Mode(), err)
		}
		if i, err := os.Lstat(filepath.Dir(doors[0])); err != nil || i.Mode().Perm() != 0o700 {
			t.Errorf("its folder: %v, %v", i.Mode(), err)
		}
		h.File(t, "go", "")
		want(t, run.wait(t), 0)
		if !ambittest.Eventually(ambittest.Patience, func() bool { _, err := os.Lstat(doors[0]); return os.IsNotExist(err) }) {
			t.Error("the door is left behind")
		}
		verified(t, h)
	})
}

// filters counts a process's system call filters (proc_pid_status(5)).
func filters(t *testing.T, pid int) (n int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "Seccomp_filters:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
