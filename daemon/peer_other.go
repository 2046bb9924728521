//go:build !linux

package daemon

import (
	"errors"
	"net"
)

// checkPeer refuses: this build does not know how to tell whose the other side
// is.
func checkPeer(net.Conn) error {
	return errors.New("cannot trust the peer: Ambit's daemon needs Linux")
}

func peerPID(net.Conn) int { return 0 }
