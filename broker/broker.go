// Package broker holds the credentials of services in ring 1 and hands them out
// as leases: short, of one task, and over with it.
//
// A lease goes requested ▶ intent recorded ▶ minted ▶ live ▶ revoking ▶ dead, and
// dead means proved: the provider looked, and it can no longer be used. Requested,
// live, revoking and dead are durable. Requested is so, and the intent is in the
// log, before a provider is asked to make anything; what a crash leaves in between
// is taken for made, and is ended. A lease that cannot be ended is tried again for
// as long as it takes, and is seen meanwhile; unless a person writes it off, of a task
// that is over: it is tried no more then, and never called dead.
//
// What is kept of a lease holds no credential, but for providers that could not end
// it otherwise: theirs is sealed.
package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"ambit"
	"ambit/store/row"
)

// Bounds of leases.
const (
	MaxLife     = 15 * time.Minute
	renewBefore = time.Minute // a lease with less left is made anew, or made longer
	maxService  = 64          // bytes of a service's name
	maxServices = 256         // of one task
)

// ErrUnknown is a task or service that the broker has nothing for.
var ErrUnknown = errors.New("the broker has no credential for it")

// Order says what a provider is to make.
type Order struct {
	Lease   string // 32 hexadecimal digits: the idempotency key
	Task    ambit.TaskID
	Service string
	Expires time.Time // the latest end
}

// Credential is what a provider made.
type Credential struct {
	Secret  ambit.SecretValue
	Handle  string    // the provider's own name for it, never a secret; may be empty
	Expires time.Time // zero means the order's
}

// Provider makes and ends credentials of one kind. Package brokertest has the
// test that every provider passes.
type Provider interface {
	// Name is the provider's kind, "static", and is kept with its leases.
	Name() string
	// Mint makes one credential. An error may leave one behind that the order's
	// lease id names, but for one that is [ErrNotMade].
	Mint(ctx context.Context, o Order) (Credential, error)
	// Revoke ends what Mint made for a lease, if anything. To revoke what is
	// already gone, or was never made, is no error.
	Revoke(ctx context.Context, l row.Lease) error
	// Prove says whether what Mint made for a lease can still be used.
	Prove(ctx context.Context, l row.Lease) (usable bool, err error)
}

// Renewer is a provider that can make a live lease last longer, so that what uses
// it goes on.
type Renewer interface {
	Provider
	// Renew moves a lease's end. [ErrGone] says that there is nothing left to renew.
	Renew(ctx context.Context, l row.Lease, until time.Time) error
}

// Lasting is a provider that another daemon can make again, to go on with its
// leases and to end them.
type Lasting interface {
	Provider
	// Recipe is what makes it again. It may hold secrets: it is the caller's own,
	// who wipes it and keeps it sealed only.
	Recipe() ([]byte, error)
}

// ErrNotMade is in an error of Mint that certainly left nothing behind: nothing that
// makes a credential was sent, or the service answered that it did not make it. A
// lease that is so is over at once; of every other error nobody knows.
var ErrNotMade = errors.New("nothing was made")

// ErrGone is a lease that is at its provider no longer.
var ErrGone = errors.New("it is gone")

// Store is what the broker needs to outlive the daemon. Every change is durable
// when it returns nil.
type Store interface {
	AddLease(ctx context.Context, l row.Lease) error
	MoveLease(ctx context.Context, m row.LeaseMove) error
	// OpenLeases returns every lease that is neither dead nor written off.
	OpenLeases(ctx context.Context) ([]row.Lease, error)
	// KeepService changes nothing of a service that is kept already.
	KeepService(ctx context.Context, s row.Service) error
	ForgetService(ctx context.Context, task ambit.TaskID, service string) error
	Services(ctx context.Context) ([]row.Service, error)
}

// Config sets a broker up. Every field is required.
type Config struct {
	Store Store
	Now   func() time.Time
	// Live returns nil while the task may act.
	Live func(ambit.TaskID) error
	// Record puts a lease's state into the log and returns when it is durable. It
	// is called with requested before anything is made, with live when a lease has
	// been made longer, and with dead.
	Record func(ctx context.Context, l row.Lease) error
	// Alert tells a person of a lease that cannot be ended, or, dead and without an
	// attempt, of one that was never made. It must not wait.
	Alert func(Trouble)
	// Vault seals what is kept of lasting providers.
	Vault *Vault
	// Make makes a provider of an earlier run again, by its kind. recipe is nil when
	// none was kept, and is only lent.
	Make func(kind string, recipe []byte, l row.Lease) (Provider, error)
}

// Lease is a credential as it is handed to ring 2.
type Lease struct {
	ID      string
	Task    ambit.TaskID
	Service string
	Expires time.Time
	Secret  ambit.SecretValue // the caller's own copy: it wipes it
}

// Broker makes and ends leases. Make it with [Open]; the zero value refuses. It
// is safe for use by many goroutines.
type Broker struct {
	c Config

	mu     sync.Mutex
	tasks  map[ambit.TaskID]*holding
	ending map[string]*ending // by lease: what could not be ended yet
	wake   chan struct{}      // there is something new to end
}

// holding is what one task has.
type holding struct {
	expires  time.Time
	services map[string]*service
}

// service makes the leases of one service for one task, one at a time.
type service struct {
	task     ambit.TaskID
	name     string
	provider Provider
	expires  time.Time // the task's
	ctx      context.Context
	stop     context.CancelFunc

	mu   sync.Mutex // held while a lease is made or renewed
	over bool
	kept bool // its recipe is durable
	now  *held
	once map[string]once // by lease
	told time.Time       // when a person was told that none could be made

	left int  // leases in ending; the broker's mu guards these two
	shut bool // to be given up when none is left
}

// held is a live lease.
type held struct {
	lease  row.Lease
	secret ambit.SecretValue
}

// Open makes a broker. Call [Broker.Reconcile] before the first Register, and
// [Broker.Serve] for as long as it is used.
func Open(c Config) (*Broker, error) {
	if c.Store == nil || c.Now == nil || c.Live == nil || c.Record == nil || c.Alert == nil || c.Vault == nil || c.Make == nil {
		return nil, errors.New("cannot open the broker: store, clock, tasks, log, alerts, vault and providers must all be given")
	}
	return &Broker{c: c, tasks: map[ambit.TaskID]*holding{}, ending: map[string]*ending{}, wake: make(chan struct{}, 1)}, nil
}

// Register says where a task's credential for a service comes from. expires is
// the task's end: no lease outlives it. A service that is registered already is
// an error, so that nothing can be put in another's place. Register takes p
// over, and closes it also when it refuses.
func (b *Broker) Register(task ambit.TaskID, name string, expires time.Time, p Provider) error {
	err := b.register(task, name, expires, p)
	if err == nil {
		// The task may have ended, and End been called, just before it was put in.
		if err = b.c.Live(task); err != nil {
			return errors.Join(fmt.Errorf("cannot register %s: %w", name, err), b.End(context.Background(), task))
		}
		return nil
	}
	return errors.Join(err, closeProvider(p))
}

func (b *Broker) register(task ambit.TaskID, name string, expires time.Time, p Provider) error {
	if b == nil || b.tasks == nil {
		return errors.New("cannot register: the broker is not open")
	}
	if name == "" || len(name) > maxService || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) || p == nil {
		return fmt.Errorf("cannot register service %.64q: want a name of 1 to %d visible ASCII characters and a provider", name, maxService)
	}
	if err := b.c.Live(task); err != nil {
		return fmt.Errorf("cannot register %s: %w", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.tasks[task]
	if h == nil {
		h = &holding{expires: expires, services: map[string]*service{}}
	}
	switch {
	case !expires.Equal(h.expires):
		return fmt.Errorf("cannot register %s: the task ends at %v, not %v", name, h.expires, expires)
	case h.services[name] != nil:
		return fmt.Errorf("cannot register %s: it is registered already", name)
	case len(h.services) >= maxServices:
		return fmt.Errorf("cannot register %s: the task has %d services, at most %d", name, len(h.services), maxServices)
	}
	h.services[name], b.tasks[task] = newService(task, name, expires, p), h
	return nil
}

func newService(task ambit.TaskID, name string, expires time.Time, p Provider) *service {
	s := &service{task: task, name: name, provider: p, expires: expires}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Mint returns the task's lease for a service, making or renewing it when there
// is none with a minute left. Its end is at most fifteen minutes away and never
// after the task's.
func (b *Broker) Mint(ctx context.Context, task ambit.TaskID, name string) (Lease, error) {
	s, err := b.find(task, name)
	if err != nil {
		return Lease{}, err
	}
	if err := b.c.Live(task); err != nil {
		return Lease{}, fmt.Errorf("cannot give a credential for %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := b.c.Now()
	if s.over || !now.Before(s.expires) {
		return Lease{}, fmt.Errorf("cannot give a credential for %s: the task is over", name)
	}
	if s.now == nil || now.Add(min(renewBefore, s.expires.Sub(now))).After(s.now.lease.Expires) {
		if err := b.renew(ctx, s, now); err != nil {
			return Lease{}, err
		}
	}
	l := s.now.lease
	return Lease{ID: l.ID, Task: l.Task, Service: l.Service, Expires: l.Expires, Secret: s.now.copy()}, nil
}

func (h *held) copy() ambit.SecretValue {
	return ambit.NewSecret(append([]byte(nil), h.secret.Reveal()...))
}

func (b *Broker) find(task ambit.TaskID, name string) (*service, error) {
	if b == nil || b.tasks == nil {
		return nil, errors.New("cannot give a credential: the broker is not open")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.tasks[task]; h != nil && h.services[name] != nil {
		return h.services[name], nil
	}
	return nil, fmt.Errorf("cannot give a credential for %.64q: %w: credentials come with ambit run, so start the task again if the daemon was restarted", name, ErrUnknown)
}
