package ambittest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Process is a process of a home, as /proc shows it.
type Process struct {
	PID  int
	Args []string
}

// String shows the process.
func (p Process) String() string { return fmt.Sprintf("process %d %q", p.PID, p.Args) }

// Processes lists the processes that belong to the home: those with its
// AMBIT_HOME in their environment, and those that work below its folder. The
// test's own children that are not Ambit's are among them.
func (h *Home) Processes() (found []Process) {
	entries, _ := os.ReadDir("/proc") // always there on Linux
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
		ours := bytes.Contains(env, []byte("AMBIT_HOME="+h.State+"\x00")) || cwd == h.Dir || strings.HasPrefix(cwd, h.Dir+"/")
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if !ours || len(args) == 0 { // a zombie has no command line
			continue
		}
		found = append(found, Process{pid, strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")})
	}
	return found
}

// Daemon returns the pid of the home's daemon, 0 when none is live.
func (h *Home) Daemon() int {
	for _, p := range h.Processes() {
		if slices.Contains(p.Args, "daemon") && slices.Contains(p.Args, "run") {
			return p.PID
		}
	}
	return 0
}

// Mounts lists the mounts of the test's own namespace below the home.
func (h *Home) Mounts(t testing.TB) (found []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], h.Dir) {
			found = append(found, f[4])
		}
	}
	return found
}

// Descendants lists the process and all its descendants, whatever namespace
// they are in.
func Descendants(pid int) (pids []int) {
	pids = []int{pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i]))
		for _, f := range tasks {
			b, _ := os.ReadFile(f) // gone: it has no children any more
			for c := range strings.FieldsSeq(string(b)) {
				if n, err := strconv.Atoi(c); err == nil {
					pids = append(pids, n)
				}
			}
		}
	}
	return pids
}

// Alive says whether a process exists and is no zombie.
func Alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(b, []byte(") "))
	return len(rest) > 0 && rest[0] != 'Z' && rest[0] != 'X'
}

// Finish runs a command to its end; it is killed after two minutes.
func Finish(t testing.TB, c *exec.Cmd) Result {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	start := time.Now()
	if err := c.Start(); err != nil {
		t.Fatalf("cannot start %q: %v", c.Args, err)
	}
	stop := time.AfterFunc(2*time.Minute, func() { c.Process.Kill() })
	c.WaitDelay = 5 * time.Second
	c.Wait() // the exit status says how it ended
	if !stop.Stop() {
		t.Errorf("%q did not end within two minutes", c.Args)
	}
	return Result{out.String(), errs.String(), c.ProcessState.ExitCode(), time.Since(start)}
}

// Patience is how long a test waits for what has to come. A test that passes
// does not wait: it is long, so that a busy machine makes none fail.
const Patience = time.Minute

// Eventually waits until a condition holds, at most for the given time, and
// says whether it did.
func Eventually(within time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return holds()
}
