package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// person is a terminal with somebody at it.
type person struct {
	t        *testing.T
	far, tty *os.File // the person's side, and what a program gets
	mu       sync.Mutex
	seen     bytes.Buffer
}

func newPerson(t *testing.T) *person {
	t.Helper()
	far, tty, err := pty.Open()
	must(t, err)
	must(t, pty.Setsize(far, &pty.Winsize{Rows: 33, Cols: 77}))
	p := &person{t: t, far: far, tty: tty}
	t.Cleanup(func() { far.Close(); tty.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := far.Read(b)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.seen.Write(b[:n])
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *person) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

// sees waits until the text has been on the screen.
func (p *person) sees(text string) {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if strings.Contains(p.screen(), text) {
			return
		}
	}
	p.t.Fatalf("%q was never seen: %q", text, p.screen())
}

func (p *person) types(text string) {
	p.t.Helper()
	_, err := p.far.WriteString(text)
	must(p.t, err)
}

// sits starts a sandbox at the person's terminal.
func (p *person) sits(s Spec, argv ...string) *Sandbox {
	p.t.Helper()
	s.Argv, s.Terminal, s.Stdin, s.Stdout, s.Stderr = argv, true, p.tty, p.tty, p.tty
	s.Env = append(s.Env, "PS1=", "TERM=dumb")
	box, err := Start(p.t.Context(), s)
	must(p.t, err)
	must(p.t, box.Go())
	end := time.AfterFunc(3*time.Minute, func() { _ = box.Kill() })
	p.t.Cleanup(func() { end.Stop() })
	return box
}

// job types a command that says when it has the terminal, and when it goes on
// after it was stopped. What it says is not what is typed. It starts no program
// after that: a shell that gets Ctrl-Z between vfork and exec does not stop.
func job(name string) string {
	return "sh -c 'mkfifo " + name + "; exec 3<>" + name + "; trap \"echo " + name + " goes on $((1+1))\" CONT; echo " + name + " runs $((1+1)); while :; do read x <&3; done'\r"
}

func TestTerminal(t *testing.T) {
	p := newPerson(t)
	before, err := term.GetState(int(p.tty.Fd()))
	must(t, err)
	box := p.sits(base(t), "/bin/bash", "--norc", "-i")
	p.types("tty; stty size; echo job control: $-; ls -l $(tty) | wc -l; echo mark$((1+1))\r")
	p.sees("mark2")
	for _, want := range []string{"/dev/pts/0", "33 77", "job control: h"} {
		if !strings.Contains(p.screen(), want) {
			t.Errorf("%q is not in %q", want, p.screen())
		}
	}
	if !strings.Contains(p.screen(), "m") || strings.Contains(p.screen(), "no job control") {
		t.Errorf("no job control: %q", p.screen())
	}

	must(t, pty.Setsize(p.far, &pty.Winsize{Rows: 40, Cols: 100}))
	must(t, unix.Kill(os.Getpid(), syscall.SIGWINCH)) // the kernel sends it to the foreground group, which a test is not
	p.types("while [ \"$(stty size)\" = '33 77' ]; do sleep 0.02; done; echo now $(stty size)\r")
	p.sees("now 40 100")

	p.types(job("first"))
	p.sees("first runs 2")
	p.types("\x03")
	p.types("echo interrupted $?\r")
	p.sees("interrupted 130")

	p.types(job("second"))
	p.sees("second runs 2")
	p.types("\x1a")
	p.sees("Stopped")
	p.types("fg\r")
	p.sees("second goes on 2")
	p.types("\x03")
	p.types("sleep 99 & kill -9 %1; wait; echo killed $?; exit 9\r")
	st, err := box.Wait()
	if err != nil || st.Code != 9 {
		t.Errorf("%+v %v\n%q", st, err, p.screen())
	}
	after, err := term.GetState(int(p.tty.Fd()))
	must(t, err)
	if *before != *after {
		t.Error("the person's terminal was not given back as it was")
	}
	// What is typed afterwards is the person's shell's.
	p.types("later\n")
	b := make([]byte, 16)
	if n, err := p.tty.Read(b); err != nil || string(b[:n]) != "later\n" {
		t.Errorf("%q %v", b[:n], err)
	}
}

func TestTerminalIsGivenBackWhenKilled(t *testing.T) {
	p := newPerson(t)
	before, err := term.GetState(int(p.tty.Fd()))
	must(t, err)
	box := p.sits(base(t), "/bin/sh", "-c", "stty raw -echo; echo ready; sleep 1000")
	p.sees("ready")
	must(t, box.Kill())
	if st, err := box.Wait(); err != nil || st.Exit() != 137 {
		t.Errorf("%+v %v", st, err)
	}
	after, err := term.GetState(int(p.tty.Fd()))
	must(t, err)
	if *before != *after {
		t.Error("the person's terminal was not given back as it was")
	}
}

// A program must not type into the terminal that the person uses afterwards.
func TestNoTypingForThePerson(t *testing.T) {
	p := newPerson(t)
	s := base(t)
	s.Env = append(s.Env, roleEnv+"=attack")
	box := p.sits(s, inSelf, "sti")
	_, err := box.Wait()
	must(t, err)
	if strings.Contains(p.screen(), "SUCCEEDED") {
		t.Error(p.screen())
	}
	// Without a terminal of its own, the person's is handed on: it is not the
	// command's controlling one.
	s.Argv, s.Stdin, s.Stdout, s.Stderr = []string{inSelf, "sti"}, p.tty, p.tty, p.tty
	s.Scratch = t.TempDir()
	box, err = Start(t.Context(), s)
	must(t, err)
	must(t, box.Go())
	_, err = box.Wait()
	must(t, err)
	if strings.Contains(p.screen(), "SUCCEEDED") || strings.Contains(p.screen(), "pwned") {
		t.Error(p.screen())
	}
}

// stands starts a sandbox that writes to the person's terminal and has none of
// its own.
func (p *person) stands(s Spec, script string) *Sandbox {
	p.t.Helper()
	s.Argv, s.Stdin, s.Stdout, s.Stderr = []string{"/bin/sh", "-c", script}, p.tty, p.tty, p.tty
	box, err := Start(p.t.Context(), s)
	must(p.t, err)
	must(p.t, box.Go())
	end := time.AfterFunc(time.Minute, func() { _ = box.Kill() })
	p.t.Cleanup(func() { end.Stop() })
	return box
}

// TestThePersonsModesStay: a command that writes to the terminal changes neither
// its modes nor its size, while it runs or after; for itself it has a terminal all the same.
func TestThePersonsModesStay(t *testing.T) {
	p := newPerson(t)
	before, err := term.GetState(int(p.tty.Fd()))
	must(t, err)
	box := p.stands(base(t), `stty size <&1; stty raw -echo -isig <&1; stty raw -echo -isig <&2; stty rows 1 cols 1 <&2
		test -t 1 && test -t 2 && echo is a terminal; stty size <&2; stty -a <&1 | grep -c -e -echo; read x; echo got $x`)
	p.sees("is a terminal")
	p.sees("1 1")
	check := func(when string) {
		t.Helper()
		after, err := term.GetState(int(p.tty.Fd()))
		must(t, err)
		ws, err := unix.IoctlGetWinsize(int(p.tty.Fd()), unix.TIOCGWINSZ)
		must(t, err)
		if *before != *after || ws.Row != 33 || ws.Col != 77 {
			t.Errorf("%s the person's terminal is another: %d rows, %d columns", when, ws.Row, ws.Col)
		}
	}
	check("while the command runs")
	if !strings.Contains(p.screen(), "33 77\r\n") {
		t.Errorf("it does not know the window: %q", p.screen())
	}
	must(t, box.Kill())
	_, err = box.Wait()
	must(t, err)
	check("after the command")
}

// TestItKnowsTheNewWindow: the size of the terminal in between follows.
func TestItKnowsTheNewWindow(t *testing.T) {
	p := newPerson(t)
	box := p.stands(base(t), `echo begun; while [ "$(stty size <&2)" = "33 77" ]; do sleep 0.05; done; stty size <&2`)
	p.sees("begun")
	must(t, pty.Setsize(p.far, &pty.Winsize{Rows: 44, Cols: 111}))
	must(t, unix.Kill(os.Getpid(), syscall.SIGWINCH)) // the kernel sends it to the foreground group, which a test is not
	p.sees("44 111")
	if st, err := box.Wait(); err != nil || st.Exit() != 0 {
		t.Errorf("%+v %v", st, err)
	}
}

// TestAllOutputReachesThePerson: in order, from both descriptors, to the last byte.
func TestAllOutputReachesThePerson(t *testing.T) {
	p := newPerson(t)
	must(t, pty.Setsize(p.far, &pty.Winsize{Rows: 40, Cols: 100}))
	box := p.stands(base(t), `i=0; while [ $i -lt 3000 ]; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); done; stty size <&2; printf end`)
	st, err := box.Wait()
	if err != nil || st.Exit() != 0 {
		t.Fatalf("%+v %v", st, err)
	}
	p.sees("end")
	var want strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&want, "out %d\r\nerr %d\r\n", i, i)
	}
	want.WriteString("40 100\r\nend")
	if got := p.screen(); got != want.String() {
		t.Errorf("%d bytes came, want %d: %.200q … %.200q", len(got), want.Len(), got, got[max(0, len(got)-200):])
	}
}
