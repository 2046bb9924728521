package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ambit/store/row"
)

// serve runs Serve until the test's own end.
func (d *desk) serve() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { d.Serve(ctx, func(err error) { d.t.Error(err) }); close(done) }()
	return func() { cancel(); <-done }
}

// A revocation that fails is tried for ever, less and less often; people are told,
// and see it.
func TestNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.serve()()
		d.register("t", "svc", 24*time.Hour)
		l := d.mint("t", "svc")
		d.cloud.fail(errors.New("the service is down"))
		began := time.Now()
		if err := d.End(t.Context(), "t"); err == nil {
			t.Error("End says that all is well")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		seen, err := d.Leases(t.Context())
		if err != nil || len(seen) != 1 || seen[0].State != row.LeaseRevoking || seen[0].Trouble.Tries < 5 || seen[0].Trouble.Err == nil || !seen[0].Trouble.Since.Equal(began) {
			t.Errorf("Leases = %+v, %v", seen, err)
		}
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		seen, _ = d.Leases(t.Context())
		x := seen[0].Trouble
		if wait := time.Until(x.Next); wait > longestWait || x.Tries < 48*12 || x.Tries > 48*20 {
			t.Errorf("after two days: %d attempts, the next in %v", x.Tries, wait)
		}
		d.mu.Lock()
		if n := len(d.alerts); n < 40 || n > 60 || d.alerts[0].Tries != 1 || d.alerts[0].Lease.ID != l.ID {
			t.Errorf("%d alerts, the first %+v", n, d.alerts[0])
		}
		d.mu.Unlock()
		d.cloud.fail(nil)
		time.Sleep(longestWait)
		synctest.Wait()
		if d.Ending() != 0 || d.cloud.usable(l.Secret.Reveal()) || d.cloud.closings() != 1 {
			t.Errorf("when the service is back: %d to end, usable %v, closed %d", d.Ending(), d.cloud.usable(l.Secret.Reveal()), d.cloud.closings())
		}
		if seen, _ := d.Leases(t.Context()); len(seen) != 0 {
			t.Errorf("Leases = %+v", seen)
		}
	})
}

// A service that hangs keeps neither the task's end nor other leases waiting for
// long.
func TestSlowRevocationHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.serve()()
		d.register("t", "svc", time.Hour)
		d.register("t", "two", time.Hour)
		d.mint("t", "svc")
		d.mint("t", "two")
		d.cloud.slow(time.Hour)
		began := time.Now()
		if err := d.End(t.Context(), "t"); err == nil || time.Since(began) > endWithin {
			t.Errorf("End: %v after %v", err, time.Since(began))
		}
		d.cloud.slow(0)
		time.Sleep(time.Minute)
		synctest.Wait()
		if d.Ending() != 0 {
			t.Errorf("%d leases are not ended", d.Ending())
		}
	})
}

// lasting is a cloud whose leases go on with the next daemon.
type lasting struct {
	*cloud
	recipe string
	until  map[string]time.Time
}

func (l *lasting) Recipe() ([]byte, error) { return []byte(l.recipe), nil }

func (l *lasting) Renew(_ context.Context, r row.Lease, until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.live[r.ID]) == 0 {
		return ErrGone
	}
	if l.refuse != nil {
		return l.refuse
	}
	l.until[r.ID] = until
	return nil
}

// ends is when the service ends a lease.
func (l *lasting) ends(id string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until[id]
}

func TestLeaseIsMadeLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.serve()()
		p := &lasting{cloud: d.cloud, recipe: "r", until: map[string]time.Time{}}
		end := time.Now().Add(100 * time.Minute)
		if err := d.Register("t", "svc", end, p); err != nil {
			t.Fatal(err)
		}
		first := d.mint("t", "svc")
		// Nobody asks for it, and it goes on.
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		open, _ := d.ledger.OpenLeases(t.Context())
		if len(open) != 1 || open[0].ID != first.ID || !open[0].Expires.After(time.Now()) || !p.ends(first.ID).Equal(open[0].Expires) {
			t.Errorf("after 40 minutes: %+v, at the service %v", open, p.ends(first.ID))
		}
		if again := d.mint("t", "svc"); again.ID != first.ID || !bytes.Equal(again.Secret.Reveal(), first.Secret.Reveal()) {
			t.Error("another lease in the middle")
		}
		d.ledger.mu.Lock()
		if !slices.Contains(d.ledger.steps, "log live") {
			t.Errorf("a renewal is not in the log: %q", d.ledger.steps)
		}
		d.ledger.mu.Unlock()
		time.Sleep(time.Until(end))
		synctest.Wait()
		if got := p.ends(first.ID); !got.Equal(end) {
			t.Errorf("it ends %v, the task %v", got, end)
		}
		// Whoever looks after the service took it away: a new one is made.
		if err := d.Register("u", "svc", time.Now().Add(time.Hour), p); err != nil {
			t.Fatal(err)
		}
		second := d.mint("u", "svc")
		d.cloud.mu.Lock()
		delete(d.cloud.live, second.ID)
		d.cloud.mu.Unlock()
		time.Sleep(MaxLife)
		if third := d.mint("u", "svc"); third.ID == second.ID || !d.cloud.usable(third.Secret.Reveal()) {
			t.Error("what is gone was handed out")
		}
	})
}

// The next daemon goes on with what live tasks have, and ends the rest; what is kept
// for it is sealed, and goes with the task.
func TestNextDaemonGoesOn(t *testing.T) {
	const canary = "CANARY-recipe-1d9"
	d := newDesk(t)
	p := &lasting{cloud: d.cloud, recipe: canary, until: map[string]time.Time{}}
	var made []string
	d.make = func(kind string, recipe []byte, _ row.Lease) (Provider, error) {
		made = append(made, kind+" "+string(recipe))
		return &lasting{cloud: d.cloud, recipe: string(recipe), until: map[string]time.Time{}}, nil
	}
	if err := d.Register("t", "svc", time.Now().Add(time.Hour), p); err != nil {
		t.Fatal(err)
	}
	first := d.mint("t", "svc")
	secret := string(first.Secret.Reveal())
	onDisk := func() string {
		b, err := json.Marshal([]any{d.ledger.rows, d.ledger.kept})
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + string(d.ledger.kept["svc"].Sealed) + string(d.ledger.rows[first.ID].Sealed)
	}
	if text := onDisk(); strings.Contains(text, canary) || strings.Contains(text, secret) || len(d.ledger.kept["svc"].Sealed) == 0 || len(d.ledger.rows[first.ID].Sealed) == 0 {
		t.Errorf("kept: %q", text)
	}
	d.open()
	if err := d.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := d.mint("t", "svc"); again.ID != first.ID || string(again.Secret.Reveal()) != secret || len(made) != 1 || made[0] != "cloud "+canary {
		t.Errorf("after the restart: %v, made %q", again, made)
	}
	// The task is over when the third daemon starts.
	d.mu.Lock()
	d.over["t"] = true
	d.mu.Unlock()
	d.open()
	if err := errors.Join(d.Reconcile(t.Context()), d.Sweep(t.Context())); err != nil {
		t.Fatal(err)
	}
	if d.cloud.usable([]byte(secret)) || len(d.ledger.kept) != 0 || d.ledger.rows[first.ID].State != row.LeaseDead {
		t.Errorf("left: %v, %v", d.ledger.kept, d.ledger.rows)
	}
}

// Without its key, what is kept cannot be used: it stays, is seen, and is ended when
// the key is back.
func TestLostKeyIsSeen(t *testing.T) {
	d := newDesk(t)
	p := &lasting{cloud: d.cloud, recipe: "r", until: map[string]time.Time{}}
	if err := d.Register("t", "svc", time.Now().Add(time.Hour), p); err != nil {
		t.Fatal(err)
	}
	l := d.mint("t", "svc")
	good := d.vault
	d.vault = NewVault(t.TempDir() + "/none")
	d.open()
	if err := d.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Sweep(t.Context()); err == nil {
		t.Error("ended without a key")
	}
	if seen, err := d.Leases(t.Context()); err != nil || len(seen) != 1 || seen[0].Trouble.Err == nil {
		t.Errorf("Leases = %+v, %v", seen, err)
	}
	if len(d.ledger.kept) == 0 {
		t.Error("what could end it was forgotten")
	}
	d.c.Vault = good
	if err := d.Sweep(t.Context()); err != nil || d.cloud.usable(l.Secret.Reveal()) {
		t.Errorf("with the key: %v", err)
	}
}

// widened is a provider of leases for one act.
type widened struct{ *cloud }

func (widened) Name() string { return "cloud-once" }

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		how := func(base row.Lease, p Provider) (Provider, error) {
			if base.ID == "" || p != d.cloud {
				t.Errorf("made from %v, %v", base, p)
			}
			return widened{d.cloud}, nil
		}
		d.register("t", "svc", time.Hour)
		if _, err := d.Once(t.Context(), "t", "svc", how); err == nil {
			t.Error("a right without a lease")
		}
		d.mint("t", "svc")
		one, err := d.Once(t.Context(), "t", "svc", how)
		if err != nil || !one.Secret.Empty() {
			t.Fatalf("Once: %v, %v", one, err)
		}
		two, err := d.Once(t.Context(), "t", "svc", how)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := d.EndOnce(t.Context(), "t", "svc", one.ID); err != nil || d.cloud.has(one.ID) {
				t.Errorf("EndOnce: %v", err)
			}
		}
		if !d.cloud.has(two.ID) {
			t.Error("ending one ended the other")
		}
		// Nobody ends the second.
		stop := d.serve()
		time.Sleep(onceLife + sweepEvery)
		synctest.Wait()
		if d.cloud.has(two.ID) {
			t.Error("it outlives its time")
		}
		stop()
		three, err := d.Once(t.Context(), "t", "svc", how)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.End(t.Context(), "t"); err != nil || d.cloud.has(three.ID) {
			t.Errorf("it outlives the task: %v", err)
		}
		if err := d.EndOnce(t.Context(), "t", "svc", three.ID); err != nil {
			t.Error(err)
		}
		if _, err := d.Once(t.Context(), "t", "svc", how); !errors.Is(err, ErrUnknown) {
			t.Errorf("after the task: %v", err)
		}
	})
}
