package approval

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ambit"
	"ambit/store/row"
)

// Ask puts a question and waits for the answer, at most for hold (which is cut
// to MaxHold). The same action of the same task joins the question that is open
// already, and gets its answer: an approval exactly once, a denial until the
// question's life is over. When the hold ends first the answer is Pending with
// the ticket.
//
// An error says that nobody could be asked; the action must then be refused.
func (d *Desk) Ask(ctx context.Context, q Question, hold time.Duration) (Answer, error) {
	if d == nil || d.c.Store == nil {
		return Answer{}, errors.New("cannot ask: the desk is not open")
	}
	canonical, err := q.check()
	if err != nil {
		return Answer{}, err
	}
	if err := d.c.Live(q.Action.Task); err != nil {
		return Answer{}, fmt.Errorf("cannot ask: %w", err)
	}
	it, err := d.join(ctx, q, canonical)
	if err != nil {
		return Answer{}, err
	}
	return d.wait(ctx, it, min(max(hold, 0), MaxHold))
}

// check computes the digest again: the gatekeeper that sent it parses an
// agent's bytes and may be wrong about it.
func (q *Question) check() ([]byte, error) {
	if err := q.Action.Check(); err != nil {
		return nil, fmt.Errorf("cannot ask: %w", err)
	}
	c, err := q.Action.Canonical()
	if err != nil {
		return nil, fmt.Errorf("cannot ask: %w", err)
	}
	g, err := q.Action.Digest()
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot ask: %w", err)
	case g != q.Digest:
		return nil, fmt.Errorf("cannot ask: %w: it is %s, the request says %s", ErrNotShown, g, q.Digest)
	case len(c) > MaxAction:
		return nil, fmt.Errorf("cannot ask: the action has %d bytes, at most %d can be shown to a person", len(c), MaxAction)
	case len(q.Preview) > MaxPreview:
		return nil, fmt.Errorf("cannot ask: the preview has %d bytes, at most %d", len(q.Preview), MaxPreview)
	}
	return c, nil
}

// join finds the question about the action that is not over, or opens one.
func (d *Desk) join(ctx context.Context, q Question, canonical []byte) (*question, error) {
	d.change.Lock()
	defer d.change.Unlock()
	now := d.c.Now()
	d.mu.Lock()
	it := d.byAction[key{q.Action.Task, q.Digest}]
	if it != nil && it.counts(now) {
		d.mu.Unlock()
		return it, nil
	}
	err := d.mayAsk(q.Action, now)
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	decision, err := json.Marshal(q.Decision)
	if err != nil {
		return nil, fmt.Errorf("cannot ask: %w", err)
	}
	it = &question{action: q.Action, decision: q.Decision, moved: make(chan struct{}), Question: row.Question{
		Ticket: newTicket(), Task: q.Action.Task, Digest: q.Digest, Action: canonical, Decision: decision,
		Preview: strings.ToValidUTF8(q.Preview, "�"), Asked: now.UTC().Truncate(time.Microsecond), State: row.QuestionOpen,
	}}
	it.Expires = it.Asked.Add(d.c.Life)
	if err := d.c.Store.AddQuestion(ctx, it.Question); err != nil {
		return nil, fmt.Errorf("cannot ask: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.New("cannot ask: the desk is closed")
	}
	d.asked[it.Task] = append(d.asked[it.Task], it.Asked)
	d.put(it, now)
	d.tell(it)
	return it, nil
}

// counts says whether a question still answers for its action. mu is held.
func (q *question) counts(now time.Time) bool {
	if !now.Before(q.Expires) {
		return false
	}
	switch q.State {
	case row.QuestionOpen, row.QuestionDenied:
		return true
	case row.QuestionApproved:
		return !q.lost
	}
	return false
}

// mayAsk holds a task to its quota. mu is held.
func (d *Desk) mayAsk(a ambit.Action, now time.Time) error {
	open, all := 0, 0
	for _, q := range d.byTicket {
		if q.State == row.QuestionOpen && now.Before(q.Expires) {
			all++
			if q.Task == a.Task {
				open++
			}
		}
	}
	recent := d.asked[a.Task][:0]
	for _, t := range d.asked[a.Task] {
		if now.Sub(t) < time.Hour {
			recent = append(recent, t)
		}
	}
	d.asked[a.Task] = recent
	var why string
	switch {
	case open >= d.c.MaxOpen:
		why = fmt.Sprintf("%d of its questions are open", open)
	case len(recent) >= d.c.MaxHour:
		why = fmt.Sprintf("it has asked %d questions within an hour", len(recent))
	case all >= maxOpenAll:
		why = fmt.Sprintf("%d questions of all tasks are open", all)
	default:
		return nil
	}
	// One alert a minute: the alerts must not become the flood.
	if last, ok := d.alerted[a.Task]; !ok || now.Sub(last) >= time.Minute {
		d.alerted[a.Task] = now
		d.c.Alert(Alert{Task: a.Task, Agent: a.Agent, What: "a task asks too much: " + why})
	}
	return fmt.Errorf("cannot ask: %w: %s: wait until people have answered", ErrFlood, why)
}

// wait returns the question's answer when there is one, and else waits.
func (d *Desk) wait(ctx context.Context, q *question, hold time.Duration) (Answer, error) {
	timer := time.NewTimer(hold)
	defer timer.Stop()
	for {
		d.mu.Lock()
		moved, closed, state := q.moved, d.closed, q.State
		d.mu.Unlock()
		switch {
		case closed:
			return Answer{}, errors.New("cannot ask: the desk is closed")
		// Who hung up must not spend what the next one will need.
		case ctx.Err() != nil:
			return Answer{}, ctx.Err()
		case state == row.QuestionApproved:
			return d.spend(ctx, q)
		case state != row.QuestionOpen:
			return d.no(q), nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
		case <-timer.C:
			return d.pending(q), nil
		}
	}
}

// spend uses an approval up. It is durable in the store before it is returned,
// and one that may be durable is never returned again.
func (d *Desk) spend(ctx context.Context, q *question) (Answer, error) {
	d.change.Lock()
	defer d.change.Unlock()
	now := d.c.Now()
	d.mu.Lock()
	ok := q.State == row.QuestionApproved && !q.lost && now.Before(q.Expires)
	d.mu.Unlock()
	if !ok {
		return d.no(q), nil
	}
	if err := d.c.Live(q.Task); err != nil {
		return Answer{}, fmt.Errorf("cannot use approval %s: %w", q.Ticket, err)
	}
	d.mu.Lock()
	q.lost = true
	d.mu.Unlock()
	// The caller may hang up now; half a step would then be the worst.
	err := d.c.Store.MoveQuestion(context.WithoutCancel(ctx),
		row.QuestionMove{Ticket: q.Ticket, From: row.QuestionApproved, To: row.QuestionSpent, At: now})
	if err != nil {
		return Answer{}, fmt.Errorf("cannot use approval %s, and it is used up: %w", q.Ticket, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q.State, q.Spent = row.QuestionSpent, now
	q.wake()
	d.tell(q)
	return Answer{Approved: true, By: q.By, Ticket: q.Ticket, Why: q.Why, Until: q.Expires}, nil
}

func (d *Desk) pending(q *question) Answer {
	return Answer{Pending: true, Ticket: q.Ticket, Until: q.Expires, Why: "nobody has answered yet"}
}

func (d *Desk) no(q *question) Answer {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := Answer{Ticket: q.Ticket, By: q.By, Why: q.Why, Until: q.Expires}
	switch {
	case q.State == row.QuestionSpent || q.lost:
		a.Why = "the approval was used by an identical action; each one needs its own"
	case q.State != row.QuestionDenied:
		a.Why = "nobody answered in time"
	case a.Why == "":
		a.Why = q.By + " said no"
	}
	return a
}

// newTicket is short enough to be typed: "q-" and 8 of a-z, 2-7 (40 random
// bits). It is a name and no secret: only people can answer, and with the digest.
func newTicket() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return "q-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// decode reads the action and decision of a question from the store, and sees
// that they are what its digest says.
func (q *question) decode() error {
	if err := json.Unmarshal(q.Action, &q.action); err != nil {
		return err
	}
	if err := json.Unmarshal(q.Decision, &q.decision); err != nil {
		return err
	}
	g, err := q.action.Digest()
	if err == nil && (g != q.Digest || q.action.Task != q.Task) {
		err = errors.New("the action is not the one of its digest")
	}
	return err
}
