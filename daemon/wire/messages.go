package wire

import (
	"encoding/json"
	"time"

	"ambit"
)

// The calls a gatekeeper makes: the first two on a connection of its own, the next
// three on one that a daemon made to its door.
const (
	MethodReserve  = "reserve"
	MethodEnrol    = "enrol"
	MethodWho      = "who"
	MethodAttach   = "attach"
	MethodProve    = "prove"
	MethodStart    = "start"
	MethodIntent   = "intent"
	MethodRefusal  = "refusal"
	MethodOutcome  = "outcome"
	MethodAlert    = "alert"
	MethodLease    = "lease"
	MethodElevate  = "elevate"
	MethodLower    = "lower"
	MethodLendable = "lendable"
	MethodAsk      = "ask"
	MethodJWT      = "jwt"
	MethodEnd      = "end"
)

// MethodRevoke is the call that the daemon makes: the task has ended by
// somebody's word, and everything of it must be cut now.
const MethodRevoke = "revoke"

// CodeOver is the code of the error of a call that comes after the task's end.
const CodeOver = "over"

// Reserved is the id of the task that the connection will enrol, if it does: its
// folder can be made meanwhile.
type Reserved struct {
	Task ambit.TaskID `json:"task"`
}

// Enrol asks for a task of its own.
type Enrol struct {
	Build      string            `json:"build"` // which build speaks: an old daemon is noticed
	Agent      string            `json:"agent"`
	Owner      string            `json:"owner"`
	Purpose    string            `json:"purpose"`
	OnBehalfOf string            `json:"on_behalf_of"`
	Parent     ambit.TaskID      `json:"parent,omitempty"`
	TTL        time.Duration     `json:"ttl"`
	Command    []string          `json:"command"`
	Workspace  string            `json:"workspace"`
	Grants     []byte            `json:"grants"`    // the file, as it was read
	File       string            `json:"file"`      // its name, as decisions cite it
	Home       string            `json:"home"`      // where its "~" is
	Digest     ambit.Digest      `json:"digest"`    // of its canonical form
	CSR        []byte            `json:"csr"`       // PKCS #10, DER; the key stays with the gatekeeper
	Secrets    map[string]Secret `json:"secrets"`   // by service
	Writable   []string          `json:"writable"`  // where the agent can write: no credential is read from there
	Audiences  []string          `json:"audiences"` // all for which the task may have JWT-SVIDs
}

// Secret is where a service's credential comes from: a value that the person's
// environment or command gave, or a file that the daemon reads.
type Secret struct {
	Kind  string `json:"kind"` // of the service, which shapes the placeholder
	Value []byte `json:"-"`    // behind the JSON
	File  string `json:"file,omitempty"`
	CA    []byte `json:"ca,omitempty"`  // PEM: whom the daemon is to trust when it uses the credential itself
	App   *App   `json:"app,omitempty"` // the secret is the key of a GitHub App
}

// App is a GitHub App, what its tokens are for, and where its API is.
type App struct {
	ID           int64             `json:"id"`
	Installation int64             `json:"installation,omitempty"`
	Owner        string            `json:"owner"`
	Repositories []string          `json:"repositories,omitempty"`
	All          bool              `json:"all,omitempty"`
	Permissions  map[string]string `json:"permissions"`
	API          string            `json:"api"`
	Dial         string            `json:"dial,omitempty"` // host:port
}

// Enrolled is the identity of a new task.
type Enrolled struct {
	Task         ambit.TaskID      `json:"task"`
	SPIFFEID     string            `json:"spiffe_id"`
	SVID         [][]byte          `json:"svid"`   // DER, leaf first
	Bundle       [][]byte          `json:"bundle"` // DER, trust roots
	TrustDomain  string            `json:"trust_domain"`
	Expires      time.Time         `json:"expires"`
	Placeholders map[string]string `json:"placeholders"` // by service
	Daemon       []byte            `json:"daemon"`       // the key by which the daemon is known (Ed25519)
}

// Who asks whoever came to a gatekeeper's door to show that it is its daemon.
type Who struct {
	Nonce []byte `json:"nonce"` // 32 bytes
}

// Introduction is the daemon's signature over the task and the nonce.
type Introduction struct {
	Signature []byte `json:"signature"`
}

// Attach comes back to a task after the daemon was restarted; Prove finishes it.
type Attach struct {
	Task ambit.TaskID `json:"task"`
	SVID [][]byte     `json:"svid"`
}

// Challenge is what the gatekeeper must sign with the SVID's key.
type Challenge struct {
	Nonce []byte `json:"nonce"`
}

// Prove is the signature over the challenge.
type Prove struct {
	Signature []byte `json:"signature"`
}

// Start records the beginning of the task; the answer is its record.
type Start struct {
	Walls json.RawMessage `json:"walls"` // the walls' report
	PID   int             `json:"pid"`   // the sandbox's init, in the daemon's namespace
}

// Intent and refusal carry one action. Action is its canonical form, whose
// SHA-256 is the digest.
type Intent struct {
	Action   json.RawMessage `json:"action"`
	Decision ambit.Decision  `json:"decision"`
	Approval string          `json:"approval,omitempty"`
	Why      string          `json:"why,omitempty"` // refusals only
}

// Recorded is the id of a durable record.
type Recorded struct {
	Record ambit.RecordID `json:"record"`
}

// Outcome closes an intent.
type Outcome struct {
	Intent  ambit.RecordID `json:"intent"`
	Outcome ambit.Outcome  `json:"outcome"`
	Detail  string         `json:"detail,omitempty"`
}

// Alert is something that a person should look at.
type Alert struct {
	Kind   string          `json:"kind"`
	Action json.RawMessage `json:"action,omitempty"`
	Detail string          `json:"detail"`
}

// Lease asks for a service's credential.
type Lease struct {
	Service string `json:"service"`
}

// Leased is the credential.
type Leased struct {
	ID      string    `json:"id"`
	Secret  []byte    `json:"-"` // behind the JSON
	Expires time.Time `json:"expires"`
}

// Elevate asks that the task's lease of a database be given what one action needs
// that a person approved and that is under way; Lower says that it is not needed any
// more. The action's outcome says so too.
type Elevate struct {
	Intent ambit.RecordID `json:"intent"`
}

// Elevated is the right.
type Elevated struct {
	Lease   string    `json:"lease"`
	Expires time.Time `json:"expires"`
}

// Lendable asks, before a person is asked, whether what an action needs can be given.
// Needs are written as an action's argument has them.
type Lendable struct {
	Service string `json:"service"`
	Needs   string `json:"needs"`
}

// CodeNotLent is the code of the error that says why they cannot.
const CodeNotLent = "not-lent"

// Lower takes back what Elevate gave.
type Lower struct {
	Intent ambit.RecordID `json:"intent"`
}

// Ask puts a question to people.
type Ask struct {
	Action   json.RawMessage `json:"action"`
	Decision ambit.Decision  `json:"decision"`
	Preview  string          `json:"preview"`
	Hold     time.Duration   `json:"hold"`
}

// Answer is what became of it.
type Answer struct {
	Approved bool      `json:"approved"`
	Pending  bool      `json:"pending"`
	By       string    `json:"by"`
	Ticket   string    `json:"ticket"`
	Why      string    `json:"why"`
	Until    time.Time `json:"until"`
}

// JWT asks for a JWT-SVID.
type JWT struct {
	Audience string `json:"audience"`
}

// JWTAnswer is the token.
type JWTAnswer struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// End records the end of the task.
type End struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Revoke is the daemon's word that the task is over.
type Revoke struct {
	By  string `json:"by"`
	Why string `json:"why"`
}
