package grants

import "time"

// Bounds of a grants file. Beyond them it is refused.
const (
	MaxFileSize = 1 << 20            // bytes
	MaxDepth    = 12                 // nested lists and maps
	MaxErrors   = 100                // reported at once
	MaxExpires  = 7 * 24 * time.Hour // how long a task may live
	MaxWaiver   = 24 * time.Hour     // how far ahead `until` may lie

	DefaultExpires = time.Hour
)

// Pos is a place in the file; lines and columns start at 1. The zero value is
// no place: a default that nobody wrote.
type Pos struct{ Line, Column int }

// Text is a value with the place where it stands.
type Text struct {
	Value string
	Pos   Pos
}

// File is the syntax tree of a grants file. Parse makes it and nothing changes
// it later; what it holds is well-formed but not yet checked against the kinds
// of service (see [Compile]).
type File struct {
	Name    string // as given to Parse, for messages
	Agent   Text
	Owner   Text // "" when not given
	Purpose Text // "" when not given
	Expires time.Duration
	// ExpiresPos is the zero value when the file does not say.
	ExpiresPos Pos
	Services   []*Service // as written; without `files` and `web`
	Uses       []*Profile // in the order of `uses`, parsed
	UsesPos    []Pos      // where each of Uses is named
	Sandbox    Sandbox
	Lines      []*Line // of read, write and ask, in file order
	Expect     []Expect
}

// Section says under which heading a line stands.
type Section uint8

// The sections. The zero value is none.
const (
	_ Section = iota
	SectionRead
	SectionWrite
	SectionAsk
)

// String returns the heading.
func (s Section) String() string {
	return [...]string{"?", "read", "write", "ask"}[min(s, SectionAsk)]
}

// Line is one grant.
type Line struct {
	Pos        Pos
	Section    Section
	Profile    string // the profile that brings the line; "" for the file's own
	Service    Text
	Patterns   []Text
	Operations []Text // as written; empty means by section: see [Compile]
	Except     []Text
	Refs       []Text
	Because    Text
	Cond       Conditions
	// WithoutAsking marks the dated exception: an irreversible operation that
	// is allowed without a question. Until is then set.
	WithoutAsking bool
	Until         time.Time
	UntilPos      Pos
	// Accept holds what lint may find of the line, each with a reason.
	Accept []Accept
	// Implied marks a line that nobody wrote: one that the sandbox's paths stand
	// for, and one that comes with every database.
	Implied bool
}

// Conditions is the closed list of what else must hold for a line to match.
// The zero value asks for nothing.
type Conditions struct {
	During *Window
	AtMost *Rate
}

// Window is a time of day on some days of the week, at a fixed distance from
// UTC: "mon-fri 09:00-17:00 +01:00". It holds from From up to, not including,
// To. When To is not after From it runs over midnight, and Days says on which
// day it starts.
type Window struct {
	Text     string
	Days     [7]bool // by time.Weekday
	From, To int     // minutes after midnight, 0 to 1440
	Offset   int     // minutes east of UTC
	Pos      Pos
}

// Rate is "10 per hour": at most Count actions of the line in each Per. Per is
// zero for the task's whole life.
type Rate struct {
	Text  string
	Count int
	Per   time.Duration
	Pos   Pos
}

// Service says how something is reached. Empty fields are defaults of the kind.
type Service struct {
	Pos          Pos
	Profile      string // the profile that brings it; "" for the file's own
	Name         Text
	Kind         Text
	Hosts        []Text // lower-case names
	hostGiven    bool   // also when none of them was usable
	Port         int    // 0 when not given
	PortPos      Pos
	Scheme       Text        // "https", "http" or ""
	Address      Text        // host:port that is really dialled; "" for the name's own
	CA           Text        // path of a PEM file; "" for the system's
	Credential   *Credential // nil when the service needs none
	Inject       *Inject     // nil for the kind's default
	Env          []Text      // variables inside that hold a placeholder
	EncodedSlash bool        // %2F in a path segment separates
	Git          bool        // serves git over HTTP on any path
	Reads        []Text      // path patterns whose POSTs only read
	GraphQL      []Text      // path patterns that speak GraphQL
	Database     Text        // of a database: its name
	TLS          Text        // of a database: "on", "off" or ""
}

// Credential says where the broker finds the secret. Exactly one of Env, File,
// Command and JWT is set. With App, it is where the App's private key is kept.
type Credential struct {
	Pos          Pos
	App          int      // a GitHub App's ID; 0 when the secret is itself the credential
	Installation int      // of the App; 0 when it is found by the repositories' owner
	Env          string   // a variable of `ambit run`'s environment
	File         string   // a path
	Command      []string // argv of a program that prints it
	JWT          string   // an audience: the task's own JWT-SVID for it is the credential
}

// Inject says how the credential is put into a request. Exactly one of Header,
// Basic and Query is set.
type Inject struct {
	Pos    Pos
	Header string // a header's name
	Format string // its value, with "{}" once for the secret; only with Header
	Basic  string // the user name of HTTP basic authentication
	Query  string // a query parameter's name
}

// Sandbox is what the walls are asked for. Zero numbers are the walls' own
// defaults.
type Sandbox struct {
	Pos       Pos
	Workspace Text   // "" means "."
	Read      []Text // extra read-only paths
	Write     []Text // extra writable paths
	Env       []Env
	ThrowAway bool // `home: throw-away`; the default keeps it
	HomePos   Pos
	Memory    int64 // bytes
	Processes int
	CPU       int // thousandths of a core
	OpenFiles int
	// Accept holds what lint may find of these paths and variables.
	Accept []Accept
}

// Env is one variable of the agent's environment: passed on from outside, or
// set to a value.
type Env struct {
	Name  string
	Set   bool
	Value string // only when Set
	Pos   Pos
}

// Expect is one expectation: the verdict that an action must get.
type Expect struct {
	Verdict string // "allow", "ask" or "deny"
	Action  Text   // as [ParseAction] reads it
}

// Profile is what a toolchain or runner needs, as data.
type Profile struct {
	Name     string
	Because  string
	Programs []Text // found through PATH by the caller; those missing are left out
	Read     []Text // paths, with "~"; those missing are left out
	Caches   []Text // paths; the task gets its own copy-on-write view
	Home     []Seed
	Env      []Env
	Services []*Service
	Lines    []*Line
}

// Seed is a file with which the agent's own home directory begins. It is
// written when nothing has its name there, and is the agent's from then on.
type Seed struct {
	Path Text   // below the home directory, such as ".claude.json"
	Data string // the whole file: text of at most 2,000 bytes, without a line end after it
}
