package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ambit/internal/ambittest"
)

// TestMakingFilesAmongSignals makes files while the threads that guard the
// workspace get signals, as Go's own runtime sends them under load. Each file
// must be the one that was asked for, and no other of the program's own.
func TestMakingFilesAmongSignals(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		ambittest.GoBuild(t, filepath.Join(h.Workspace, "files"), "ambit/internal/e2e/testdata/files")
		run := start(t, h.Ambit("run", "--", "sh", "-c", "echo up; ./files"))
		run.says(t, "up")
		sent := 0
		for !run.done() {
			for _, pid := range family(h, run.Process.Pid)[1:] {
				sent += stir(pid)
			}
			time.Sleep(200 * time.Microsecond)
		}
		r := run.wait(t)
		want(t, r, 0)
		if n := strings.Count(r.Stdout, "error:"); n > 0 || !strings.HasSuffix(r.Stdout, "end\n") {
			t.Errorf("%d errors after %d signals:\n%.1000s", n, sent, r.Stdout)
		}
	})
}

// stir sends each thread of Ambit's own first process in the sandbox the
// signal with which Go's runtime interrupts itself, and which does nothing.
func stir(pid int) (sent int) {
	exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil || !strings.HasPrefix(filepath.Base(exe), "ambit") {
		return 0 // the agent's own programs are left alone
	}
	threads, _ := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task") // gone: nothing to do
	for _, e := range threads {
		tid, err := strconv.Atoi(e.Name())
		if err == nil && unix.Tgkill(pid, tid, unix.SIGURG) == nil {
			sent++
		}
	}
	return sent
}
