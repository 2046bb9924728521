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
	u, ok := c.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("cannot trust the peer: %T is not a Unix socket", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var got error
	if err := raw.Control(func(fd uintptr) {
		cred, got = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if got != nil {
		return fmt.Errorf("cannot trust the peer: %w", got)
	}
	if int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("cannot trust the peer: it runs as uid %d, not %d", cred.Uid, os.Getuid())
	}
	return nil
}
