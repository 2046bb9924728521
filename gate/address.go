package gate

import (
	"net/netip"
)

// forbiddenNets are the blocks that no name of the internet may lead to: IANA's
// special-purpose registries for IPv4 and IPv6 (RFC 6890 and its updates), and
// the addresses where clouds serve credentials.
var forbiddenNets = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT; a cloud's metadata
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // a cloud's metadata at a public address
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local; most clouds' metadata
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments; a cloud's metadata
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarking; the synthetic addresses
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),        // protocol assignments, Teredo, ORCHID
	netip.MustParsePrefix("2001:db8::/32"),    // documentation
	netip.MustParsePrefix("3fff::/20"),        // documentation
}

var (
	globalUnicast6 = netip.MustParsePrefix("2000::/3")
	nat64          = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour      = netip.MustParsePrefix("2002::/16")
)

// PublicAddress says whether a is an address of the public internet, also when
// an IPv4 address hides in an IPv6 one.
func PublicAddress(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if a.Is4() {
		return !forbidden(a)
	}
	b := a.As16()
	switch {
	case nat64.Contains(a): // RFC 6052: the last four bytes
		return PublicAddress(netip.AddrFrom4([4]byte(b[12:16])))
	case !globalUnicast6.Contains(a) || forbidden(a):
		return false
	case sixToFour.Contains(a): // RFC 3056: the four bytes after 2002
		return PublicAddress(netip.AddrFrom4([4]byte(b[2:6])))
	case isatap(b): // RFC 5214: the last four bytes
		return PublicAddress(netip.AddrFrom4([4]byte(b[12:16])))
	}
	return true
}

func isatap(b [16]byte) bool {
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

func forbidden(a netip.Addr) bool {
	for _, n := range forbiddenNets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// Dialable says whether an address may be dialled: a public one, or where the
// grants name the address themselves, any that names one machine.
func Dialable(a netip.Addr, granted bool) bool {
	if granted {
		a = a.Unmap()
		return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	return PublicAddress(a)
}
