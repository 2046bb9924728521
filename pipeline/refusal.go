package pipeline

import (
	"time"

	"ambit"
)

// Codes of refusals. They are part of what an agent is told and never change.
const (
	CodeDenied       = "denied"        // no grant allows it
	CodePending      = "pending"       // a person has been asked; try the identical action again
	CodeRejected     = "rejected"      // a person said no, or the question expired
	CodeNoAnswer     = "no-answer"     // nobody could be asked
	CodeNoRecord     = "no-record"     // the log did not take the intent
	CodeNoCredential = "no-credential" // the broker gave none
	CodeBroken       = "refused"       // the task or the action is not in order
)

// Refusal is the error of an action that was stopped before it was performed.
type Refusal struct {
	Code   string
	Action ambit.Action
	By     string // the line or rule that decided
	Why    string
	Remedy string // the smallest line that would allow it
	Record ambit.RecordID
	Ticket string    // for CodePending
	Until  time.Time // for CodePending: when the question expires to no
	// Unrecorded is why the refusal itself is not in the log.
	Unrecorded error
}

// Error says what was refused and why.
func (r *Refusal) Error() string {
	return "cannot " + r.Action.Operation + " " + r.Action.Resource.String() + ": " + r.Code + ": " + r.Why
}
