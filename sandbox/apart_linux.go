package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// apart keeps the person's terminal from a command that gets none of its own. It
// is in a session of its own, where job control does not hold it: stopped or in
// the background it would go on to read what the person types for the shell.
// What the command writes goes to a description of the terminal that cannot be read,
// and its input comes through this process, which is held.
func (s *Sandbox) apart(std *[3]*os.File) (done func(), err error) {
	var ours []*os.File
	done = func() {
		for _, f := range ours {
			f.Close()
		}
	}
	for i, f := range std {
		if s.streams.Terminal || !term.IsTerminal(int(f.Fd())) {
			continue
		}
		s.parted = true
		var to *os.File
		if i == 0 {
			to, s.feed, err = os.Pipe()
		} else if to, err = os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), os.O_WRONLY|syscall.O_NOCTTY, 0); err != nil { // it is another user's, after su(1) say
			var from *os.File
			if from, to, err = os.Pipe(); err == nil {
				s.output.Go(func() {
					_, _ = io.Copy(f, from)
					from.Close()
				})
			}
		}
		if err != nil {
			return done, fmt.Errorf("cannot keep the terminal from the command: %w", err)
		}
		ours = append(ours, to)
		std[i] = to
	}
	return done, nil
}

const lookForForeground = 200 * time.Millisecond

// feed copies what the person types while this process is in the foreground.
func feed(to *os.File, in int32) {
	defer to.Close()
	signal.Ignore(syscall.SIGTTIN) // a read that comes too late fails instead
	b := make([]byte, 4096)
	for {
		fds := []unix.PollFd{{Fd: in, Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if front, err := unix.IoctlGetInt(int(in), unix.TIOCGPGRP); err != nil || front != unix.Getpgrp() {
			time.Sleep(lookForForeground)
			continue
		}
		n, err := unix.Read(int(in), b)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case errors.Is(err, unix.EIO) && fds[0].Revents&unix.POLLHUP == 0:
			time.Sleep(lookForForeground)
		case err != nil || n <= 0:
			return
		default:
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
	}
}
