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

// refusing is a provider that the service refuses, so that it can end nothing either.
type refusing struct {
	*cloud
	cred Credential
	err  error
	made int
}

func (r *refusing) Mint(context.Context, Order) (Credential, error) { r.made++; return r.cred, r.err }

func (r *refusing) Revoke(context.Context, row.Lease) error {
	return errors.Join(errors.New("the service refuses the daemon"), r.cloud.Revoke(context.Background(), row.Lease{}))
}

func newRefusing(d *desk, err error) *refusing {
	r := &refusing{cloud: d.cloud, err: err}
	if err := d.Register("t", "svc", time.Now().Add(48*time.Hour), r); err != nil {
		d.t.Fatal(err)
	}
	return r
}

// A lease that was never made is over at once, and its provider is not asked, who could
// not end it either. A person hears of it once in an hour.
func TestNeverMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.serve()()
		wrong := errors.New("the password is wrong")
		r := newRefusing(d, fmt.Errorf("cannot: %w: %w", ErrNotMade, wrong))
		for range 3 {
			if _, err := d.Mint(t.Context(), "t", "svc"); !errors.Is(err, wrong) {
				t.Errorf("the agent hears %v", err)
			}
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if seen, err := d.Leases(t.Context()); err != nil || len(seen) > 0 || d.Ending() > 0 {
			t.Errorf("Leases = %+v, %v; %d to end", seen, err, d.Ending())
		}
		d.ledger.mu.Lock()
		if slices.Contains(d.ledger.steps, "revoke") {
			t.Errorf("the provider was asked: %v", d.ledger.steps)
		}
		dead := 0
		for _, s := range d.ledger.steps {
			if s == "log dead" {
				dead++
			}
		}
		if dead != 3 {
			t.Errorf("the log has %d of them dead: %v", dead, d.ledger.steps)
		}
		d.ledger.mu.Unlock()
		for _, l := range rows(d) {
			if l.State != row.LeaseDead {
				t.Errorf("it is %s", l.State)
			}
		}
		if _, err := d.Mint(t.Context(), "t", "svc"); err == nil {
			t.Error("minted")
		}
		d.mu.Lock()
		if len(d.alerts) != 2 || d.alerts[0].Lease.State != row.LeaseDead || !errors.Is(d.alerts[0].Err, wrong) {
			t.Errorf("people hear %+v", d.alerts)
		}
		d.mu.Unlock()
		if err := d.End(t.Context(), "t"); err != nil || r.made != 4 {
			t.Errorf("End: %v after %d attempts", err, r.made)
		}
	})
}

// What may have been made is tried on: an error that does not say so, and one that comes
// with a credential all the same.
func TestNotSurelyNeverMade(t *testing.T) {
	for name, x := range map[string]struct {
		cred Credential
		err  error
	}{
		"an answer that was lost": {Credential{}, errors.New("the connection broke")},
		"it has a handle":         {Credential{Handle: "h"}, ErrNotMade},
		"it has a secret":         {Credential{Secret: ambit.NewSecret([]byte("s"))}, ErrNotMade},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				defer d.serve()()
				r := newRefusing(d, x.err)
				r.cred = x.cred
				if _, err := d.Mint(t.Context(), "t", "svc"); err == nil {
					t.Error("minted")
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if seen, err := d.Leases(t.Context()); err != nil || len(seen) != 1 || seen[0].State != row.LeaseRevoking || seen[0].Trouble.Tries < 2 {
					t.Errorf("Leases = %+v, %v", seen, err)
				}
			})
		})
	}
}

// A caller that is gone is nothing to tell a person.
func TestNeverMadeForNobody(t *testing.T) {
	d := newDesk(t)
	newRefusing(d, ErrNotMade)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Mint(ctx, "t", "svc"); err == nil {
		t.Error("minted")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.alerts) > 0 || d.Ending() > 0 {
		t.Errorf("people hear %+v; %d to end", d.alerts, d.Ending())
	}
}

// What was never made is tried on when the store or the log fails, and needs no service.
func TestNeverMadeAndTheStoreFails(t *testing.T) {
	for step := 1; ; step++ {
		d := newDesk(t)
		newRefusing(d, ErrNotMade)
		d.ledger.stopAt, d.ledger.alone = step, true
		if _, err := d.Mint(t.Context(), "t", "svc"); err == nil {
			t.Error("minted")
		}
		steps := slices.Clone(d.ledger.steps)
		if len(steps) < step {
			if step < 4 {
				t.Errorf("only %v happened", steps)
			}
			return
		}
		if steps[step-1] == "log requested" {
			continue // it was not asked to be made, and that is another matter
		}
		if err := d.Sweep(t.Context()); err != nil {
			t.Errorf("step %d of %v: %v", step, steps, err)
		}
		for _, l := range rows(d) {
			if l.State != row.LeaseDead {
				t.Errorf("step %d of %v: it is %s", step, steps, l.State)
			}
		}
	}
}
