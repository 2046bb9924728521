package approval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ambit"
	"ambit/store/row"
)

// watchBuffer is how many changes a watcher may be behind.
const watchBuffer = 256

// Item is a question as people see it in a list.
type Item struct {
	Ticket   string            `json:"ticket"`
	State    row.QuestionState `json:"state"`
	Action   ambit.Action      `json:"action"`
	Digest   ambit.Digest      `json:"digest"`
	Decision ambit.Decision    `json:"decision"`
	Preview  string            `json:"-"` // untrusted as it is: use Screen
	Asked    time.Time         `json:"asked"`
	Expires  time.Time         `json:"expires"`
	By       string            `json:"by,omitempty"`
	Why      string            `json:"why,omitempty"`
	Answered time.Time         `json:"answered,omitzero"`
	Spent    time.Time         `json:"spent,omitzero"`
}

// item is called with mu held.
func (q *question) item() Item {
	return Item{Ticket: q.Ticket, State: q.State, Action: q.action, Digest: q.Digest, Decision: q.decision, Preview: q.Preview,
		Asked: q.Asked, Expires: q.Expires, By: q.By, Why: q.Why, Answered: q.Answered, Spent: q.Spent}
}

// List returns the open questions, the worst effect first, then what untrusted
// text steers, then the oldest: no number of harmless questions can bury one
// that is not.
func (d *Desk) List() []Item {
	if d == nil {
		return nil
	}
	now := d.c.Now()
	d.mu.Lock()
	var l []Item
	for _, q := range d.byTicket {
		if q.State == row.QuestionOpen && now.Before(q.Expires) {
			l = append(l, q.item())
		}
	}
	d.mu.Unlock()
	slices.SortFunc(l, func(x, y Item) int {
		return cmp.Or(
			cmp.Compare(y.Action.Effect.Worst(), x.Action.Effect.Worst()),
			cmp.Compare(x.Action.Label.Integrity, y.Action.Label.Integrity),
			x.Asked.Compare(y.Asked), strings.Compare(x.Ticket, y.Ticket))
	})
	return l
}

// Show returns one question that is open, or was within the last minutes.
func (d *Desk) Show(ticket string) (Item, error) {
	if d == nil {
		return Item{}, errors.New("cannot show: the desk is not open")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.byTicket[ticket]
	if q == nil {
		return Item{}, fmt.Errorf("cannot show question %q: %w: there is none of that ticket", Safe(ticket, 40), ErrNotOpen)
	}
	return q.item(), nil
}

// Approve says yes to exactly the action whose digest was shown: shown is the
// digest in hexadecimal, or at least its first MinShown digits. by is the person.
func (d *Desk) Approve(ctx context.Context, ticket, by, shown string) error {
	return d.answer(ctx, ticket, shown, row.QuestionMove{To: row.QuestionApproved, By: by})
}

// Deny says no. The same action of the task is then refused without asking
// until the question's life is over.
func (d *Desk) Deny(ctx context.Context, ticket, by, why string) error {
	if len(why) > 1024 {
		return fmt.Errorf("cannot answer %s: the reason has %d bytes, at most 1024", Safe(ticket, 40), len(why))
	}
	return d.answer(ctx, ticket, "", row.QuestionMove{To: row.QuestionDenied, By: by, Why: why})
}

func (d *Desk) answer(ctx context.Context, ticket, shown string, m row.QuestionMove) error {
	if d == nil || d.c.Store == nil {
		return errors.New("cannot answer: the desk is not open")
	}
	d.change.Lock()
	defer d.change.Unlock()
	now := d.c.Now()
	d.mu.Lock()
	q := d.byTicket[ticket]
	err := q.mayAnswer(ticket, shown, m, now)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	if err := d.c.Live(q.Task); m.To == row.QuestionApproved && err != nil {
		return fmt.Errorf("cannot approve %s: %w", ticket, err)
	}
	m.Ticket, m.From, m.At = ticket, row.QuestionOpen, now.UTC().Truncate(time.Microsecond)
	if err := d.c.Store.MoveQuestion(context.WithoutCancel(ctx), m); err != nil {
		return fmt.Errorf("cannot answer %s: %w", ticket, err)
	}
	d.move(q, m)
	return nil
}

// mayAnswer is called with mu held; q may be nil.
func (q *question) mayAnswer(ticket, shown string, m row.QuestionMove, now time.Time) error {
	switch {
	case q == nil:
		return fmt.Errorf("cannot answer %q: %w: there is none of that ticket", Safe(ticket, 40), ErrNotOpen)
	case q.State != row.QuestionOpen:
		return fmt.Errorf("cannot answer %s: %w: it is %s already", ticket, ErrNotOpen, q.State)
	case !now.Before(q.Expires):
		return fmt.Errorf("cannot answer %s: %w: its time was over at %s", ticket, ErrNotOpen, q.Expires.Format(time.RFC3339))
	}
	if err := q.checkBy(m.By); err != nil {
		return err
	}
	// What was shown must be what is approved, whatever else has that ticket or
	// stood in its place on the screen.
	if m.To == row.QuestionApproved && (len(shown) < MinShown || !strings.HasPrefix(q.Digest.String(), strings.ToLower(shown))) {
		return fmt.Errorf("cannot approve %s: %w: repeat at least the first %d digits of the digest that was shown", ticket, ErrNotShown, MinShown)
	}
	return nil
}

// move changes a question's state in memory after the store has it.
func (d *Desk) move(q *question, m row.QuestionMove) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.State, q.Answered, q.By, q.Why = m.To, m.At, orElse(m.By, q.By), orElse(m.Why, q.Why)
	q.wake()
	d.tell(q)
}

// expire is a question's timer. It turns what nobody answered, and what was
// approved and not used, into a no, and forgets what is over.
func (d *Desk) expire(q *question) {
	d.change.Lock()
	defer d.change.Unlock()
	now := d.c.Now()
	d.mu.Lock()
	state, closed := q.State, d.closed
	if left := q.Expires.Sub(now); left > 0 && !closed {
		q.timer.Reset(left) // the clock of the house is behind the timer's
		d.mu.Unlock()
		return
	}
	d.mu.Unlock()
	if closed {
		return
	}
	if state == row.QuestionOpen || state == row.QuestionApproved {
		m := row.QuestionMove{Ticket: q.Ticket, From: state, To: row.QuestionExpired, At: now}
		d.tellExpired(q, m)
		// A store that fails changes nothing: past its end a question is a no in
		// any state, and Open tries again.
		_ = d.c.Store.MoveQuestion(context.Background(), m)
		d.move(q, m)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byTicket, q.Ticket)
	if k := (key{q.Task, q.Digest}); d.byAction[k] == q {
		delete(d.byAction, k)
	}
}

// tellExpired tells of a question that is about to expire. change is held.
func (d *Desk) tellExpired(q *question, m row.QuestionMove) {
	if d.c.Expired == nil {
		return
	}
	d.mu.Lock()
	it, lost := q.item(), q.lost
	d.mu.Unlock()
	if lost { // it may have been used
		return
	}
	it.State, it.Why = m.To, m.Why
	d.c.Expired(it)
}

// End turns all questions of a task that is over into a no.
func (d *Desk) End(ctx context.Context, task ambit.TaskID) error {
	if d == nil || d.c.Store == nil {
		return errors.New("cannot end questions: the desk is not open")
	}
	d.change.Lock()
	defer d.change.Unlock()
	now := d.c.Now()
	d.mu.Lock()
	var l []*question
	for _, q := range d.byTicket {
		if q.Task == task && (q.State == row.QuestionOpen || q.State == row.QuestionApproved) {
			l = append(l, q)
		}
	}
	delete(d.asked, task)
	delete(d.alerted, task)
	d.mu.Unlock()
	var errs []error
	for _, q := range l {
		m := row.QuestionMove{Ticket: q.Ticket, From: q.State, To: row.QuestionExpired, At: now, Why: "the task is over"}
		d.tellExpired(q, m)
		errs = append(errs, d.c.Store.MoveQuestion(ctx, m))
		d.move(q, m)
	}
	return errors.Join(errs...)
}

// Watch sends every question as it is opened and whenever its state changes,
// until ctx is done or the desk is closed. A watcher that falls behind finds
// the channel closed too: it must List and watch again.
func (d *Desk) Watch(ctx context.Context) <-chan Item {
	w := make(chan Item, watchBuffer)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		close(w)
		return w
	}
	d.watchers[w] = struct{}{}
	context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.drop(w)
	})
	return w
}

// drop is called with mu held.
func (d *Desk) drop(w chan Item) {
	if _, ok := d.watchers[w]; ok {
		delete(d.watchers, w)
		close(w)
	}
}

// tell is called with mu held and never blocks.
func (d *Desk) tell(q *question) {
	for w := range d.watchers {
		select {
		case w <- q.item():
		default:
			d.drop(w)
		}
	}
}
