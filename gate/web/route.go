package web

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// place is a name and a port.
type place struct {
	host string
	port uint16
}

// authority is how a URL of the scheme names the place.
func (p place) authority(scheme string) string {
	if p.port == defaultPort(scheme) {
		return bracket(p.host)
	}
	return bracket(p.host) + ":" + strconv.Itoa(int(p.port))
}

// portSuffix is ":port".
func (p place) portSuffix() string { return ":" + strconv.Itoa(int(p.port)) }

// String is host:port.
func (p place) String() string { return net.JoinHostPort(p.host, strconv.Itoa(int(p.port))) }

func bracket(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func defaultPort(scheme string) uint16 {
	switch scheme {
	case HTTPS:
		return 443
	case HTTP:
		return 80
	}
	return 0
}

// routes finds the routes to a place. It is built once.
type routes struct {
	exact map[place][]*route
	wild  map[place][]*route // by the name behind "*."
}

func makeRoutes(list []Route) (routes, error) {
	t := routes{exact: make(map[place][]*route), wild: make(map[place][]*route)}
	var errs []error
	for i := range list {
		r := &route{Route: list[i]}
		if err := r.check(); err != nil {
			errs = append(errs, fmt.Errorf("cannot use route to %q of service %q: %w", r.Host, r.Service, err))
			continue
		}
		m, k := t.exact, place{r.Host, r.Port}
		if rest, ok := strings.CutPrefix(r.Host, "*."); ok {
			m, k.host = t.wild, rest
		}
		if err := r.fits(m[k]); err != nil {
			errs = append(errs, fmt.Errorf("cannot use route to %q of service %q: %w", r.Host, r.Service, err))
			continue
		}
		m[k] = append(m[k], r)
	}
	return t, errors.Join(errs...)
}

// find returns the routes to a place, an exact name before a wildcard.
func (t routes) find(p place) []*route {
	if rs := t.exact[p]; rs != nil {
		return rs
	}
	if _, rest, ok := strings.Cut(p.host, "."); ok {
		return t.wild[place{rest, p.port}]
	}
	return nil
}

func (r *Route) check() error {
	if r.Port == 0 {
		r.Port = defaultPort(r.Scheme)
	}
	switch {
	case r.Scheme != HTTPS && r.Scheme != HTTP && r.Scheme != TCP:
		return fmt.Errorf("its scheme %q is none of https, http and tcp", r.Scheme)
	case r.Port == 0:
		return errors.New("it has no port")
	case r.Service == "":
		return errors.New("it names no service")
	case !goodHost(r.Host):
		return errors.New("its host is not a lower-case name without a trailing dot")
	case r.HasCredential && r.Scheme != HTTPS:
		// Anybody on the way would read the credential.
		return errors.New("a credential is sent over https only")
	}
	if r.Dial != "" {
		if _, port, err := net.SplitHostPort(r.Dial); err != nil || port == "" {
			return fmt.Errorf("its address %q is not host:port", r.Dial)
		}
	}
	return r.Inject.check(r.HasCredential)
}

// fits says whether r can stand beside other routes to the same place.
func (r *Route) fits(others []*route) error {
	for _, o := range others {
		switch {
		case r.Scheme == TCP || o.Scheme == TCP:
			return fmt.Errorf("service %q has it too, and tcp cannot be shared", o.Service)
		case r.Scheme != o.Scheme || r.Dial != o.Dial || r.Roots != o.Roots:
			return fmt.Errorf("service %q has it too, with another scheme, address or ca", o.Service)
		}
	}
	return nil
}

// goodHost says whether h is a name in lower case, with "*." at most in front,
// or an address in its canonical form.
func goodHost(h string) bool {
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Zone() == "" && a.Unmap().String() == h
	}
	h = strings.TrimPrefix(h, "*.")
	if h == "" || len(h) > 253 {
		return false
	}
	for l := range strings.SplitSeq(h, ".") {
		if !goodLabel(l) {
			return false
		}
	}
	return true
}

func goodLabel(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := range len(l) {
		c := l[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// all yields every route.
func (t routes) all() iter.Seq[*route] {
	return func(yield func(*route) bool) {
		for _, m := range []map[place][]*route{t.exact, t.wild} {
			for _, rs := range m {
				for _, r := range rs {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}

// shared lists the places that more than one service reaches.
func (t routes) shared() []place {
	var ps []place
	for _, m := range []map[place][]*route{t.exact, t.wild} {
		for p, rs := range m {
			if len(rs) > 1 {
				ps = append(ps, p)
			}
		}
	}
	return ps
}
