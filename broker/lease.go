package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"ambit/store/row"
)

// renew makes a new lease and ends the one before. s.mu is held.
func (b *Broker) renew(ctx context.Context, s *service, now time.Time) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.ctx, stop)()
	n, err := b.make(ctx, s, now)
	if err != nil {
		return fmt.Errorf("cannot give a credential for %s: %w", s.name, err)
	}
	old := s.now
	s.now = n
	if old == nil {
		return nil
	}
	old.secret.Wipe()
	// The new lease is good. The old one ends by itself in a minute, and what
	// could not be ended here is tried again with the task's end.
	if err := b.endLease(context.WithoutCancel(ctx), s.provider, old.lease); err != nil {
		s.dead = append(s.dead, old.lease)
	}
	return nil
}

// make takes a lease from requested to live. If any step fails the lease is
// ended, or kept as revoking.
func (b *Broker) make(ctx context.Context, s *service, now time.Time) (*held, error) {
	end := now.Add(MaxLife)
	if s.expires.Before(end) {
		end = s.expires
	}
	l := row.Lease{ID: newLeaseID(), Task: s.task, Service: s.name, Provider: s.provider.Name(), State: row.LeaseRequested,
		Minted: now.UTC().Truncate(time.Microsecond), Expires: end.UTC().Truncate(time.Microsecond)}
	if err := b.c.Store.AddLease(ctx, l); err != nil {
		return nil, err
	}
	if err := b.c.Record(ctx, l); err != nil {
		return nil, errors.Join(fmt.Errorf("the log did not take the intent: %w", err), b.undo(ctx, s, l))
	}
	cred, err := s.provider.Mint(ctx, Order{Lease: l.ID, Task: s.task, Service: s.name, Expires: l.Expires})
	if err == nil {
		err = errors.Join(ctx.Err(), checkSecret(cred.Secret.Reveal()))
	}
	l.Handle = cred.Handle
	if !cred.Expires.IsZero() && cred.Expires.Before(l.Expires) {
		l.Expires = cred.Expires.UTC().Truncate(time.Microsecond)
	}
	if err == nil {
		err = b.c.Store.MoveLease(ctx, row.LeaseMove{ID: l.ID, From: row.LeaseRequested, To: row.LeaseLive, At: now, Handle: l.Handle, Expires: l.Expires})
	}
	if err == nil {
		l.State = row.LeaseLive
		return &held{lease: l, secret: cred.Secret}, nil
	}
	cred.Secret.Wipe()
	return nil, errors.Join(err, b.undo(ctx, s, l))
}

// undo ends a lease that never became live.
func (b *Broker) undo(ctx context.Context, s *service, l row.Lease) error {
	err := b.endLease(context.WithoutCancel(ctx), s.provider, l)
	if err != nil {
		s.dead = append(s.dead, l)
	}
	return err
}

// endLease takes a lease to dead by way of revoking, and says so to the log. It
// may be called again for a lease that it got half way.
func (b *Broker) endLease(ctx context.Context, p Provider, l row.Lease) error {
	now := b.c.Now()
	if l.State != row.LeaseRevoking {
		err := b.c.Store.MoveLease(ctx, row.LeaseMove{ID: l.ID, From: l.State, To: row.LeaseRevoking, At: now, Handle: l.Handle})
		// After half an attempt, or a commit whose answer was lost, it is there
		// already.
		if err != nil && !errors.Is(err, row.ErrMoved) {
			return err
		}
	}
	l.State = row.LeaseRevoking
	if err := p.Revoke(ctx, l); err != nil {
		return fmt.Errorf("cannot end the credential for %s: %w", l.Service, err)
	}
	if usable, err := p.Prove(ctx, l); err != nil || usable {
		return fmt.Errorf("cannot see that the credential for %s has ended (usable: %v): %w", l.Service, usable, err)
	}
	err := b.c.Store.MoveLease(ctx, row.LeaseMove{ID: l.ID, From: row.LeaseRevoking, To: row.LeaseDead, At: now})
	if err != nil && !errors.Is(err, row.ErrMoved) { // moved: dead already, and only the log has not heard
		return err
	}
	l.State, l.Ended = row.LeaseDead, now
	return b.c.Record(ctx, l)
}

// close ends everything of a service, wipes it, and closes its provider when
// that holds something to wipe.
func (b *Broker) close(ctx context.Context, s *service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	todo := s.dead
	if s.now != nil {
		s.now.secret.Wipe()
		todo = append(todo, s.now.lease)
	}
	s.now, s.dead = nil, nil
	var errs []error
	for _, l := range todo {
		if err := b.endLease(ctx, s.provider, l); err != nil {
			errs = append(errs, err)
			s.dead = append(s.dead, l)
		}
	}
	if len(s.dead) > 0 {
		return errors.Join(errs...) // the provider is needed again
	}
	return closeProvider(s.provider)
}

// Reconcile ends every lease that an earlier run of the daemon left behind.
// provider returns who made it, by its kind; for "static" the broker knows. It
// must be called before the first Register. It goes on past what fails, and
// returns how many ended and all errors.
func (b *Broker) Reconcile(ctx context.Context, provider func(row.Lease) (Provider, error)) (ended int, err error) {
	if b == nil || b.tasks == nil {
		return 0, errors.New("cannot reconcile leases: the broker is not open")
	}
	b.mu.Lock()
	begun := len(b.tasks) > 0
	b.mu.Unlock()
	if begun {
		return 0, errors.New("cannot reconcile leases: tasks are registered already, and their leases are not left over")
	}
	leases, err := b.c.Store.OpenLeases(ctx)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, l := range leases {
		p, err := b.providerOf(l, provider)
		if err == nil {
			err = b.endLease(ctx, p, l)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot end lease %s of task %s: %w", l.ID, l.Task, err))
			continue
		}
		ended++
	}
	return ended, errors.Join(errs...)
}

func (b *Broker) providerOf(l row.Lease, provider func(row.Lease) (Provider, error)) (Provider, error) {
	if l.Provider == staticName {
		return &static{}, nil // its credentials lived in the memory that is gone
	}
	if provider == nil {
		return nil, fmt.Errorf("nothing here speaks to %q", l.Provider)
	}
	return provider(l)
}

func newLeaseID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
