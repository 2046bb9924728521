package sandbox

import (
	"errors"
	"strings"
	"syscall"
)

// ErrNotFound is wrapped by Go's error when the command could not be started.
var ErrNotFound = errors.New("the command was not started")

// commandError says why the command was not started. It wraps ErrNotFound and
// the kernel's error (execve(2)).
type commandError struct {
	why   string
	errno error
}

func (e *commandError) Error() string   { return ErrNotFound.Error() + ": " + e.why }
func (e *commandError) Unwrap() []error { return []error{ErrNotFound, e.errno} }

// notStarted reads what init said.
func notStarted(why string) error {
	e := &commandError{why: why, errno: syscall.ENOENT}
	for _, n := range []syscall.Errno{syscall.EACCES, syscall.ENOEXEC, syscall.ENOTDIR, syscall.ELOOP, syscall.E2BIG} {
		if strings.HasSuffix(why, ": "+n.Error()) {
			e.errno = n
		}
	}
	return e
}
