// Package console is the person's desk: one table of what people may ask of
// the daemon, served as HTTP with JSON over a Unix socket that no agent can
// reach, and the client of the same table.
package console

import (
	"context"
	"encoding/json"
	"time"

	"ambit"
)

// Desk is what the daemon does for people.
type Desk interface {
	Status(ctx context.Context) (Status, error)
	Trust(ctx context.Context) (Trust, error)
	Tasks(ctx context.Context, all bool) ([]Task, error)
	Revoke(ctx context.Context, r Revoke) (Revoked, error)
	// Leases lists those that are not over, or all.
	Leases(ctx context.Context, all bool) ([]Lease, error)
	// WriteOff has a lease tried no more that cannot be ended.
	WriteOff(ctx context.Context, w WriteOff) (Lease, error)
	Questions(ctx context.Context, all bool) ([]Question, error)
	Question(ctx context.Context, ticket string) (Question, error)
	Resolve(ctx context.Context, r Resolve) (Question, error)
	// Watch sends every question that changes until ctx ends.
	Watch(ctx context.Context, each func(Question) error) error
	Stop(ctx context.Context) error
}

// Status describes the daemon.
type Status struct {
	Build       string    `json:"build"`
	PID         int       `json:"pid"`
	Since       time.Time `json:"since"`
	TrustDomain string    `json:"trust_domain"`
	LogKey      string    `json:"log_key"` // the note verifier that checks the log
	Records     uint64    `json:"records"`
	Live        int       `json:"live_tasks"`
	Open        int       `json:"open_questions"`
	Trouble     string    `json:"trouble,omitempty"` // why actions are refused now
}

// Trust is what others need to verify the identities that the daemon gives.
type Trust struct {
	TrustDomain string          `json:"trust_domain"`
	Bundle      json.RawMessage `json:"bundle"` // a SPIFFE bundle: JWKS of X.509 roots and JWT keys
	PEM         string          `json:"pem"`    // the X.509 roots alone
}

// Task is one run of an agent.
type Task struct {
	ID         ambit.TaskID `json:"id"`
	Agent      string       `json:"agent"`
	Owner      string       `json:"owner,omitempty"`
	Purpose    string       `json:"purpose,omitempty"`
	SPIFFEID   string       `json:"spiffe_id"`
	OnBehalfOf string       `json:"on_behalf_of"`
	Command    []string     `json:"command"`
	Workspace  string       `json:"workspace"`
	PID        int          `json:"pid"`
	State      string       `json:"state"` // live, ended, expired, revoked, or StateUnknown
	Started    time.Time    `json:"started"`
	Expires    time.Time    `json:"expires"`
	Ended      time.Time    `json:"ended,omitzero"`
	Status     int          `json:"exit_status"` // -1: it has none, or nobody knows it
	Unstarted  bool         `json:"never_started,omitempty"`
	Why        string       `json:"why,omitempty"` // it was revoked, was never started, or ended with the task that started it
}

// StateUnknown is of a task that was live when the daemon went away, and whose
// gatekeeper has not come back to this one yet: for ten seconds at most.
const StateUnknown = "unknown"

// Revoke ends a task, or all live tasks of an agent.
type Revoke struct {
	Target string `json:"target"` // a task's id (or the start of it), or an agent's name
	Why    string `json:"why,omitempty"`
}

// Revoked lists what was ended.
type Revoked struct {
	Tasks []ambit.TaskID `json:"tasks"`
}

// Lease is a short-lived credential of a task, without the credential.
type Lease struct {
	ID       string       `json:"id"`
	Task     ambit.TaskID `json:"task"`
	Agent    string       `json:"agent,omitempty"`
	Service  string       `json:"service"`
	Provider string       `json:"provider"`
	State    string       `json:"state"` // requested, live, revoking, dead, written-off
	Minted   time.Time    `json:"minted"`
	Expires  time.Time    `json:"expires"`
	Ended    time.Time    `json:"ended,omitzero"`
	// Of a lease that could not be ended so far. It is tried until it succeeds, or
	// until a person writes it off.
	Tries   int       `json:"failed_attempts,omitempty"`
	Since   time.Time `json:"failing_since,omitzero"`
	Next    time.Time `json:"next_attempt,omitzero"`
	Trouble string    `json:"trouble,omitempty"`
	// Of a lease that was written off: it may be of use still.
	By      string `json:"written_off_by,omitempty"`
	Because string `json:"because,omitempty"`
	Remains string `json:"may_remain,omitempty"`
}

// WriteOff is a person's word that they take the responsibility for what is left of
// a lease that cannot be ended.
type WriteOff struct {
	Lease   string `json:"lease"` // its whole id
	Because string `json:"because"`
}

// Question is an action that waits for a person, made safe to show.
type Question struct {
	Ticket    string       `json:"ticket"`
	Task      ambit.TaskID `json:"task"`
	Agent     string       `json:"agent"`
	Operation string       `json:"operation"`
	Effect    ambit.Effect `json:"effect"`
	Resource  string       `json:"resource"`
	Digest    ambit.Digest `json:"digest"`
	DecidedBy string       `json:"decided_by"`
	Because   string       `json:"because"`
	Screen    string       `json:"screen"` // the whole action as text, hostile characters made visible
	State     string       `json:"state"`  // open, approved, denied, expired, spent
	Asked     time.Time    `json:"asked"`
	Expires   time.Time    `json:"expires"`
	By        string       `json:"by,omitempty"`
	Why       string       `json:"why,omitempty"`
	Answered  time.Time    `json:"answered,omitzero"`
	Spent     time.Time    `json:"spent,omitzero"`
}

// Closed says why a question can no longer be answered, "" while it can.
func (q Question) Closed(now time.Time) string {
	at := func(t time.Time) string { return t.Local().Format(time.DateTime) }
	because := ""
	if q.Why != "" {
		because = ": " + q.Why
	}
	switch q.State {
	case "open":
		if now.Before(q.Expires) {
			return ""
		}
		return "it expired at " + at(q.Expires) + ": nobody answered in time"
	case "approved":
		return "it is approved already, by " + q.By + " at " + at(q.Answered) + ", and waits to be used"
	case "spent":
		return "it was approved by " + q.By + " and used at " + at(q.Spent) + "; each action needs an approval of its own"
	case "denied":
		return "it is denied already, by " + q.By + " at " + at(q.Answered) + because
	case "expired":
		if q.By != "" {
			return "it was approved by " + q.By + " and not used in time" + because
		}
		if because == "" {
			because = ": nobody answered in time"
		}
		return "it expired at " + at(q.Answered) + because
	}
	return "its state is " + q.State
}

// Resolve answers a question. Digest is what the person was shown: an answer
// to other bytes is refused.
type Resolve struct {
	Ticket  string       `json:"ticket"`
	Approve bool         `json:"approve"`
	Digest  ambit.Digest `json:"digest"`
	Why     string       `json:"why,omitempty"`
}
