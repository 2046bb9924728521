package web

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"ambit"
)

// errReflected ends a socket over which a credential came back in pieces.
var errReflected = errors.New("cannot pass message: it ends a credential that an earlier one began")

// switched checks the service's answer to a WebSocket handshake (RFC 6455
// section 4.1).
func (x *exchange) switched(resp *http.Response) *refusal {
	bad := &refusal{code: CodeUpgrade, gateway: true, why: "the request was allowed, but the service gave no proper answer to the WebSocket handshake"}
	if _, ok := resp.Body.(io.ReadWriteCloser); !ok || x.in.hop.upgrade == "" || x.out == nil {
		return bad
	}
	h := resp.Header
	if to := h["Upgrade"]; len(to) != 1 || !strings.EqualFold(to[0], "websocket") {
		return bad // other bytes than frames would follow
	}
	if got := h["Sec-Websocket-Accept"]; len(got) != 1 || got[0] != acceptKey(x.in.header.Get("Sec-Websocket-Key")) {
		return bad
	}
	for _, v := range h["Sec-Websocket-Extensions"] {
		// What is compressed or rearranged cannot be searched. None was offered.
		if strings.Trim(v, " \t,") != "" {
			bad.why = "the request was allowed, but the service wants a WebSocket extension that was not offered"
			return bad
		}
	}
	delete(h, "Sec-Websocket-Extensions")
	return nil
}

// acceptKey is the answer to a handshake's key (RFC 6455 section 1.3).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// socket joins the agent's and the upstream's connection after a WebSocket
// handshake (RFC 6455), frame by frame. The action lasts as long as the
// connection.
func (x *exchange) socket(ctx context.Context, a ambit.Action, up io.ReadWriteCloser, m *matcher) (ambit.Outcome, string, error) {
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
	one, two := x.g.buffers.get(), x.g.buffers.get()
	defer func() { x.g.buffers.put(one); x.g.buffers.put(two) }()
	agent := &stream{r: x.fromAgent(ctx, a, one[:]), w: x.out.c, c: x.out.c}
	service := &stream{r: x.fromService(ctx, a, up, m, two[:]), w: up, c: up}
	sent, got, err := x.g.join(ctx, agent, service)
	return ambit.Performed, fmt.Sprintf("101, %d bytes sent, %d received%s", sent, got, x.whyCut(ctx, a, err)), nil
}

// fromAgent searches what the agent sends for placeholders.
func (x *exchange) fromAgent(ctx context.Context, a ambit.Action, buf []byte) *frames {
	f := newFrames(x.in.r, true, x.g.placeholders.matcher, buf)
	f.found, f.parted = x.onPlaceholder(ctx, a), errPlaceholder
	return f
}

// fromService searches what the service sends for the credential.
func (x *exchange) fromService(ctx context.Context, a ambit.Action, up io.Reader, m *matcher, buf []byte) *frames {
	if m == nil {
		m = new(matcher)
	}
	f := newFrames(up, false, m, buf)
	hit := false
	f.found = func(b []byte, at []span) error {
		blank(b, at)
		if !hit {
			hit = true
			x.reflected(ctx, a)
		}
		return nil
	}
	f.parted = errReflected
	return f
}

// whyCut raises the alarm for a socket that was cut, and says why for the
// record.
func (x *exchange) whyCut(ctx context.Context, a ambit.Action, err error) (why string) {
	if errors.Is(err, errPlaceholder) {
		x.g.c.Alert(ctx, AlertPlaceholder, a, "a placeholder was sent over a WebSocket; it was cut")
		why += ", cut: a placeholder was sent"
	}
	if errors.Is(err, errReflected) {
		x.g.c.Alert(ctx, AlertReflected, a, "the service sent the credential back in several messages; the WebSocket was cut before its end")
		why += ", cut: the credential came back"
	}
	if bad, ok := errors.AsType[*badFrame](err); ok {
		if bad.agent {
			x.g.c.Alert(ctx, AlertSmuggling, a, bad.Error())
		}
		why += ", cut: " + bad.Error()
	}
	return why
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
