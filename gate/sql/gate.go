package sql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// errClosed is the error of a gate that was closed or revoked.
var errClosed = errors.New("cannot serve: the sql gate is closed")

// place is a name and a port.
type place struct {
	host string
	port uint16
}

// String is host:port.
func (p place) String() string { return net.JoinHostPort(p.host, strconv.Itoa(int(p.port))) }

// Gate serves the databases of one task. Make it with [New].
type Gate struct {
	c  Config
	at map[place]*Database

	still map[*Database]*stillness

	ctx    context.Context
	cancel context.CancelCauseFunc
	slots  chan struct{} // one for each open connection of the agent
	held   atomic.Int64  // bytes of large messages

	mu       sync.Mutex // also orders wg.Add before the Wait of Close
	closed   bool
	open     map[net.Conn]struct{} // every connection, of both sides
	ends     []net.Listener
	sessions map[cancelKey]*session // those that a CancelRequest can name
	wg       sync.WaitGroup
}

// New makes a gate, or says what is wrong with its configuration.
func New(c Config) (*Gate, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	g := &Gate{c: c, at: map[place]*Database{}, still: map[*Database]*stillness{}, slots: make(chan struct{}, c.Limits.Conns), open: map[net.Conn]struct{}{}, sessions: map[cancelKey]*session{}}
	for i := range c.Databases {
		g.still[&g.c.Databases[i]] = &stillness{}
		for _, h := range c.Databases[i].Hosts {
			g.at[place{h, c.Databases[i].Port}] = &g.c.Databases[i]
		}
	}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	return g, nil
}

// Serve accepts the agent's connections from ln until ctx ends, the gate is closed
// or ln fails. The local address of each connection must be where the agent wanted
// to go. Several listeners may be served at once.
func (g *Gate) Serve(ctx context.Context, ln net.Listener) error {
	if !g.adopt(ln) {
		ln.Close()
		return errClosed
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		c, err := ln.Accept()
		switch {
		case g.ctx.Err() != nil || ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return errClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("cannot accept: %w", err)
		case err != nil:
			// Descriptors or memory ran out; connections that end give them back.
			time.Sleep(50 * time.Millisecond)
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
	if !g.track(c) {
		<-g.slots
		c.Close()
		return
	}
	go func() {
		defer g.wg.Done()
		defer func() {
			g.untrack(c)
			c.Close()
			<-g.slots
		}()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(g.ctx, cancel)()
		g.serveConn(ctx, cancel, c)
	}()
}

func (g *Gate) adopt(ln net.Listener) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.ends = append(g.ends, ln)
	}
	return !g.closed
}

// track notes a connection of the agent, so that it can be cut and is waited for;
// false when it is too late.
func (g *Gate) track(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.open[c] = struct{}{}
		g.wg.Add(1)
	}
	return !g.closed
}

// keep notes a connection to a database, so that it can be cut.
func (g *Gate) keep(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.open[c] = struct{}{}
	}
	return !g.closed
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
	g.ends, g.open = nil, map[net.Conn]struct{}{}
	g.mu.Unlock()
	for _, ln := range ends {
		ln.Close()
	}
	for c := range open {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0) // the other side learns it now; an error changes nothing
		}
		c.Close()
	}
}

// Close revokes and waits until every connection has ended and its actions have
// their outcome.
func (g *Gate) Close() {
	g.Revoke()
	g.wg.Wait()
}
