package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// apart keeps the person's terminal from a command that gets none of its own. It
// is in a session of its own, where job control does not hold it: stopped or in
// the background it would go on to read what the person types for the shell.
// With any descriptor of it, one for writing too, it could set the person's modes: no
// echo, no Ctrl-C. So what the command writes goes to a terminal in between, of
// which only this process copies to the person's, and its input comes through this process, which is held.
func (s *Sandbox) apart(std *[3]*os.File) (done func(), err error) {
	var ours []*os.File
	done = func() {
		for _, f := range ours {
			f.Close()
		}
	}
	screens := map[uint64]*os.File{} // by the device of the person's terminal
	for i, f := range std {
		if s.streams.Terminal || !term.IsTerminal(int(f.Fd())) {
			continue
		}
		s.parted = true
		var to *os.File
		if i == 0 {
			to, s.feed, err = os.Pipe()
		} else {
			to, err = s.screen(f, screens)
		}
		if err != nil {
			return done, fmt.Errorf("cannot keep the terminal from the command: %w", err)
		}
		if !slices.Contains(ours, to) {
			ours = append(ours, to)
		}
		std[i] = to
	}
	return done, nil
}

// screen is the terminal in between for one of the person's, made once for each. It
// has the person's modes and size, but leaves the bytes as they are: the person's
// works on them.
func (s *Sandbox) screen(f *os.File, made map[uint64]*os.File) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if to := made[st.Rdev]; to != nil {
		return to, nil
	}
	master, slave, err := openScreen(f)
	if err != nil {
		return nil, fmt.Errorf("cannot make one in between: %w; redirect its output, as in `ambit run … 2>&1 | cat`", err)
	}
	made[st.Rdev] = slave
	sizes := make(chan os.Signal, 1)
	signal.Notify(sizes, syscall.SIGWINCH)
	s.output.Go(func() {
		_, _ = io.Copy(f, master) // ends with EIO when the last of the task is gone
		signal.Stop(sizes)
		close(sizes)
	})
	s.output.Go(func() {
		for range sizes {
			_ = sameSize(f, master) // the window is cosmetic
		}
		master.Close()
	})
	return slave, nil
}

// openScreen makes a terminal whose slave can only be written.
func openScreen(f *os.File) (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0); err != nil {
		return nil, nil, err
	}
	if err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err == nil {
		slave, err = peer(master)
	}
	if err == nil {
		err = errors.Join(sameModes(f, slave), sameSize(f, master))
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// peer opens the slave by the master (ioctl_tty(2), TIOCGPTPEER; Linux 4.13): by
// its path it could be another's, in another mount of devpts.
func peer(master *os.File) (*os.File, error) {
	fd, _, e := unix.Syscall(unix.SYS_IOCTL, master.Fd(), unix.TIOCGPTPEER, unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC)
	if e != 0 {
		return nil, e
	}
	return os.NewFile(fd, "screen"), nil
}

func sameModes(from, to *os.File) error {
	m, err := unix.IoctlGetTermios(int(from.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	m.Oflag &^= unix.OPOST
	return unix.IoctlSetTermios(int(to.Fd()), unix.TCSETS, m)
}

func sameSize(from, to *os.File) error {
	ws, err := unix.IoctlGetWinsize(int(from.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return err
	}
	return unix.IoctlSetWinsize(int(to.Fd()), unix.TIOCSWINSZ, ws)
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
