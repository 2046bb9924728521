package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"ambit"
	"ambit/store/row"
)

// keep makes a lasting provider's recipe durable, sealed. s.mu is held.
func (b *Broker) keep(ctx context.Context, s *service) error {
	p, ok := s.provider.(Lasting)
	if !ok || s.kept {
		return nil
	}
	recipe, err := p.Recipe()
	defer clear(recipe)
	if err != nil {
		return err
	}
	sealed, err := b.c.Vault.Seal(recipe, aboutService(s.task, s.name))
	if err != nil {
		return err
	}
	v := row.Service{Task: s.task, Service: s.name, Provider: p.Name(), Expires: s.expires.UTC().Truncate(time.Microsecond), Sealed: sealed}
	if err := b.c.Store.KeepService(ctx, v); err != nil {
		return err
	}
	s.kept = true
	return nil
}

func aboutService(task ambit.TaskID, name string) string {
	return "service " + string(task) + " " + name
}
func aboutLease(id string) string { return "lease " + id }

// renew makes the lease last longer, or makes a new one and ends the one before.
// s.mu is held.
func (b *Broker) renew(ctx context.Context, s *service, now time.Time) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.ctx, stop)()
	if again, err := b.prolong(ctx, s, now); again || err != nil {
		return explain(s.name, err)
	}
	n, err := b.make(ctx, s, now)
	if err != nil {
		return explain(s.name, err)
	}
	old := s.now
	s.now = n
	if old == nil {
		return nil
	}
	old.secret.Wipe()
	// The new lease is good. The old one ends by itself in a minute, and what
	// could not be ended here is tried again.
	b.endBy(context.WithoutCancel(ctx), s, s.provider, old.lease)
	return nil
}

func explain(service string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot give a credential for %s: %w", service, err)
}

// prolong makes the live lease of a provider that can do so last longer. It says
// no when there is none, or nothing is left of it at the provider.
func (b *Broker) prolong(ctx context.Context, s *service, now time.Time) (bool, error) {
	p, ok := s.provider.(Renewer)
	if !ok || s.now == nil {
		return false, nil
	}
	l := s.now.lease
	until := s.end(now)
	err := p.Renew(ctx, l, until)
	if errors.Is(err, ErrGone) {
		return false, nil
	}
	if err == nil {
		err = ctx.Err()
	}
	// The provider's end is later than what is kept of it until here. That does no
	// harm: a lease is ended whatever its end is.
	if err == nil {
		err = b.c.Store.MoveLease(ctx, row.LeaseMove{ID: l.ID, From: row.LeaseLive, To: row.LeaseLive, At: now, Expires: until})
	}
	if err == nil {
		l.Expires = until
		err = b.c.Record(ctx, l)
	}
	if err != nil {
		return false, fmt.Errorf("it cannot be renewed: %w", err)
	}
	s.now.lease.Expires = until
	return true, nil
}

// end is when a lease that begins now is over.
func (s *service) end(now time.Time) time.Time {
	end := now.Add(MaxLife)
	if s.expires.Before(end) {
		end = s.expires
	}
	return end.UTC().Truncate(time.Microsecond)
}

// make takes a lease from requested to live. If any step fails the lease is
// ended, or kept as revoking.
func (b *Broker) make(ctx context.Context, s *service, now time.Time) (*held, error) {
	if err := b.keep(ctx, s); err != nil {
		return nil, err
	}
	return b.makeWith(ctx, s, s.provider, now, s.end(now))
}

// makeWith makes a lease with the service's provider or another.
func (b *Broker) makeWith(ctx context.Context, s *service, p Provider, now, end time.Time) (*held, error) {
	if s.expires.Before(end) {
		end = s.expires
	}
	l := row.Lease{ID: newLeaseID(), Task: s.task, Service: s.name, Provider: p.Name(), State: row.LeaseRequested,
		Minted: now.UTC().Truncate(time.Microsecond), Expires: end.UTC().Truncate(time.Microsecond)}
	if err := b.c.Store.AddLease(ctx, l); err != nil {
		return nil, err
	}
	if err := b.c.Record(ctx, l); err != nil {
		return nil, errors.Join(fmt.Errorf("the log did not take the intent: %w", err), b.undo(ctx, s, p, l, false))
	}
	cred, err := p.Mint(ctx, Order{Lease: l.ID, Task: s.task, Service: s.name, Expires: l.Expires})
	never := errors.Is(err, ErrNotMade) && cred.Secret.Empty() && cred.Handle == ""
	if err == nil {
		err = errors.Join(ctx.Err(), checkSize(cred.Secret.Reveal()))
	}
	l.Handle = cred.Handle
	if !cred.Expires.IsZero() && cred.Expires.Before(l.Expires) {
		l.Expires = cred.Expires.UTC().Truncate(time.Microsecond)
	}
	if err == nil {
		err = b.live(ctx, p, l, cred, now)
	}
	if err == nil {
		l.State = row.LeaseLive
		return &held{lease: l, secret: cred.Secret}, nil
	}
	cred.Secret.Wipe()
	if never && !errors.Is(ctx.Err(), context.Canceled) { // the task is over, or its caller gone: nothing is wrong
		b.tell(s, l, err)
	}
	return nil, errors.Join(err, b.undo(ctx, s, p, l, never))
}

// tell says to a person, once in an hour, that a service makes no lease: what an agent
// asks for in vain may be asked for again and again. s.mu is held.
func (b *Broker) tell(s *service, l row.Lease, err error) {
	if !s.told.IsZero() && time.Since(s.told) < alertEvery {
		return
	}
	s.told = time.Now()
	l.State = row.LeaseDead
	b.c.Alert(Trouble{Lease: l, Err: err})
}

// live makes it durable that a lease was minted. A lease that can be gone on with
// is kept with its credential, sealed.
func (b *Broker) live(ctx context.Context, p Provider, l row.Lease, cred Credential, now time.Time) (err error) {
	m := row.LeaseMove{ID: l.ID, From: row.LeaseRequested, To: row.LeaseLive, At: now, Handle: l.Handle, Expires: l.Expires}
	_, lasts := p.(Lasting)
	_, renews := p.(Renewer)
	if lasts && renews {
		if m.Sealed, err = b.c.Vault.Seal(cred.Secret.Reveal(), aboutLease(l.ID)); err != nil {
			return err
		}
	}
	return b.c.Store.MoveLease(ctx, m)
}

func checkSize(secret []byte) error {
	if len(secret) == 0 || len(secret) > maxSecret {
		return fmt.Errorf("the credential has %d bytes: want 1 to %d", len(secret), maxSecret)
	}
	return nil
}

// undo ends a lease that never became live. What fails is tried again. What makes it
// may be what cannot end it either, a wrong password say: of what was never made the
// provider is not asked.
func (b *Broker) undo(ctx context.Context, s *service, p Provider, l row.Lease, never bool) error {
	return b.endNow(context.WithoutCancel(ctx), b.queue(s, p, l, true, never))
}

func newLeaseID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
