//go:build amd64 || arm64

package warden

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Install stacks [Filter] on the calling thread and returns the listener's
// descriptor, which is closed on exec. The thread must be locked
// (runtime.LockOSThread), have no_new_privs set and be the one that calls
// execve. A kernel without the interrupt-safe listener (Linux 5.19) is refused.
func Install() (int, error) {
	prog := Filter()
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	fd, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
		uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if e != 0 {
		return -1, fmt.Errorf("cannot install the warden's filter (it needs Linux 5.19 and no_new_privs): %w", e)
	}
	return int(fd), nil
}

// SendListener hands the listener over a Unix socket and closes its own copy.
func SendListener(sock, listener int) error {
	err := unix.Sendmsg(sock, []byte{'W'}, unix.UnixRights(listener), nil, 0)
	if err = errors.Join(err, unix.Close(listener)); err != nil {
		return fmt.Errorf("cannot hand over the warden's listener: %w", err)
	}
	return nil
}

// ReceiveListener takes the listener from the other end of the socket.
func ReceiveListener(sock int) (int, error) {
	var data [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(sock, data[:], oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, oobn, _, _, err = unix.Recvmsg(sock, data[:], oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return -1, fmt.Errorf("cannot receive the warden's listener: %w", err)
	}
	fds := descriptors(oob[:oobn])
	if n != 1 || data[0] != 'W' || len(fds) != 1 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return -1, errors.New("cannot receive the warden's listener: the agent's side ended or sent something else")
	}
	return fds[0], nil
}

// descriptors returns what came with a message.
func descriptors(oob []byte) []int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) != 1 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		return nil
	}
	return fds
}

// Prove tries to make one of each kind of file in each root and returns nil
// when Landlock refused them all. It is called on the agent's side, after
// landlock_restrict_self and before [Install]: without Landlock's refusal the
// warden's answers would be a race that the agent can win.
func Prove(roots ...string) error {
	var errs []error
	for _, root := range roots {
		errs = append(errs, prove(root))
	}
	return errors.Join(errs...)
}

func prove(root string) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot prove that %q is guarded: %w", root, err)
	}
	defer unix.Close(dir)
	name := ".ambit-proof-" + strconv.Itoa(os.Getpid())
	for _, kind := range []struct {
		what string
		make func() error
	}{
		{"directory", func() error { return unix.Mkdirat(dir, name, 0o700) }},
		{"file", func() error { return unix.Mknodat(dir, name, unix.S_IFREG|0o600, 0) }},
		{"pipe", func() error { return unix.Mknodat(dir, name, unix.S_IFIFO|0o600, 0) }},
		{"socket", func() error { return unix.Mknodat(dir, name, unix.S_IFSOCK|0o600, 0) }},
		{"device", func() error { return unix.Mknodat(dir, name, unix.S_IFCHR|0o600, 0) }},
		{"symbolic link", func() error { return unix.Symlinkat("x", dir, name) }},
	} {
		if err := kind.make(); err != unix.EACCES {
			if err == nil && unix.Unlinkat(dir, name, 0) != nil {
				_ = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
			}
			return fmt.Errorf("cannot guard %q: Landlock does not refuse to make a %s there (got: %v)", root, kind.what, err)
		}
	}
	return nil
}
