package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Handler takes a call. It runs in the order in which calls arrived and must
// not wait; what it returns gives the answer. A nil Step ends the connection:
// the call is not known.
type Handler func(method string, body json.RawMessage) Step

// Step is how a call is answered: Waits or Replies.
type Step interface{ step() }

// Waits runs on its own, may wait, and returns the answer.
type Waits func(context.Context) (any, error)

// Replies runs at once, in the order of calls, must not wait, and sees to it
// that reply is called once, by whomever.
type Replies func(reply func(v any, err error))

func (Waits) step()   {}
func (Replies) step() {}

// maxUnread bounds the answers that wait for the other side, in bytes.
const maxUnread = 8 << 20

// maxRunning bounds the calls of one connection that are answered at once.
const maxRunning = 1024

// Conn is one connection. Calls may be made by many goroutines; they reach the
// other side in the order in which Send returned.
type Conn struct {
	c       net.Conn
	handler Handler
	done    chan struct{}
	running chan struct{}

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]func(frame)
	out     []byte // frames that wait for whoever is writing
	spare   []byte
	writing bool
	patient bool          // a timer will send what is queued
	kick    chan struct{} // wakes the sender of answers
	err     error
}

// NewConn serves c until it ends. The handler may be nil for a side that takes
// no calls.
func NewConn(c net.Conn, h Handler) *Conn {
	w := &Conn{
		c: c, handler: h, done: make(chan struct{}), running: make(chan struct{}, maxRunning),
		waiting: map[uint64]func(frame){}, kick: make(chan struct{}, 1),
	}
	go w.read()
	if h != nil {
		go w.answers()
	}
	return w
}

// Done is closed when the connection has ended.
func (w *Conn) Done() <-chan struct{} { return w.done }

// Close ends the connection; every open call fails.
func (w *Conn) Close() error {
	w.fail(ErrClosed)
	return nil
}

// Pending is a call that has been sent.
type Pending struct {
	w  *Conn
	id uint64
	ch chan frame
}

// Send queues a call and returns at once; calls keep the order of Send.
func (w *Conn) Send(method string, in any) (*Pending, error) {
	ch := make(chan frame, 1)
	id, err := w.send(method, in, func(f frame) { ch <- f }, false)
	if err != nil {
		return nil, err
	}
	return &Pending{w: w, id: id, ch: ch}, nil
}

// SendFunc is Send for a call whose answer carries nothing but success: done
// gets it, and must not wait. When the connection ends first, done is not
// called.
func (w *Conn) SendFunc(method string, in any, done func(error)) error {
	_, err := w.send(method, in, func(f frame) { done(answer(f, nil)) }, false)
	return err
}

// SendLater is SendFunc for a call that waits a moment for the next one, so that
// both go out together: at most [Patience], and what the timers are late.
func (w *Conn) SendLater(method string, in any, done func(error)) error {
	_, err := w.send(method, in, func(f frame) { done(answer(f, nil)) }, true)
	return err
}

// Patience is how long a call that can wait does.
const Patience = 2 * time.Millisecond

func (w *Conn) send(method string, in any, got func(frame), later bool) (uint64, error) {
	body, behind, err := message(in)
	defer wipe(behind)
	if err != nil {
		return 0, fmt.Errorf("cannot call the daemon's %s: %w", method, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	w.next++
	id := w.next
	w.waiting[id] = got
	if err := w.queue(frame{kind: kindCall, id: id, call: method, body: body, behind: behind}); err != nil {
		delete(w.waiting, id)
		return 0, err
	}
	if !later {
		w.flush()
	} else if !w.patient {
		w.patient = true
		time.AfterFunc(Patience, w.lose)
	}
	return id, nil
}

// Flush sends what waits for company.
func (w *Conn) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
}

// lose sends what has waited long enough.
func (w *Conn) lose() {
	w.mu.Lock()
	w.patient = false
	w.mu.Unlock()
	w.Flush()
}

// Wait returns the answer of a call that was sent. out may be nil.
func (p *Pending) Wait(ctx context.Context, out any) error {
	select {
	case f := <-p.ch:
		return answer(f, out)
	case <-ctx.Done():
		p.w.forget(p.id)
		return ctx.Err()
	case <-p.w.done:
		// An answer may have come just before the end.
		select {
		case f := <-p.ch:
			return answer(f, out)
		default:
			return p.w.failure()
		}
	}
}

func answer(f frame, out any) error {
	if f.kind == kindError {
		var e Error
		if err := Strict(f.body, &e); err != nil {
			return err
		}
		return &e
	}
	if out == nil {
		return nil
	}
	return Strict(f.body, out)
}

// Call sends and waits.
func (w *Conn) Call(ctx context.Context, method string, in, out any) error {
	p, err := w.Send(method, in)
	if err != nil {
		return err
	}
	return p.Wait(ctx, out)
}

// queue appends a frame to what is sent next; w.mu is held.
func (w *Conn) queue(f frame) error {
	out, err := appendFrame(w.out, f)
	if err == nil {
		w.out = out
	}
	return err
}

// flush sends what is queued, unless somebody does already, who then sends
// this too: so that many small frames go out in one write, and one frame waits
// for nobody. w.mu is held, and let go of while writing.
func (w *Conn) flush() {
	if w.writing {
		return
	}
	w.writing = true
	for len(w.out) > 0 && w.err == nil {
		b := w.out
		w.out = w.spare[:0]
		w.mu.Unlock()
		_, err := w.c.Write(b)
		clear(b) // there may be a credential in it
		w.mu.Lock()
		if w.spare = b; cap(b) > MaxFrame {
			w.spare = nil
		}
		if err != nil {
			w.end(ErrClosed)
		}
	}
	w.writing = false
}

func (w *Conn) forget(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, id)
}

func (w *Conn) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Conn) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end(err)
}

// end ends the connection once; w.mu is held.
func (w *Conn) end(err error) {
	if w.err != nil {
		return
	}
	w.err = err
	clear(w.out)
	close(w.done)
	w.c.Close()
}

func (w *Conn) read() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &reader{from: w.c, buf: make([]byte, 32<<10)}
	var head [headSize]byte
	for {
		f, err := readFrame(r, &head)
		if err == nil {
			err = w.take(ctx, f)
		}
		if err != nil {
			w.fail(ended(err))
			return
		}
	}
}

func (w *Conn) take(ctx context.Context, f frame) error {
	if f.kind != kindCall {
		w.mu.Lock()
		got := w.waiting[f.id]
		delete(w.waiting, f.id)
		w.mu.Unlock()
		if got != nil {
			got(f)
		}
		return nil
	}
	if w.handler == nil {
		return errors.New("cannot take call: this side takes none")
	}
	switch step := w.handler(f.call, f.body).(type) {
	case Replies:
		step(func(v any, err error) { w.reply(f.id, v, err) })
	case Waits:
		select {
		case w.running <- struct{}{}:
		case <-w.done:
			return ErrClosed
		}
		go func() {
			defer func() { <-w.running }()
			v, err := step(ctx)
			w.reply(f.id, v, err)
		}()
	default:
		return errors.New("cannot take call: unknown method")
	}
	return nil
}

// answers sends the answers that are queued, so that whoever gives one never
// waits for a slow other side.
func (w *Conn) answers() {
	for {
		select {
		case <-w.kick:
		case <-w.done:
			return
		}
		w.mu.Lock()
		w.flush()
		w.mu.Unlock()
	}
}

func (w *Conn) reply(id uint64, v any, err error) {
	f := frame{kind: kindAnswer, id: id}
	if err == nil && v != nil {
		f.body, f.behind, err = message(v)
	}
	defer wipe(f.behind)
	if err != nil {
		f = failed(id, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	// One that asks and never reads the answers would fill our memory.
	if len(w.out) > maxUnread {
		w.end(ErrClosed)
		return
	}
	if err := w.queue(f); err != nil {
		w.queue(failed(id, err))
	}
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// failed is the answer that tells of an error.
func failed(id uint64, err error) frame {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Code: "failed", Msg: err.Error()}
	}
	body, _ := marshal(e) // two texts can always be written
	return frame{kind: kindError, id: id, body: body}
}

// ended turns the end of a stream into ErrClosed and keeps other reasons.
func ended(err error) error {
	if _, ok := errors.AsType[net.Error](err); ok || errors.Is(err, net.ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}
