package web

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"ambit"
	"ambit/gate"
)

// Request is what a [Classifier] sees of one HTTP request: decoded once, and
// already found to be unambiguous.
type Request struct {
	Service string // the route's service
	Kind    string // the route's kind
	Scheme  string // "https" or "http"
	Host    string // lower case, without port
	Port    uint16
	Method  string
	Upgrade string // "websocket" or ""

	Segments      []string // the path's segments, decoded; none for "/"
	TrailingSlash bool
	Query         string // as on the wire, without "?"

	Header http.Header // canonical names; must not be changed

	Body      []byte // the beginning of the body, at most BodyLimit bytes
	BodyWhole bool   // Body is all of it

	// Proven says whether a push from old to new was shown to keep old, by asking
	// the server; nil when it was not asked.
	Proven func(old, new string) bool
}

// Call is one operation that a request would perform.
type Call struct {
	Operation string
	Effect    ambit.Effect
	Resource  ambit.Resource
}

// Classifier turns requests into operations.
type Classifier interface {
	// BodyLimit says how many bytes of the body Classify needs to see; 0 for none.
	// It is asked again with those, and may then want more.
	BodyLimit(Request) int64
	// Classify returns at least one call; with several, all must be allowed.
	// An error refuses the request, and its text is shown to the agent.
	Classify(Request) ([]Call, error)
}

// Names knows which name the resolver answered with a synthetic address.
type Names interface {
	Lookup(addr netip.Addr) (host string, ok bool)
}

// Schemes of a [Route].
const (
	HTTPS = "https"
	HTTP  = "http"
	TCP   = "tcp" // bytes pass as they are; no request is understood
)

// Route says that a service may be reached under a name and a port. Two routes
// with the same host and port must agree on scheme, address and roots.
type Route struct {
	Host    string // lower case; "*.x" stands for one label; or a literal address
	Port    uint16 // 0 is the scheme's default
	Scheme  string
	Service string // the grants file's name
	Kind    string // for the classifier

	// Dial is the host:port that is really dialled. It is the only way to a
	// private, loopback or link-local address. Empty dials Host.
	Dial  string
	Roots *x509.CertPool // whom to trust for it; nil is Config.Roots

	Inject        Inject
	HasCredential bool // the service has a credential: inject it, remove the agent's own

	NoOwn bool // the agent has no credential of its own there: any that it sends was found somewhere, and is refused

	EncodedSlash bool // %2f in a path separates segments instead of being refused
	// Conversation says that bodies and WebSocket messages carry what the agent has
	// seen, as those to a model do: a placeholder in one is blanked. Refusing it
	// would end every conversation in which an agent has looked at its environment.
	Conversation bool
	// Ask says that a line of the service may ask a person. It is used only
	// when Config.Foresee is nil.
	Ask bool
}

// Inject says where the credential goes. Exactly one of Header, Basic and
// Query is set when the route has a credential.
type Inject struct {
	Header string // header's name
	Format string // its value, "{}" standing for the secret; empty is "{}"
	Basic  string // user name of HTTP basic authentication (RFC 7617)
	Query  string // query parameter's name
}

// Placeholder is a worthless value that stands for a service's credential
// inside the sandbox.
type Placeholder struct {
	Value   string // 12 to 512 bytes
	Service string
}

// Limits bound what one task can take. A zero field takes the default.
type Limits struct {
	Conns       int           // open connections of the agent, 512
	Streams     uint32        // HTTP/2 streams of a connection, 100
	HeadBytes   int           // a request's head, 64 KiB
	HeadTime    time.Duration // for a whole head, from its first byte, 15 s
	Handshake   time.Duration // for TLS, either side, 10 s
	Idle        time.Duration // between requests, 2 min
	Stall       time.Duration // without a byte of a body, either way, 5 min
	DialTime    time.Duration // to reach an upstream, 10 s
	AnswerTime  time.Duration // for an upstream's response head, 15 min
	BoundBody   int64         // body of an asked action, 1 MiB
	BufferTotal int64         // all buffered bodies together, 16 MiB
}

// Kinds of alerts.
const (
	AlertPlaceholder = "placeholder-leak"      // a placeholder left for a foreign place
	AlertFound       = "found-credential"      // a credential of the agent's own was used
	AlertFronting    = "names-disagree"        // address, SNI and Host name different hosts
	AlertAddress     = "forbidden-address"     // a granted name led to a private address
	AlertReflected   = "credential-reflected"  // an upstream sent a credential back
	AlertSmuggling   = "ambiguous-request"     // a request that two readers understand differently
	AlertPipeline    = "refusal-not-in-record" // a refusal could not be recorded
)

// Config plugs the gate in. Task, Do, Classifier, Names, Resolve and Authority
// are required.
type Config struct {
	Task       gate.Task
	Do         gate.Doer
	Routes     []Route
	Classifier Classifier
	Names      Names

	// Resolve returns a host's real addresses; it is called after an allow only.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// Foresee looks ahead at the verdict of an action, without asking,
	// counting or recording. It chooses among routes to the same place, and
	// tells whether a body must be read before asking. It never lets an
	// action through: that is Do's alone.
	Foresee func(a *ambit.Action) ambit.Verdict

	Placeholders []Placeholder

	// Alert is told of attacks. It must not block.
	Alert func(ctx context.Context, kind string, a ambit.Action, detail string)

	Authority *Authority
	// Roots gives whom to trust for routes without their own. It is called at the
	// first connection that needs it; nil trusts nobody.
	Roots  func() (*x509.CertPool, error)
	Limits Limits
}

func (c *Config) check() error {
	switch {
	case c.Task.ID == "" || c.Task.Agent == "":
		return errors.New("cannot make web gate: it has no task")
	case c.Do == nil || c.Classifier == nil || c.Names == nil || c.Resolve == nil:
		return errors.New("cannot make web gate: a part is missing")
	case c.Authority == nil:
		return errors.New("cannot make web gate: it has no authority")
	}
	for _, p := range c.Placeholders {
		if len(p.Value) < minPlaceholder || len(p.Value) > maxPlaceholder {
			return fmt.Errorf("cannot use the placeholder of service %q: it has not %d to %d bytes", p.Service, minPlaceholder, maxPlaceholder)
		}
	}
	if c.Alert == nil {
		c.Alert = func(context.Context, string, ambit.Action, string) {}
	}
	c.Limits.fill()
	return nil
}

func (l *Limits) fill() {
	orInt(&l.Conns, 512)
	orInt(&l.Streams, 100)
	orInt(&l.HeadBytes, 64<<10)
	orInt(&l.HeadTime, 15*time.Second)
	orInt(&l.Handshake, 10*time.Second)
	orInt(&l.Idle, 2*time.Minute)
	orInt(&l.Stall, 5*time.Minute)
	orInt(&l.DialTime, 10*time.Second)
	orInt(&l.AnswerTime, 15*time.Minute)
	orInt(&l.BoundBody, 1<<20)
	orInt(&l.BufferTotal, 16<<20)
}

// orInt gives a number that is not positive its default.
func orInt[T ~int | ~int64 | ~uint32](p *T, def T) {
	if *p <= 0 {
		*p = def
	}
}
