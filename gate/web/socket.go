package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"ambit"
)

// socket joins the agent's and the upstream's connection after a WebSocket
// handshake (RFC 6455). The action lasts as long as the connection.
func (x *exchange) socket(ctx context.Context, a ambit.Action, resp *http.Response, m *matcher) (ambit.Outcome, string, error) {
	up, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || x.in.hop.upgrade == "" || x.out == nil {
		return ambit.Failed, "switched protocols unasked", &refusal{code: CodeUpstream, gateway: true,
			why: "the request was allowed, but the service gave no proper answer"}
	}
	h := x.w.Header()
	h.Set("Upgrade", x.in.hop.upgrade)
	h.Set("Connection", "Upgrade")
	x.started, x.upgraded = true, true
	x.w.WriteHeader(http.StatusSwitchingProtocols)
	x.out.Flush()
	x.out.c.SetWriteDeadline(time.Time{}) // it may be idle for hours
	x.in.r.unwatch()                      // from here on the agent's bytes are not requests
	if x.out.err != nil {
		return ambit.Performed, "101, the agent hung up", x.out.err
	}
	hit := false
	down := io.Reader(up)
	if m != nil {
		lent := x.g.buffers.get()
		defer x.g.buffers.put(lent)
		down = &scanner{src: up, m: m, buf: lent[:], found: func(b []byte, at []span) error {
			hit = true
			blank(b, at)
			return nil
		}}
	}
	agent := &stream{r: x.g.guarded(x.in.r), w: x.out.c, c: x.out.c}
	sent, got, err := x.g.join(ctx, agent, &stream{r: down, w: up, c: up})
	if hit {
		x.g.c.Alert(ctx, AlertReflected, a, "the service sent the credential back; it was blanked")
	}
	if errors.Is(err, errPlaceholder) {
		x.g.c.Alert(ctx, AlertPlaceholder, a, "a placeholder was sent over a WebSocket; it was cut")
	}
	return ambit.Performed, fmt.Sprintf("101, %d bytes sent, %d received", sent, got), nil
}

// guarded searches what the agent sends for placeholders.
func (g *Gate) guarded(r io.Reader) io.Reader {
	if len(g.placeholders.pats) == 0 {
		return r
	}
	return &scanner{src: r, m: g.placeholders, buf: make([]byte, copySize),
		found: func([]byte, []span) error { return errPlaceholder }}
}

// stream is one side of two that are joined.
type stream struct {
	r io.Reader
	w io.Writer
	c io.Closer
}

// end tells the side that nothing more comes.
func (s *stream) end() {
	if c, ok := s.c.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
		return
	}
	s.c.Close()
}

// join passes bytes both ways until both directions have ended, one of them
// failed, or ctx ends. It returns how many bytes a sent and received, and closes
// both sides.
func (g *Gate) join(ctx context.Context, a, b *stream) (sent, got int64, err error) {
	stop := context.AfterFunc(ctx, func() { a.c.Close(); b.c.Close() })
	defer stop()
	done := make(chan error, 1)
	var n atomic.Int64
	g.wg.Go(func() { done <- g.pass(b, a, &n) })
	var m atomic.Int64
	err = g.pass(a, b, &m)
	err = errors.Join(err, <-done)
	a.c.Close()
	b.c.Close()
	return n.Load(), m.Load(), err
}

// pass copies from one side to the other. A direction that ends in order leaves
// the other one open; one that fails cuts both.
func (g *Gate) pass(to, from *stream, n *atomic.Int64) error {
	buf := g.buffers.get()
	defer g.buffers.put(buf)
	for {
		k, err := from.r.Read(buf[:])
		if k > 0 {
			if _, werr := to.w.Write(buf[:k]); werr != nil {
				err = werr
			}
			n.Add(int64(k))
		}
		if err == io.EOF {
			to.end()
			return nil
		}
		if err != nil {
			from.c.Close()
			to.c.Close()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
	}
}
