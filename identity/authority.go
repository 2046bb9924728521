// Package identity is the small authority of the daemon: it enrols tasks, gives
// each one its own short-lived identity, and knows which of them still live.
//
// A task's identity is a SPIFFE ID, spiffe://TRUST-DOMAIN/agent/NAME/task/ID,
// shown by an X.509-SVID whose key never leaves the gatekeeper, and by
// JWT-SVIDs for an audience (https://github.com/spiffe/spiffe/tree/main/standards).
// Identity passes on only downwards: a child ends no later than its parent and
// acts for nobody whom its parent does not act for.
package identity

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"ambit"
	"ambit/store/row"
)

// Bounds of what the authority keeps and gives.
const (
	MaxTTL   = 30 * 24 * time.Hour // of a task
	MaxDepth = 8                   // of a chain of tasks, the first included
	MaxLive  = 1024                // tasks at once
	maxOver  = 4096                // tasks that are over and still remembered by name
)

// Task is one run of an agent, as it is kept.
type Task = row.Task

// Store is what the authority needs to outlive the daemon. Every change is
// durable when it returns nil.
type Store interface {
	// AddTask keeps a new task; an id that was ever used is an error.
	AddTask(ctx context.Context, t row.Task) error
	// EndTask moves a live task to one of the states of being over.
	EndTask(ctx context.Context, id ambit.TaskID, e row.TaskEnd) error
	// LiveTasks returns all tasks in the state live, oldest first.
	LiveTasks(ctx context.Context) ([]row.Task, error)
	// Agent returns row.ErrMissing for an agent that never ran.
	Agent(ctx context.Context, name string) (row.Agent, error)
	// BarAgent keeps an agent from starting tasks; the zero time lets it again.
	BarAgent(ctx context.Context, name, by, why string, at time.Time) error
	AddRevocation(ctx context.Context, v row.Revocation) error
	// Clock returns the latest time that was ever acted on.
	Clock(ctx context.Context) (time.Time, error)
	RaiseClock(ctx context.Context, t time.Time) error
}

// Config sets an authority up. Every field is required.
type Config struct {
	Dir         string // where the root is kept, mode 0700
	TrustDomain string // "acme.example"
	Store       Store
	Clock       func() time.Time // time.Now
}

// Authority gives and ends identities. Make it with [Open]; the zero value
// refuses. It is safe for use by many goroutines.
type Authority struct {
	domain spiffeid.TrustDomain
	store  Store
	clock  *clock
	dir    string
	proofs proofs
	daemon ed25519.PrivateKey // the daemon's own

	// change is held through a whole change, the store's part included; mu only
	// while memory is touched, so that Live never waits for a disk. change is
	// taken first.
	change sync.Mutex
	mu     sync.RWMutex

	root     root
	tasks    map[ambit.TaskID]*Task
	children map[ambit.TaskID][]ambit.TaskID
	live     int
	over     []ambit.TaskID // in the order they ended
	unkept   map[ambit.TaskID]row.TaskEnd
	raised   time.Time // what the store has of the clock
	watchers map[*func(Task)]struct{}
}

// Open loads the root from c.Dir, or makes one, and the tasks that are live
// from the store. Tasks that expired meanwhile are ended.
func Open(ctx context.Context, c Config) (*Authority, error) {
	if c.Dir == "" || c.Store == nil || c.Clock == nil {
		return nil, errors.New("cannot open the authority: folder, store and clock must all be given")
	}
	td, err := spiffeid.TrustDomainFromString(c.TrustDomain)
	if err != nil {
		return nil, fmt.Errorf("cannot open the authority: trust domain %q: %w: want a name like acme.example", c.TrustDomain, err)
	}
	high, err := c.Store.Clock(ctx)
	if err != nil {
		return nil, err
	}
	a := &Authority{
		domain: td, store: c.Store, dir: c.Dir, clock: newClock(c.Clock, high), raised: high,
		tasks: map[ambit.TaskID]*Task{}, children: map[ambit.TaskID][]ambit.TaskID{},
		unkept: map[ambit.TaskID]row.TaskEnd{}, watchers: map[*func(Task)]struct{}{},
	}
	if a.root, err = openRoot(c.Dir, td, a.Now()); err != nil {
		return nil, err
	}
	if a.daemon, err = openDaemonKey(c.Dir); err != nil {
		return nil, err
	}
	live, err := c.Store.LiveTasks(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range live {
		a.add(t)
	}
	return a, a.Sweep(ctx)
}

// Now is the authority's time: never earlier than any time it acted on before,
// in this run of the daemon or an earlier one, so that a clock that is set back
// revives nothing. It moves on while the clock stands behind.
func (a *Authority) Now() time.Time { return a.clock.now() }

// Behind says by how much the machine's clock is behind the latest time that
// was acted on; zero when it is not.
func (a *Authority) Behind() time.Duration { return a.clock.behind() }

// TrustDomain returns the name that all identities here belong to.
func (a *Authority) TrustDomain() string { return a.domain.Name() }

// add puts a live task into memory. mu is held, or nobody knows a yet.
func (a *Authority) add(t Task) {
	a.tasks[t.ID] = &t
	a.live++
	if t.Parent != "" {
		a.children[t.Parent] = append(a.children[t.Parent], t.ID)
	}
}

// Watch calls f with every task that becomes live or stops being so, in order,
// before the change's caller returns. f must not block and must not change the
// authority. The returned function ends it.
func (a *Authority) Watch(f func(Task)) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchers[&f] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.watchers, &f)
	}
}

// tell is called with change held and mu free.
func (a *Authority) tell(tasks ...Task) {
	a.mu.RLock()
	l := make([]func(Task), 0, len(a.watchers))
	for f := range a.watchers {
		l = append(l, *f)
	}
	a.mu.RUnlock()
	for _, t := range tasks {
		for _, f := range l {
			f(t)
		}
	}
}
