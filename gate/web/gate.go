package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errClosed is the error of a gate that was closed or revoked.
var errClosed = errors.New("cannot serve: the web gate is closed")

// Gate serves the web egress of one task. Make it with [New].
type Gate struct {
	c            Config
	routes       routes
	placeholders marks
	foreign      map[string]marks // by service: the placeholders of all others
	blanked      sync.Map         // services for which a blanked placeholder was told of
	buffers      copyBuffers
	serverTLS    *tls.Config
	h2           *http.Server
	h2conns      *handoff

	ctx      context.Context
	cancel   context.CancelCauseFunc
	slots    chan struct{} // one for each open connection of the agent
	buffered atomic.Int64  // bytes of buffered bodies

	mu     sync.Mutex // also orders wg.Add before the Wait of Close
	closed bool
	open   map[net.Conn]struct{} // every connection, of both sides
	ends   []net.Listener
	wg     sync.WaitGroup
}

// New makes a gate, or says everything that is wrong with its configuration.
func New(c Config) (*Gate, error) {
	c.Placeholders = append([]Placeholder(nil), c.Placeholders...)
	if err := c.check(); err != nil {
		return nil, err
	}
	t, err := makeRoutes(c.Routes)
	if err != nil {
		return nil, err
	}
	g := &Gate{c: c, routes: t, slots: make(chan struct{}, c.Limits.Conns), open: make(map[net.Conn]struct{})}
	if g.c.Foresee == nil && len(t.shared()) > 0 {
		return nil, fmt.Errorf("cannot make web gate: several services reach %s, and nothing chooses among them", t.shared())
	}
	g.setPlaceholders(c.Placeholders)
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	g.serverTLS = g.agentTLS()
	g.startHTTP2()
	return g, nil
}

// trusted gives the roots of routes without their own.
func (g *Gate) trusted() (*x509.CertPool, error) {
	if g.c.Roots == nil {
		return x509.NewCertPool(), nil // trusts nobody
	}
	pool, err := g.c.Roots()
	if err != nil {
		return nil, fmt.Errorf("cannot read the system's trusted certificates: %w; install ca-certificates or name a ca: for the service", err)
	}
	return pool, nil
}

// Serve accepts the agent's connections from ln until ctx ends, the gate is
// closed or ln fails. The local address of each connection must be where the
// agent wanted to go. Several listeners may be served at once.
func (g *Gate) Serve(ctx context.Context, ln net.Listener) error {
	if !g.adopt(ln) {
		ln.Close()
		return errClosed
	}
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		c, err := ln.Accept()
		switch {
		case g.ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return errClosed
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("cannot accept: %w", err)
		case err != nil:
			// Descriptors or memory ran out; connections that end give them back.
			if !sleep(g.ctx, 50*time.Millisecond) {
				return errClosed
			}
			continue
		}
		g.accept(ctx, c)
	}
}

// accept starts a connection, or closes it at once when the task has too many.
func (g *Gate) accept(ctx context.Context, c net.Conn) {
	select {
	case g.slots <- struct{}{}:
	default:
		c.Close()
		return
	}
	if !g.begin() {
		<-g.slots
		c.Close()
		return
	}
	go func() {
		defer g.wg.Done()
		defer func() {
			c.Close()
			g.untrack(c)
			<-g.slots
		}()
		if !g.track(c) {
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(g.ctx, cancel)()
		g.serveConn(ctx, c)
	}()
}

// begin counts something that Close waits for; false when it is too late. Its
// end is wg.Done.
func (g *Gate) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.wg.Add(1)
	return true
}

func (g *Gate) adopt(ln net.Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.ends = append(g.ends, ln)
	return true
}

// track notes a connection, so that it can be cut; false when it is too late.
func (g *Gate) track(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.open[c] = struct{}{}
	return true
}

func (g *Gate) untrack(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, c)
}

// Revoke cuts every connection at once and for good, on both sides. It does not
// wait for the actions under way to be recorded; [Gate.Close] does.
func (g *Gate) Revoke() {
	g.cancel(errClosed)
	g.mu.Lock()
	g.closed = true
	ends, open := g.ends, g.open
	g.ends, g.open = nil, make(map[net.Conn]struct{})
	g.mu.Unlock()
	for _, ln := range ends {
		ln.Close()
	}
	for c := range open {
		cut(c)
	}
	g.h2.Close()
	for r := range g.routes.all() {
		r.forget()
	}
	g.c.Authority.Forget()
}

// cut ends a connection without waiting for what is still to be sent.
func cut(c net.Conn) {
	if t, ok := c.(*tracked); ok {
		c = t.Conn
	}
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0) // the other side learns it now; an error changes nothing
	}
	c.Close()
}

// Close revokes and waits until every connection has ended and its actions have
// their outcome.
func (g *Gate) Close() {
	g.Revoke()
	g.wg.Wait()
	for r := range g.routes.all() {
		if r.transport != nil {
			r.transport.CloseIdleConnections()
		}
	}
}

// sleep waits, and says whether ctx is still live.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
