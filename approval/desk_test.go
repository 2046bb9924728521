package approval

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
	"ambit/store/row"
)

func TestApprovedRetryPassesOnce(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		ticket := r.pending(q)
		if again := r.pending(q); again != ticket {
			t.Errorf("the same action got tickets %s and %s", ticket, again)
		}
		r.approve(ticket, q)
		if a := r.want("the identical retry", true, q); a.By != "ada" || a.Ticket != ticket {
			t.Errorf("answer %+v", a)
		}
		if r.store.state(ticket) != row.QuestionSpent {
			t.Errorf("the store says %s", r.store.state(ticket))
		}
		if next := r.pending(q); next == ticket {
			t.Error("a spent question came back")
		}
	})
}

func TestAnswerReachesWhoHolds(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		type result struct {
			Answer
			err   error
			after time.Duration
		}
		got := make(chan result, 1)
		start := time.Now()
		go func() {
			a, err := r.Ask(t.Context(), q, 45*time.Second)
			got <- result{a, err, time.Since(start)}
		}()
		time.Sleep(10 * time.Second)
		r.approve(r.List()[0].Ticket, q)
		if g := <-got; g.err != nil || !g.Approved || g.after != 10*time.Second {
			t.Errorf("held: %+v", g)
		}
		start = time.Now()
		a, err := r.Ask(t.Context(), q, 45*time.Second)
		if err != nil || !a.Pending || time.Since(start) != 45*time.Second || !a.Until.Equal(start.Add(DefaultLife)) {
			t.Errorf("unanswered: %+v, %v after %v", a, err, time.Since(start))
		}
	})
}

func TestNobodyAnswersIsNo(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		start := time.Now()
		a, err := r.Ask(t.Context(), q, time.Hour) // cut to MaxHold
		if err != nil || a.Approved || time.Since(start) != MaxHold {
			t.Errorf("%+v, %v after %v", a, err, time.Since(start))
		}
		ticket := r.pending(ask(t, 2))
		time.Sleep(DefaultLife - time.Nanosecond)
		if len(r.List()) != 1 {
			t.Error("expired early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if l := r.List(); len(l) != 0 || r.store.state(ticket) != row.QuestionExpired {
			t.Errorf("after its time: %v, %s", l, r.store.state(ticket))
		}
		if err := r.Approve(t.Context(), ticket, "ada", ask(t, 2).Digest.String()); !errors.Is(err, ErrNotOpen) {
			t.Errorf("approved late: %v", err)
		}
	})
}

// After a machine slept, timers are late and the clock is right.
func TestClockRunsAheadOfTheTimers(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		open, yes := ask(t, 1), ask(t, 2)
		t1, t2 := r.pending(open), r.pending(yes)
		r.approve(t2, yes)
		r.mu.Lock()
		r.ahead = DefaultLife
		r.mu.Unlock()
		if l := r.List(); len(l) != 0 {
			t.Errorf("still open: %v", l)
		}
		if err := r.Approve(t.Context(), t1, "ada", open.Digest.String()); !errors.Is(err, ErrNotOpen) {
			t.Errorf("approved late: %v", err)
		}
		r.want("used late", false, yes)
		if again := r.pending(open); again == t1 {
			t.Error("asked under a ticket whose time is over")
		}
	})
}

func TestApprovalNotUsedInTimeIsGone(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		ticket := r.pending(q)
		r.approve(ticket, q)
		time.Sleep(DefaultLife)
		synctest.Wait()
		r.want("late", false, q)
		if r.store.state(ticket) != row.QuestionExpired {
			t.Errorf("the store says %s", r.store.state(ticket))
		}
	})
}

// TestExpiryIsTold: whoever keeps the log hears of every question that becomes a
// no by itself, also of one whose time ran out while the desk was closed, and of
// no other.
func TestExpiryIsTold(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		told := func(what string, want ...Item) {
			t.Helper()
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.expired) != len(want) {
				t.Fatalf("%s: told of %+v", what, r.expired)
			}
			for i, w := range want {
				if g := r.expired[i]; g.Ticket != w.Ticket || g.By != w.By || g.Why != w.Why || g.State != row.QuestionExpired || g.Action.Operation == "" {
					t.Errorf("%s: told of %+v, want %+v", what, g, w)
				}
			}
			r.expired = nil
		}
		denied, spent := ask(t, 1), ask(t, 2)
		if err := r.Deny(t.Context(), r.pending(denied), "ada", ""); err != nil {
			t.Fatal(err)
		}
		r.approve(r.pending(spent), spent)
		r.want("used", true, spent)
		open := r.pending(ask(t, 3))
		time.Sleep(DefaultLife)
		told("nobody answered", Item{Ticket: open})
		yes := ask(t, 4)
		unused := r.pending(yes)
		r.approve(unused, yes)
		time.Sleep(DefaultLife)
		told("nobody used it", Item{Ticket: unused, By: "ada"})
		away := r.pending(ask(t, 5))
		r.Close()
		time.Sleep(2 * DefaultLife)
		told("while the desk is closed")
		r.open()
		told("after that", Item{Ticket: away})
		ended := r.pending(ask(t, 6))
		if err := r.End(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		told("the task ended", Item{Ticket: ended, Why: "the task is over"})
		time.Sleep(DefaultLife)
		told("and not twice")
	})
}

func TestDeniedStaysDeniedForItsLife(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		ticket := r.pending(q)
		if err := r.Deny(t.Context(), ticket, "ada", "not this one"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			a := r.want("after the no", false, q)
			if a.Pending || a.Ticket != ticket || a.Why != "not this one" || len(r.List()) != 0 {
				t.Errorf("answer %+v", a)
			}
			r.open() // and after a restart
		}
		if err := r.Approve(t.Context(), ticket, "ada", q.Digest.String()); !errors.Is(err, ErrNotOpen) {
			t.Errorf("a no became a yes: %v", err)
		}
		r.pending(ask(t, 2)) // another action is asked about
		time.Sleep(DefaultLife)
		synctest.Wait()
		if next := r.pending(q); next == ticket {
			t.Error("the question lives on")
		}
	})
}

func TestTwoIdenticalActionsNeedTwoAnswers(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		got := make(chan Answer, 8)
		for range cap(got) {
			go func() {
				a, err := r.Ask(t.Context(), q, time.Minute)
				if err != nil {
					t.Error(err)
				}
				got <- a
			}()
		}
		synctest.Wait()
		r.approve(r.List()[0].Ticket, q)
		n := 0
		for range cap(got) {
			if a := <-got; a.Approved {
				n++
			}
		}
		if n != 1 {
			t.Errorf("one approval let %d actions pass", n)
		}
	})
}

func TestOneWhoHungUpSpendsNothing(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := r.Ask(ctx, q, time.Minute)
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("hung up: %v", err)
		}
		r.approve(r.List()[0].Ticket, q)
		if a, err := r.Ask(ctx, q, time.Minute); err == nil || a.Approved {
			t.Errorf("a request that is gone took the approval: %+v", a)
		}
		r.want("the retry", true, q)
	})
}

func TestCrashLosesAnApprovalAndNeverDoublesIt(t *testing.T) {
	for _, committed := range []bool{false, true} {
		in(t, func(t *testing.T, r *room) {
			q := ask(t, 1)
			ticket := r.pending(q)
			r.approve(ticket, q)
			if committed {
				r.store.lost = true
			} else {
				r.store.fail = errors.New("the disk is full")
			}
			if a, err := r.Ask(t.Context(), q, 0); err == nil || a.Approved {
				t.Fatalf("committed %v: used without being kept: %+v", committed, a)
			}
			r.store.fail = nil
			if a, err := r.Ask(t.Context(), q, 0); err != nil || a.Approved {
				t.Errorf("committed %v: used after it was used up: %+v, %v", committed, a, err)
			}
			r.open()
			a, err := r.Ask(t.Context(), q, 0)
			if err != nil || committed && a.Approved {
				t.Errorf("committed %v: after a restart: %+v, %v", committed, a, err)
			}
		})
	}
}

func TestRestartKeepsTheQuestions(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		open, yes := ask(t, 1), ask(t, 2)
		t1, t2 := r.pending(open), r.pending(yes)
		r.approve(t2, yes)
		time.Sleep(time.Minute)
		r.open()
		if got := r.pending(open); got != t1 {
			t.Errorf("an open question became %s", got)
		}
		r.want("approved before the restart", true, yes)
		r.open()
		r.want("spent before the restart", false, yes)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if err := r.Approve(t.Context(), t1, "ada", open.Digest.String()); !errors.Is(err, ErrNotOpen) {
			t.Errorf("the restart gave it more time: %v", err)
		}
	})
}

func TestStoreThatWasEditedIsRefused(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		ticket := r.pending(q)
		v := r.store.rows[ticket]
		v.Action = slices.Replace(slices.Clone(v.Action), 10, 11, 'b')
		r.store.rows[ticket] = v
		if _, err := Open(t.Context(), r.c); err == nil {
			t.Error("took an action that is not its digest's")
		}
	})
}

func TestWatch(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		ctx, cancel := context.WithCancel(t.Context())
		w, slow := r.Watch(ctx), r.Watch(t.Context())
		q := ask(t, 1)
		ticket := r.pending(q)
		r.approve(ticket, q)
		r.want("retry", true, q)
		for _, want := range []row.QuestionState{row.QuestionOpen, row.QuestionApproved, row.QuestionSpent} {
			if it := <-w; it.State != want || it.Ticket != ticket {
				t.Errorf("heard %s of %s, want %s", it.State, it.Ticket, want)
			}
		}
		cancel()
		if _, ok := <-w; ok {
			t.Error("a watcher that left hears on")
		}
		for i := range watchBuffer {
			q := ask(t, i+10, func(a *ambit.Action) { a.Task = ambit.NewTaskID() })
			r.pending(q)
		}
		n := 0
		for range slow {
			n++
		}
		if n != watchBuffer {
			t.Errorf("one that fell behind heard %d and then the end, want %d", n, watchBuffer)
		}
	})
}

func TestCloseEndsTheWaiting(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		done := make(chan error)
		go func() {
			_, err := r.Ask(t.Context(), ask(t, 1), time.Minute)
			done <- err
		}()
		synctest.Wait()
		w := r.Watch(t.Context())
		r.Close()
		if err := <-done; err == nil {
			t.Error("an answer from a closed desk")
		}
		if _, ok := <-w; ok {
			t.Error("a change from a closed desk")
		}
		if _, err := r.Ask(t.Context(), ask(t, 2), 0); err == nil {
			t.Error("asked a closed desk")
		}
		r.Desk = nil
		r.open()
	})
}

func TestZeroDeskRefuses(t *testing.T) {
	for _, d := range []*Desk{nil, {}} {
		a, e1 := d.Ask(t.Context(), ask(t, 1), 0)
		for i, err := range []error{e1, d.Approve(t.Context(), "q-x", "ada", "00000000"), d.Deny(t.Context(), "q-x", "ada", ""), d.End(t.Context(), task)} {
			if err == nil || a.Approved {
				t.Errorf("%d: allowed", i)
			}
		}
	}
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("a desk of nothing")
	}
}
