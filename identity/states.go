package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ambit"
	"ambit/store/row"
)

// ErrNotLive is a task that may not act: unknown, ended, expired or revoked.
// It comes wrapped in a sentence that says which.
var ErrNotLive = errors.New("the task is not live")

// raiseEvery is how old the store's clock may be while tasks are live.
const raiseEvery = 30 * time.Second

// Live returns nil while the task, and every task above it, may act. It does no
// I/O.
func (a *Authority) Live(id ambit.TaskID) error {
	if err := a.usable(); err != nil {
		return err
	}
	now := a.Now()
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.alive(id, now)
}

// alive is Live with mu held.
func (a *Authority) alive(id ambit.TaskID, now time.Time) error {
	for depth := 0; ; depth++ {
		t := a.tasks[id]
		switch {
		case t == nil || depth > MaxDepth:
			return fmt.Errorf("%w: no task %q is known", ErrNotLive, clip(string(id)))
		case t.State == row.TaskRevoked:
			return fmt.Errorf("%w: %s revoked task %s: %q", ErrNotLive, t.EndedBy, id, t.EndWhy)
		case t.State != row.TaskLive:
			return fmt.Errorf("%w: task %s has %s", ErrNotLive, id, t.State)
		case !now.Before(t.Expires):
			return fmt.Errorf("%w: task %s has expired at %s", ErrNotLive, id, t.Expires.Format(time.RFC3339))
		case t.Parent == "":
			return nil
		}
		id = t.Parent
	}
}

// Task returns a task that is live, or was in this run of the daemon.
func (a *Authority) Task(id ambit.TaskID) (Task, bool) {
	if a.usable() != nil {
		return Task{}, false
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	t := a.tasks[id]
	if t == nil {
		return Task{}, false
	}
	return *t, true
}

// Tasks returns the live tasks, oldest first.
func (a *Authority) Tasks() []Task {
	if a.usable() != nil {
		return nil
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	var l []Task
	for _, t := range a.tasks {
		if t.State == row.TaskLive {
			l = append(l, *t)
		}
	}
	slices.SortFunc(l, func(x, y Task) int {
		if c := x.Started.Compare(y.Started); c != 0 {
			return c
		}
		return strings.Compare(string(x.ID), string(y.ID))
	})
	return l
}

// End says that the task's command returned, with its exit status. What it
// started ends with it. A task that is over already is an error.
func (a *Authority) End(ctx context.Context, id ambit.TaskID, exit int) error {
	return a.endOne(ctx, id, row.TaskEnd{State: row.TaskEnded, Exit: exit})
}

// EndUnstarted ends a live task whose command was never started. why is kept, after
// [row.NeverStarted].
func (a *Authority) EndUnstarted(ctx context.Context, id ambit.TaskID, why string) error {
	return a.endOne(ctx, id, row.TaskEnd{State: row.TaskEnded, Why: row.NeverStarted + ": " + why, Exit: row.NoExit})
}

// Revoke ends a live task and everything that it started, and no other. by and
// why are kept. Watchers are told before the store is asked.
func (a *Authority) Revoke(ctx context.Context, id ambit.TaskID, by, why string) error {
	if err := checkBy(by, why); err != nil {
		return err
	}
	err := a.endOne(ctx, id, row.TaskEnd{State: row.TaskRevoked, By: by, Why: why, Exit: row.NoExit})
	return errors.Join(err, a.keepRevocation(ctx, "task", string(id), by, why, err))
}

// RevokeAgent ends all live tasks of an agent with everything that they
// started, and returns how many ended. The agent may start again; see [Authority.Bar].
func (a *Authority) RevokeAgent(ctx context.Context, agent, by, why string) (int, error) {
	if err := errors.Join(CheckName(agent), checkBy(by, why)); err != nil {
		return 0, err
	}
	n, err := a.end(ctx, a.liveOf(agent), row.TaskEnd{State: row.TaskRevoked, By: by, Why: why, Exit: row.NoExit})
	return n, errors.Join(err, a.keepRevocation(ctx, "agent", agent, by, why, err))
}

// Bar keeps an agent from starting tasks until [Authority.Reinstate], and ends
// those it has.
func (a *Authority) Bar(ctx context.Context, agent, by, why string) (int, error) {
	if err := errors.Join(CheckName(agent), checkBy(by, why)); err != nil {
		return 0, err
	}
	if err := a.setBar(ctx, agent, by, why, a.Now()); err != nil {
		return 0, err
	}
	return a.RevokeAgent(ctx, agent, by, why)
}

// Reinstate lets a barred agent start tasks again.
func (a *Authority) Reinstate(ctx context.Context, agent string) error {
	return a.setBar(ctx, agent, "", "", time.Time{})
}

func (a *Authority) setBar(ctx context.Context, agent, by, why string, at time.Time) error {
	if err := a.usable(); err != nil {
		return err
	}
	// Under change, so that no enrolment that began before is finished after.
	a.change.Lock()
	defer a.change.Unlock()
	return a.store.BarAgent(ctx, agent, by, why, at)
}

func (a *Authority) keepRevocation(ctx context.Context, kind, name, by, why string, err error) error {
	if errors.Is(err, ErrNotLive) || a.usable() != nil {
		return nil // nothing was revoked
	}
	return a.store.AddRevocation(context.WithoutCancel(ctx), row.Revocation{Kind: kind, Name: name, By: by, Why: why, At: a.Now()})
}

func checkBy(by, why string) error {
	if by == "" {
		return errors.New("cannot revoke: it must be known who does")
	}
	return errors.Join(checkText("name of who revokes", by, 256), checkText("reason", why, 1024))
}

func (a *Authority) liveOf(agent string) (ids []ambit.TaskID) {
	for _, t := range a.Tasks() {
		if t.Agent == agent {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

func (a *Authority) endOne(ctx context.Context, id ambit.TaskID, e row.TaskEnd) error {
	n, err := a.end(ctx, []ambit.TaskID{id}, e)
	if n == 0 && err == nil {
		return fmt.Errorf("cannot end task %s: %w", clip(string(id)), ErrNotLive)
	}
	return err
}

// end takes tasks and all below them out of life: in memory, then to those who
// watch, then in the store. A store that fails leaves them over all the same;
// Sweep tries again to keep it.
func (a *Authority) end(ctx context.Context, ids []ambit.TaskID, e row.TaskEnd) (int, error) {
	if err := a.usable(); err != nil {
		return 0, err
	}
	a.change.Lock()
	defer a.change.Unlock()
	e.At = a.Now().Truncate(time.Microsecond)
	a.mu.Lock()
	var over []Task
	for _, id := range ids {
		over = a.finish(id, e, over)
	}
	a.mu.Unlock()
	a.tell(over...)
	return len(over), a.keep(ctx)
}

// finish marks one task and those below it, children first. mu is held.
func (a *Authority) finish(id ambit.TaskID, e row.TaskEnd, over []Task) []Task {
	t := a.tasks[id]
	if t == nil || t.State != row.TaskLive {
		return over
	}
	below := e
	below.Exit = row.NoExit
	if e.State == row.TaskEnded {
		below.Why = "the task that started it has ended"
	}
	for _, c := range a.children[id] {
		over = a.finish(c, below, over)
	}
	delete(a.children, id)
	t.State, t.Ended, t.EndedBy, t.EndWhy, t.Exit = e.State, e.At, e.By, e.Why, e.Exit
	a.unkept[id] = e
	a.live--
	a.forget(id)
	return append(over, *t)
}

// forget bounds how many tasks that are over are remembered. A parent ends
// after its children, so that no live task loses the chain above it.
func (a *Authority) forget(id ambit.TaskID) {
	a.over = append(a.over, id)
	if len(a.over) > maxOver {
		delete(a.tasks, a.over[0])
		a.over = a.over[1:]
	}
}

// keep writes all ends that the store does not have yet. change is held.
func (a *Authority) keep(ctx context.Context) error {
	a.mu.RLock()
	todo := maps.Clone(a.unkept)
	a.mu.RUnlock()
	var errs []error
	for id, e := range todo {
		// Who asked may be gone by now; the end must be kept nevertheless. A task
		// that the store has as over, or not at all, is over.
		err := a.store.EndTask(context.WithoutCancel(ctx), id, e)
		if err != nil && !errors.Is(err, row.ErrMoved) && !errors.Is(err, row.ErrMissing) {
			errs = append(errs, err)
			continue
		}
		a.mu.Lock()
		delete(a.unkept, id)
		a.mu.Unlock()
	}
	return errors.Join(errs...)
}

// Sweep ends the tasks whose time is over, keeps what could not be kept before,
// and rolls the root over in time. The daemon calls it every second or so.
func (a *Authority) Sweep(ctx context.Context) error {
	if err := a.usable(); err != nil {
		return err
	}
	now := a.Now()
	var ids []ambit.TaskID
	for _, t := range a.Tasks() {
		if !now.Before(t.Expires) {
			ids = append(ids, t.ID)
		}
	}
	_, err := a.end(ctx, ids, row.TaskEnd{State: row.TaskExpired, Exit: row.NoExit})
	return errors.Join(err, a.raise(ctx, now), a.freshen(now))
}

// raise keeps the time, so that a clock set back while no daemon runs revives
// at most what would have lived raiseEvery longer.
func (a *Authority) raise(ctx context.Context, now time.Time) error {
	a.change.Lock()
	defer a.change.Unlock()
	a.mu.RLock()
	due := a.live > 0 && now.Sub(a.raised) >= raiseEvery
	a.mu.RUnlock()
	if !due {
		return nil
	}
	if err := a.store.RaiseClock(ctx, now); err != nil {
		return err
	}
	a.mu.Lock()
	a.raised = now
	a.mu.Unlock()
	return nil
}

// freshen rolls the root over when it ends soon.
func (a *Authority) freshen(now time.Time) error {
	a.change.Lock()
	defer a.change.Unlock()
	a.mu.RLock()
	old := a.root
	a.mu.RUnlock()
	r, err := old.fresh(filepath.Join(a.dir, rootFile), a.domain, now)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.root = r
	a.mu.Unlock()
	return nil
}
