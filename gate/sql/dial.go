package sql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"ambit"
	"ambit/gate"
	"ambit/pgwire"
)

// dialError is a failure to reach a database: nothing was sent.
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

// where is the host and port of a database, and whether the grants name them.
func (d *Database) where() (host string, port uint16, granted bool, err error) {
	if d.Dial == "" {
		return d.Hosts[0], d.Port, false, nil
	}
	host, text, err := net.SplitHostPort(d.Dial)
	if err != nil {
		return "", 0, false, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), true, err
}

// dial reaches a database. Its name is resolved once, here; the addresses that were
// checked are those dialled, so that a second answer of a rebinding server is never
// asked for.
func (g *Gate) dial(ctx context.Context, d *Database) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, g.c.Limits.DialTime)
	defer cancel()
	host, port, granted, err := d.where()
	if err != nil {
		return nil, &dialError{err}
	}
	addrs, err := g.addresses(ctx, host, granted)
	if err != nil {
		return nil, &dialError{err}
	}
	c, err := g.dialFirst(ctx, addrs, port)
	if err != nil || !d.TLS {
		return c, err
	}
	secure, err := g.encrypt(ctx, c, d, host)
	if err != nil {
		g.drop(c)
		return nil, &dialError{err}
	}
	return secure, nil
}

// addresses returns where host is, all checked. One forbidden address refuses the
// name: an honest name has none.
func (g *Gate) addresses(ctx context.Context, host string, granted bool) (addrs []netip.Addr, err error) {
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
		if !g.keep(c) {
			c.Close()
			return nil, &dialError{errClosed}
		}
		return c, nil
	}
	return nil, &dialError{errors.Join(errs...)}
}

// drop closes a connection to a database and forgets it.
func (g *Gate) drop(c net.Conn) {
	if c == nil {
		return
	}
	if t, ok := c.(*tls.Conn); ok {
		g.untrack(t.NetConn())
	}
	g.untrack(c)
	c.Close()
}

// encrypt asks the database for TLS and verifies it. A database that speaks none is
// an error: whoever is on the way could say so.
func (g *Gate) encrypt(ctx context.Context, c net.Conn, d *Database, host string) (net.Conn, error) {
	roots, err := d.Roots, error(nil)
	if roots == nil && g.c.Roots != nil {
		roots, err = g.c.Roots()
	}
	if err != nil {
		return nil, err
	}
	if roots == nil {
		roots = x509.NewCertPool() // nil would mean the system's
	}
	return pgwire.Encrypt(ctx, c, &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"postgresql"}})
}

// unreached says what became of an action whose database could not be reached, and
// what to tell. The agent learns neither address nor cause.
func (g *Gate) unreached(ctx context.Context, a ambit.Action, err error) (ambit.Outcome, string, error) {
	if e, ok := errors.AsType[*addressError](err); ok {
		g.c.Alert(ctx, AlertAddress, a, e.Error())
	}
	return ambit.Failed, err.Error(), &refusal{code: CodeUpstream, state: stateUpstream, why: "the connection was allowed, but the database could not be reached or did not let the task's role in"}
}
