package sandbox

import (
	"errors"
	"net"
	"os"
)

// resolverConn is the UDP socket of port 53. It listens on every address, so it
// has to remember at which of them a question arrived.
type resolverConn struct{ *net.UDPConn }

// asker is who sent a datagram, with the kernel's note (IP_PKTINFO or
// IPV6_PKTINFO, whose layout is the same for sending) of the address it came to.
type asker struct {
	*net.UDPAddr
	note []byte
}

func packetConn(f *os.File) (net.PacketConn, error) {
	c, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return nil, errors.New("it is no UDP socket")
	}
	return &resolverConn{udp}, nil
}

// ReadFrom implements net.PacketConn.
func (c *resolverConn) ReadFrom(b []byte) (int, net.Addr, error) {
	oob := make([]byte, 64)
	n, on, _, addr, err := c.ReadMsgUDP(b, oob)
	if err != nil {
		return n, nil, err
	}
	return n, asker{addr, oob[:on]}, nil
}

// WriteTo implements net.PacketConn.
func (c *resolverConn) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(asker)
	if !ok {
		return c.UDPConn.WriteTo(b, to)
	}
	n, _, err := c.WriteMsgUDP(b, a.note, a.UDPAddr)
	return n, err
}
