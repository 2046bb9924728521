package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ambit"
	"ambit/store/row"
)

// onceLife is how long a lease for one act lasts at most.
const onceLife = 2 * time.Minute

// once is a lease for one act.
type once struct {
	lease    row.Lease
	provider Provider
}

// Once makes a lease for one approved act, beside the service's own live lease,
// which it widens: how says what provider makes it for that one. It is over with
// [Broker.EndOnce], with the task, or after two minutes, whichever comes first.
func (b *Broker) Once(ctx context.Context, task ambit.TaskID, name string, how func(base row.Lease, p Provider) (Provider, error)) (Lease, error) {
	s, err := b.find(task, name)
	if err != nil {
		return Lease{}, err
	}
	if err := b.c.Live(task); err != nil {
		return Lease{}, fmt.Errorf("cannot give a right for %s: %w", name, err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.ctx, stop)()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := b.c.Now()
	if s.over || s.now == nil || !now.Before(s.now.lease.Expires) {
		return Lease{}, fmt.Errorf("cannot give a right for %s: the task has no live lease of it", name)
	}
	p, err := how(s.now.lease, s.provider)
	if err != nil {
		return Lease{}, fmt.Errorf("cannot give a right for %s: %w", name, err)
	}
	if err := b.keep(ctx, s); err != nil {
		return Lease{}, explain(name, err)
	}
	h, err := b.makeWith(ctx, s, p, now, now.Add(onceLife))
	if err != nil {
		return Lease{}, explain(name, err)
	}
	h.secret.Wipe()
	if s.once == nil {
		s.once = map[string]once{}
	}
	s.once[h.lease.ID] = once{h.lease, p}
	l := h.lease
	return Lease{ID: l.ID, Task: l.Task, Service: l.Service, Expires: l.Expires}, nil
}

// Look shows f the live lease of a service and what makes it, before a person is asked
// about something for which [Broker.Once] would be called.
func (b *Broker) Look(task ambit.TaskID, name string, f func(base row.Lease, p Provider) error) error {
	s, err := b.find(task, name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	now := b.c.Now()
	if s.over || s.now == nil || !now.Before(s.now.lease.Expires) {
		s.mu.Unlock()
		return fmt.Errorf("cannot give a right for %s: the task has no live lease of it", name)
	}
	base, p := s.now.lease, s.provider
	s.mu.Unlock()
	return f(base, p)
}

// EndOnce ends what [Broker.Once] made. What cannot be ended at once is tried
// again; to end what is over is no error.
func (b *Broker) EndOnce(ctx context.Context, task ambit.TaskID, name, id string) error {
	s, err := b.find(task, name)
	if errors.Is(err, ErrUnknown) {
		return nil // the task is over, and all of it was ended
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	o, ok := s.once[id]
	delete(s.once, id)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	return b.endBy(context.WithoutCancel(ctx), s, o.provider, o.lease)
}

// endOverdue ends what was made for one act and not ended in time: what performs
// the act hangs, or forgot.
func (b *Broker) endOverdue(ctx context.Context) error {
	var all []func() error
	now := b.c.Now()
	for _, s := range b.services() {
		if !s.mu.TryLock() {
			continue
		}
		var late []string
		for id, o := range s.once {
			if !now.Before(o.lease.Expires) {
				late = append(late, id)
			}
		}
		s.mu.Unlock()
		for _, id := range late {
			all = append(all, func() error { return b.EndOnce(ctx, s.task, s.name, id) })
		}
	}
	return sideBySide(all)
}

// services are those of all tasks.
func (b *Broker) services() (all []*service) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.tasks {
		for _, s := range h.services {
			all = append(all, s)
		}
	}
	return all
}
