// Package names is the resolver inside a task's network namespace. It answers
// granted names with synthetic addresses and everything else with NXDOMAIN. It
// never asks anybody: no name, and so nothing hidden in a name, leaves.
package names

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Bounds of what one task can make the resolver remember.
const (
	maxGranted  = 65_536 // names that the grants spell out
	maxWildcard = 4096   // names found below wildcards
	maxReports  = 1024   // refused names that are reported
)

// Resolver knows the granted names and the address that stands for each. The
// zero value grants nothing. It is safe for concurrent use.
type Resolver struct {
	refused   func(name string)
	wildcards map[string]bool // what follows "*."

	mu         sync.RWMutex
	index      map[string]uint32 // host to its number
	hosts      []string          // number to host
	found      int               // hosts that wildcards brought
	reported   map[string]bool
	reports    chan string
	unreported uint64
}

// New makes a resolver for granted host names: lower case, without port or
// trailing dot, "*.example.org" standing for one label. Literal addresses and
// what can be no host name need no answer and get none. refused is called once
// for each of the first 1,024 refused names, by one goroutine of each Serve
// method, so that a slow callback does not hold up answers; it may be nil.
func New(granted []string, refused func(name string)) *Resolver {
	r := &Resolver{
		refused:   refused,
		wildcards: make(map[string]bool),
		index:     make(map[string]uint32),
		reported:  make(map[string]bool),
		reports:   make(chan string, maxReports), // each name once: never full
	}
	names := slices.Clone(granted)
	slices.Sort(names) // the same file gives the same addresses
	for _, name := range slices.Compact(names) {
		if rest, ok := strings.CutPrefix(name, "*."); ok {
			if goodHost(rest) {
				r.wildcards[rest] = true
			}
			continue
		}
		if goodHost(name) && len(r.hosts) < maxGranted {
			r.add(name)
		}
	}
	return r
}

func (r *Resolver) add(host string) uint32 {
	n := uint32(len(r.hosts))
	r.hosts = append(r.hosts, host)
	r.index[host] = n
	return n
}

// Lookup returns the host that a synthetic address stands for.
func (r *Resolver) Lookup(addr netip.Addr) (host string, ok bool) {
	n, ok := number(addr)
	if !ok || r == nil {
		return "", false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if int64(n) >= int64(len(r.hosts)) {
		return "", false
	}
	return r.hosts[n], true
}

// Addrs returns the synthetic addresses of a granted name, as the agent gets
// them: IPv4 and IPv6.
func (r *Resolver) Addrs(host string) (v4, v6 netip.Addr, ok bool) {
	n, ok := r.number(strings.TrimSuffix(strings.ToLower(host), "."))
	if !ok {
		return netip.Addr{}, netip.Addr{}, false
	}
	return address4(n), address6(n), true
}

// Unreported is how many queries for refused names were not reported, because
// there were too many different ones.
func (r *Resolver) Unreported() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.unreported
}

// number finds the host's number and gives one to a name below a wildcard.
func (r *Resolver) number(host string) (uint32, bool) {
	if r == nil || !goodHost(host) {
		return 0, false
	}
	r.mu.RLock()
	n, ok := r.index[host]
	r.mu.RUnlock()
	if ok {
		return n, true
	}
	_, rest, _ := strings.Cut(host, ".")
	if !r.wildcards[rest] {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.index[host]; ok {
		return n, true
	}
	// An agent can invent labels without end.
	if r.found >= maxWildcard {
		return 0, false
	}
	r.found++
	return r.add(host), true
}

// report hands a refused name over to be recorded, once and within the bound.
func (r *Resolver) report(name string) {
	if r == nil || r.refused == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.reported[name]:
	case len(r.reported) >= maxReports:
		r.unreported++
	default:
		r.reported[name] = true
		r.reports <- name
	}
}

// The synthetic addresses: 198.18.0.0/15, which RFC 2544 sets aside for tests
// and nobody routes, and one unique local prefix (RFC 4193). The first 256 of
// each stay free for the namespace's own use.
const reserved = 256

func prefix4() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18}), 15) }
func prefix6() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 'a', 'm', 'b', 'i', 't'}), 48)
}

// Prefixes are the synthetic addresses: nothing real is ever reached at them.
func Prefixes() (v4, v6 netip.Prefix) { return prefix4(), prefix6() }

func address4(n uint32) netip.Addr {
	b := prefix4().Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+n+reserved)
	return netip.AddrFrom4(b)
}

func address6(n uint32) netip.Addr {
	b := prefix6().Addr().As16()
	binary.BigEndian.PutUint32(b[12:], n+reserved)
	return netip.AddrFrom16(b)
}

// number is the reverse of address4 and address6.
func number(a netip.Addr) (uint32, bool) {
	a = a.Unmap()
	var n uint32
	switch {
	case prefix4().Contains(a):
		b, base := a.As4(), prefix4().Addr().As4()
		n = binary.BigEndian.Uint32(b[:]) - binary.BigEndian.Uint32(base[:])
	case prefix6().Contains(a) && a.Zone() == "":
		b := a.As16()
		n = binary.BigEndian.Uint32(b[12:])
		if a != address6(n-reserved) {
			return 0, false
		}
	default:
		return 0, false
	}
	return n - reserved, n >= reserved
}

// goodHost says whether s is a host name in its one spelling (RFC 1123 section
// 2.1, and the underscore that some use), and no address.
func goodHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
