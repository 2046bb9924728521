package identity

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
	"ambit/store"
	"ambit/store/row"
)

func TestDelegationOnlyDownwards(t *testing.T) {
	h := newHouse(t)
	p := h.enrol()
	h.pass(50 * time.Minute)
	// The child asks for a day, and gets what is left of its parent's hour.
	c := h.enrol(childOf(p), func(q *Request) { q.TTL = 24 * time.Hour })
	if !c.Task.Expires.Equal(p.Task.Expires) || c.Task.OnBehalfOf != "ada" {
		t.Errorf("the child ends %v for %q, its parent %v for %q", c.Task.Expires, c.Task.OnBehalfOf, p.Task.Expires, p.Task.OnBehalfOf)
	}
	q, _ := request(t)
	q.Parent, q.OnBehalfOf = p.Task.ID, "grace"
	if _, err := h.Enrol(t.Context(), q); err == nil {
		t.Error("a child borrowed a person that its parent does not act for")
	}
	if s := h.enrol(childOf(p), func(q *Request) { q.TTL = time.Minute }); !s.Task.Expires.Before(p.Task.Expires) {
		t.Error("a child that asks for less got more")
	}
}

func TestChainIsBound(t *testing.T) {
	h := newHouse(t)
	e := h.enrol()
	for depth := 2; depth <= MaxDepth; depth++ {
		e = h.enrol(childOf(e))
	}
	h.wantLive("the deepest", true, e)
	q, _ := request(t)
	childOf(e)(&q)
	if _, err := h.Enrol(t.Context(), q); err == nil {
		t.Errorf("a chain of %d tasks", MaxDepth+1)
	}
}

func TestRevokeEndsWhatIsBelowAndNoOther(t *testing.T) {
	h := newHouse(t)
	top := h.enrol()
	mid, sibling := h.enrol(childOf(top)), h.enrol(childOf(top))
	leaf := h.enrol(childOf(mid))
	var told []ambit.TaskID
	stop := h.Watch(func(x Task) {
		if x.State != row.TaskLive {
			told = append(told, x.ID)
		}
	})
	if err := h.Revoke(t.Context(), mid.Task.ID, "ada", "enough"); err != nil {
		t.Fatal(err)
	}
	h.wantLive("revoked", false, mid, leaf)
	h.wantLive("not revoked", true, top, sibling)
	if len(told) != 2 || told[0] != leaf.Task.ID || told[1] != mid.Task.ID {
		t.Errorf("watchers heard of %v", told)
	}
	stop()
	if err := h.End(t.Context(), top.Task.ID, 0); err != nil {
		t.Fatal(err)
	}
	h.wantLive("parent ended", false, top, sibling)
	if len(told) != 2 {
		t.Error("a watcher that stopped was told")
	}
	for _, e := range []enrolled{mid, top} {
		if err := h.End(t.Context(), e.Task.ID, 0); !errors.Is(err, ErrNotLive) {
			t.Errorf("ended twice: %v", err)
		}
		if err := h.Revoke(t.Context(), e.Task.ID, "ada", ""); !errors.Is(err, ErrNotLive) {
			t.Errorf("revoked after its end: %v", err)
		}
		q, _ := request(t)
		childOf(e)(&q)
		if _, err := h.Enrol(t.Context(), q); !errors.Is(err, ErrNotLive) {
			t.Errorf("a child of a task that is over: %v", err)
		}
	}
	revs, err := h.store.Revocations(t.Context(), 10)
	if err != nil || len(revs) != 1 || revs[0].Name != string(mid.Task.ID) || revs[0].By != "ada" {
		t.Errorf("kept revocations: %v, %v", revs, err)
	}
	// None of it comes back with the daemon.
	h.open()
	h.wantLive("after a restart", false, top, mid, sibling, leaf)
}

func TestRevokeAgentAndBar(t *testing.T) {
	h := newHouse(t)
	a, b, other := h.enrol(), h.enrol(), h.enrol(func(q *Request) { q.Agent = "reader" })
	if n, err := h.RevokeAgent(t.Context(), "web-fixer", "ada", ""); n != 2 || err != nil {
		t.Fatalf("RevokeAgent = %d, %v", n, err)
	}
	h.wantLive("revoked", false, a, b)
	h.wantLive("another agent", true, other)
	c := h.enrol()
	if n, err := h.Bar(t.Context(), "web-fixer", "ada", "it leaks"); n != 1 || err != nil {
		t.Fatalf("Bar = %d, %v", n, err)
	}
	h.wantLive("barred", false, c)
	for range 2 {
		q, _ := request(t)
		if _, err := h.Enrol(t.Context(), q); err == nil {
			t.Error("a barred agent started")
		}
		h.open() // and after a restart
	}
	if err := h.Reinstate(t.Context(), "web-fixer"); err != nil {
		t.Fatal(err)
	}
	h.enrol()
	for _, by := range []string{"", "a\nb"} {
		if err := h.Revoke(t.Context(), other.Task.ID, by, ""); err == nil {
			t.Errorf("revoked by %q", by)
		}
	}
	h.wantLive("nobody revoked it", true, other)
}

func TestRevocationDoesNotWaitForTheDisk(t *testing.T) {
	h := newHouse(t)
	e := h.enrol()
	h.store.busy = make(chan struct{})
	heard := make(chan struct{}, 1)
	h.Watch(func(Task) { heard <- struct{}{} })
	done := make(chan error)
	go func() { done <- h.Revoke(t.Context(), e.Task.ID, "ada", "") }()
	<-heard // and the disk has not answered
	h.wantLive("while the disk is slow", false, e)
	close(h.store.busy)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRevocationThatIsNotKeptIsTriedAgain(t *testing.T) {
	h := newHouse(t)
	e := h.enrol()
	h.store.fail = errors.New("the disk is full")
	if err := h.Revoke(t.Context(), e.Task.ID, "ada", ""); err == nil {
		t.Error("it says the revocation is kept")
	}
	h.wantLive("revoked all the same", false, e)
	if err := h.Sweep(t.Context()); err == nil {
		t.Error("Sweep says that all is kept")
	}
	h.store.fail = nil
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.open()
	h.wantLive("after a restart", false, e)
}

func TestClockSetBackRevivesNothing(t *testing.T) {
	t.Run("while it runs", func(t *testing.T) {
		h := newHouse(t)
		e := h.enrol()
		h.pass(59 * time.Minute)
		h.wantLive("in time", true, e)
		h.pass(2 * time.Minute)
		h.wantLive("expired", false, e)
		h.pass(-50 * time.Minute)
		h.wantLive("clock set back", false, e)
		if h.Behind() < 49*time.Minute {
			t.Errorf("Behind = %v", h.Behind())
		}
		if _, err := h.VerifyX509(e.SVID); err == nil {
			t.Error("the certificate is accepted")
		}
		// Time goes on while the clock is behind: a new task expires too.
		n := h.enrol()
		h.pass(61 * time.Minute)
		h.wantLive("an hour after the clock was set back", false, n)
	})
	t.Run("while no daemon runs", func(t *testing.T) {
		h := newHouse(t)
		e := h.enrol()
		h.pass(61 * time.Minute)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.pass(-60 * time.Minute)
		h.open()
		h.wantLive("expired before the restart", false, e)
	})
	t.Run("before the expiry was kept", func(t *testing.T) {
		h := newHouse(t)
		e, other := h.enrol(), h.enrol(func(q *Request) { q.TTL = 3 * time.Hour })
		h.pass(61 * time.Minute)
		h.enrol() // any change keeps the time
		h.pass(-60 * time.Minute)
		h.open()
		h.wantLive("expired before the crash", false, e)
		h.wantLive("not expired", true, other)
	})
	t.Run("an idle daemon keeps the time", func(t *testing.T) {
		h := newHouse(t)
		e := h.enrol()
		h.pass(40 * time.Minute)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.pass(-40 * time.Minute)
		h.open()
		h.pass(25 * time.Minute)
		h.wantLive("65 minutes of the house's time", false, e)
	})
}

func TestExpiryByTheClockAlone(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := store.New(filepath.Join(dir, "state.db"))
		defer s.Close()
		a, err := Open(t.Context(), Config{Dir: dir, TrustDomain: domain, Store: s, Clock: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		q, _ := request(t)
		q.TTL = 10 * time.Minute
		e, err := a.Enrol(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var told []row.TaskState
		a.Watch(func(x Task) { told = append(told, x.State) })
		time.Sleep(10*time.Minute - time.Microsecond)
		if err := errors.Join(a.Live(e.Task.ID), a.Sweep(t.Context())); err != nil {
			t.Errorf("a microsecond early: %v", err)
		}
		time.Sleep(time.Microsecond)
		if err := a.Live(e.Task.ID); !errors.Is(err, ErrNotLive) {
			t.Errorf("at the end: %v", err)
		}
		if err := a.Sweep(t.Context()); err != nil || len(told) != 1 || told[0] != row.TaskExpired {
			t.Errorf("Sweep: %v, told %v", err, told)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	h := newHouse(t)
	p := h.enrol()
	var wg sync.WaitGroup
	for i := range 8 {
		q, _ := request(t)
		childOf(p)(&q)
		q.Agent = fmt.Sprint("agent-", i)
		wg.Go(func() {
			e, err := h.Enrol(t.Context(), q)
			if err != nil && !errors.Is(err, ErrNotLive) {
				t.Error(err)
			}
			_ = h.Live(e.Task.ID)
			_ = h.Revoke(t.Context(), e.Task.ID, "ada", "")
		})
	}
	wg.Go(func() {
		if err := h.End(t.Context(), p.Task.ID, 0); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	// Whatever the order, a parent that is over has no live child.
	if l := h.Tasks(); len(l) != 0 {
		t.Errorf("%d tasks outlive the one that started them", len(l))
	}
	if l, err := h.store.LiveTasks(t.Context()); err != nil || len(l) != 0 {
		t.Errorf("%d of them in the store, %v", len(l), err)
	}
}

func BenchmarkLive(b *testing.B) {
	s := store.New(filepath.Join(b.TempDir(), "state.db"))
	defer s.Close()
	a, err := Open(b.Context(), Config{Dir: b.TempDir(), TrustDomain: domain, Store: s, Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	q, _ := request(b)
	e, err := a.Enrol(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Live(e.Task.ID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnrol(b *testing.B) {
	s := store.New(filepath.Join(b.TempDir(), "state.db"))
	defer s.Close()
	a, err := Open(b.Context(), Config{Dir: b.TempDir(), TrustDomain: domain, Store: s, Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	q, _ := request(b)
	for b.Loop() {
		e, err := a.Enrol(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.End(b.Context(), e.Task.ID, 0); err != nil {
			b.Fatal(err)
		}
	}
}
