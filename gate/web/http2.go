package web

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"ambit"
)

// startHTTP2 makes the server for agents that speak HTTP/2. It gets connections
// whose TLS handshake is done, one by one.
func (g *Gate) startHTTP2() {
	g.h2conns = &handoff{conns: make(chan net.Conn), closed: make(chan struct{})}
	l := g.c.Limits
	g.h2 = &http.Server{
		Handler:        http.HandlerFunc(g.handle2),
		MaxHeaderBytes: l.HeadBytes,
		IdleTimeout:    l.Idle,
		ErrorLog:       log.New(io.Discard, "", 0), // the agent's bytes are in it
		Protocols:      new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          int(l.Streams),
			MaxReceiveBufferPerConnection: 1 << 20,
			MaxReceiveBufferPerStream:     256 << 10,
			WriteByteTimeout:              l.Stall,
			CountError:                    g.malformed2,
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if h, ok := c.(*tls.Conn); ok {
				if e, ok := h.NetConn().(*agentConn); ok {
					return context.WithValue(ctx, agentConnKey{}, e)
				}
			}
			return ctx
		},
	}
	g.h2.Protocols.SetHTTP2(true)
	g.wg.Go(func() { g.h2.Serve(g.h2conns) }) // ends with the handoff
}

type agentConnKey struct{}

// serveHTTP2 gives a connection to the HTTP/2 server and waits for its end.
func (g *Gate) serveHTTP2(ctx context.Context, a *agentConn, t *tls.Conn) {
	// First, for whoever ends the gate closes the connection at any time from then on.
	ended := &endConn{Conn: a.Conn, ended: make(chan struct{})}
	a.Conn = ended
	stop := context.AfterFunc(ctx, func() { t.NetConn().Close() })
	defer stop()
	if !g.h2conns.give(t) {
		return
	}
	<-ended.ended
}

// endConn tells when it was closed.
type endConn struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

// Close closes the connection.
func (c *endConn) Close() error {
	c.once.Do(func() { close(c.ended) })
	return c.Conn.Close()
}

// handle2 answers one HTTP/2 request. net/http has checked the framing and the
// pseudo-header fields (RFC 9113 section 8.3.1); the rest is as for HTTP/1. What
// ":scheme" says counts for nothing: decided and sent is the connection's.
func (g *Gate) handle2(w http.ResponseWriter, r *http.Request) {
	a, ok := r.Context().Value(agentConnKey{}).(*agentConn)
	if !ok || !g.begin() {
		panic(http.ErrAbortHandler) // not one of ours, or too late
	}
	defer g.wg.Done()
	in := &inbound{conn: a, method: r.Method, target: r.RequestURI, host: r.Host, header: r.Header, length: r.ContentLength}
	if bad := check2(r); bad != nil {
		act := in.plainAction()
		g.refuse(r.Context(), act, bad).write(w, http.StatusForbidden)
		return
	}
	if r.Body != nil && r.ContentLength != 0 {
		in.body = &body2{r.Body, http.NewResponseController(w), g.c.Limits.Stall}
	}
	delete(r.Header, "Content-Length")
	g.handle(r.Context(), in, w)
}

// body2 is the body of an HTTP/2 request, which must not stall.
type body2 struct {
	r     io.Reader
	c     *http.ResponseController
	stall time.Duration
}

// Read reads within the time of a stall.
func (b *body2) Read(p []byte) (int, error) {
	if err := b.c.SetReadDeadline(time.Now().Add(b.stall)); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

// malformed2 records a request that net/http refused before it became one. It
// does not say on which connection.
func (g *Gate) malformed2(kind string) {
	switch kind {
	case "bad_path_method", "bad_path", "bad_connect", "userinfo_in_authority", "invalid_authority", "authority_host_mismatch",
		"multiple_host_headers", "dup_trailers", "trailers_pseudo", "trailers_bogus", "send_too_much", "stream_went_down":
		act := g.action("http.other", ambit.EffectUnknown, ambit.Resource{Kind: "http", Segments: []string{"unknown"}})
		g.refuse(g.ctx, act, badRequest("HTTP/2: "+kind))
	}
}

// check2 refuses what only HTTP/2 can say.
func check2(r *http.Request) *refusal {
	switch {
	case r.ProtoMajor != 2:
		return badRequest("the version is not the connection's")
	case len(r.Header["Host"]) > 0:
		return badRequest("there is a Host beside :authority")
	case r.Header.Get(":protocol") != "":
		return &refusal{code: CodeUpgrade, why: "the connection can be upgraded to WebSocket only, over HTTP/1.1", alert: AlertSmuggling}
	case len(r.Header["Content-Length"]) > 1:
		return badRequest("the length of the body is given twice")
	case len(r.Header) > maxFields:
		return badRequest("the head has too many fields")
	}
	if v, ok := r.Header["Content-Length"]; ok {
		if n, plain := parseLength(v[0]); !plain || n != r.ContentLength {
			return badRequest("the Content-Length is not a plain number")
		}
	}
	for k, vs := range r.Header {
		if k == "" || strings.ContainsAny(k, " :\r\n\x00") || !isToken([]byte(k)) {
			return badRequest("a field has no proper name")
		}
		for _, v := range vs {
			if strings.ContainsAny(v, "\r\n\x00") {
				return badRequest("a field holds a control character")
			}
		}
	}
	return nil
}

// handoff is a listener that is fed by hand.
type handoff struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// give hands a connection over; false when nobody takes it any more.
func (h *handoff) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.closed:
		return false
	}
}

// Accept returns the next connection.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is of no interest.
func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }
