package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
	"ambit/store/row"
)

func TestOrderOfSteps(t *testing.T) {
	d := newDesk(t)
	d.register("t", "svc", time.Hour)
	l := d.mint("t", "svc")
	if !d.cloud.usable(l.Secret.Reveal()) {
		t.Error("the secret is good for nothing")
	}
	if err := d.End(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	want := []string{"add requested", "log requested", "mint", "move live", "move revoking", "revoke", "move dead", "log dead"}
	if !slices.Equal(d.ledger.steps, want) {
		t.Errorf("steps %q, want %q", d.ledger.steps, want)
	}
	if d.cloud.usable(l.Secret.Reveal()) {
		t.Error("the service still accepts it")
	}
}

// A crash, or a fault, at every step, before and after it took effect: no
// credential is handed out that is not on record, and after the next start none
// is left.
func TestCrashAtEveryStep(t *testing.T) {
	for step := 1; step <= 8; step++ {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprint(step, late), func(t *testing.T) {
				d := newDesk(t)
				d.register("t", "svc", time.Hour)
				d.ledger.stopAt, d.ledger.late = step, late
				l, err := d.Mint(t.Context(), "t", "svc")
				if (err == nil) != (step > 4) {
					t.Errorf("Mint: %v", err)
				}
				if err != nil && !l.Secret.Empty() {
					t.Error("an error with a secret")
				}
				if err := d.End(t.Context(), "t"); err == nil && step > 1 {
					t.Error("End says that all is well")
				}
				// The next start.
				d.ledger.stopAt = 0
				d.open()
				if err := errors.Join(d.Reconcile(t.Context()), d.Sweep(t.Context())); err != nil {
					t.Errorf("Reconcile: %v", err)
				}
				if len(d.cloud.live) != 0 {
					t.Errorf("left at the service: %v", d.cloud.live)
				}
				if open, _ := d.ledger.OpenLeases(t.Context()); len(open) != 0 {
					t.Errorf("left on record: %v", open)
				}
			})
		}
	}
}

func TestLeaseIsShortAndRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.register("t", "svc", 40*time.Minute)
		start := time.Now()
		first := d.mint("t", "svc")
		if !first.Expires.Equal(start.Add(MaxLife)) {
			t.Errorf("it ends after %v", first.Expires.Sub(start))
		}
		time.Sleep(MaxLife - renewBefore)
		if again := d.mint("t", "svc"); again.ID != first.ID {
			t.Error("made anew with a minute left")
		}
		time.Sleep(time.Second)
		kept := d.tasks["t"].services["svc"].now.secret.Reveal()
		second := d.mint("t", "svc")
		if !bytes.Equal(kept, make([]byte, len(kept))) {
			t.Errorf("the old secret stays in memory: %q", kept)
		}
		if second.ID == first.ID || d.cloud.usable(first.Secret.Reveal()) {
			t.Error("not renewed, or the old one lives on")
		}
		time.Sleep(25 * time.Minute)
		last := d.mint("t", "svc")
		if !last.Expires.Equal(start.Add(40 * time.Minute)) {
			t.Errorf("it outlives its task: %v", last.Expires.Sub(start))
		}
		time.Sleep(time.Until(start.Add(40 * time.Minute)))
		if l, err := d.Mint(t.Context(), "t", "svc"); err == nil {
			t.Errorf("a credential at the task's end: %v", l)
		}
		if err := d.End(t.Context(), "t"); err != nil || len(d.cloud.live) != 0 {
			t.Errorf("End: %v, left %v", err, d.cloud.live)
		}
	})
}

func TestLeaseIsOfOneTask(t *testing.T) {
	d := newDesk(t)
	d.register("a", "svc", time.Hour)
	d.register("b", "svc", time.Hour)
	la, lb := d.mint("a", "svc"), d.mint("b", "svc")
	if la.ID == lb.ID || bytes.Equal(la.Secret.Reveal(), lb.Secret.Reveal()) {
		t.Error("two tasks share a lease")
	}
	for _, c := range []struct {
		task    ambit.TaskID
		service string
	}{{"c", "svc"}, {"a", "other"}, {"", ""}, {"a", ""}} {
		if _, err := d.Mint(t.Context(), c.task, c.service); !errors.Is(err, ErrUnknown) {
			t.Errorf("%v: %v, want ErrUnknown", c, err)
		}
	}
	if err := d.End(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Mint(t.Context(), "a", "svc"); !errors.Is(err, ErrUnknown) {
		t.Errorf("after the task: %v", err)
	}
	if !d.cloud.usable(lb.Secret.Reveal()) {
		t.Error("ending one task ended another's lease")
	}
	d.mu.Lock()
	d.over["b"] = true
	d.mu.Unlock()
	if _, err := d.Mint(t.Context(), "b", "svc"); err == nil {
		t.Error("a credential for a revoked task")
	}
}

func TestCallersCopyIsItsOwn(t *testing.T) {
	d := newDesk(t)
	d.register("t", "svc", time.Hour)
	first := d.mint("t", "svc")
	want := string(first.Secret.Reveal())
	first.Secret.Wipe()
	if got := string(d.mint("t", "svc").Secret.Reveal()); got != want {
		t.Errorf("one caller wiped another's secret: %q", got)
	}
}

func TestManyCallersOneLease(t *testing.T) {
	d := newDesk(t)
	d.register("t", "svc", time.Hour)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { d.mint("t", "svc") })
	}
	wg.Wait()
	if d.cloud.n != 1 {
		t.Errorf("%d credentials were made", d.cloud.n)
	}
}

func TestEndDuringMint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.cloud.hang = true
		d.register("t", "svc", time.Hour)
		done := make(chan error)
		go func() {
			l, err := d.Mint(t.Context(), "t", "svc")
			if !l.Secret.Empty() {
				t.Error("a secret after the task")
			}
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		if err := d.End(t.Context(), "t"); err != nil || time.Since(start) > 0 {
			t.Errorf("End: %v after %v", err, time.Since(start))
		}
		if err := <-done; err == nil {
			t.Error("Mint succeeded after the task")
		}
		if open, _ := d.ledger.OpenLeases(t.Context()); len(d.cloud.live)+len(open) != 0 {
			t.Errorf("left: %v, %v", d.cloud.live, open)
		}
	})
}

func TestRevocationThatFailsIsTriedAgain(t *testing.T) {
	d := newDesk(t)
	d.register("t", "svc", time.Hour)
	l := d.mint("t", "svc")
	d.cloud.refuse = errors.New("the service is down")
	for _, f := range []func(context.Context) error{func(ctx context.Context) error { return d.End(ctx, "t") }, d.Sweep} {
		if err := f(t.Context()); err == nil || !d.cloud.usable(l.Secret.Reveal()) {
			t.Fatalf("said to have ended: %v", err)
		}
	}
	d.cloud.refuse = nil
	if err := d.Sweep(t.Context()); err != nil || d.cloud.usable(l.Secret.Reveal()) {
		t.Errorf("Sweep: %v", err)
	}
	if open, _ := d.ledger.OpenLeases(t.Context()); len(open) != 0 {
		t.Errorf("left on record: %v", open)
	}
}

// lying says that it revokes, and does not.
type lying struct{ *cloud }

func (lying) Revoke(context.Context, row.Lease) error { return nil }

func TestRevocationIsProved(t *testing.T) {
	d := newDesk(t)
	if err := d.Register("t", "svc", time.Now().Add(time.Hour), lying{d.cloud}); err != nil {
		t.Fatal(err)
	}
	d.mint("t", "svc")
	if err := d.End(t.Context(), "t"); err == nil {
		t.Error("believed a provider whose credential lives on")
	}
	if open, _ := d.ledger.OpenLeases(t.Context()); len(open) != 1 || open[0].State != row.LeaseRevoking {
		t.Errorf("on record: %v", open)
	}
}

func TestRegisterRefuses(t *testing.T) {
	d := newDesk(t)
	end := time.Now().Add(time.Hour)
	d.mu.Lock()
	d.over["over"] = true
	d.mu.Unlock()
	if err := d.Register("t", "svc", end, d.cloud); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		task    ambit.TaskID
		service string
		end     time.Time
		p       Provider
	}{
		"again":             {"t", "svc", end, d.cloud},
		"another end":       {"t", "two", end.Add(time.Hour), d.cloud},
		"no name":           {"t", "", end, d.cloud},
		"odd name":          {"t", "a\nb", end, d.cloud},
		"no provider":       {"t", "two", end, nil},
		"task that is over": {"over", "svc", end, d.cloud},
	} {
		if err := d.Register(c.task, c.service, c.end, c.p); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
	// What is refused is wiped as well.
	v, err := Value("TOKEN", []byte("hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Register("over", "svc", end, Static(v)); err == nil {
		t.Error("registered")
	}
	if _, err := v.Read(t.Context()); err == nil {
		t.Error("the broker keeps what it refused")
	}
	if err := d.Reconcile(t.Context()); err == nil {
		t.Error("reconciled the leases of live tasks")
	}
}

func TestZeroBrokerRefuses(t *testing.T) {
	for _, b := range []*Broker{nil, {}} {
		_, e1 := b.Mint(t.Context(), "t", "svc")
		_, e2 := b.Leases(t.Context())
		_, e3 := b.Once(t.Context(), "t", "svc", nil)
		b.Serve(t.Context(), nil)
		for i, err := range []error{e1, e2, e3, b.Reconcile(t.Context()), b.EndOnce(t.Context(), "t", "s", "x"), b.Register("t", "s", time.Now().Add(time.Hour), &static{}), b.End(t.Context(), "t"), b.Sweep(t.Context())} {
			if err == nil {
				t.Errorf("%d: allowed", i)
			}
		}
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("a broker of nothing")
	}
}
