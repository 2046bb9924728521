package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"ambit"
	"ambit/approval"
	"ambit/audit"
	"ambit/config"
	"ambit/console"
	"ambit/identity"
	"ambit/store/row"
)

// Desk connects a person's command to the daemon and starts one when none is
// live.
func Desk(ctx context.Context, h config.Home) (*console.Client, error) {
	first, err := connect(ctx, h, personSocket)
	if err != nil {
		return nil, err
	}
	first.Close()
	// A daemon that ends meanwhile is followed by another.
	return console.NewClient(func(ctx context.Context) (net.Conn, error) { return connect(ctx, h, personSocket) }), nil
}

// LiveDesk is Desk for a daemon that is live already; the error says that
// there is none.
func LiveDesk(ctx context.Context, h config.Home) (*console.Client, error) {
	first, err := dial(ctx, h.Run(), personSocket)
	if err != nil {
		return nil, err
	}
	first.Close()
	return console.NewClient(dialer(h, personSocket)), nil
}

// NextDesk waits for a daemon that another starts.
func NextDesk(ctx context.Context, h config.Home) (*console.Client, error) {
	for {
		if c, err := LiveDesk(ctx, h); err == nil {
			return c, nil
		}
		select {
		case <-time.After(nextPoll):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

const nextPoll = 200 * time.Millisecond

// Gone waits until the daemon that was the process pid has let go of the home: until
// then it closes the log, and whoever copies that would have a part of it. Another one may
// hold the home by then.
func Gone(ctx context.Context, h config.Home, pid int) error {
	for {
		if pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return nil
		}
		unlock, err := lock(h)
		if err == nil {
			unlock()
			return nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // with the home, its daemon is nobody's
		}
		if !errors.Is(err, ErrSecond) {
			return fmt.Errorf("cannot see the daemon end: %w", err)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("cannot see the daemon end: process %d still holds %s: %w; ambit daemon status says what it does", pid, h.Dir, ctx.Err())
		}
	}
}

// Trust implements [console.Desk].
func (d *Daemon) Trust(context.Context) (console.Trust, error) {
	b, err := d.ids.Bundle()
	if err != nil {
		return console.Trust{}, err
	}
	return console.Trust{TrustDomain: d.settings.TrustDomain, Bundle: b.JWKS, PEM: string(b.PEM)}, nil
}

// Status implements [console.Desk].
func (d *Daemon) Status(context.Context) (console.Status, error) {
	s := console.Status{
		Build: d.build, PID: os.Getpid(), Since: d.since, TrustDomain: d.settings.TrustDomain, LogKey: d.public,
		Records: uint64(d.log.Size()), Live: len(d.ids.Tasks()), Open: len(d.desk.List()),
	}
	if err := d.log.Err(); err != nil {
		s.Trouble = err.Error()
	}
	return s, nil
}

// Tasks implements [console.Desk].
func (d *Daemon) Tasks(ctx context.Context, all bool) ([]console.Task, error) {
	d.touch()
	ts := d.ids.Tasks()
	if all {
		const most = 1000
		var err error
		if ts, err = d.store.RecentTasks(ctx, "", most); err != nil {
			return nil, err
		}
	}
	out := make([]console.Task, 0, len(ts))
	for _, t := range ts {
		state := string(t.State)
		if t.State == row.TaskLive && !d.attached(t.ID) {
			state = console.StateUnknown
		}
		out = append(out, console.Task{
			ID: t.ID, Agent: t.Agent, Owner: t.Owner, Purpose: t.Purpose, SPIFFEID: t.SPIFFE, OnBehalfOf: t.OnBehalfOf, Command: t.Command,
			Workspace: t.Workspace, PID: t.PID, State: state, Started: t.Started, Expires: t.Expires, Ended: t.Ended, Status: t.Exit, Unstarted: t.Unstarted(), Why: approval.SafeLines(t.EndWhy, 300),
		})
	}
	return out, nil
}

// Revoke implements [console.Desk].
func (d *Daemon) Revoke(ctx context.Context, r console.Revoke) (console.Revoked, error) {
	d.touch()
	var hit []identity.Task
	for _, t := range d.ids.Tasks() {
		if t.Agent == r.Target || len(r.Target) >= 4 && strings.HasPrefix(string(t.ID), r.Target) {
			hit = append(hit, t)
		}
	}
	if len(hit) == 0 {
		return console.Revoked{}, &console.Fault{Status: http.StatusNotFound, Msg: "cannot revoke " + approval.Safe(r.Target, 64) + ": no live task or agent has that name; see `ambit tasks`"}
	}
	// Whoever asks may be gone before it is done, or the daemon be asked to end.
	ctx = context.WithoutCancel(ctx)
	by, why := username(os.Getuid()), reason(r.Why)
	var out console.Revoked
	var errs []error
	for _, t := range hit {
		over, err := d.revoke(ctx, &t, by, why)
		if over {
			out.Tasks = append(out.Tasks, t.ID)
		}
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// revoke ends one task. It is recorded before what can take long.
func (d *Daemon) revoke(ctx context.Context, t *identity.Task, by, why string) (over bool, err error) {
	// The end comes first: a log that refuses must not keep a task alive.
	err = d.ids.Revoke(ctx, t.ID, by, why)
	if d.ids.Live(t.ID) == nil {
		return false, err // nothing of it has ended, and the log does not say so
	}
	if errors.Is(err, identity.ErrNotLive) {
		err = nil
	}
	_, lerr := d.log.Append(ctx, audit.Record{Type: audit.Revoke, Task: string(t.ID), Agent: t.Agent, Detail: approval.Safe("by "+by+": "+orElse(why, "no reason given"), 400)})
	d.broker.End(ctx, t.ID)
	return true, errors.Join(err, lerr)
}

// maxReason is what an authority keeps of a reason, in bytes.
const maxReason = 1024

// reason makes what a person says one that the authority takes. Nobody's task lives on
// because an alert's text, which a script passes on, has two lines or is too long.
func reason(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, approval.OneLine(s))
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}

// Questions implements [console.Desk].
func (d *Daemon) Questions(ctx context.Context, all bool) ([]console.Question, error) {
	d.touch()
	out := []console.Question{}
	for _, it := range d.desk.List() {
		out = append(out, question(it))
	}
	if !all {
		return out, nil
	}
	rows, err := d.store.QuestionsSince(ctx, d.ids.Now().AddDate(0, 0, -7))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if !slices.ContainsFunc(out, func(q console.Question) bool { return q.Ticket == r.Ticket }) {
			out = append(out, fromRow(r))
		}
	}
	return out, nil
}

// fromRow shows a question that is over.
func fromRow(r row.Question) console.Question {
	it := approval.Item{
		Ticket: r.Ticket, State: r.State, Action: actionOf(r.Action), Digest: r.Digest, Preview: r.Preview, Asked: r.Asked,
		Expires: r.Expires, By: r.By, Why: r.Why, Answered: r.Answered, Spent: r.Spent,
	}
	it.Decision = decisionOf(r.Decision)
	return question(it)
}

func question(it approval.Item) console.Question {
	a := it.Action
	return console.Question{
		Ticket: it.Ticket, Task: a.Task, Agent: a.Agent, Operation: a.Operation, Effect: a.Effect,
		Resource: approval.Safe(a.Resource.String(), 200), Digest: it.Digest, DecidedBy: it.Decision.By, Because: approval.Safe(it.Decision.Why, 300),
		Screen: approval.Present(it).Text(), State: string(it.State), Asked: it.Asked, Expires: it.Expires,
		By: it.By, Why: approval.SafeLines(it.Why, 300), Answered: it.Answered, Spent: it.Spent,
	}
}

// Question implements [console.Desk].
func (d *Daemon) Question(ctx context.Context, ticket string) (console.Question, error) {
	d.touch()
	if it, err := d.desk.Show(ticket); err == nil {
		return question(it), nil
	}
	// One that is over for longer is known to the store.
	r, err := d.store.Question(ctx, ticket)
	switch {
	case errors.Is(err, row.ErrMissing):
		return console.Question{}, &console.Fault{Status: http.StatusNotFound, Msg: "no question has the ticket " + approval.Safe(ticket, 40) + "; `ambit approvals` lists those that wait for you, and with --all those of the last week"}
	case err != nil:
		return console.Question{}, err
	}
	return fromRow(r), nil
}

// Resolve implements [console.Desk]. The answer is in the log before it counts.
func (d *Daemon) Resolve(ctx context.Context, r console.Resolve) (console.Question, error) {
	q, err := d.Question(ctx, r.Ticket)
	if err != nil {
		return q, err
	}
	word := "deny"
	if r.Approve {
		word = "approve"
	}
	if over := q.Closed(d.ids.Now()); over != "" {
		return console.Question{}, &console.Fault{Status: http.StatusConflict, Msg: "cannot " + word + " " + q.Ticket + ": " + over}
	}
	it, err := d.desk.Show(r.Ticket)
	if err != nil { // it has just expired
		return console.Question{}, &console.Fault{Status: http.StatusConflict, Msg: err.Error()}
	}
	by := username(os.Getuid())
	rec := audit.ForAction(audit.Answer, &it.Action, it.Decision, it.Digest)
	if rec.Detail = "denied by " + by + " " + r.Ticket; r.Approve {
		rec.Approval, rec.Detail = by, "approved "+r.Ticket
	}
	if why := approval.SafeLines(r.Why, 400); why != "" {
		rec.Detail += ": " + why
	}
	if _, err := d.log.Append(ctx, rec); err != nil {
		return console.Question{}, err
	}
	if r.Approve {
		err = d.desk.Approve(ctx, r.Ticket, by, r.Digest.String())
	} else {
		err = d.desk.Deny(ctx, r.Ticket, by, r.Why)
	}
	if err != nil {
		rec.Detail, rec.Outcome = "the answer to "+r.Ticket+" came to nothing: "+approval.SafeLines(err.Error(), 300), ambit.Refused.String()
		d.record(rec)
		return console.Question{}, &console.Fault{Status: http.StatusConflict, Msg: err.Error()}
	}
	return d.Question(ctx, r.Ticket)
}

// Watch implements [console.Desk]: the open questions first, then each change.
func (d *Daemon) Watch(ctx context.Context, each func(console.Question) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	changes := d.desk.Watch(ctx)
	for _, it := range d.desk.List() {
		if err := each(question(it)); err != nil {
			return err
		}
	}
	for it := range changes {
		d.touch()
		if err := each(question(it)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Stop implements [console.Desk].
func (d *Daemon) Stop(context.Context) error {
	if n := len(d.ids.Tasks()); n > 0 {
		return &console.Fault{Status: http.StatusConflict, Msg: "cannot stop: there are live tasks; see `ambit tasks`, end them with `ambit revoke`"}
	}
	time.AfterFunc(20*time.Millisecond, d.stopIdle) // after the answer
	return nil
}

// stopIdle ends the daemon, but not under a task that has begun since a person asked for
// its end: its agent would be without a daemon until somebody starts the next.
func (d *Daemon) stopIdle() {
	if len(d.ids.Tasks()) == 0 {
		d.stop()
	}
}
