package pipeline

import (
	"context"
	"time"

	"ambit"
)

// Identity answers for the task: whether it may still act.
type Identity interface {
	// Live returns nil while the task may act, and otherwise why not: it has
	// ended, expired, been revoked or been frozen.
	Live() error
}

// Decider is the grants, compiled.
type Decider interface {
	// Decide is a pure function. An error is not possible: what cannot be
	// decided is denied.
	Decide(a *ambit.Action) ambit.Decision
	// Remedy returns the smallest line that would allow a, and the nearest
	// lines there are; it is called for refusals only.
	Remedy(a *ambit.Action) string
}

// Question is what a person is asked.
type Question struct {
	Action   ambit.Action
	Digest   ambit.Digest
	Decision ambit.Decision
	Preview  string // what the gate can show of the action, untrusted text, at most MaxPreview bytes
}

// MaxPreview bounds a question's preview, in bytes.
const MaxPreview = 16 << 10

// Answer is what became of a question. The zero value is a no.
type Answer struct {
	Approved bool
	By       string    // who answered
	Ticket   string    // names the question while it is open
	Pending  bool      // nobody has answered yet; the same action may be tried again
	Why      string    // the person's reason, or the rule's
	Until    time.Time // when the open question expires to no
}

// Asker puts a question to people and waits for the hold that it was set up
// with. An approval is spent by the answer that carries it.
type Asker interface {
	Ask(ctx context.Context, q Question) (Answer, error)
}

// Intent is what is recorded before an action.
type Intent struct {
	Action    ambit.Action
	Canonical []byte       // the action's canonical form; nil when it has none
	Digest    ambit.Digest // of it
	Decision  ambit.Decision
	Approval  string // who approved, when somebody was asked
}

// End is what is recorded after an action.
type End struct {
	Intent  ambit.RecordID
	Outcome ambit.Outcome
	Detail  string // "200", "connection refused": never a secret, at most MaxDetail bytes
}

// MaxDetail bounds an outcome's detail, in bytes.
const MaxDetail = 512

// Recorder is the log.
type Recorder interface {
	// Intent returns when the record is durable.
	Intent(ctx context.Context, i Intent) (ambit.RecordID, error)
	// Refusal records an action that was stopped, durably; why says by what.
	Refusal(ctx context.Context, i Intent, why string) (ambit.RecordID, error)
	// Outcome hands the record over in order. It may return before the record
	// is durable, for the log keeps order: a later Intent that is durable
	// proves this record is, and a record that fails makes every later call
	// fail.
	Outcome(ctx context.Context, e End) error
}

// Minter hands out the credential that a service's rule names.
type Minter interface {
	// Mint returns the lease's secret for one action. A service without a
	// credential gives the empty secret and no error.
	Mint(ctx context.Context, a *ambit.Action) (ambit.SecretValue, error)
}
