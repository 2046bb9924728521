package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"ambit"
	"ambit/store/row"
)

// Times of what cannot be ended at once. There is no number of attempts after
// which it is given up.
const (
	endWithin   = 5 * time.Second  // the first attempt, for which the task's end waits
	tryFor      = 30 * time.Second // every later one
	firstRetry  = time.Second
	longestWait = 5 * time.Minute
	alertEvery  = time.Hour
	atOnce      = 8 // attempts side by side
)

// ending is a lease that must die, and what became of the attempts.
type ending struct {
	lease    row.Lease
	s        *service
	provider Provider // nil until it could be made again
	never    bool     // it was never made: there is nothing to end

	busy    bool
	halt    context.CancelFunc // calls the attempt off that is under way
	halted  context.Context
	over    chan struct{} // closed when nobody is busy with it any more
	tries   int           // that failed
	since   time.Time
	next    time.Time
	err     error
	alerted time.Time
}

// claim keeps others from the lease until rest. The broker's mu is held for both.
func (e *ending) claim() {
	e.busy, e.over = true, make(chan struct{})
	e.halted, e.halt = context.WithCancel(context.Background())
}

func (e *ending) rest() {
	e.busy = false
	e.halt()
	close(e.over)
}

// Trouble is a lease that could not be ended so far, or that was never made.
type Trouble struct {
	Lease row.Lease
	Tries int       // attempts that failed; none for one that was never made
	Since time.Time // of the first of them
	Next  time.Time // of the next attempt
	Err   error     // of the last one; it holds no secret
}

// endLease takes a lease to dead by way of revoking, and says so to the log. It
// may be called again for a lease that it got half way. An attempt that is called off
// goes on when the provider has seen that the lease is of no use: that is dead, and
// nobody writes it off.
func (b *Broker) endLease(ctx context.Context, e *ending) error {
	l := e.lease
	now := b.c.Now()
	if l.State != row.LeaseRevoking {
		m := row.LeaseMove{ID: l.ID, From: l.State, To: row.LeaseRevoking, At: now, Handle: l.Handle}
		err := b.c.Store.MoveLease(ctx, m)
		// The commit that made it live may have had no answer.
		if errors.Is(err, row.ErrMoved) && m.From == row.LeaseRequested {
			m.From = row.LeaseLive
			err = b.c.Store.MoveLease(ctx, m)
		}
		// After half an attempt, or a commit whose answer was lost, it is there
		// already.
		if err != nil && !errors.Is(err, row.ErrMoved) {
			return err
		}
	}
	l.State = row.LeaseRevoking
	if !e.never {
		if err := e.endAtProvider(ctx); err != nil {
			return err
		}
	}
	err := b.c.Store.MoveLease(ctx, row.LeaseMove{ID: l.ID, From: row.LeaseRevoking, To: row.LeaseDead, At: now})
	if err != nil && !errors.Is(err, row.ErrMoved) { // moved: dead already, and only the log has not heard
		return err
	}
	l.State, l.Ended, l.Sealed = row.LeaseDead, now, nil
	return b.c.Record(ctx, l)
}

func (e *ending) endAtProvider(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(e.halted, stop)()
	p, l := e.provider, e.lease
	l.State = row.LeaseRevoking
	if err := p.Revoke(ctx, l); err != nil {
		return fmt.Errorf("cannot end the credential for %s: %w", l.Service, err)
	}
	if usable, err := p.Prove(ctx, l); err != nil || usable {
		return fmt.Errorf("cannot see that the credential for %s has ended (usable: %v): %w", l.Service, usable, err)
	}
	return nil
}

// endBy tries once to end a lease and queues it when that fails.
func (b *Broker) endBy(ctx context.Context, s *service, p Provider, l row.Lease) error {
	return b.endNow(ctx, b.queue(s, p, l, true, false))
}

// endNow makes the first attempt.
func (b *Broker) endNow(ctx context.Context, e *ending) error {
	ctx, stop := context.WithTimeout(ctx, endWithin)
	defer stop()
	return b.attempt(ctx, e)
}

// queue adds a lease that must die; busy keeps Serve from it until the first
// attempt is over.
func (b *Broker) queue(s *service, p Provider, l row.Lease, busy, never bool) *ending {
	e := &ending{lease: l, s: s, provider: p, never: never, next: time.Now()}
	b.mu.Lock()
	defer b.mu.Unlock()
	if busy {
		e.claim()
	}
	b.ending[l.ID] = e
	s.left++
	return e
}

// attempt tries to end a lease, which nobody else tries meanwhile.
func (b *Broker) attempt(ctx context.Context, e *ending) (err error) {
	if e.provider == nil {
		e.provider, err = b.remake(e)
	}
	if err == nil {
		err = b.endLease(ctx, e)
	}
	if err == nil {
		return b.finished(ctx, e)
	}
	b.mu.Lock()
	if e.halted.Err() != nil { // it says nothing of the service
		e.rest()
		b.mu.Unlock()
		return err
	}
	e.rest()
	b.failed(e, err)
	t, alert := e.trouble(), e.tries == 1 || time.Since(e.alerted) >= alertEvery
	if alert {
		e.alerted = time.Now()
	}
	b.mu.Unlock()
	if alert {
		b.c.Alert(t)
	}
	b.nudge()
	return err
}

// finished forgets a lease about which nothing more is done.
func (b *Broker) finished(ctx context.Context, e *ending) (err error) {
	b.mu.Lock()
	e.rest()
	delete(b.ending, e.lease.ID)
	e.s.left--
	b.mu.Unlock()
	if e.provider != e.s.provider {
		err = closeProvider(e.provider) // it was made for this lease alone
	}
	return errors.Join(err, b.release(ctx, e.s))
}

// failed notes a failed attempt and sets the time of the next: twice as long
// after each, up to a bound, and never for many leases at the same time.
func (b *Broker) failed(e *ending, err error) {
	now := time.Now()
	if e.tries == 0 {
		e.since = now
	}
	wait := longestWait
	if e.tries < 9 {
		wait = min(firstRetry<<e.tries, longestWait)
	}
	e.tries++
	e.err = err
	e.next = now.Add(wait - time.Duration(rand.Int64N(int64(wait/4))))
}

func (e *ending) trouble() Trouble {
	return Trouble{Lease: e.lease, Tries: e.tries, Since: e.since, Next: e.next, Err: e.err}
}

// release gives up a service of a task that is over when none of its leases is
// left: its provider is closed, and what was kept of it is forgotten.
func (b *Broker) release(ctx context.Context, s *service) error {
	b.mu.Lock()
	last := s.shut && s.left == 0
	s.shut = s.shut && !last
	b.mu.Unlock()
	if !last {
		return nil
	}
	var err error
	if _, ok := s.provider.(Lasting); ok || s.provider == nil {
		err = b.c.Store.ForgetService(ctx, s.task, s.name)
	}
	return errors.Join(err, closeProvider(s.provider))
}

// End ends all leases of a task, wipes what they held and forgets the task. A
// lease that its provider could not end in five seconds stays as revoking, and
// Serve tries again. To end what is not known is no error.
func (b *Broker) End(ctx context.Context, task ambit.TaskID) error {
	if b == nil || b.tasks == nil {
		return errors.New("cannot end leases: the broker is not open")
	}
	b.mu.Lock()
	h := b.tasks[task]
	delete(b.tasks, task)
	b.mu.Unlock()
	if h == nil {
		return nil
	}
	for _, s := range h.services {
		s.stop() // whoever is still making a lease gives up
	}
	errs := make(chan error, len(h.services))
	var wg sync.WaitGroup
	for _, s := range h.services {
		wg.Go(func() { errs <- b.close(context.WithoutCancel(ctx), s) })
	}
	wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// close ends the lease of a service and wipes it. Its provider is closed, and what
// it holds wiped, when nothing of it is left.
func (b *Broker) close(ctx context.Context, s *service) error {
	s.mu.Lock()
	s.over = true
	now, extra := s.now, s.once
	s.now, s.once = nil, nil
	s.mu.Unlock()
	errs := []error{b.try(ctx, endWithin, func(e *ending) bool { return e.s == s })}
	for _, o := range extra {
		errs = append(errs, b.endBy(ctx, s, o.provider, o.lease))
	}
	if now != nil {
		now.secret.Wipe()
		errs = append(errs, b.endBy(ctx, s, s.provider, now.lease))
	}
	b.mu.Lock()
	s.shut = true
	b.mu.Unlock()
	return errors.Join(append(errs, b.release(ctx, s))...)
}

func closeProvider(p Provider) error {
	if c, ok := p.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
