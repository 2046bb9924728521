package sql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"ambit"
	"ambit/catalog/sql"
	"ambit/gate"
)

// Names knows which name the resolver answered with a synthetic address.
type Names interface {
	Lookup(addr netip.Addr) (host string, ok bool)
}

// Reader reads statements; [sql.Parser] is one.
type Reader interface {
	Parse(text string) ([]sql.Statement, error)
	Preview(s sql.Statement, columns ...string) (count, rows, why string)
}

// Elevator gives the task's role in the database the right for one action that a
// person approved, and takes it back.
type Elevator interface {
	// Lendable says, before a person is asked, why what an action of the service needs
	// cannot be given; "" when it can.
	Lendable(ctx context.Context, service, needs string) (why string, err error)
	// Elevate may say why by a [NotLent].
	Elevate(ctx context.Context, intent ambit.RecordID) error
	Lower(ctx context.Context, intent ambit.RecordID) error
}

// Database is one service: where the agent finds it and where it is.
type Database struct {
	Service string   // the grants file's name
	Hosts   []string // lower case, names or literal addresses
	Port    uint16
	Name    string // of the database

	// Dial is the host:port that is really dialled, and the only way to a private,
	// loopback or link-local address. Empty dials the first of Hosts.
	Dial  string
	TLS   bool           // spoken to the database, and verified
	Roots *x509.CertPool // whom to trust for it; nil is Config.Roots
}

// Login is a role and its password, as a lease gives them.
type Login struct {
	User     string
	Password []byte
}

// Limits bound what one task can take. A zero field takes the default.
type Limits struct {
	Conns     int           // open connections of the agent, 200
	TextBytes int           // of a statement, 1 MiB
	BindBytes int           // of all parameters of one execution, 16 MiB
	Held      int64         // of all messages and prepared statements that are held at once, 32 MiB
	Names     int           // prepared statements of one connection, and portals, 4096
	Handshake time.Duration // for TLS and the startup, either side, 15 s
	DialTime  time.Duration // to reach the database, 10 s
	AskBytes  int           // of a statement and its parameters that is asked about, 64 KiB
	Preview   time.Duration // to find what a question shows, 5 s
	Still     time.Duration // for other connections to rest before one has an owner's rights, 10 s
}

// Kinds of alerts.
const (
	AlertFronting = "names-disagree"        // address and TLS name different hosts
	AlertAddress  = "forbidden-address"     // a granted name led to a private address
	AlertProtocol = "ambiguous-request"     // bytes that no client sends
	AlertPipeline = "refusal-not-in-record" // a refusal could not be recorded
	AlertLend     = "right-not-known"       // whether a right can be given before a person is asked
	AlertRight    = "right-not-taken-back"  // what an approved statement needed, and no other may
)

// Config plugs the gate in. All but Elevator, Foresee, Alert, Roots
// and Limits are required.
type Config struct {
	Task      gate.Task
	Do        gate.Doer
	Databases []Database
	Names     Names
	Reader    Reader

	// Resolve returns a host's real addresses; it is called after an allow only.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Login reads the secret that the broker gives for a service.
	Login func(secret []byte) (Login, error)
	// Elevator gives the task's role what one approved action needs; nil for roles that
	// have it.
	Elevator Elevator
	// Certificate gives the certificate for a host that is shown to the agent.
	Certificate func(host string) (*tls.Certificate, error)
	// Foresee looks ahead at the verdict of an action, without asking, counting or
	// recording. It tells whether a person must see all of a statement. It never lets
	// an action through: that is Do's alone.
	Foresee func(a *ambit.Action) ambit.Verdict
	// Alert is told of attacks. It must not block.
	Alert func(ctx context.Context, kind string, a ambit.Action, detail string)
	// Roots gives whom to trust for databases without their own roots; nil trusts
	// nobody.
	Roots  func() (*x509.CertPool, error)
	Limits Limits
}

func (c *Config) check() error {
	switch {
	case c.Task.ID == "" || c.Task.Agent == "":
		return errors.New("cannot make sql gate: it has no task")
	case c.Do == nil || c.Names == nil || c.Reader == nil || c.Resolve == nil || c.Login == nil || c.Certificate == nil:
		return errors.New("cannot make sql gate: a part is missing")
	}
	seen := map[place]string{}
	for _, d := range c.Databases {
		if d.Service == "" || d.Port == 0 || d.Name == "" || len(d.Hosts) == 0 {
			return fmt.Errorf("cannot make sql gate: the database %q is not described", d.Service)
		}
		for _, h := range d.Hosts {
			at := place{h, d.Port}
			if other, taken := seen[at]; taken {
				return fmt.Errorf("cannot make sql gate: %s belongs to %q and %q", at, other, d.Service)
			}
			seen[at] = d.Service
		}
	}
	if c.Alert == nil {
		c.Alert = func(context.Context, string, ambit.Action, string) {}
	}
	c.Limits.fill()
	return nil
}

func (l *Limits) fill() {
	orElse(&l.Conns, 200)
	orElse(&l.TextBytes, sql.MaxText)
	orElse(&l.BindBytes, 16<<20)
	orElse(&l.Held, 32<<20)
	orElse(&l.Names, 4096)
	orElse(&l.Handshake, 15*time.Second)
	orElse(&l.DialTime, 10*time.Second)
	orElse(&l.AskBytes, 64<<10)
	orElse(&l.Preview, 5*time.Second)
	orElse(&l.Still, 10*time.Second)
}

// orElse gives a number that is not positive its default.
func orElse[T ~int | ~int64](p *T, def T) {
	if *p <= 0 {
		*p = def
	}
}
