package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"ambit"
	"ambit/gate"
)

// route is a Route with what was made for it.
type route struct {
	Route
	once      sync.Once
	transport *http.Transport

	mu    sync.Mutex
	last  string   // the secret that forms was made of
	forms *matcher // of the secret injected last
}

// scrubber returns the matcher for a secret. It is made anew only when the
// secret changed.
func (r *route) scrubber(secret []byte) *matcher {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forms == nil || r.last != string(secret) {
		r.last, r.forms = string(secret), newMatcher(secretForms(secret)...)
	}
	return r.forms
}

// forget drops what was kept of secrets.
func (r *route) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.forms = "", nil
}

// upstreamTransport returns the route's connection pool. It follows no
// redirect, reads no proxy variables, unpacks nothing and verifies always.
func (g *Gate) upstreamTransport(r *route) *http.Transport {
	r.once.Do(func() {
		roots, err := r.Roots, error(nil)
		if roots == nil && r.Scheme == HTTPS {
			roots, err = g.trusted()
		}
		l := g.c.Limits
		r.transport = &http.Transport{
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				// Without its roots a connection would be verified by others.
				if err != nil {
					return nil, &dialError{err}
				}
				return g.dial(ctx, r, addr)
			},
			TLSClientConfig:        upstreamTLS(roots),
			TLSHandshakeTimeout:    l.Handshake,
			ResponseHeaderTimeout:  l.AnswerTime,
			ExpectContinueTimeout:  time.Second,
			MaxIdleConnsPerHost:    32,
			MaxConnsPerHost:        128,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 256 << 10,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
			HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: 512 << 10, MaxReceiveBufferPerConnection: 1 << 20},
		}
	})
	return r.transport
}

// upstreamTLS verifies against roots; the server's name is set by whoever dials.
func upstreamTLS(roots *x509.CertPool) *tls.Config {
	if roots == nil {
		roots = x509.NewCertPool() // nil would mean the system's
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(16)}
}

// dialError is a failure to reach an upstream: nothing was sent.
type dialError struct{ err error }

// Error is for the log; the agent is not told.
func (e *dialError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *dialError) Unwrap() error { return e.err }

// addressError is a name that led where no name may lead.
type addressError struct {
	host string
	addr netip.Addr
}

// Error names the host and the address.
func (e *addressError) Error() string {
	return fmt.Sprintf("cannot reach %s: it resolves to %s, which is not an address of the internet; name the service's address: if that is wanted", e.host, e.addr)
}

// dial reaches the place that addr (host:port) names for a route. The name is
// resolved once, here; the addresses that were checked are those dialled, so
// that a second answer of a rebinding server is never asked for.
func (g *Gate) dial(ctx context.Context, r *route, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, g.c.Limits.DialTime)
	defer cancel()
	if r.Dial != "" {
		addr = r.Dial
	}
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &dialError{err}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, &dialError{err}
	}
	addrs, err := g.addresses(ctx, host, r.Dial != "")
	if err != nil {
		return nil, &dialError{err}
	}
	return g.dialFirst(ctx, addrs, uint16(port))
}

// addresses returns where host is, all checked. One forbidden address refuses
// the name: an honest name has none.
func (g *Gate) addresses(ctx context.Context, host string, granted bool) ([]netip.Addr, error) {
	addrs := make([]netip.Addr, 0, 4)
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, a)
	} else if addrs, err = g.c.Resolve(ctx, host); err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, errors.New("the name has no address")
	}
	for _, a := range addrs {
		if !gate.Dialable(a, granted) {
			return nil, &addressError{host, a}
		}
	}
	return addrs, nil
}

func (g *Gate) dialFirst(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	const tries = 4
	var errs []error
	d := net.Dialer{Timeout: g.c.Limits.DialTime / 2, KeepAlive: 30 * time.Second}
	for _, a := range addrs[:min(tries, len(addrs))] {
		c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(a, port).String())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t := &tracked{Conn: c, gate: g}
		if !g.track(t) {
			c.Close()
			return nil, &dialError{errClosed}
		}
		return t, nil
	}
	return nil, &dialError{errors.Join(errs...)}
}

// tracked is an upstream connection that the gate can cut.
type tracked struct {
	net.Conn
	gate *Gate
	once sync.Once
}

// Close closes the connection and forgets it.
func (t *tracked) Close() error {
	t.once.Do(func() { t.gate.untrack(t) })
	return t.Conn.Close()
}

// CloseWrite ends the direction towards the upstream.
func (t *tracked) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return t.Close()
}

// failed says what became of an action whose upstream gave no answer, and what
// to tell. The agent learns neither address nor cause.
func (g *Gate) failed(ctx context.Context, a ambit.Action, err error) (ambit.Outcome, string, error) {
	out := ambit.OutcomeUnknown
	if e, ok := errors.AsType[*dialError](err); ok {
		out, err = ambit.Failed, e
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		out, err = ambit.Failed, e
	}
	if e, ok := errors.AsType[*addressError](err); ok {
		g.c.Alert(ctx, AlertAddress, a, e.Error())
	}
	return out, err.Error(), &refusal{code: CodeUpstream, gateway: true,
		why: "the request was allowed, but the service could not be reached or gave no proper answer"}
}
