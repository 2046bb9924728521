package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Landlock cannot keep a process from connecting to a Unix socket by its path, and
// a filter cannot read the path. So a confined gatekeeper has no Unix socket that
// could still be connected: it makes none, holds none, and is handed none.

// checkOwnSocket is checkSocket without the Unix family. A fallen gatekeeper that
// could make one would speak to the person's container engine or session bus.
func checkOwnSocket() code {
	return append(append(code{arg(0)}, oneOf(actAFNO, unix.AF_INET, unix.AF_INET6)...), checkSocket()...)
}

// ownDescriptors closes what this program inherited beyond its streams, and
// refuses any Unix socket that could be connected to a path: all but streams that
// are connected or listen, so also a datagram socket of a pair.
func ownDescriptors() error {
	const dir = "/proc/self/fd"
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cannot confine the gatekeeper: cannot look through its descriptors: %w", err)
	}
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return fmt.Errorf("cannot confine the gatekeeper: cannot look through its descriptors: %s has the name %q", dir, e.Name())
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		switch {
		case errors.Is(err, unix.EBADF): // it was the list's own
		case err != nil:
			return fmt.Errorf("cannot confine the gatekeeper: cannot look at descriptor %d: %w", fd, err)
		case fd > 2 && flags&unix.FD_CLOEXEC == 0: // nothing that this program opened
			_ = unix.Close(fd) // gone, whatever it answers: close(2)
		case connectable(fd):
			return fmt.Errorf("cannot confine the gatekeeper: descriptor %d is a Unix socket through which it could reach any other by its path; give the command a pipe or a file instead", fd)
		}
	}
	return nil
}

// connectable says whether fd is a Unix socket that connect(2) or an address in
// sendto(2) leads to another place. A stream that is connected to a peer stays so,
// also when the peer is gone.
func connectable(fd int) bool {
	if family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || family != unix.AF_UNIX {
		return false
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return true
	}
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 1 {
		return false
	}
	_, err = syscall.Getpeername(fd) // not unix's: it links tables of every kind of address, and each start goes through them
	return err != nil
}

// Seal takes from this process, which is confined, what only the start needed: from
// now on no descriptor is handed to it, neither by the agent nor by anybody else. The
// agent may make Unix sockets; one of them in a fallen gatekeeper's hands would
// reach the person's. Call it after Ready; Go comes after it.
func (s *Sandbox) Seal() error {
	fd, err := s.resolverFD()
	if err != nil {
		return fmt.Errorf("cannot seal the gatekeeper: %w", err)
	}
	if err := filterThreads(sealFilter(fd)); err != nil {
		return fmt.Errorf("cannot seal the gatekeeper: %w", err)
	}
	return nil
}

// resolverFD is the descriptor on which questions for names arrive.
func (s *Sandbox) resolverFD() (fd int, err error) {
	c, ok := s.dns.(*resolverConn)
	if !ok {
		return -1, errors.New("the sandbox is not ready")
	}
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	return fd, err
}

// sealFilter refuses to receive descriptors (unix(7), SCM_RIGHTS): a message that
// could carry some is read from the resolver's UDP socket alone, which needs its
// kernel's notes, and nothing else can take that descriptor's number. A filter of
// its own would let a process put a descriptor under any number
// (seccomp_unotify(2), SECCOMP_IOCTL_NOTIF_ADDFD).
func sealFilter(resolver int) code {
	pinned := uint32(resolver)
	rules := slices.Concat(pins(pinned), []rule{
		{unix.SYS_RECVMSG, append(code{arg(0)}, append(oneOf(actEPERM, pinned), ret(actAllow))...)},
		{unix.SYS_CLOSE, append(code{arg(0)}, noneOf(actEPERM, pinned)...)},
		{unix.SYS_DUP3, append(code{arg(1)}, noneOf(actEPERM, pinned)...)},
	})
	for _, nr := range []uint32{unix.SYS_RECVMMSG, unix.SYS_CLOSE_RANGE, unix.SYS_SECCOMP} {
		rules = append(rules, rule{nr, doEPERM})
	}
	return assemble(rules, actAllow)
}
