package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"ambit"
	"ambit/store/row"
)

// ledger is a store in memory, and the log, which take note of every step and
// can stop at any of them, as a crash does.
type ledger struct {
	mu     sync.Mutex
	rows   map[string]row.Lease
	steps  []string
	kept   map[string]row.Service
	stopAt int  // the step at which all fails from then on; 0 is never
	late   bool // the step itself still happens
	alone  bool // nothing but that step fails
}

var errStopped = errors.New("stopped")

// step says whether a step happens, and what its caller hears.
func (l *ledger) step(name string) (happens bool, err error) {
	l.steps = append(l.steps, name)
	n := len(l.steps)
	if l.stopAt == 0 || n < l.stopAt {
		return true, nil
	}
	if l.alone && n > l.stopAt {
		return true, nil
	}
	return n == l.stopAt && l.late, errStopped
}

func (l *ledger) AddLease(_ context.Context, v row.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok, err := l.step("add " + string(v.State))
	if ok {
		l.rows[v.ID] = v
	}
	return err
}

func (l *ledger) MoveLease(ctx context.Context, m row.LeaseMove) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ok, err := l.step("move " + string(m.To))
	v, there := l.rows[m.ID]
	switch {
	case !ok:
		return err
	case !there:
		return row.ErrMissing
	case v.State != m.From:
		return row.ErrMoved
	}
	if v.State, v.WriteOff = m.To, m.WriteOff; m.To.Over() {
		v.Sealed = nil
	}
	if m.Handle != "" {
		v.Handle = m.Handle
	}
	if !m.Expires.IsZero() {
		v.Expires = m.Expires
	}
	if len(m.Sealed) > 0 {
		v.Sealed = m.Sealed
	}
	l.rows[m.ID] = v
	return err
}

func (l *ledger) OpenLeases(context.Context) (out []row.Lease, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.rows {
		if !v.State.Over() {
			out = append(out, v)
		}
	}
	return out, nil
}

func (l *ledger) KeepService(_ context.Context, v row.Service) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok, err := l.step("keep " + v.Service)
	if _, there := l.kept[v.Service]; ok && !there {
		l.kept[v.Service] = v
	}
	return err
}

func (l *ledger) ForgetService(ctx context.Context, _ ambit.TaskID, service string) error {
	time.Sleep(time.Millisecond) // a store takes its time, and does not what nobody waits for
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	ok, err := l.step("forget " + service)
	if ok {
		delete(l.kept, service)
	}
	return err
}

func (l *ledger) Services(context.Context) ([]row.Service, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.kept)), nil
}

func (l *ledger) record(_ context.Context, v row.Lease) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.step("log " + string(v.State))
	return err
}

// cloud is a service with credentials that can be ended, and its provider.
type cloud struct {
	mu     sync.Mutex
	l      *ledger
	n      int
	live   map[string][]string // secrets by lease
	refuse error               // of Revoke
	hang   bool                // Mint waits for its caller to be gone
	delay  time.Duration       // of Revoke
	closed int
}

func (c *cloud) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

func (c *cloud) slow(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delay = d
}

func (c *cloud) has(lease string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live[lease]) > 0
}

func (c *cloud) closings() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *cloud) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed++
	return nil
}

func (c *cloud) Name() string { return "cloud" }

func (c *cloud) Mint(ctx context.Context, o Order) (Credential, error) {
	c.l.mu.Lock()
	ok, err := c.l.step("mint")
	c.l.mu.Unlock()
	c.mu.Lock()
	c.n++
	secret := fmt.Sprintf("secret-%d", c.n)
	if ok {
		c.live[o.Lease] = append(c.live[o.Lease], secret)
	}
	hang := c.hang
	c.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	return Credential{Secret: ambit.NewSecret([]byte(secret)), Handle: "h-" + o.Lease}, err
}

func (c *cloud) Revoke(ctx context.Context, l row.Lease) error {
	c.mu.Lock()
	delay := c.delay
	c.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.l.mu.Lock()
	ok, err := c.l.step("revoke")
	c.l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		return c.refuse
	}
	if ok {
		delete(c.live, l.ID)
	}
	return err
}

func (c *cloud) Prove(_ context.Context, l row.Lease) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live[l.ID]) > 0, nil
}

func (c *cloud) usable(secret []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.live {
		if slices.Contains(l, string(secret)) {
			return true
		}
	}
	return false
}

// desk is a broker with all around it.
type desk struct {
	*Broker
	t      *testing.T
	ledger *ledger
	cloud  *cloud
	mu     sync.Mutex
	over   map[ambit.TaskID]bool
	vault  *Vault
	alerts []Trouble
	make   func(kind string, recipe []byte, l row.Lease) (Provider, error)
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	l := &ledger{rows: map[string]row.Lease{}, kept: map[string]row.Service{}}
	d := &desk{t: t, ledger: l, cloud: &cloud{l: l, live: map[string][]string{}}, over: map[ambit.TaskID]bool{}, vault: NewVault(filepath.Join(t.TempDir(), "key"))}
	d.make = func(string, []byte, row.Lease) (Provider, error) { return d.cloud, nil }
	d.open()
	return d
}

func (d *desk) open() {
	d.t.Helper()
	var err error
	d.Broker, err = Open(Config{Store: d.ledger, Now: time.Now, Live: d.live, Record: d.ledger.record, Vault: d.vault,
		Alert: func(x Trouble) { d.mu.Lock(); d.alerts = append(d.alerts, x); d.mu.Unlock() },
		Make:  func(kind string, recipe []byte, l row.Lease) (Provider, error) { return d.make(kind, recipe, l) }})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) live(id ambit.TaskID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over[id] {
		return errors.New("the task is not live")
	}
	return nil
}

func (d *desk) register(task ambit.TaskID, service string, life time.Duration) {
	d.t.Helper()
	if err := d.Register(task, service, time.Now().Add(life), d.cloud); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) mint(task ambit.TaskID, service string) Lease {
	d.t.Helper()
	l, err := d.Mint(d.t.Context(), task, service)
	if err != nil {
		d.t.Fatal(err)
	}
	return l
}
