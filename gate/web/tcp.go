package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"ambit"
	"ambit/pipeline"
)

// serveTCP passes a plain TCP service's bytes both ways: one action for the
// whole connection. When the agent speaks TLS first, its SNI must agree.
func (g *Gate) serveTCP(ctx context.Context, a *agentConn) {
	r := a.routes[0]
	act := a.connAction()
	err := g.c.Do.Do(ctx, act, nil, func(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		if err := p.Check(); err != nil {
			return ambit.Refused, "no permit", err
		}
		up, err := g.dial(ctx, r, a.at.String())
		if err != nil {
			return g.failed(ctx, p.Action(), err)
		}
		first := &helloGuard{src: a.Conn, check: func(h *tls.ClientHelloInfo) error {
			if bad := a.checkPassedHello(h); bad != nil {
				return bad
			}
			return nil
		}}
		sent, got, err := g.join(ctx, &stream{r: g.guarded(first), w: a.Conn, c: a.Conn}, &stream{r: up, w: up, c: up})
		detail := fmt.Sprintf("%d bytes sent, %d received", sent, got)
		if bad, ok := errors.AsType[*refusal](err); ok {
			g.c.Alert(ctx, bad.alert, p.Action(), bad.why)
			return ambit.Failed, bad.why + "; " + detail, bad
		}
		if errors.Is(err, errPlaceholder) {
			g.c.Alert(ctx, AlertPlaceholder, p.Action(), leaked("stream").why)
			return ambit.Failed, "a placeholder was sent; " + detail, leaked("stream")
		}
		return ambit.Performed, detail, nil
	})
	if p, ok := errors.AsType[*pipeline.Refusal](err); ok {
		g.unrecorded(ctx, p)
	}
}

// guarded searches what the agent sends for placeholders.
func (g *Gate) guarded(r io.Reader) io.Reader {
	if len(g.placeholders.pats) == 0 {
		return r
	}
	return newScanner(r, g.placeholders.matcher, make([]byte, copySize), func([]byte, []span) error { return errPlaceholder })
}

// checkPassedHello compares the name in a ClientHello that is passed through,
// when there is one.
func (c *agentConn) checkPassedHello(h *tls.ClientHelloInfo) *refusal {
	sni := strings.ToLower(h.ServerName)
	switch {
	case slices.Contains(h.Extensions, echExtension):
		return &refusal{code: CodeNames, why: "the TLS client hello is encrypted, so that the name cannot be compared", alert: AlertFronting}
	case sni != "" && sni != c.at.host:
		return &refusal{code: CodeNames, why: "TLS names another host than the one looked up", alert: AlertFronting}
	}
	return nil
}

// helloGuard passes a stream on. When it begins with a TLS handshake, the whole
// ClientHello is checked before its first byte is handed out.
type helloGuard struct {
	src    io.Reader
	check  func(*tls.ClientHelloInfo) error
	buf    []byte // read and not handed out
	passed bool   // nothing is left to check
	err    error
}

// maxHello bounds a ClientHello with its record headers, in bytes.
const maxHello = 32 << 10

// Read hands out what was checked.
func (g *helloGuard) Read(p []byte) (int, error) {
	for !g.passed && g.err == nil {
		g.step()
	}
	if len(g.buf) > 0 && g.passed {
		n := copy(p, g.buf)
		g.buf = g.buf[n:]
		return n, nil
	}
	if g.err != nil {
		return 0, g.err
	}
	return g.src.Read(p)
}

// step reads once and looks whether the ClientHello is complete.
func (g *helloGuard) step() {
	var b [4 << 10]byte
	n, err := g.src.Read(b[:])
	g.buf = append(g.buf, b[:n]...)
	switch {
	case !mayBeTLS(g.buf):
		g.passed, g.err = true, err
	case err != nil && len(g.buf) < 3:
		g.passed, g.err = true, err
	case helloComplete(g.buf):
		h := readHello(g.buf)
		if h == nil {
			g.err = unreadable()
		} else if g.err = g.check(h); g.err == nil {
			g.passed, g.err = true, err
		}
	case err != nil || len(g.buf) > maxHello:
		g.err = unreadable()
	}
}

// unreadable refuses what claims to be TLS: a server might read a name in it
// that we cannot.
func unreadable() *refusal {
	return &refusal{code: CodeNames, why: "the TLS client hello cannot be read", alert: AlertFronting}
}

// maxHelloRecords bounds the records that a ClientHello is spread over.
const maxHelloRecords = 8

// helloComplete says whether the first handshake message in b is whole, or can
// never be (RFC 8446 sections 4 and 5.1).
func helloComplete(b []byte) bool {
	var msg []byte
	for range maxHelloRecords {
		if len(b) < 5 {
			return false
		}
		n := int(b[3])<<8 | int(b[4])
		if b[0] != 22 || n == 0 {
			return true
		}
		msg = append(msg, b[5:min(len(b), 5+n)]...)
		if len(msg) >= 4 && len(msg) >= 4+(int(msg[1])<<16|int(msg[2])<<8|int(msg[3])) {
			return true
		}
		if len(b) < 5+n {
			return false
		}
		b = b[5+n:]
	}
	return true
}

// mayBeTLS says whether b is, or could become, the start of a TLS handshake.
func mayBeTLS(b []byte) bool {
	start := []byte{22, 3}
	return len(b) > 0 && string(b[:min(2, len(b))]) == string(start[:min(2, len(b))])
}

// errHelloRead ends the handshake once its first message was read.
var errHelloRead = errors.New("the client hello was read")

// readHello parses the ClientHello at the beginning of b with crypto/tls, and
// returns nil when there is none.
func readHello(b []byte) (h *tls.ClientHelloInfo) {
	c := &fixedConn{b: b}
	// The handshake always fails; what counts is what it read.
	tls.Server(c, &tls.Config{GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
		h = i
		return nil, errHelloRead
	}}).Handshake()
	return h
}

// fixedConn is a connection that holds some bytes and swallows what is written.
type fixedConn struct{ b []byte }

// Read returns what is left.
func (c *fixedConn) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, c.b)
	c.b = c.b[n:]
	return n, nil
}

// Write swallows an alert.
func (c *fixedConn) Write(p []byte) (int, error) { return len(p), nil }

// Close does nothing.
func (c *fixedConn) Close() error { return nil }

// LocalAddr is of no interest.
func (c *fixedConn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr is of no interest.
func (c *fixedConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline does nothing: reads never wait.
func (c *fixedConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *fixedConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *fixedConn) SetWriteDeadline(time.Time) error { return nil }
