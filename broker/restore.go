package broker

import (
	"context"
	"errors"
	"fmt"

	"ambit"
	"ambit/store/row"
)

// Reconcile takes over what an earlier run of the daemon left: leases of tasks that
// live, whose provider can go on with them, are gone on with; all others are to be
// ended, which Serve does, or Sweep. It speaks to no service, so that one that is
// down delays nothing. It must be called before the first Register.
func (b *Broker) Reconcile(ctx context.Context) error {
	if b == nil || b.tasks == nil {
		return errors.New("cannot reconcile leases: the broker is not open")
	}
	b.mu.Lock()
	begun := len(b.tasks) > 0
	b.mu.Unlock()
	if begun {
		return errors.New("cannot reconcile leases: tasks are registered already, and their leases are not left over")
	}
	kept, err := b.c.Store.Services(ctx)
	if err != nil {
		return err
	}
	leases, err := b.c.Store.OpenLeases(ctx)
	if err != nil {
		return err
	}
	all := map[[2]string]*service{}
	for _, k := range kept {
		all[[2]string{string(k.Task), k.Service}] = b.restore(k)
	}
	for _, l := range leases {
		key := [2]string{string(l.Task), l.Service}
		s := all[key]
		if s == nil {
			s = newService(l.Task, l.Service, l.Expires, nil)
			s.shut = true
			all[key] = s
		}
		b.takeOver(s, l)
	}
	for _, s := range all {
		err = errors.Join(err, b.release(ctx, s)) // those of tasks that are over, without a lease
	}
	return err
}

// restore makes a service's provider again. A service of a task that lives is the
// task's again.
func (b *Broker) restore(k row.Service) *service {
	s := newService(k.Task, k.Service, k.Expires, nil)
	s.kept = true
	p, err := b.makeAgain(k, row.Lease{})
	if err == nil {
		s.provider = p
	}
	if err != nil || b.c.Live(k.Task) != nil {
		s.shut = true // it is nobody's, but for the leases that are left
		return s
	}
	h := b.tasks[k.Task]
	if h == nil {
		h = &holding{expires: k.Expires, services: map[string]*service{}}
	}
	h.services[k.Service], b.tasks[k.Task] = s, h
	return s
}

// makeAgain opens a recipe and makes the provider that it is of, or, for a lease of
// another kind, that one.
func (b *Broker) makeAgain(k row.Service, l row.Lease) (Provider, error) {
	recipe, err := b.c.Vault.Open(k.Sealed, aboutService(k.Task, k.Service))
	if err != nil {
		return nil, err
	}
	defer clear(recipe)
	kind := k.Provider
	if l.ID != "" {
		kind = l.Provider
	}
	p, err := b.c.Make(kind, recipe, l)
	if err == nil && p == nil {
		err = fmt.Errorf("nothing here speaks to %q", kind)
	}
	return p, err
}

// takeOver goes on with a lease, or has it ended.
func (b *Broker) takeOver(s *service, l row.Lease) {
	p := s.provider
	if p != nil && p.Name() != l.Provider {
		p = nil
	}
	_, renews := p.(Renewer)
	if renews && l.State == row.LeaseLive && s.now == nil && b.has(s) {
		secret, err := b.c.Vault.Open(l.Sealed, aboutLease(l.ID))
		if err == nil {
			s.now = &held{lease: l, secret: ambit.NewSecret(secret)}
			return
		}
	}
	b.queue(s, p, l, false, false)
}

// has says whether the service is a live task's.
func (b *Broker) has(s *service) bool {
	h := b.tasks[s.task]
	return h != nil && h.services[s.name] == s
}

// remake makes the provider of a lease that an earlier run left. The reason why it
// cannot be made may go away: the key comes back, or a build that knows the kind.
func (b *Broker) remake(e *ending) (Provider, error) {
	l := e.lease
	if l.Provider == staticName {
		return &static{}, nil // its credentials lived in the memory that is gone
	}
	kept, err := b.c.Store.Services(context.Background())
	if err != nil {
		return nil, err
	}
	for _, k := range kept {
		if k.Task == l.Task && k.Service == l.Service {
			return b.makeAgain(k, l)
		}
	}
	p, err := b.c.Make(l.Provider, nil, l)
	if err == nil && p == nil {
		err = fmt.Errorf("nothing here speaks to %q", l.Provider)
	}
	return p, err
}

// Status is a lease that is not over, and the trouble there is with it.
type Status struct {
	row.Lease
	Trouble Trouble // zero while there is none
}

// Leases returns every lease that is neither dead nor written off.
func (b *Broker) Leases(ctx context.Context) ([]Status, error) {
	if b == nil || b.tasks == nil {
		return nil, errors.New("cannot list leases: the broker is not open")
	}
	open, err := b.c.Store.OpenLeases(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Status, 0, len(open))
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range open {
		s := Status{Lease: l}
		s.Sealed = nil
		if e := b.ending[l.ID]; e != nil && e.tries > 0 {
			s.Trouble = e.trouble()
			s.Trouble.Lease.Sealed = nil
		}
		out = append(out, s)
	}
	return out, nil
}

// Ending is how many leases are still to be ended.
func (b *Broker) Ending() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ending)
}
