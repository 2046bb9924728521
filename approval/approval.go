// Package approval puts questions to people: whether one action may happen,
// exactly as it is, once, within a time limit. What nobody answers is a no.
//
// An approval is bound to the task and to the SHA-256 of the action's canonical
// form. It is spent by the one call of [Desk.Ask] that returns it, and that is
// durable before it is returned: a crash between loses the approval and never
// doubles it.
package approval

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"ambit"
	"ambit/store/row"
)

// Bounds of questions.
const (
	DefaultLife = 5 * time.Minute
	MinLife     = 10 * time.Second
	MaxLife     = time.Hour
	MaxHold     = 5 * time.Minute // of one call of Ask
	MaxPreview  = 16 << 10        // bytes
	MaxAction   = 64 << 10        // bytes of the canonical form
	MinShown    = 8               // hexadecimal digits of a digest that an answer must repeat

	DefaultMaxOpen = 10  // questions of one task at once
	DefaultMaxHour = 60  // questions of one task in an hour
	maxOpenAll     = 500 // questions of all tasks at once
)

// Errors of asking and answering; they come wrapped in a sentence.
var (
	ErrFlood     = errors.New("the task asks too much")
	ErrNotOpen   = errors.New("the question is not open")
	ErrNotShown  = errors.New("the digest is not the question's")
	ErrRequester = errors.New("who asks cannot answer")
)

// Question is what a person is asked.
type Question struct {
	Action   ambit.Action
	Digest   ambit.Digest // of Action; it is computed again here
	Decision ambit.Decision
	Preview  string // untrusted text, at most MaxPreview bytes
}

// Answer is what became of a question. The zero value is a no.
type Answer struct {
	Approved bool
	By       string
	Ticket   string
	Pending  bool // nobody has answered yet; the same action may be asked about again
	Why      string
	Until    time.Time
}

// Store is what the desk needs to outlive the daemon. Every change is durable
// when it returns nil.
type Store interface {
	// AddQuestion keeps a new question; a ticket that was used gives row.ErrExists.
	AddQuestion(ctx context.Context, q row.Question) error
	// MoveQuestion changes the state of a question that is in m.From, for exactly
	// one of several callers.
	MoveQuestion(ctx context.Context, m row.QuestionMove) error
	// QuestionsSince returns the questions that were asked or end after t.
	QuestionsSince(ctx context.Context, t time.Time) ([]row.Question, error)
}

// Alert is a task that does what an honest one does not.
type Alert struct {
	Task  ambit.TaskID
	Agent string
	What  string // a sentence
}

// Config sets a desk up. Store, Now, Live and Alert are required; zero numbers
// mean the defaults.
type Config struct {
	Store Store
	Now   func() time.Time
	// Live returns nil while the task may act.
	Live func(ambit.TaskID) error
	// Alert must neither block nor call the desk.
	Alert func(Alert)
	// Expired is told of every question that turns into a no by itself, before that
	// is kept: after a crash perhaps twice. By is set when it was approved and not
	// used, Why when its task is over. It must not call the desk; nil tells nobody.
	Expired func(Item)
	Life    time.Duration
	MaxOpen int
	MaxHour int
}

// Desk holds the questions. Make it with [Open]; the zero value refuses. It is
// safe for use by many goroutines.
type Desk struct {
	c Config

	// change is held through a whole change, the store's part included; mu only
	// while memory is touched. change is taken first.
	change sync.Mutex
	mu     sync.Mutex

	byTicket map[string]*question
	byAction map[key]*question // the newest
	asked    map[ambit.TaskID][]time.Time
	alerted  map[ambit.TaskID]time.Time
	watchers map[chan Item]struct{}
	closed   bool
}

type key struct {
	task   ambit.TaskID
	digest ambit.Digest
}

// question is one question with its place in memory. Its row is only read and
// written with the desk's mu.
type question struct {
	row.Question
	action   ambit.Action
	decision ambit.Decision
	moved    chan struct{} // closed and made anew at every change of state
	timer    *time.Timer
	lost     bool // the store may or may not have spent it: it counts as spent
}

// Open loads the questions that still matter from the store: those that are not
// over, and those of the last hour, so that a restart empties no one's quota.
func Open(ctx context.Context, c Config) (*Desk, error) {
	if c.Store == nil || c.Now == nil || c.Live == nil || c.Alert == nil {
		return nil, errors.New("cannot open the desk: store, clock, tasks and alerts must all be given")
	}
	c.Life, c.MaxOpen, c.MaxHour = orElse(c.Life, DefaultLife), orElse(c.MaxOpen, DefaultMaxOpen), orElse(c.MaxHour, DefaultMaxHour)
	if c.Life < MinLife || c.Life > MaxLife || c.MaxOpen < 1 || c.MaxHour < 1 {
		return nil, fmt.Errorf("cannot open the desk: questions live %v: want %v to %v", c.Life, MinLife, MaxLife)
	}
	d := &Desk{c: c, byTicket: map[string]*question{}, byAction: map[key]*question{}, asked: map[ambit.TaskID][]time.Time{},
		alerted: map[ambit.TaskID]time.Time{}, watchers: map[chan Item]struct{}{}}
	now := c.Now()
	rows, err := c.Store.QuestionsSince(ctx, now.Add(-time.Hour))
	if err != nil {
		return nil, err
	}
	// Timers of questions whose time is over run at once.
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range rows {
		if err := d.load(r, now); err != nil {
			d.stop()
			return nil, err
		}
	}
	return d, nil
}

func (d *Desk) load(r row.Question, now time.Time) error {
	d.asked[r.Task] = append(d.asked[r.Task], r.Asked)
	if !now.Before(r.Expires) && r.State != row.QuestionOpen && r.State != row.QuestionApproved {
		return nil
	}
	q := &question{Question: r, moved: make(chan struct{})}
	if err := q.decode(); err != nil {
		return fmt.Errorf("cannot read question %s from the store: %w: put the store aside to begin a new one", r.Ticket, err)
	}
	d.put(q, now)
	return nil
}

// put takes q into memory and sets the timer that turns it into a no. mu is
// held.
func (d *Desk) put(q *question, now time.Time) {
	d.byTicket[q.Ticket] = q
	d.byAction[key{q.Task, q.Digest}] = q
	q.timer = time.AfterFunc(max(0, q.Expires.Sub(now)), func() { d.expire(q) })
}

// Close stops the timers and ends every Ask and Watch. Questions stay in the
// store as they are.
func (d *Desk) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop()
}

// stop is called with mu held.
func (d *Desk) stop() {
	d.closed = true
	for _, q := range d.byTicket {
		q.timer.Stop()
		q.wake()
	}
	for w := range d.watchers {
		close(w)
	}
	d.watchers = nil
}

// wake lets everybody who waits for q look again. mu is held.
func (q *question) wake() {
	close(q.moved)
	q.moved = make(chan struct{})
}

// checkBy refuses an answerer that is a task or an agent: a task that could
// answer would approve itself.
func (q *question) checkBy(by string) error {
	name := strings.ToLower(strings.TrimSpace(by))
	switch {
	case name == "":
		return errors.New("cannot answer: it must be known who does")
	case len(by) > 256 || Safe(by, 256) != by:
		return errors.New("cannot answer: the name of who does holds what cannot be shown")
	case strings.HasPrefix(name, "spiffe:"), name == string(q.Task), name == strings.ToLower(q.action.Agent):
		return fmt.Errorf("cannot answer %s as %s: %w", q.Ticket, by, ErrRequester)
	}
	return nil
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}
