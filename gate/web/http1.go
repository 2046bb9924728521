package web

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"ambit"
)

// serveHTTP1 speaks HTTP/1.x with the agent on c, which is a's connection or
// the TLS inside it.
func (g *Gate) serveHTTP1(ctx context.Context, a *agentConn, c net.Conn) {
	r := newReader(c, g.c.Limits.HeadBytes)
	defer r.release()
	g.loopHTTP1(ctx, a, c, r)
}

// loopHTTP1 answers one request after the other. Each is decided on its own.
func (g *Gate) loopHTTP1(ctx context.Context, a *agentConn, c net.Conn, r *reader) {
	out := newOut1(c, g.c.Limits.Stall)
	for {
		b, err := g.nextHead(c, r)
		if err != nil {
			if bad, ok := errors.AsType[*refusal](err); ok {
				g.refuseHead(ctx, a, &head{}, bad, out)
			}
			break
		}
		h, bad := parseHead(b)
		if bad != nil {
			g.refuseHead(ctx, a, h, bad, out)
			break
		}
		out.reset(h.minor, h.method == "HEAD")
		if !g.one(ctx, a, h, r, out) {
			break
		}
		r.shrink()
	}
	if out.err != nil {
		// Closing in order would make a cut body look whole.
		cut(a.raw())
		return
	}
	linger(c, r)
}

// nextHead waits for a request, and then not long for its whole head.
func (g *Gate) nextHead(c net.Conn, r *reader) ([]byte, error) {
	c.SetReadDeadline(time.Now().Add(g.c.Limits.Idle))
	if _, err := r.peek(1); err != nil {
		return nil, err
	}
	c.SetReadDeadline(time.Now().Add(g.c.Limits.HeadTime))
	b, err := r.head()
	c.SetReadDeadline(time.Time{})
	if isTimeout(err) {
		return nil, &refusal{code: CodeBadRequest, why: "the head did not come in time"}
	}
	return b, err
}

// one answers one request and says whether the connection can go on.
func (g *Gate) one(ctx context.Context, a *agentConn, h *head, r *reader, out *out1) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := &inbound{conn: a, method: h.method, target: h.target, host: h.host, header: h.header, length: h.length, r: r}
	var body *body1
	if h.length == 0 {
		r.watch(cancel)
	} else {
		body = &body1{r: r, stall: g.c.Limits.Stall, left: max(h.length, 0), chunked: h.length == unknownLength,
			atEnd: func() { r.watch(cancel) }}
		if h.minor > 0 && h.header.Get("Expect") != "" {
			body.proceed = out.proceed
		}
		in.body = body
	}
	keep := g.handle(ctx, in, out)
	if body != nil && !g.drained(body, keep) {
		keep, out.close = false, true
	}
	r.unwatch()
	return out.finish() && keep && !in.hop.close && r.broken == nil
}

// maxDrain is how much of an unwanted body is read to keep a connection, in bytes.
const maxDrain = 64 << 10

// drained reads the rest of a body that nobody wanted, when it is short.
func (g *Gate) drained(b *body1, keep bool) bool {
	if keep && !b.waits() {
		b.r.c.SetReadDeadline(time.Now().Add(time.Second))
		io.CopyN(io.Discard, b, maxDrain) // stop tells whether it ended
	}
	return b.stop()
}

// refuseHead answers a head that was not understood. The connection ends: where
// the next request begins is anybody's guess.
func (g *Gate) refuseHead(ctx context.Context, a *agentConn, h *head, bad *refusal, out *out1) {
	out.reset(1, false)
	out.close = true
	op := "http.other"
	if h.method != "" && checkMethod(h.method) == nil {
		op = operationOf(h.method)
	}
	act := a.gate.action(op, ambit.EffectUnknown, ambit.Resource{Kind: "http", Segments: []string{a.at.authority(a.scheme())}})
	g.refuse(ctx, act, bad).write(out, 403)
	out.finish()
}

// linger lets a last response arrive: closing with bytes unread would reset the
// connection and lose it.
func linger(c net.Conn, r *reader) {
	if r.broken != nil {
		return
	}
	if w, ok := c.(interface{ CloseWrite() error }); !ok || w.CloseWrite() != nil {
		return
	}
	const most = 8 << 20
	c.SetReadDeadline(time.Now().Add(time.Second))
	io.CopyN(io.Discard, c, most) // whatever comes is thrown away
}
