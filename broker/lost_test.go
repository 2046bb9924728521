package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
	"ambit/store/row"
)

// TestLostAnswers has one step alone fail, before it happened or after it had: a commit
// whose answer is lost, say. The daemon goes on; in the end no lease is left at the
// service, and the store and the log say of each that it is dead.
func TestLostAnswers(t *testing.T) {
	for step := 1; ; step++ {
		reached := false
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprint(step, late), func(t *testing.T) {
				d := newDesk(t)
				d.ledger.stopAt, d.ledger.late, d.ledger.alone = step, late, true
				task := ambit.NewTaskID()
				d.register(task, "github", time.Hour)
				l, err := d.Mint(t.Context(), task, "github")
				if err == nil {
					l.Secret.Wipe()
				}
				_ = d.End(t.Context(), task) // what fails is tried again
				for range 3 {
					if err := d.Sweep(t.Context()); err == nil {
						break
					}
				}
				if step == 1 && late { // nothing was made for it, and the next start ends it
					d.open()
					if err := errors.Join(d.Reconcile(t.Context()), d.Sweep(t.Context())); err != nil {
						t.Error(err)
					}
				}
				if d.cloud.has(l.ID) || len(d.cloud.live) > 0 {
					t.Error("left at the service")
				}
				d.ledger.mu.Lock()
				steps := slices.Clone(d.ledger.steps)
				d.ledger.mu.Unlock()
				reached = reached || len(steps) >= step
				for _, l := range rows(d) {
					if l.State != row.LeaseDead || !slices.Contains(steps, "log dead") {
						t.Errorf("%s after %v", l.State, steps)
					}
				}
				if n := d.Ending(); n > 0 {
					t.Errorf("%d leases are still to be ended after %v", n, steps)
				}
			})
		}
		if !reached {
			break
		}
	}
}

func rows(d *desk) (out []row.Lease) {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	for _, l := range d.ledger.rows {
		out = append(out, l)
	}
	return out
}

// TestHangingServicesHoldNobodyUp: leases of services that hang, however many, delay
// neither that other tasks' leases go on nor that what was made for one act ends.
func TestHangingServicesHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		hanging := &cloud{l: d.ledger, live: map[string][]string{}}
		for i := range 64 {
			task := ambit.TaskID(fmt.Sprint("old", i))
			if err := d.Register(task, "svc", time.Now().Add(time.Hour), hanging); err != nil {
				t.Fatal(err)
			}
			d.mint(task, "svc")
		}
		hanging.slow(time.Hour)
		for i := range 64 {
			go d.End(context.Background(), ambit.TaskID(fmt.Sprint("old", i)))
		}
		time.Sleep(time.Minute)
		defer d.serve()()
		p := &lasting{cloud: d.cloud, recipe: "r", until: map[string]time.Time{}}
		if err := d.Register("t", "svc", time.Now().Add(2*time.Hour), p); err != nil {
			t.Fatal(err)
		}
		l := d.mint("t", "svc")
		once, err := d.Once(t.Context(), "t", "svc", func(row.Lease, Provider) (Provider, error) { return d.cloud, nil })
		if err != nil {
			t.Fatal(err)
		}
		for range 80 {
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if at, ok := d.expires(l.ID); !ok || !at.After(time.Now()) {
				t.Fatalf("the lease ended %v, and nobody made it longer until %v", at, time.Now())
			}
			if !time.Now().Before(once.Expires.Add(2*sweepEvery)) && d.cloud.has(once.ID) {
				t.Fatalf("what was made for one act until %v is there at %v", once.Expires, time.Now())
			}
		}
		if d.Ending() != 64 {
			t.Errorf("%d leases are still to be ended", d.Ending())
		}
	})
}

func (d *desk) expires(id string) (time.Time, bool) {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	l, ok := d.ledger.rows[id]
	return l.Expires, ok
}
