// Package brokertest is the test that every provider of credentials passes.
package brokertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ambit"
	"ambit/broker"
	"ambit/store/row"
)

// World is a provider with the service that it makes credentials for.
type World struct {
	Provider broker.Provider
	// Usable asks the service itself whether it accepts a credential. It is nil
	// when the provider cannot end credentials at the service.
	Usable func(secret []byte) bool

	// Again makes the provider as the next daemon does. It is nil when that daemon
	// knows nothing that it could end.
	Again func() broker.Provider
	// Down makes the service unreachable, or reachable again, and Slow makes it wait
	// so long with each answer. They are nil when there is no service.
	Down func(bool)
	Slow func(time.Duration)
	// Clock makes a provider whose daemon's clock is wrong by so much. It is nil when
	// the service does not know of an end.
	Clock func(skew time.Duration) broker.Provider
	// Stop makes every step of the provider from the n-th on fail, as if the daemon
	// were killed there; 0 only counts. What it returns ends that, and says how many
	// steps there were. It is nil when a mint is one step.
	Stop func(n int) (steps func() int)
	// Refused makes a provider that the service refuses, as with a wrong password. It
	// is nil when a provider needs nothing at a service.
	Refused func() broker.Provider
	// Lose has the service make what the next mint asks for, and its answer be lost;
	// what it returns ends that. It is nil when there is no service.
	Lose func() (back func())
}

// Run makes a fresh world for every part and looks at the state of the service
// afterwards.
func Run(t *testing.T, fresh func(*testing.T) World) {
	for name, f := range map[string]func(*testing.T, World){
		"mint gives a live credential":          mint,
		"revoke ends it, and only it":           revoke,
		"revoke may be repeated":                repeat,
		"what was never made can be revoked":    never,
		"one order made twice is ended by once": twice,
		"a caller that is gone leaves nothing":  gone,
		"no secret where none belongs":          quiet,
		"renewed, it goes on":                   renew,
		"another daemon ends it":                restart,
		"stopped at each step, it can be ended": steps,
		"the service is down":                   down,
		"the service is slow":                   slow,
		"the clocks disagree":                   clocks,
		"what the service refuses is not made":  refused,
		"an answer is lost":                     lost,
	} {
		t.Run(name, func(t *testing.T) { f(t, fresh(t)) })
	}
}

func order(n int) broker.Order {
	return broker.Order{Lease: fmt.Sprintf("%032x", n), Task: ambit.NewTaskID(), Service: "svc", Expires: time.Now().Add(10 * time.Minute)}
}

func lease(o broker.Order, c broker.Credential, p broker.Provider) row.Lease {
	return row.Lease{ID: o.Lease, Task: o.Task, Service: o.Service, Provider: p.Name(), Handle: c.Handle, State: row.LeaseRevoking, Expires: o.Expires}
}

func (w World) mint(t *testing.T, o broker.Order) broker.Credential {
	t.Helper()
	c, err := w.Provider.Mint(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Provider.Revoke(context.Background(), lease(o, c, w.Provider)) }) // the part has looked already
	return c
}

// is wants the service and the provider's own word to agree.
func (w World) is(t *testing.T, usable bool, l row.Lease, c broker.Credential) {
	t.Helper()
	got, err := w.Provider.Prove(t.Context(), l)
	if err != nil || got != usable {
		t.Errorf("Prove = %v, %v, want %v", got, err, usable)
	}
	if w.Usable != nil && w.Usable(c.Secret.Reveal()) != usable {
		t.Errorf("the service accepts it: %v, want %v", !usable, usable)
	}
}

func (w World) revoke(t *testing.T, l row.Lease) {
	t.Helper()
	if err := w.Provider.Revoke(t.Context(), l); err != nil {
		t.Errorf("Revoke: %v", err)
	}
}

func mint(t *testing.T, w World) {
	if w.Provider.Name() == "" {
		t.Error("the provider has no name")
	}
	o := order(1)
	c := w.mint(t, o)
	if c.Secret.Empty() {
		t.Error("an empty secret")
	}
	if c.Expires.After(o.Expires) {
		t.Errorf("it ends %v, after the order's %v", c.Expires, o.Expires)
	}
	w.is(t, true, lease(o, c, w.Provider), c)
}

func revoke(t *testing.T, w World) {
	o1, o2 := order(1), order(2)
	c1, c2 := w.mint(t, o1), w.mint(t, o2)
	w.revoke(t, lease(o1, c1, w.Provider))
	w.is(t, false, lease(o1, c1, w.Provider), c1)
	w.is(t, true, lease(o2, c2, w.Provider), c2)
}

func repeat(t *testing.T, w World) {
	o := order(1)
	c := w.mint(t, o)
	for range 3 {
		w.revoke(t, lease(o, c, w.Provider))
	}
	w.is(t, false, lease(o, c, w.Provider), c)
}

func never(t *testing.T, w World) {
	l := lease(order(1), broker.Credential{}, w.Provider)
	w.revoke(t, l)
	if usable, err := w.Provider.Prove(t.Context(), l); err != nil || usable {
		t.Errorf("Prove of what was never made = %v, %v", usable, err)
	}
}

// twice is a broker that died after Mint, before it kept the handle: all that a
// restart knows is the lease's id.
func twice(t *testing.T, w World) {
	o := order(1)
	c1, c2 := w.mint(t, o), w.mint(t, o)
	l := lease(o, broker.Credential{}, w.Provider)
	w.revoke(t, l)
	w.is(t, false, l, c1)
	w.is(t, false, l, c2)
}

func gone(t *testing.T, w World) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := order(1)
	c, err := w.Provider.Mint(ctx, o)
	w.believes(t, o, c, err)
	l := lease(o, broker.Credential{}, w.Provider)
	w.revoke(t, l)
	if err == nil {
		w.is(t, false, l, c)
	} else if usable, err := w.Provider.Prove(t.Context(), l); err != nil || usable {
		t.Errorf("Prove after a Mint that failed = %v, %v", usable, err)
	}
}

func quiet(t *testing.T, w World) {
	o := order(1)
	c := w.mint(t, o)
	secret := c.Secret.Reveal()
	j, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{c.Handle, w.Provider.Name(), string(j)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		shown = append(shown, fmt.Sprintf(verb, c), fmt.Sprintf(verb, w.Provider))
	}
	numbers := strings.Trim(fmt.Sprint(secret), "[]")
	for _, s := range shown {
		if bytes.Contains([]byte(s), secret) || strings.Contains(s, numbers) || strings.Contains(s, fmt.Sprintf("%x", secret)) {
			t.Errorf("the secret is in %q", s)
		}
	}
}

// lacks ends a part that the provider has nothing for.
func lacks(t *testing.T, missing bool) bool {
	t.Helper()
	if missing {
		t.Log("nothing of the kind can happen to this provider")
	}
	return missing
}

func renew(t *testing.T, w World) {
	p, ok := w.Provider.(broker.Renewer)
	if lacks(t, !ok) {
		return
	}
	o := order(1)
	o.Expires = time.Now().Add(time.Minute)
	c := w.mint(t, o)
	l := lease(o, c, p)
	if err := p.Renew(t.Context(), l, time.Now().Add(10*time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.is(t, true, l, c)
	w.revoke(t, l)
	w.is(t, false, l, c)
	if err := p.Renew(t.Context(), l, time.Now().Add(time.Minute)); !errors.Is(err, broker.ErrGone) {
		t.Errorf("renewed what is over: %v", err)
	}
	w.is(t, false, l, c)
}

// restart is a daemon that was killed while a lease was live.
func restart(t *testing.T, w World) {
	if lacks(t, w.Again == nil) {
		return
	}
	o := order(1)
	c := w.mint(t, o)
	next := World{Provider: w.Again(), Usable: w.Usable}
	for _, l := range []row.Lease{lease(o, c, next.Provider), lease(o, broker.Credential{}, next.Provider)} {
		next.revoke(t, l)
		next.is(t, false, l, c)
	}
}

// steps is a daemon that is killed at each step of making and of ending a lease.
func steps(t *testing.T, w World) {
	if lacks(t, w.Stop == nil) {
		return
	}
	all := w.life(t, 1, 0)
	if all < 3 {
		t.Fatalf("a lease's life has %d steps", all)
	}
	for n := 1; n <= all; n++ {
		w.life(t, n+1, n)
		l := lease(order(n+1), broker.Credential{}, w.Provider)
		next := World{Provider: w.Again(), Usable: w.Usable}
		next.revoke(t, l)
		if usable, err := next.Provider.Prove(t.Context(), l); err != nil || usable {
			t.Errorf("stopped at step %d of %d: usable %v, %v", n, all, usable, err)
		}
	}
}

// life makes a lease and ends it, and stops at a step.
func (w World) life(t *testing.T, id, stop int) (steps int) {
	did := w.Stop(stop)
	o := order(id)
	c, err := w.Provider.Mint(t.Context(), o)
	if err == nil {
		err = w.Provider.Revoke(t.Context(), lease(o, c, w.Provider))
	}
	if steps = did(); stop > 0 {
		w.believes(t, o, c, err)
	}
	if (err == nil) != (stop == 0) {
		t.Errorf("stopped at step %d: %v", stop, err)
	}
	return steps
}

// down is a service that cannot be reached: nothing is said to have ended.
func down(t *testing.T, w World) {
	if lacks(t, w.Down == nil) {
		return
	}
	o, never := order(1), order(2)
	c := w.mint(t, o)
	l := lease(o, c, w.Provider)
	w.Down(true)
	none, failed := w.Provider.Mint(t.Context(), never)
	if failed == nil {
		t.Error("minted")
	}
	if err := w.Provider.Revoke(t.Context(), l); err == nil {
		t.Error("Revoke says that all is well")
	}
	if usable, err := w.Provider.Prove(t.Context(), l); err == nil && !usable {
		t.Error("proved to be over")
	}
	w.Down(false)
	w.believes(t, never, none, failed)
	w.is(t, true, l, c)
	w.revoke(t, l)
	w.is(t, false, l, c)
	w.revoke(t, lease(never, broker.Credential{}, w.Provider))
}

// slow is a service that keeps its callers waiting longer than they want.
func slow(t *testing.T, w World) {
	if lacks(t, w.Slow == nil) {
		return
	}
	o := order(1)
	c := w.mint(t, o)
	l := lease(o, c, w.Provider)
	w.Slow(300 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	late := order(2)
	began := time.Now()
	if _, err := w.Provider.Mint(ctx, late); err == nil {
		t.Error("minted in time")
	}
	if err := w.Provider.Revoke(ctx, l); err == nil {
		t.Error("revoked in time")
	}
	if usable, err := w.Provider.Prove(ctx, l); err == nil && !usable {
		t.Error("proved in time to be over")
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("its callers waited %v", d)
	}
	w.Slow(0)
	for _, l := range []row.Lease{l, lease(late, broker.Credential{}, w.Provider)} {
		w.revoke(t, l)
		if usable, err := w.Provider.Prove(t.Context(), l); err != nil || usable {
			t.Errorf("Prove = %v, %v", usable, err)
		}
	}
	w.is(t, false, l, c)
}

// clocks are a daemon's that is far from the service's.
func clocks(t *testing.T, w World) {
	if lacks(t, w.Clock == nil) {
		return
	}
	for i, skew := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		p := World{Provider: w.Clock(skew), Usable: w.Usable}
		o := order(i + 1)
		o.Expires = o.Expires.Add(skew)
		c := p.mint(t, o)
		l := lease(o, c, p.Provider)
		p.is(t, true, l, c)
		p.revoke(t, l)
		p.is(t, false, l, c)
	}
}
