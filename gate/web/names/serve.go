package names

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxConns   = 64
	maxPerConn = 256
	idle       = 10 * time.Second
)

// ServeUDP answers queries on c until ctx ends, and then returns nil. It leaves
// c open.
func (r *Resolver) ServeUDP(ctx context.Context, c net.PacketConn) error {
	defer r.deliver(ctx)()
	defer context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, maxMessage+1) // one more shows what is too long
	for {
		n, from, err := c.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if out := r.answer(buf[:n]); out != nil {
			// A reply that cannot be sent is asked for again.
			_, _ = c.WriteTo(out, from)
		}
	}
}

// ServeTCP answers queries on connections to l until ctx ends, and then returns
// nil. It closes l and its connections.
func (r *Resolver) ServeTCP(ctx context.Context, l net.Listener) error {
	defer r.deliver(ctx)()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	var open sync.WaitGroup
	defer open.Wait()
	places := make(chan struct{}, maxConns)
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case places <- struct{}{}:
			open.Go(func() {
				defer func() { <-places }()
				r.serveConn(ctx, c)
			})
		default:
			c.Close() // an agent that holds all places refuses only itself
		}
	}
}

// serveConn answers the messages of one connection (RFC 7766 section 8).
func (r *Resolver) serveConn(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for range maxPerConn {
		if c.SetDeadline(time.Now().Add(idle)) != nil {
			return
		}
		msg, err := readMessage(c)
		if err != nil {
			return
		}
		out := r.answer(msg)
		if out == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)); err != nil {
			return
		}
	}
}

var errTooLong = errors.New("cannot read query: it is too long")

func readMessage(c io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > maxMessage {
		return nil, errTooLong
	}
	msg := make([]byte, n)
	_, err := io.ReadFull(c, msg)
	return msg, err
}

// deliver calls the callback with the refused names, beside the serving. The
// function that it returns hands over what is left, and waits for that.
func (r *Resolver) deliver(ctx context.Context) (stop func()) {
	if r.refused == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case name := <-r.reports:
				r.refused(name)
			case <-ctx.Done():
				r.drain()
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

func (r *Resolver) drain() {
	for {
		select {
		case name := <-r.reports:
			r.refused(name)
		default:
			return
		}
	}
}
