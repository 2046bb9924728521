package stage

import (
	"syscall"
	"unsafe"

	"ambit/sandbox/plan"
)

const (
	loopback   = 1 // its index in every new network namespace
	resolver   = 53
	tableLocal = 255
	scopeHost  = 254
	bootProto  = 3

	ipv6RecvPktinfo = 49
	ipPktinfo       = 8
	ipv6Freebind    = 78
)

// network makes every address local: whatever the agent dials ends at a
// listener of this namespace, or is refused at once. ipv6 says whether the
// kernel has it.
func network() (ipv6 bool, err error) {
	s, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return false, failed("open a netlink socket", err)
	}
	defer syscall.Close(s)
	if err := ask(s, syscall.RTM_NEWLINK, 0, linkUp()); err != nil {
		return false, failed("bring up the loopback interface", err)
	}
	if err := ask(s, syscall.RTM_NEWROUTE, syscall.NLM_F_CREATE, localRoute(syscall.AF_INET)); err != nil {
		return false, failed("make every IPv4 address local", err)
	}
	switch err := ask(s, syscall.RTM_NEWROUTE, syscall.NLM_F_CREATE, localRoute(syscall.AF_INET6)); err {
	case nil:
		return true, nil
	case syscall.EAFNOSUPPORT, syscall.EOPNOTSUPP:
		return false, nil // no IPv6 in this kernel: nothing to reach by it either
	default:
		return false, failed("make every IPv6 address local", err)
	}
}

func linkUp() []byte {
	m := syscall.IfInfomsg{Index: loopback, Flags: syscall.IFF_UP, Change: syscall.IFF_UP}
	return append([]byte(nil), (*[syscall.SizeofIfInfomsg]byte)(unsafe.Pointer(&m))[:]...)
}

func localRoute(family uint8) []byte {
	m := syscall.RtMsg{Family: family, Table: tableLocal, Protocol: bootProto, Type: syscall.RTN_LOCAL}
	if family == syscall.AF_INET {
		m.Scope = scopeHost
	}
	b := append([]byte(nil), (*[syscall.SizeofRtMsg]byte)(unsafe.Pointer(&m))[:]...)
	return append(b, 8, 0, syscall.RTA_OIF, 0, loopback, 0, 0, 0)
}

// ask sends one netlink request and reads its acknowledgement.
func ask(s int, kind, flags uint16, body []byte) error {
	h := syscall.NlMsghdr{
		Len: uint32(syscall.SizeofNlMsghdr + len(body)), Type: kind,
		Flags: syscall.NLM_F_REQUEST | syscall.NLM_F_ACK | flags, Seq: 1,
	}
	b := append((*[syscall.SizeofNlMsghdr]byte)(unsafe.Pointer(&h))[:], body...)
	if err := syscall.Sendto(s, b, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	var r [4096]byte
	n, _, err := syscall.Recvfrom(s, r[:], 0)
	if err != nil {
		return err
	}
	if n < syscall.SizeofNlMsghdr+4 || r[4] != syscall.NLMSG_ERROR || r[5] != 0 {
		return syscall.EPROTO
	}
	code := int32(r[16]) | int32(r[17])<<8 | int32(r[18])<<16 | int32(r[19])<<24
	if code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}

// listen opens one socket for a port on every address of both families.
func listen(kind int, port uint16, ipv6 bool) (int, error) {
	family := syscall.AF_INET
	var at syscall.Sockaddr = &syscall.SockaddrInet4{Port: int(port)}
	if ipv6 {
		family, at = syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(port)}
	}
	s, err := syscall.Socket(family, kind|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := open(s, kind, ipv6, at); err != nil {
		syscall.Close(s)
		return -1, err
	}
	return s, nil
}

func open(s, kind int, ipv6 bool, at syscall.Sockaddr) error {
	if ipv6 {
		if err := syscall.SetsockoptInt(s, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0); err != nil {
			return err
		}
	}
	if kind == syscall.SOCK_STREAM {
		if err := syscall.Bind(s, at); err != nil {
			return err
		}
		return syscall.Listen(s, 4096)
	}
	// The answer must come from the address that was asked.
	level, opt := syscall.IPPROTO_IP, ipPktinfo
	if ipv6 {
		level, opt = syscall.IPPROTO_IPV6, ipv6RecvPktinfo
	}
	if err := syscall.SetsockoptInt(s, level, opt, 1); err != nil {
		return err
	}
	// An address that is local by its route only may be answered from with this.
	if ipv6 {
		if err := syscall.SetsockoptInt(s, level, ipv6Freebind, 1); err != nil {
			return err
		}
	}
	return syscall.Bind(s, at)
}

func listeners(p *plan.Plan, ipv6 bool, f *files) error {
	if p.Resolver {
		for _, kind := range []int{syscall.SOCK_DGRAM, syscall.SOCK_STREAM} {
			s, err := listen(kind, resolver, ipv6)
			if err != nil {
				return failed("listen on port 53", err)
			}
			f.add(s)
		}
	}
	if p.Socket != "" {
		s, err := unixListener(p.Socket)
		if err != nil {
			return failed("listen on "+p.Socket, err)
		}
		f.add(s)
	}
	for _, port := range p.Ports {
		s, err := listen(syscall.SOCK_STREAM, port, ipv6)
		if err != nil {
			return failed("listen on port "+number(int(port)), err)
		}
		f.add(s)
	}
	return nil
}

func unixListener(path string) (int, error) {
	s, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := syscall.Bind(s, &syscall.SockaddrUnix{Name: path}); err != nil {
		syscall.Close(s)
		return -1, err
	}
	return s, syscall.Listen(s, 128)
}
