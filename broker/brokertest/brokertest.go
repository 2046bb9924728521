// Package brokertest is the test that every provider of credentials passes.
package brokertest

import (
	"bytes"
	"context"
	"encoding/json"
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
