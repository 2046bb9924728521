//go:build unix

package broker

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// openNoFollow opens a file for reading, fails on a link, and does not wait for
// the other end of a pipe.
func openNoFollow(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, errors.New("it became a link while it was opened")
	}
	return f, err
}

// ownedByUs says that nobody but this user and root can have put the file there.
func ownedByUs(fi os.FileInfo) bool {
	s, ok := fi.Sys().(*syscall.Stat_t)
	return ok && (int(s.Uid) == os.Geteuid() || s.Uid == 0)
}

// ownGroup makes a command's cancellation end all that it started, too.
func ownGroup(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
}

// endGroup kills what a command that has ended left running.
func endGroup(c *exec.Cmd) {
	if c.Process != nil {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // there is mostly nobody left
	}
}
