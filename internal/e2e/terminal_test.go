package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"ambit/internal/ambittest"
)

// screen is a command on a terminal of its own.
type screen struct {
	*exec.Cmd
	tty *os.File
	out *output
}

func onTerminal(t *testing.T, c *exec.Cmd, rows, cols uint16) *screen {
	t.Helper()
	f, err := pty.StartWithSize(c, &pty.Winsize{Rows: rows, Cols: cols})
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{c, f, &output{}}
	done := make(chan struct{})
	go func() { io.Copy(s.out, f); close(done) }()
	t.Cleanup(func() { c.Process.Kill(); f.Close(); <-done })
	return s
}

// types sends keys and waits until a text appears after what was there.
func (s *screen) types(t *testing.T, keys, until string) {
	t.Helper()
	from := len(s.out.String())
	if _, err := io.WriteString(s.tty, keys); err != nil {
		t.Fatal(err)
	}
	if !ambittest.Eventually(ambittest.Patience, func() bool { return strings.Contains(s.out.String()[from:], until) }) {
		t.Fatalf("after %q the screen did not show %q:\n%q", keys, until, s.out)
	}
}

func (s *screen) exit(t *testing.T) int {
	t.Helper()
	ended := make(chan struct{})
	go func() { s.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(ambittest.Patience):
		t.Fatalf("it did not end:\n%q", s.out)
	}
	return s.ProcessState.ExitCode()
}

// TestTerminal drives a shell on a terminal: size, a new size, Ctrl-C, jobs,
// and the exit status.
func TestTerminal(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		s := onTerminal(t, h.Ambit("run", "--", "bash", "--norc", "--noprofile", "-i"), 33, 101)
		s.types(t, "PS1='ready> '\n", "ready> ")
		s.types(t, "test -t 0 && test -t 1 && echo is-a-$((1))-tty\n", "is-a-1-tty")
		s.types(t, "stty size\n", "33 101")
		if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 44, Cols: 77}); err != nil {
			t.Fatal(err)
		}
		s.types(t, "while [ \"$(stty size)\" = '33 101' ]; do sleep 0.02; done; echo now $(stty size)\n", "now 44 77")
		s.types(t, "sh -c 'echo up-$((1)); exec sleep 1000'; echo after-$((2))\n", "up-1")
		s.types(t, "\x03", "ready> ")
		s.types(t, "echo status-$?\n", "status-130")
		s.types(t, "sh -c 'echo up-$((3)); exec sleep 1001'\n", "up-3")
		s.types(t, "\x1a", "Stopped")
		s.types(t, "jobs\n", "sleep 1001")
		s.types(t, "bg; jobs\n", "Running")
		s.types(t, "kill %1; wait; echo gone-$((3))\n", "gone-3")
		io.WriteString(s.tty, "exit 7\n")
		if code := s.exit(t); code != 7 {
			t.Errorf("exit status %d, want 7", code)
		}
		verified(t, h)
	})
}

// TestInterrupt sends Ctrl-C to a command that does not catch it.
func TestInterrupt(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		s := onTerminal(t, h.Ambit("run", "--", "sh", "-c", "echo up; sleep 1000"), 24, 80)
		s.types(t, "", "up")
		// A shell that is interrupted while it starts a program may miss it, with
		// and without a sandbox.
		if !ambittest.Eventually(ambittest.Patience, func() bool { return runs(s.Process.Pid, "sleep\x001000\x00") }) {
			t.Fatal("the shell does not start it")
		}
		io.WriteString(s.tty, "\x03")
		if code := s.exit(t); code != 130 {
			t.Errorf("exit status %d, want 130\n%q", code, s.out)
		}
		verified(t, h)
	})
}

// runs says whether a descendant of the process has that command line.
func runs(pid int, cmdline string) bool {
	return slices.ContainsFunc(ambittest.Descendants(pid), func(p int) bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
		return err == nil && string(b) == cmdline
	})
}

// bare is a command of ambit's without what makes it another user's.
func bare(c *exec.Cmd) []string { return c.Args[slices.Index(c.Args, "run")-1:] }

// TestTheTerminalStaysThePersons runs an agent without a terminal of its own. It
// is in a session of its own, which job control does not hold: in the background
// it must not read what the person types, nor at any time read the screen that it
// writes to.
func TestTheTerminalStaysThePersons(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		agent := `if [ -t 0 ]; then echo "stdin is the terminal"; fi
			timeout 1 head -c1 <&2 >back 2>&1; echo "the screen gave $(wc -c <back | tr -d ' ') bytes or an error"
			read x; echo "the agent got <$x>"; cat >typed; echo over`
		run := h.Ambit("run", "--no-terminal", "--", "sh", "-c", agent)
		s := onTerminal(t, h.Command("sh", append([]string{"-c", `exec "$@"`, "sh"}, bare(run)...)...), 40, 120)
		s.types(t, "", "or an error")
		s.types(t, "for you\n", "the agent got <for you>")
		s.types(t, "more\n\x04", "over")
		if code := s.exit(t); code != 0 || strings.Contains(s.out.String(), "stdin is the terminal") {
			t.Errorf("exit status %d\n%s", code, s.out)
		}
		if got := h.Read(t, "typed"); got != "more\n" {
			t.Errorf("the agent got %q", got)
		}
		script := `set -m; "$@" & while [ ! -e started ]; do sleep 0.05; done; echo "shell is ready"; read a; read b; echo "the shell got <$a> <$b>"; kill %1; wait`
		run = h.Ambit("run", "--no-terminal", "--", "sh", "-c", "touch started; cat >stolen; sleep 30")
		s = onTerminal(t, h.Command("sh", append([]string{"-c", script, "sh"}, bare(run)...)...), 40, 120)
		s.types(t, "", "shell is ready")
		s.types(t, "sudo password\nand more\n", "the shell got <sudo password> <and more>")
		s.exit(t)
		if got := h.Read(t, "stolen"); got != "" {
			t.Errorf("in the background the agent read %q", got)
		}
		verified(t, h)
	})
}
