package web

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// serveConn takes one connection of the agent.
func (g *Gate) serveConn(ctx context.Context, c net.Conn) {
	a, ok := g.locate(c)
	if !ok {
		return
	}
	if len(a.routes) == 0 {
		g.serveNowhere(ctx, a)
		return
	}
	switch a.scheme() {
	case HTTPS:
		g.serveTLS(ctx, a)
	case HTTP:
		g.serveHTTP1(ctx, a, c)
	case TCP:
		g.serveTCP(ctx, a)
	}
}

// serveTLS ends TLS with the task's authority.
func (g *Gate) serveTLS(ctx context.Context, a *agentConn) {
	a.secure = true
	t := tls.Server(a, g.serverTLS)
	hctx, cancel := context.WithTimeout(ctx, g.c.Limits.Handshake)
	err := t.HandshakeContext(hctx)
	cancel()
	switch {
	case a.hello != nil:
		g.refuse(ctx, a.connAction(), a.hello)
	case err != nil && isRecordHeader(err):
		g.refuse(ctx, a.connAction(), &refusal{code: CodeBadRequest, why: "the service speaks TLS, but the connection does not begin with it"})
	case err != nil && !a.greeted && !hungUp(err):
		g.refuse(ctx, a.connAction(), &refusal{code: CodeNames, why: "the TLS client hello cannot be read", alert: AlertFronting})
	case err != nil: // the agent hung up, or does not trust the authority
	case t.ConnectionState().NegotiatedProtocol == "h2":
		g.serveHTTP2(ctx, a, t)
	default:
		g.serveHTTP1(ctx, a, t)
	}
}

// hungUp says that a handshake ended for want of bytes, not because of them.
func hungUp(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || isTimeout(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled)
}

func isRecordHeader(err error) bool {
	_, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok
}

// agentTLS is the configuration towards the agent. It is one for all
// connections, so that sessions resume; the name is checked for each.
func (g *Gate) agentTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1", "http/1.0"},
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			a, ok := h.Conn.(*agentConn)
			if !ok {
				return nil, errClosed
			}
			a.greeted = true
			if a.hello = a.checkHello(h); a.hello != nil {
				return nil, a.hello
			}
			return nil, nil
		},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			a, ok := h.Conn.(*agentConn)
			if !ok {
				return nil, errClosed
			}
			if len(a.routes) == 0 && h.ServerName != "" {
				return g.c.Authority.leaf(h.ServerName) // only to refuse in words
			}
			return g.c.Authority.leaf(a.at.host)
		},
	}
}

// serveNowhere answers a connection that no route leads on: in HTTP where the
// agent speaks it, else by closing.
func (g *Gate) serveNowhere(ctx context.Context, a *agentConn) {
	const patience = 3 * time.Second
	r := newReader(a.Conn, g.c.Limits.HeadBytes)
	defer r.release()
	a.SetReadDeadline(time.Now().Add(patience))
	first, err := r.peek(2)
	a.SetReadDeadline(time.Time{})
	switch {
	case err == nil && isTLS(first):
		a.Conn = &replayed{Conn: a.Conn, r: r}
		g.serveTLS(ctx, a)
	case err == nil && first[0] >= 'A' && first[0] <= 'Z':
		g.loopHTTP1(ctx, a, a.Conn, r)
	default:
		g.refuse(ctx, a.connAction(), noRoute(a.at))
	}
}

func noRoute(p place) *refusal {
	return &refusal{code: CodeNoRoute, why: "no service of the grants has the name and port " + p.String()}
}

// replayed is a connection whose first bytes were read already.
type replayed struct {
	net.Conn
	r *reader
}

// Read returns what was read before, and then what comes.
func (p *replayed) Read(b []byte) (int, error) { return p.r.Read(b) }
