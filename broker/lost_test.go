package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
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
