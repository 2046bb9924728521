// Package row is what the durable state is made of: plain records with no
// behaviour, shared by the store, which writes them, and by identity, approval
// and broker, which say in small interfaces of their own what they need of it.
//
// No row has a place for a secret: what a lease needs to be gone on with and ended
// by another daemon stands in it sealed, and the key is elsewhere. Times are UTC with a resolution of one
// microsecond; the zero time means "not yet".
package row

import (
	"errors"
	"strings"
	"time"

	"ambit"
)

// Errors that a store answers with, beside those of the disk.
var (
	// ErrMissing is a row that is not there.
	ErrMissing = errors.New("there is none of that name")
	// ErrExists is an insertion of a key that was used before.
	ErrExists = errors.New("that id was used before")
	// ErrMoved is a change of state from a state that the row is not in.
	ErrMoved = errors.New("its state is no longer what it was")
)

// Agent is a registered non-human principal.
type Agent struct {
	Name      string
	Owner     string
	Purpose   string
	FirstSeen time.Time
	LastSeen  time.Time
	// Barred is when the agent was barred from starting tasks; zero while it
	// may.
	Barred   time.Time
	BarredBy string
	BarWhy   string
}

// TaskState is live, or one of three ways of being over. The zero value is no
// state and nothing that it stands for is live.
type TaskState string

// The states of a task. Only live has a way out.
const (
	TaskLive    TaskState = "live"
	TaskEnded   TaskState = "ended"
	TaskExpired TaskState = "expired"
	TaskRevoked TaskState = "revoked"
)

// NoExit is the exit status of a task whose command has not returned.
const NoExit = -1

// Task is one run of an agent.
type Task struct {
	ID         ambit.TaskID
	Agent      string
	Owner      string
	Purpose    string
	SPIFFE     string // "spiffe://TRUST-DOMAIN/agent/NAME/task/ID"
	OnBehalfOf string // the person, or ""
	Parent     ambit.TaskID
	Command    []string
	Workspace  string
	PID        int
	Process    string // which process that was, in the words of whoever keeps it; "" when not known
	Started    time.Time
	Expires    time.Time
	State      TaskState
	Ended      time.Time
	EndedBy    string // who ended it, when somebody did
	EndWhy     string
	Exit       int          // 0 to 255, or NoExit
	Grants     ambit.Digest // of the grants file's canonical form
	Key        ambit.Digest // SHA-256 of the task's public key (PKIX, DER)
	Audiences  []string     // for which it may have JWT-SVIDs
}

// NeverStarted begins the reason of a task that was ended before its command ran.
const NeverStarted = "it was never started"

// Unstarted says that the task's command never ran.
func (t *Task) Unstarted() bool {
	return t.State == TaskEnded && t.Exit == NoExit && strings.HasPrefix(t.EndWhy, NeverStarted)
}

// TaskEnd is what changes when a task stops being live.
type TaskEnd struct {
	State TaskState
	At    time.Time
	By    string
	Why   string
	Exit  int
}

// QuestionState says where a question stands. The zero value is no state.
type QuestionState string

// The states of a question: open to approved or denied, approved to spent, and
// open or approved to expired.
const (
	QuestionOpen     QuestionState = "open"
	QuestionApproved QuestionState = "approved"
	QuestionDenied   QuestionState = "denied"
	QuestionExpired  QuestionState = "expired"
	QuestionSpent    QuestionState = "spent"
)

// Question is one question to people.
type Question struct {
	Ticket   string
	Task     ambit.TaskID
	Digest   ambit.Digest // of Action
	Action   []byte       // canonical form (RFC 8785)
	Decision []byte       // JSON of the decision that asked
	Preview  string       // untrusted text
	Asked    time.Time
	Expires  time.Time
	State    QuestionState
	By       string // who answered
	Why      string
	Answered time.Time
	Spent    time.Time
}

// QuestionMove is one change of a question's state.
type QuestionMove struct {
	Ticket   string
	From, To QuestionState
	At       time.Time
	By       string // kept from before when empty
	Why      string // kept from before when empty
}

// LeaseState says how far a lease got. The zero value is no state.
type LeaseState string

// The states of a lease, in their order. Anything before dead may exist at the
// provider, and what was written off may too: of that a person said so, and it is
// tried no more.
const (
	LeaseRequested LeaseState = "requested"
	LeaseLive      LeaseState = "live"
	LeaseRevoking  LeaseState = "revoking"
	LeaseDead      LeaseState = "dead"

	LeaseWrittenOff LeaseState = "written-off"
)

// Over says whether nothing more is done about a lease. It does not say that it can
// be used no longer.
func (s LeaseState) Over() bool { return s == LeaseDead || s == LeaseWrittenOff }

// WriteOff is a person's word that a lease is to be tried no more.
type WriteOff struct {
	By      string
	Why     string
	Remains string // what may still be of use, and where, in words; never a secret
}

// Lease is a short-lived credential, without the credential.
type Lease struct {
	ID       string // 32 hexadecimal digits; the provider's idempotency key
	Task     ambit.TaskID
	Service  string
	Provider string // what mints it: "static"
	Handle   string // the provider's own name for it; never a secret
	State    LeaseState
	Minted   time.Time
	Expires  time.Time
	Ended    time.Time
	Sealed   []byte // the credential, sealed; empty when it is not kept, and when the lease is over
	WriteOff        // zero but for what was written off
}

// LeaseMove is one change of a lease's state.
type LeaseMove struct {
	ID       string
	From, To LeaseState
	At       time.Time
	Handle   string    // kept from before when empty
	Expires  time.Time // kept from before when zero
	Sealed   []byte    // kept from before when empty; gone when the lease is over
	WriteOff           // when To is written-off
}

// Service is what makes a task's credentials for a service, kept so that another
// daemon can go on with its leases and end them.
type Service struct {
	Task     ambit.TaskID
	Service  string
	Provider string    // what makes it: "postgres"
	Expires  time.Time // the task's end
	Sealed   []byte    // never empty
}

// Revocation is one decision to end a task or an agent's tasks.
type Revocation struct {
	Kind string // "task" or "agent"
	Name string
	By   string
	Why  string
	At   time.Time
}
