package daemon

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer refuses a process of another user on the other side
// (unix(7), SO_PEERCRED).
func checkPeer(c net.Conn) error {
	cred, err := peer(c)
	if err != nil {
		return fmt.Errorf("cannot trust the peer: %w", err)
	}
	if int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("cannot trust the peer: it runs as uid %d, not %d", cred.Uid, os.Getuid())
	}
	return nil
}

// peerPID is the process on the other side, 0 when it is not known.
func peerPID(c net.Conn) int {
	if cred, err := peer(c); err == nil {
		return int(cred.Pid)
	}
	return 0
}

func peer(c net.Conn) (*unix.Ucred, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("%T is not a Unix socket", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var got error
	if err := raw.Control(func(fd uintptr) {
		cred, got = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return cred, got
}
