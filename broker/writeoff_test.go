package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
	"ambit/store/row"
)

// note records a write-off as a step of the ledger.
func (d *desk) note(context.Context, Trouble) error {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	_, err := d.ledger.step("log written-off")
	return err
}

func (d *desk) writeOff(id string) (row.Lease, error) {
	return d.WriteOff(context.Background(), id, "ada", "the database was deleted", d.note)
}

// end ends a task, as the daemon does.
func (d *desk) end(task ambit.TaskID) error {
	d.mu.Lock()
	d.over[task] = true
	d.mu.Unlock()
	return d.End(context.Background(), task)
}

// stuck mints a lease of a task's that then ends, with the service down.
func (d *desk) stuck(p Provider) Lease {
	d.t.Helper()
	if err := d.Register("t", "svc", time.Now().Add(time.Hour), p); err != nil {
		d.t.Fatal(err)
	}
	l := d.mint("t", "svc")
	d.cloud.fail(errors.New("no such host"))
	if err := d.end("t"); err == nil {
		d.t.Fatal("End says that all is well")
	}
	return l
}

func (d *desk) row(id string) row.Lease {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	return d.ledger.rows[id]
}

func (d *desk) steps() []string {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	return slices.Clone(d.ledger.steps)
}

func (c *cloud) Remains(l row.Lease) string { return "the key " + l.Handle }

// A lease whose service is gone for good is tried no more when a person says so; it is
// never called dead, and what was kept for it goes.
func TestWriteOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.serve()()
		p := &lasting{cloud: d.cloud, recipe: "r", until: map[string]time.Time{}}
		l := d.stuck(p)
		time.Sleep(time.Hour)
		synctest.Wait()
		var told Trouble
		w, err := d.WriteOff(t.Context(), l.ID, "ada", "the database was deleted", func(ctx context.Context, x Trouble) error {
			if s := d.row(l.ID).State; s != row.LeaseRevoking {
				t.Errorf("the lease is %s before the log has it", s)
			}
			told = x
			return d.note(ctx, x)
		})
		want := row.WriteOff{By: "ada", Why: "the database was deleted", Remains: "the key h-" + l.ID}
		if err != nil || w.State != row.LeaseWrittenOff || w.WriteOff != want || told.Lease.WriteOff != want || told.Tries == 0 || told.Err == nil {
			t.Errorf("WriteOff = %+v, %v; told %+v", w, err, told)
		}
		steps := d.steps()
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if again := d.steps(); len(again) != len(steps) || slices.Contains(again, "log dead") || slices.Contains(again, "move dead") {
			t.Errorf("after it was written off: %q", again[len(steps):])
		}
		if got := d.row(l.ID); got.State != row.LeaseWrittenOff || got.WriteOff != want || got.Sealed != nil {
			t.Errorf("kept: %+v", got)
		}
		if seen, err := d.Leases(t.Context()); d.Ending() != 0 || err != nil || len(seen) != 0 || len(d.ledger.kept) != 0 || d.cloud.closings() != 1 {
			t.Errorf("%d to end, seen %v, %v, kept %v, closed %d", d.Ending(), seen, err, d.ledger.kept, d.cloud.closings())
		}
		if _, err := d.writeOff(l.ID); !errors.Is(err, ErrNotEnding) {
			t.Errorf("a second time: %v", err)
		}
		d.open()
		if err := d.Reconcile(t.Context()); err != nil || d.Ending() != 0 {
			t.Errorf("after a restart: %d to end, %v", d.Ending(), err)
		}
	})
}

// Nobody can write off what a task uses, what nobody has tried to end, what is not
// there, or without a reason; the lease is ended as ever.
func TestWriteOffRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.register("t", "svc", 2*time.Hour)
		first := d.mint("t", "svc")
		refused := func(what, id string, want error) {
			t.Helper()
			steps := d.steps()
			if _, err := d.writeOff(id); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
			if now := d.steps(); len(now) != len(steps) {
				t.Errorf("%s: %q", what, now[len(steps):])
			}
		}
		refused("a live lease", first.ID, ErrNotEnding)
		refused("an unknown one", strings.Repeat("0", 32), ErrNotEnding)
		d.cloud.fail(errors.New("down"))
		time.Sleep(MaxLife)
		second := d.mint("t", "svc") // the first is to be ended, and cannot be
		refused("one that a live task had", first.ID, ErrTaskLives)
		d.mu.Lock()
		d.over["t"] = true
		d.mu.Unlock()
		d.cloud.slow(time.Second)
		done := make(chan error)
		go func() { done <- d.End(t.Context(), "t") }()
		time.Sleep(1500 * time.Millisecond) // the first is tried before it
		synctest.Wait()
		refused("one that is tried for the first time", second.ID, ErrNotTried)
		<-done
		for _, bad := range [][2]string{{"", "why"}, {"ada", ""}} {
			if _, err := d.WriteOff(t.Context(), second.ID, bad[0], bad[1], d.note); err == nil {
				t.Errorf("by %q because %q", bad[0], bad[1])
			}
		}
		if _, err := d.WriteOff(t.Context(), second.ID, "ada", "gone", func(context.Context, Trouble) error { return errStopped }); !errors.Is(err, errStopped) {
			t.Errorf("without a record: %v", err)
		}
		if s := d.row(second.ID).State; s != row.LeaseRevoking {
			t.Errorf("without a record it is %s", s)
		}
		d.cloud.fail(nil)
		if err := d.Sweep(t.Context()); err != nil || d.Ending() != 0 || d.row(second.ID).State != row.LeaseDead || d.row(first.ID).State != row.LeaseDead {
			t.Errorf("when the service is back: %v, %d to end", err, d.Ending())
		}
	})
}

// An attempt at a service that hangs does not keep the person waiting.
func TestWriteOffCallsAnAttemptOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.serve()()
		d.register("t", "svc", time.Hour)
		l := d.mint("t", "svc")
		d.cloud.slow(time.Hour)
		if err := d.end("t"); err == nil {
			t.Fatal("End says that all is well")
		}
		time.Sleep(firstRetry + time.Second) // the second attempt is under way
		synctest.Wait()
		began := time.Now()
		var told Trouble
		_, err := d.WriteOff(t.Context(), l.ID, "ada", "gone", func(_ context.Context, x Trouble) error { told = x; return nil })
		if err != nil || time.Since(began) > 0 || errors.Is(told.Err, context.Canceled) || told.Tries != 1 {
			t.Errorf("%v after %v; told %+v", err, time.Since(began), told)
		}
	})
}

// proving has something happen when it has seen that a lease is of no use any more.
type proving struct {
	*cloud
	seen func()
}

func (p *proving) Prove(ctx context.Context, l row.Lease) (bool, error) {
	usable, err := p.cloud.Prove(ctx, l)
	if err == nil && !usable {
		p.seen()
	}
	return usable, err
}

// TestADeadLeaseIsNotWrittenOff: a person writes a lease off in the moment in which it is
// seen to be of no use. It is dead, and nothing else stands in the log.
func TestADeadLeaseIsNotWrittenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		p := &proving{cloud: d.cloud}
		l := d.stuck(p)
		d.cloud.fail(nil)
		said := make(chan error, 1)
		p.seen = func() {
			go func() {
				_, err := d.writeOff(l.ID)
				said <- err
			}()
			synctest.Wait() // it has called the attempt off, and waits for its end
		}
		if err := d.Sweep(t.Context()); err != nil {
			t.Errorf("the attempt that saw it: %v", err)
		}
		if err := <-said; !errors.Is(err, ErrNotEnding) {
			t.Errorf("the person is told %v, want %v", err, ErrNotEnding)
		}
		if s := d.row(l.ID).State; s != row.LeaseDead || d.Ending() != 0 || slices.Contains(d.steps(), "log written-off") {
			t.Errorf("it is %s, %d to end: %q", s, d.Ending(), d.steps())
		}
	})
}

// TestCrashAtEveryStepOfAWriteOff: a daemon that dies at any step leaves a lease that
// is tried on and can be written off, or one that is written off and in the log as
// that; never a dead one. The same holds for one step that fails alone.
func TestCrashAtEveryStepOfAWriteOff(t *testing.T) {
	for _, alone := range []bool{false, true} {
		for _, late := range []bool{false, true} {
			for step := 1; step <= 3; step++ {
				t.Run(fmt.Sprint(alone, late, step), func(t *testing.T) { crashInWriteOff(t, alone, late, step) })
			}
		}
	}
}

func crashInWriteOff(t *testing.T, alone, late bool, step int) {
	d := newDesk(t)
	p := &lasting{cloud: d.cloud, recipe: "r", until: map[string]time.Time{}}
	d.make = func(string, []byte, row.Lease) (Provider, error) { return p, nil }
	l := d.stuck(p)
	before := len(d.steps())
	d.ledger.stopAt, d.ledger.late, d.ledger.alone = before+step, late, alone
	w, err := d.writeOff(l.ID)
	if err == nil {
		t.Errorf("all is well after %q", d.steps()[before:])
	}
	if counts := w.ID != ""; counts != (step == 3) {
		t.Errorf("WriteOff says that it counts: %v, %v", counts, err)
	}
	d.ledger.stopAt = 0
	if !alone {
		d.open()
		if err := d.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = d.Sweep(t.Context()) // the first attempt of the next daemon
	}
	got := d.row(l.ID)
	if logged := slices.Contains(d.steps(), "log written-off"); got.State == row.LeaseWrittenOff && !logged {
		t.Error("written off and not in the log")
	}
	if d.Ending() > 0 {
		if _, err := d.writeOff(l.ID); err != nil {
			t.Errorf("again: %v", err)
		}
		got = d.row(l.ID)
	}
	if got.State != row.LeaseWrittenOff || got.By != "ada" || d.Ending() != 0 || slices.Contains(d.steps(), "log dead") {
		t.Errorf("in the end: %+v, %d to end, %q", got, d.Ending(), d.steps()[before:])
	}
	d.open()
	if err := d.Reconcile(t.Context()); err != nil || d.Ending() != 0 || len(d.ledger.kept) != 0 {
		t.Errorf("the next start: %v, %d to end, kept %v", err, d.Ending(), d.ledger.kept)
	}
}
