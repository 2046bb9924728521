//go:build amd64 || arm64

package warden

import (
	"errors"
	"strconv"
	"syscall"

	"ambit/sandbox/kernel"
)

// Install stacks [Filter] on the calling thread and returns the listener's
// descriptor, which is closed on exec. The thread must be locked
// (runtime.LockOSThread), have no_new_privs set and be the one that calls
// execve. A kernel without the interrupt-safe listener (Linux 5.19) is refused.
func Install() (int, error) {
	fd, err := kernel.Filter(Filter(), kernel.FilterListener|kernel.FilterWaitKillable)
	if err != nil {
		return -1, because("cannot install the warden's filter (it needs Linux 5.19 and no_new_privs)", err)
	}
	return fd, nil
}

// SendListener hands the listener over a Unix socket and closes its own copy.
func SendListener(sock, listener int) error {
	err := syscall.Sendmsg(sock, []byte{'W'}, syscall.UnixRights(listener), nil, 0)
	if err = errors.Join(err, syscall.Close(listener)); err != nil {
		return because("cannot hand over the warden's listener", err)
	}
	return nil
}

// ReceiveListener takes the listener from the other end of the socket.
func ReceiveListener(sock int) (int, error) {
	var data [1]byte
	oob := make([]byte, syscall.CmsgSpace(4))
	n, oobn, _, _, err := syscall.Recvmsg(sock, data[:], oob, syscall.MSG_CMSG_CLOEXEC)
	for err == syscall.EINTR {
		n, oobn, _, _, err = syscall.Recvmsg(sock, data[:], oob, syscall.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return -1, because("cannot receive the warden's listener", err)
	}
	fds := descriptors(oob[:oobn])
	if n != 1 || data[0] != 'W' || len(fds) != 1 {
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
		return -1, errors.New("cannot receive the warden's listener: the agent's side ended or sent something else")
	}
	return fds[0], nil
}

// descriptors returns what came with a message.
func descriptors(oob []byte) []int {
	msgs, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) != 1 {
		return nil
	}
	fds, err := syscall.ParseUnixRights(&msgs[0])
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
	dir, err := syscall.Open(root, kernel.OPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return because("cannot prove that "+strconv.Quote(root)+" is guarded", err)
	}
	defer syscall.Close(dir)
	name := ".ambit-proof-" + strconv.Itoa(syscall.Getpid())
	for _, kind := range []struct {
		what string
		make func() error
	}{
		{"directory", func() error { return syscall.Mkdirat(dir, name, 0o700) }},
		{"file", func() error { return syscall.Mknodat(dir, name, syscall.S_IFREG|0o600, 0) }},
		{"pipe", func() error { return syscall.Mknodat(dir, name, syscall.S_IFIFO|0o600, 0) }},
		{"socket", func() error { return syscall.Mknodat(dir, name, syscall.S_IFSOCK|0o600, 0) }},
		{"device", func() error { return syscall.Mknodat(dir, name, syscall.S_IFCHR|0o600, 0) }},
		{"symbolic link", func() error { return kernel.Symlink("x", dir, name) }},
	} {
		if err := kind.make(); err != syscall.EACCES {
			if err == nil && kernel.Unlink(dir, name, 0) != nil {
				_ = kernel.Unlink(dir, name, kernel.AtRemoveDir)
			}
			return errors.New("cannot guard " + strconv.Quote(root) + ": Landlock does not refuse to make a " + kind.what + " there (got: " + said(err) + ")")
		}
	}
	return nil
}

// said is an error's text.
func said(err error) string {
	if err == nil {
		return "<nil>"
	}
	return err.Error()
}
