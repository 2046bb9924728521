package approval

import (
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

// memory is a store in memory with faults.
type memory struct {
	mu   sync.Mutex
	rows map[string]row.Question
	fail error
	// lost makes the next move happen and then say that it failed, as a store
	// does that dies between the commit and the answer.
	lost bool
	// moved is called after a move, before its caller hears of it.
	moved func(row.QuestionMove)
}

func (m *memory) AddQuestion(_ context.Context, q row.Question) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.rows[q.Ticket] = q
	return nil
}

func (m *memory) MoveQuestion(_ context.Context, v row.QuestionMove) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	q := m.rows[v.Ticket]
	if q.State != v.From {
		return row.ErrMoved
	}
	q.State, q.By, q.Why = v.To, orElse(v.By, q.By), orElse(v.Why, q.Why)
	m.rows[v.Ticket] = q
	if m.moved != nil {
		m.moved(v)
	}
	if m.lost {
		m.lost = false
		return errors.New("the connection was lost")
	}
	return nil
}

func (m *memory) QuestionsSince(_ context.Context, t time.Time) (l []row.Question, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range m.rows {
		if !q.Asked.Before(t) || !q.Expires.Before(t) {
			l = append(l, q)
		}
	}
	slices.SortFunc(l, func(x, y row.Question) int { return x.Asked.Compare(y.Asked) })
	return l, m.fail
}

func (m *memory) state(ticket string) row.QuestionState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[ticket].State
}

// room is a desk with all around it.
type room struct {
	*Desk
	t      *testing.T
	store  *memory
	mu     sync.Mutex
	over   map[ambit.TaskID]bool
	ahead  time.Duration // of the house's clock before the timers'
	alerts []Alert

	expired []Item // with mu
}

// in runs f in a bubble of time with a fresh desk.
func in(t *testing.T, f func(*testing.T, *room)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &room{t: t, store: &memory{rows: map[string]row.Question{}}, over: map[ambit.TaskID]bool{}}
		r.open()
		f(t, r)
		r.Close()
	})
}

// open starts the desk, or starts it again as after a crash.
func (r *room) open() {
	r.t.Helper()
	if r.Desk != nil {
		r.Close()
	}
	var err error
	r.Desk, err = Open(r.t.Context(), Config{Store: r.store, Now: r.now, Live: r.live, Alert: func(a Alert) { r.alerts = append(r.alerts, a) },
		Expired: func(it Item) { r.mu.Lock(); defer r.mu.Unlock(); r.expired = append(r.expired, it) }})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.ahead)
}

func (r *room) live(id ambit.TaskID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over[id] {
		return errors.New("the task is not live")
	}
	return nil
}

const task = ambit.TaskID("aaaaaaaaaaaaaaaaaaaaaaaaaa")

func ask(t testing.TB, n int, change ...func(*ambit.Action)) Question {
	t.Helper()
	a := ambit.Action{Task: task, Agent: "web-fixer", Service: "github", Operation: "http.delete", Effect: ambit.Irreversible,
		Resource: ambit.Resource{Kind: "http", Segments: []string{"api.github.com", "repos", fmt.Sprint(n)}}, Args: map[string]string{"method": "DELETE"}}
	for _, f := range change {
		f(&a)
	}
	g, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return Question{Action: a, Digest: g, Decision: ambit.Decision{Verdict: ambit.Ask, By: "ambit.yaml:9:3", Why: "somebody should look"}}
}

// pending asks without holding and wants a ticket.
func (r *room) pending(q Question) string {
	r.t.Helper()
	a, err := r.Ask(r.t.Context(), q, 0)
	if err != nil || !a.Pending || a.Approved || a.Ticket == "" {
		r.t.Fatalf("Ask = %+v, %v, want pending", a, err)
	}
	return a.Ticket
}

func (r *room) approve(ticket string, q Question) {
	r.t.Helper()
	if err := r.Approve(r.t.Context(), ticket, "ada", q.Digest.String()[:MinShown]); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) want(what string, approved bool, q Question) Answer {
	r.t.Helper()
	a, err := r.Ask(r.t.Context(), q, 0)
	if err != nil || a.Approved != approved {
		r.t.Errorf("%s: Ask = %+v, %v, want approved %v", what, a, err, approved)
	}
	return a
}
