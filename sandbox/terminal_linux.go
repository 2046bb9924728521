package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal joins the agent's terminal with the person's. Nil is none.
type terminal struct {
	master  *os.File
	in, out *os.File
	wake    [2]*os.File // closing the second ends the copying of input
	saved   *term.State
	sizes   chan os.Signal
	output  sync.WaitGroup
	input   sync.WaitGroup
}

// sizeOf reads the person's window.
func sizeOf(spec *Spec) (rows, cols uint16, err error) {
	if spec.Stdin == nil || spec.Stdout == nil || !term.IsTerminal(int(spec.Stdin.Fd())) {
		return 0, 0, errors.New("cannot give the command a terminal: standard input is none; run it without one")
	}
	ws, err := unix.IoctlGetWinsize(int(spec.Stdin.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read the window's size: %w", err)
	}
	return ws.Row, ws.Col, nil
}

func (t *terminal) open(spec *Spec) error {
	t.in, t.out = spec.Stdin, spec.Stdout
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot give the command a terminal: %w", err)
	}
	t.wake = [2]*os.File{r, w}
	return nil
}

// run makes the person's terminal raw and starts to copy.
func (t *terminal) run() {
	if t == nil {
		return
	}
	t.saved, _ = term.MakeRaw(int(t.in.Fd())) // a terminal that is gone needs no restoring
	sizes := make(chan os.Signal, 1)
	t.sizes = sizes
	signal.Notify(sizes, syscall.SIGWINCH)
	t.output.Go(func() { _, _ = io.Copy(t.out, t.master) }) // ends with EIO when the last of the task is gone
	t.input.Go(t.copyInput)
	t.input.Go(func() {
		for range sizes {
			t.resize()
		}
	})
	t.resize() // the window may have changed since init made the terminal
}

func (t *terminal) resize() {
	ws, err := unix.IoctlGetWinsize(int(t.in.Fd()), unix.TIOCGWINSZ)
	if err == nil {
		_ = unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, ws) // the agent may be gone already
	}
}

// copyInput copies what the person types, and takes nothing that is typed after
// the end.
func (t *terminal) copyInput() {
	in, wake := int32(t.in.Fd()), int32(t.wake[0].Fd())
	b := make([]byte, 4096)
	for {
		fds := []unix.PollFd{{Fd: in, Events: unix.POLLIN}, {Fd: wake, Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return
		}
		if fds[1].Revents != 0 {
			return
		}
		n, err := unix.Read(int(in), b)
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		if _, err := t.master.Write(b[:n]); err != nil {
			return
		}
	}
}

// close ends the copying once all output is out, and gives the terminal back as
// it was.
func (t *terminal) close() {
	if t == nil {
		return
	}
	if t.sizes != nil {
		signal.Stop(t.sizes)
		close(t.sizes)
		t.sizes = nil
		t.output.Wait()
	}
	if t.wake[1] != nil {
		t.wake[1].Close()
		t.input.Wait()
		t.wake[0].Close()
		t.wake[1] = nil
	}
	if t.saved != nil {
		_ = term.Restore(int(t.in.Fd()), t.saved)
		t.saved = nil
	}
	if t.master != nil {
		t.master.Close()
	}
}
