// Package pipeline is the one way of an action:
//
//	identify ▶ decide ▶ ask ▶ record intent ▶ mint ▶ perform ▶ record outcome
//
// Any stage that fails, times out or answers something unknown before perform
// refuses the action, and the refusal is recorded.
package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"ambit"
)

// Errors of permits.
var (
	ErrNoPermit    = errors.New("cannot perform: there is no permit")
	ErrPermitEnded = errors.New("cannot perform: the permit has ended")
)

// Config plugs the house in. Every field is required.
type Config struct {
	Task     ambit.TaskID
	Agent    string
	Identity Identity
	Decider  Decider
	Asker    Asker
	Recorder Recorder
	Minter   Minter
	// Freeze is called once, when an outcome could not be recorded.
	Freeze func(error)
}

// Pipeline performs the actions of one task. The zero value refuses all.
type Pipeline struct {
	c      Config
	ready  bool
	frozen atomic.Pointer[error]
}

// New makes a pipeline, or says what is missing.
func New(c Config) (*Pipeline, error) {
	if c.Task == "" || c.Agent == "" || c.Identity == nil || c.Decider == nil || c.Asker == nil ||
		c.Recorder == nil || c.Minter == nil || c.Freeze == nil {
		return nil, errors.New("cannot make pipeline: a stage is missing")
	}
	return &Pipeline{c: c, ready: true}, nil
}

// Perform carries out one permitted action. Its detail becomes part of the
// outcome's record and must never hold a secret. An error is recorded as the
// returned outcome, or as unknown when that is the zero value.
type Perform func(ctx context.Context, p Permit) (o ambit.Outcome, detail string, err error)

// Do takes one action the whole way. It returns nil when perform ran and
// returned no error, a *[Refusal] when the action was stopped before perform,
// and else perform's own error. The preview is shown when a person is asked.
func (p *Pipeline) Do(ctx context.Context, a ambit.Action, preview func() string, perform Perform) error {
	d, in, err := p.decide(&a)
	if err == nil && perform == nil {
		err = errors.New("there is nothing to perform")
	}
	if err != nil {
		return p.refuse(ctx, in, Refusal{Code: CodeBroken, Why: err.Error()})
	}
	if r, ok := p.admit(ctx, d, &in, preview); !ok {
		return p.refuse(ctx, in, r)
	}
	id, err := p.c.Recorder.Intent(ctx, in)
	if err == nil && id == 0 {
		err = errors.New("it gave no record")
	}
	if err != nil {
		return p.refuse(ctx, in, Refusal{Code: CodeNoRecord, Why: "the log did not take the intent: " + err.Error()})
	}
	return p.perform(ctx, in, id, perform)
}

// decide identifies the action and asks the grants.
func (p *Pipeline) decide(a *ambit.Action) (ambit.Decision, Intent, error) {
	in := Intent{Action: *a}
	if p == nil || !p.ready {
		return ambit.Decision{}, in, errors.New("the pipeline is not set up")
	}
	if err := a.Check(); err != nil {
		return ambit.Decision{}, in, err
	}
	// A gate that names another task would spend that task's grants.
	if a.Task != p.c.Task || a.Agent != p.c.Agent {
		return ambit.Decision{}, in, errors.New("the action names another task")
	}
	if err := p.alive(); err != nil {
		return ambit.Decision{}, in, err
	}
	c, err := a.Canonical()
	if err != nil {
		return ambit.Decision{}, in, err
	}
	in.Canonical, in.Digest, in.Decision = c, sha256.Sum256(c), p.c.Decider.Decide(a)
	return in.Decision, in, nil
}

// alive says why the task may not act now, nil when it may.
func (p *Pipeline) alive() error {
	if f := p.frozen.Load(); f != nil {
		return fmt.Errorf("the task is frozen: %w", *f)
	}
	return p.c.Identity.Live()
}

// admit says whether the verdict lets the action pass, asking a person when it
// says so.
func (p *Pipeline) admit(ctx context.Context, d ambit.Decision, in *Intent, preview func() string) (Refusal, bool) {
	switch d.Verdict {
	case ambit.Allow:
		return Refusal{}, true
	case ambit.Ask:
		return p.ask(ctx, d, in, preview)
	}
	return Refusal{Code: CodeDenied, Why: d.Why, Remedy: p.c.Decider.Remedy(&in.Action)}, false
}

func (p *Pipeline) ask(ctx context.Context, d ambit.Decision, in *Intent, preview func() string) (Refusal, bool) {
	q := Question{Action: in.Action, Digest: in.Digest, Decision: d}
	if preview != nil {
		q.Preview = preview()
		q.Preview = clip(q.Preview, MaxPreview)
	}
	ans, err := p.c.Asker.Ask(ctx, q)
	switch {
	case err != nil:
		return Refusal{Code: CodeNoAnswer, Why: "nobody could be asked: " + err.Error()}, false
	case ans.Approved && !ans.Pending && ans.By != "":
		// The question may have been open for minutes: the task must still live.
		if err := p.alive(); err != nil {
			return Refusal{Code: CodeBroken, Why: err.Error()}, false
		}
		in.Approval = ans.By
		return Refusal{}, true
	case ans.Pending:
		return Refusal{Code: CodePending, Why: "a person has not answered yet", Ticket: ans.Ticket, Until: ans.Until}, false
	}
	return Refusal{Code: CodeRejected, Why: orElse(ans.Why, "a person said no"), Ticket: ans.Ticket}, false
}

func (p *Pipeline) perform(ctx context.Context, in Intent, id ambit.RecordID, perform Perform) error {
	pm := &permit{action: in.Action, record: id}
	// Whatever happens below, the permit dies and an outcome is recorded.
	out, detail := ambit.OutcomeUnknown, "did not return"
	defer func() {
		pm.ended.Store(true)
		p.end(ctx, End{Intent: id, Outcome: out, Detail: clip(detail, MaxDetail)})
	}()
	s, err := p.c.Minter.Mint(ctx, &in.Action)
	if err != nil {
		out, detail = ambit.Refused, "no credential: "+clip(err.Error(), 500)
		return in.stop(id, CodeNoCredential, "the broker gave no credential: "+err.Error())
	}
	// The task can be revoked, and the agent hang up, while the log and the
	// broker worked.
	if err = p.alive(); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		out, detail = ambit.Refused, "ended before it was performed"
		return in.stop(id, CodeBroken, err.Error())
	}
	pm.secret = s
	out, detail, err = perform(ctx, Permit{pm})
	return err
}

// stop is the refusal of an action whose intent is recorded already: its
// outcome is the record of the refusal.
func (in *Intent) stop(id ambit.RecordID, code, why string) *Refusal {
	return &Refusal{Code: code, Action: in.Action, By: in.Decision.By, Record: id, Why: why}
}

// end records the outcome, and freezes the task when it cannot.
func (p *Pipeline) end(ctx context.Context, e End) {
	// The agent can hang up and cancel ctx at any moment: that must not lose
	// the outcome.
	err := p.c.Recorder.Outcome(context.WithoutCancel(ctx), e)
	if err == nil {
		return
	}
	if p.frozen.CompareAndSwap(nil, &err) {
		p.c.Freeze(err)
	}
}

// refuse records the refusal. One that cannot be recorded is still a refusal.
func (p *Pipeline) refuse(ctx context.Context, in Intent, r Refusal) error {
	r.Action, r.By = in.Action, in.Decision.By
	if p == nil || !p.ready {
		return &r
	}
	id, err := p.c.Recorder.Refusal(context.WithoutCancel(ctx), in, r.Code+": "+r.Why)
	if err != nil {
		r.Unrecorded = err
	}
	r.Record = id
	return &r
}

// clip cuts untrusted text to n bytes without leaving half a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

func orElse(s, t string) string {
	if s == "" {
		return t
	}
	return s
}
