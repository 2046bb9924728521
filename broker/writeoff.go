package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ambit/store/row"
)

// Errors of WriteOff.
var (
	// ErrNotEnding is a lease that nobody tries to end.
	ErrNotEnding = errors.New("it is none that is to be ended")
	// ErrTaskLives is a lease of a task that may act.
	ErrTaskLives = errors.New("its task is live")
	// ErrNotTried is a lease of which no attempt to end it has failed yet.
	ErrNotTried = errors.New("no attempt to end it has failed yet")
)

// Describer is a provider that says what of a lease may still be of use, and where.
type Describer interface {
	Provider
	// Remains is a few words for people. They hold no secret.
	Remains(l row.Lease) string
}

// WriteOff has a lease that cannot be ended tried no more, because a person takes the
// responsibility for what is left: its service is gone for good, say. The lease is not
// dead by that. Only a lease of a task that is over, of which an attempt has failed,
// can be written off; an attempt that is under way is called off.
//
// record puts it into the log before it counts. When WriteOff fails the lease is tried
// on, also when it is in the log: a daemon that dies between the two leaves it so.
func (b *Broker) WriteOff(ctx context.Context, id, by, why string, record func(context.Context, Trouble) error) (row.Lease, error) {
	if b == nil || b.tasks == nil {
		return row.Lease{}, errors.New("cannot write a lease off: the broker is not open")
	}
	if by == "" || why == "" || record == nil {
		return row.Lease{}, errors.New("cannot write a lease off: want who does it, why, and a log")
	}
	e, err := b.seize(ctx, id)
	if err != nil {
		return row.Lease{}, err
	}
	ctx = context.WithoutCancel(ctx) // whoever asks may be gone: it is done whole
	b.mu.Lock()
	t := e.trouble()
	b.mu.Unlock()
	t.Lease.Sealed = nil
	t.Lease.WriteOff = row.WriteOff{By: by, Why: why, Remains: b.remains(e)}
	t.Lease.State, t.Lease.Ended = row.LeaseWrittenOff, b.c.Now().UTC().Truncate(time.Microsecond)
	if err = record(ctx, t); err == nil {
		err = b.writeOff(ctx, e, t.Lease)
	}
	if err != nil {
		b.mu.Lock()
		e.rest()
		b.mu.Unlock()
		b.nudge()
		return row.Lease{}, err
	}
	return t.Lease, b.finished(ctx, e)
}

// seize takes a lease that may be written off from those who try to end it.
func (b *Broker) seize(ctx context.Context, id string) (*ending, error) {
	for {
		b.mu.Lock()
		e := b.ending[id]
		b.mu.Unlock()
		if e == nil {
			return nil, fmt.Errorf("cannot write the lease off: %w", ErrNotEnding)
		}
		if b.c.Live(e.lease.Task) == nil {
			return nil, fmt.Errorf("cannot write the lease off: %w", ErrTaskLives)
		}
		busy, err := b.take(e)
		if busy == nil {
			return e, err
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot write the lease off: an attempt to end it is under way: %w", ctx.Err())
		}
	}
}

// take claims a lease, or calls the attempt off that is under way and says when that
// is over.
func (b *Broker) take(e *ending) (busy <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case e.tries == 0:
		return nil, fmt.Errorf("cannot write the lease off: %w", ErrNotTried)
	case e.busy:
		e.halt()
		return e.over, nil
	case b.ending[e.lease.ID] != e:
		return nil, fmt.Errorf("cannot write the lease off: %w", ErrNotEnding)
	}
	e.claim()
	return nil, nil
}

// remains says what may be left of a lease. Of a provider that could not be made again
// nothing more is known than what was kept of the lease.
func (b *Broker) remains(e *ending) string {
	if d, ok := e.provider.(Describer); ok {
		return d.Remains(e.lease)
	}
	return fmt.Sprintf("what %s made for service %s under the lease's id", e.lease.Provider, e.lease.Service)
}

// writeOff makes it durable. How far the store came with the lease is not known for
// certain: an attempt, or a write-off, that failed may have failed there, or after it
// was done.
func (b *Broker) writeOff(ctx context.Context, e *ending, l row.Lease) (err error) {
	m := row.LeaseMove{ID: l.ID, To: row.LeaseWrittenOff, At: l.Ended, WriteOff: l.WriteOff}
	for _, m.From = range []row.LeaseState{row.LeaseRevoking, row.LeaseLive, row.LeaseRequested, row.LeaseWrittenOff} {
		if err = b.c.Store.MoveLease(ctx, m); !errors.Is(err, row.ErrMoved) {
			return err
		}
	}
	return err
}
