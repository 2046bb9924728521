package approval

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
	"ambit/store"
	"ambit/store/row"
)

// An approval is for the bytes that were shown, and no others.
func TestApprovalForOtherBytes(t *testing.T) {
	body := func(a *ambit.Action) { a.Args["body-sha256"] = "00" }
	for name, f := range map[string]func(*ambit.Action){
		"a changed body":      func(a *ambit.Action) { a.Args["body-sha256"] = "01" },
		"another argument":    func(a *ambit.Action) { a.Args["x"] = "" },
		"no argument":         func(a *ambit.Action) { a.Args = nil },
		"another path":        func(a *ambit.Action) { a.Resource.Segments[2] = "2" },
		"segments moved":      func(a *ambit.Action) { a.Resource.Segments = []string{"api.github.com", "repos/1"} },
		"another operation":   func(a *ambit.Action) { a.Operation = "http.put" },
		"another effect":      func(a *ambit.Action) { a.Effect = ambit.Write },
		"another service":     func(a *ambit.Action) { a.Service = "other" },
		"another label":       func(a *ambit.Action) { a.Label.Integrity = ambit.Trusted },
		"another task":        func(a *ambit.Action) { a.Task = "bbbbbbbbbbbbbbbbbbbbbbbbbb" },
		"another agent":       func(a *ambit.Action) { a.Agent = "reader" },
		"a homoglyph":         func(a *ambit.Action) { a.Resource.Segments[1] = "rероs" },
		"an invisible letter": func(a *ambit.Action) { a.Resource.Segments[1] = "repos\u200b" },
	} {
		in(t, func(t *testing.T, r *room) {
			q := ask(t, 1, body)
			r.approve(r.pending(q), q)
			o := ask(t, 1, body, f)
			if a, err := r.Ask(t.Context(), o, 0); err != nil || a.Approved || !a.Pending {
				t.Errorf("%s: on an approval for something else: %+v, %v", name, a, err)
			}
			// Nor with the digest of what was approved written over its own.
			o.Digest = q.Digest
			if a, err := r.Ask(t.Context(), o, 0); !errors.Is(err, ErrNotShown) || a.Approved {
				t.Errorf("%s under the approved digest: %+v, %v", name, a, err)
			}
			r.want("the very action", true, q)
		})
	}
}

func TestAnswerMustRepeatWhatWasShown(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		shown, hidden := ask(t, 1), ask(t, 2)
		t1, t2 := r.pending(shown), r.pending(hidden)
		for _, s := range []string{"", "a", shown.Digest.String()[:MinShown-1], shown.Digest.String()[1:], shown.Digest.String() + "0", hidden.Digest.String(), strings.Repeat(" ", 8)} {
			if err := r.Approve(t.Context(), t1, "ada", s); !errors.Is(err, ErrNotShown) {
				t.Errorf("approved with digest %q: %v", s, err)
			}
		}
		// The ticket of another question with the digest that was shown.
		if err := r.Approve(t.Context(), t2, "ada", shown.Digest.String()); !errors.Is(err, ErrNotShown) {
			t.Errorf("approved what was not shown: %v", err)
		}
		for _, s := range []string{shown.Digest.String(), strings.ToUpper(hidden.Digest.String())[:12]} {
			ticket := map[bool]string{true: t1, false: t2}[s == shown.Digest.String()]
			if err := r.Approve(t.Context(), ticket, "ada", s); err != nil {
				t.Errorf("with what was shown: %v", err)
			}
		}
	})
}

func TestRequesterCannotAnswer(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		ticket := r.pending(q)
		for _, by := range []string{"", " ", "web-fixer", "Web-Fixer", " web-fixer ", string(task), "spiffe://acme.example/agent/web-fixer/task/" + string(task), "SPIFFE://x",
			"ada\u202e", "ada\n", strings.Repeat("a", 257)} {
			if err := r.Approve(t.Context(), ticket, by, q.Digest.String()); err == nil {
				t.Errorf("approved by %q", by)
			}
			if err := r.Deny(t.Context(), ticket, by, ""); err == nil {
				t.Errorf("denied by %q", by)
			}
		}
		r.approve(ticket, q)
		if err := r.Approve(t.Context(), ticket, "ada", q.Digest.String()); !errors.Is(err, ErrNotOpen) {
			t.Errorf("answered twice: %v", err)
		}
		if err := r.Deny(t.Context(), "q-nothing\x1b[2J", "ada", ""); !errors.Is(err, ErrNotOpen) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("no such ticket: %v", err)
		}
	})
}

func TestFloodIsStoppedAndReported(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		for i := range DefaultMaxOpen {
			r.pending(ask(t, i))
		}
		for i := range 50 {
			if _, err := r.Ask(t.Context(), ask(t, 100+i), 0); !errors.Is(err, ErrFlood) {
				t.Fatalf("question %d more than may be open: %v", i+1, err)
			}
		}
		if len(r.alerts) != 1 || r.alerts[0].Task != task {
			t.Errorf("%d alerts, want one: %v", len(r.alerts), r.alerts)
		}
		r.pending(ask(t, 0)) // one that is open already is no new one
		r.pending(ask(t, 0, func(a *ambit.Action) { a.Task = "bbbbbbbbbbbbbbbbbbbbbbbbbb" }))
		if n := len(r.List()); n != DefaultMaxOpen+1 {
			t.Errorf("%d questions before people", n)
		}
	})
}

func TestHourlyQuotaOutlivesARestart(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		for i := range DefaultMaxHour {
			ticket := r.pending(ask(t, i))
			if err := r.Deny(t.Context(), ticket, "ada", ""); err != nil {
				t.Fatal(err)
			}
			if i%20 == 0 {
				r.open()
			}
			time.Sleep(10 * time.Second)
		}
		r.open()
		if _, err := r.Ask(t.Context(), ask(t, 1000), 0); !errors.Is(err, ErrFlood) {
			t.Errorf("more than the hour's quota: %v", err)
		}
		time.Sleep(time.Hour)
		r.pending(ask(t, 1000))
	})
}

// A question cannot hide among harmless ones.
func TestWorstComesFirst(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		trusted := func(a *ambit.Action) { a.Label.Integrity = ambit.Trusted }
		for i := range 4 {
			r.pending(ask(t, i, trusted, func(a *ambit.Action) { a.Effect = ambit.Read }))
			time.Sleep(time.Second)
		}
		unknown := r.pending(ask(t, 10, trusted, func(a *ambit.Action) { a.Effect = ambit.EffectUnknown }))
		time.Sleep(time.Second)
		write := r.pending(ask(t, 11, trusted, func(a *ambit.Action) { a.Effect = ambit.Write }))
		time.Sleep(time.Second)
		steered := r.pending(ask(t, 12))
		l := r.List()
		for i, want := range []string{steered, unknown, write} {
			if l[i].Ticket != want {
				t.Errorf("place %d is %s %s, want %s", i+1, l[i].Action.Effect, l[i].Ticket, want)
			}
		}
		if l[len(l)-1].Action.Effect != ambit.Read {
			t.Error("a read is not last")
		}
	})
}

func TestTaskThatIsOverAsksAndUsesNothing(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		open, yes := ask(t, 1), ask(t, 2)
		t1, t2 := r.pending(open), r.pending(yes)
		r.approve(t2, yes)
		r.mu.Lock()
		r.over[task] = true
		r.mu.Unlock()
		if a, err := r.Ask(t.Context(), yes, 0); err == nil || a.Approved {
			t.Errorf("used after the task: %+v", a)
		}
		if err := r.Approve(t.Context(), t1, "ada", open.Digest.String()); err == nil {
			t.Error("approved for a task that is over")
		}
		if err := r.End(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(r.List()) != 0 || r.store.state(t1) != row.QuestionExpired || r.store.state(t2) != row.QuestionExpired {
			t.Errorf("left: %v, %s, %s", r.List(), r.store.state(t1), r.store.state(t2))
		}
	})
}

func TestTaskRevokedBetweenYesAndUse(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		q := ask(t, 1)
		done := make(chan error)
		go func() {
			a, err := r.Ask(t.Context(), q, time.Minute)
			if a.Approved {
				t.Error("used by a task that was revoked")
			}
			done <- err
		}()
		synctest.Wait()
		r.store.moved = func(m row.QuestionMove) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.over[task] = m.To == row.QuestionApproved
		}
		it := r.List()[0]
		r.approve(it.Ticket, q)
		if err := <-done; err == nil || r.store.state(it.Ticket) != row.QuestionApproved {
			t.Errorf("%v, the store says %s", err, r.store.state(it.Ticket))
		}
	})
}

func TestWhatCannotBeAsked(t *testing.T) {
	in(t, func(t *testing.T, r *room) {
		big := ask(t, 1, func(a *ambit.Action) { a.Args["x"] = strings.Repeat("x", MaxAction) })
		long := ask(t, 1)
		long.Preview = strings.Repeat("x", MaxPreview+1)
		climb := ask(t, 1, func(a *ambit.Action) { a.Resource.Segments = []string{".."} })
		for name, q := range map[string]Question{"too big": big, "long preview": long, "climbing": climb, "nothing": {}} {
			if a, err := r.Ask(t.Context(), q, 0); err == nil {
				t.Errorf("%s: %+v", name, a)
			}
		}
		r.store.fail = errors.New("the disk is full")
		if a, err := r.Ask(t.Context(), ask(t, 1), 0); err == nil || len(r.List()) != 0 {
			t.Errorf("asked without keeping it: %+v", a)
		}
	})
}

// The whole way with the real store: what it keeps is what was asked.
func TestWithTheRealStore(t *testing.T) {
	s := store.New(filepath.Join(t.TempDir(), "state.db"))
	defer s.Close()
	now := time.Now()
	err := s.AddTask(t.Context(), row.Task{ID: task, Agent: "web-fixer", SPIFFE: "spiffe://x/agent/web-fixer/task/" + string(task), Started: now,
		Expires: now.Add(time.Hour), State: row.TaskLive})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Store: s, Now: time.Now, Live: func(ambit.TaskID) error { return nil }, Alert: func(Alert) {}}
	d, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	q := ask(t, 1)
	q.Preview = "bytes \xff\x00 and more"
	a, err := d.Ask(t.Context(), q, 0)
	if err != nil || !a.Pending {
		t.Fatalf("%+v, %v", a, err)
	}
	d.Close()
	if d, err = Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	it, err := d.Show(a.Ticket)
	if err != nil || it.Digest != q.Digest || it.Decision != q.Decision || it.Action.Resource.String() != q.Action.Resource.String() {
		t.Fatalf("after a restart: %+v, %v", it, err)
	}
	if err := d.Approve(t.Context(), a.Ticket, "ada", it.Digest.String()); err != nil {
		t.Fatal(err)
	}
	if a, err = d.Ask(t.Context(), q, 0); err != nil || !a.Approved {
		t.Fatalf("the retry: %+v, %v", a, err)
	}
	kept, err := s.Question(t.Context(), a.Ticket)
	if err != nil || kept.State != row.QuestionSpent || kept.By != "ada" {
		t.Errorf("kept: %+v, %v", kept, err)
	}
}
