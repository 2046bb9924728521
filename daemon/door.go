package daemon

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"ambit/daemon/wire"
	"ambit/identity"
)

// doorSocket is in the folder of a task, which has mode 0700 and goes with the
// task: there a daemon that was started again finds the gatekeeper, which cannot
// connect to anybody once it is confined.
const doorSocket = "door.sock"

// How long a visitor at a door has to say who it is, and to take the task back.
const (
	introduceTime = 2 * time.Second
	attachTime    = 5 * time.Second
	acceptAgain   = 50 * time.Millisecond
)

// keep waits at the door whenever the connection ends.
func (l *Link) keep(ctx context.Context, c *wire.Conn) {
	for c != nil {
		select {
		case <-c.Done():
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		l.conn, l.gone = nil, errors.New("the daemon is gone; any ambit command, such as `ambit tasks`, starts it again")
		l.mu.Unlock()
		c = l.welcome(ctx)
	}
}

// welcome takes visitors, one at a time, until one is the daemon. It returns nil
// when the task is over.
func (l *Link) welcome(ctx context.Context) *wire.Conn {
	for {
		raw, err := l.door.Accept() // of this user's processes only
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			time.Sleep(acceptAgain) // too many open files, say
			continue
		}
		c, err := l.attach(ctx, raw)
		if err == nil {
			return c
		}
		if we, ok := errors.AsType[*wire.Error](err); ok {
			l.end(fmt.Errorf("the daemon does not take the task back: %w", we))
			return nil
		}
	}
}

func (l *Link) end(err error) {
	l.mu.Lock()
	first := l.ended == nil
	if first {
		l.ended = err
	}
	l.mu.Unlock()
	if first {
		l.revoke(wire.Revoke{By: "daemon", Why: err.Error()})
	}
}

// attach has a visitor show that it is the daemon, and then proves to it whose
// task this is. An error of the wire's is the daemon's own: it does not take the
// task back, and its connection stays open until this gatekeeper has ended.
func (l *Link) attach(ctx context.Context, raw net.Conn) (*wire.Conn, error) {
	var known atomic.Bool
	c := wire.NewConn(raw, func(method string, body json.RawMessage) wire.Step {
		if !known.Load() {
			return nil // whoever is not the daemon can revoke nothing
		}
		return l.handle(method, body)
	})
	err := l.recognise(ctx, c)
	if err == nil {
		known.Store(true)
		err = l.prove(ctx, c)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, refused := errors.AsType[*wire.Error](err); refused {
		l.refused = c
		return nil, err
	}
	// Outcomes of the time before come first, in their order.
	for i := 0; err == nil && i < len(l.unacked); i++ {
		err = l.sendOutcome(c, l.unacked[i])
	}
	if err == nil && ctx.Err() != nil {
		err = ctx.Err() // the link was closed meanwhile
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	l.conn, l.gone = c, nil
	return c, nil
}

// recognise asks a visitor for the daemon's signature. A stranger, who could make
// this gatekeeper end its task or tell it what it records, learns nothing but a
// nonce.
func (l *Link) recognise(ctx context.Context, c *wire.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, introduceTime)
	defer cancel()
	var n identity.Nonce
	rand.Read(n[:]) // never fails
	var in wire.Introduction
	if err := c.Call(ctx, wire.MethodWho, wire.Who{Nonce: n[:]}, &in); err != nil {
		return fmt.Errorf("cannot tell who is at the door: %s", err) // not a word of the daemon's
	}
	return identity.CheckIntroduction(l.daemon, l.domain, l.task, n, in.Signature)
}

func (l *Link) prove(ctx context.Context, c *wire.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, attachTime)
	defer cancel()
	var ch wire.Challenge
	if err := c.Call(ctx, wire.MethodAttach, wire.Attach{Task: l.task, SVID: l.svid}, &ch); err != nil {
		return err
	}
	sig, err := l.sign(ch.Nonce)
	if err != nil {
		return err
	}
	return c.Call(ctx, wire.MethodProve, wire.Prove{Signature: sig}, nil)
}
