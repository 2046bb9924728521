package broker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Sweep does at once what Serve does in its time: it tries to end everything that
// could not be ended so far, and renews what would end soon.
func (b *Broker) Sweep(ctx context.Context) error {
	if b == nil || b.tasks == nil {
		return errors.New("cannot end leases: the broker is not open")
	}
	return errors.Join(b.try(ctx, tryFor, func(*ending) bool { return true }), b.endOverdue(ctx), b.renewSoon(ctx))
}

// try makes one attempt, of a certain time at most, at each lease that is wanted.
func (b *Broker) try(ctx context.Context, most time.Duration, want func(*ending) bool) error {
	var due []*ending
	b.mu.Lock()
	for _, e := range b.ending {
		if !e.busy && want(e) {
			e.claim()
			due = append(due, e)
		}
	}
	b.mu.Unlock()
	all := make([]func() error, len(due))
	for i, e := range due {
		all[i] = func() error {
			ctx, stop := context.WithTimeout(ctx, most)
			defer stop()
			return b.attempt(ctx, e)
		}
	}
	return sideBySide(all)
}

// renewSoon makes the live leases of providers that can do so last longer while
// their tasks live: what uses them may run for hours and ask for nothing new.
func (b *Broker) renewSoon(ctx context.Context) error {
	var all []func() error
	for _, s := range b.services() {
		if _, ok := s.provider.(Renewer); ok {
			all = append(all, func() error { return b.renewIfSoon(ctx, s) })
		}
	}
	return sideBySide(all)
}

// sideBySide calls them all, a few at a time, and joins their errors.
func sideBySide(all []func() error) error {
	var (
		wg   sync.WaitGroup
		slot = make(chan struct{}, atOnce)
		mu   sync.Mutex
		errs []error
	)
	for _, f := range all {
		slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-slot }()
			if err := f(); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (b *Broker) renewIfSoon(ctx context.Context, s *service) error {
	if !s.mu.TryLock() {
		return nil // one is being made, or renewed
	}
	defer s.mu.Unlock()
	now := b.c.Now()
	if s.over || s.now == nil || b.c.Live(s.task) != nil || !now.Before(s.expires) || s.now.lease.Expires.Equal(s.end(now)) ||
		now.Add(renewBefore+sweepEvery).Before(s.now.lease.Expires) {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, tryFor)
	defer stop()
	_, err := b.prolong(ctx, s, now)
	return err
}

// sweepEvery is how often Serve looks for leases that end soon.
const sweepEvery = 30 * time.Second

// Serve ends what could not be ended at once, and renews, until ctx is over. The two do
// not wait for each other: attempts at services that hang take half a minute each, and
// what other tasks have must go on, or end, in its time.
func (b *Broker) Serve(ctx context.Context, complain func(error)) {
	if b == nil || b.tasks == nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { b.serveRenewals(ctx, complain) })
	defer wg.Wait()
	for ctx.Err() == nil {
		now := time.Now()
		b.try(ctx, tryFor, func(e *ending) bool { return !e.next.After(now) }) // each of them tells by its alert
		t := time.NewTimer(time.Until(b.nextDue(time.Now().Add(sweepEvery))))
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-b.wake:
		}
		t.Stop()
	}
}

// serveRenewals ends what was made for one act and renews what ends soon.
func (b *Broker) serveRenewals(ctx context.Context, complain func(error)) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for ctx.Err() == nil {
		if err := errors.Join(b.endOverdue(ctx), b.renewSoon(ctx)); err != nil && ctx.Err() == nil {
			complain(err)
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// nextDue is when the next attempt is due, or the given time when that is earlier.
func (b *Broker) nextDue(t time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.ending {
		if !e.busy && e.next.Before(t) {
			t = e.next
		}
	}
	return t
}

func (b *Broker) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
