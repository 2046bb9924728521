package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ambit"
	"ambit/broker"
	"ambit/pgwire"
	"ambit/store/row"
)

// Kind and KindOnce are the names of the providers.
const (
	Kind     = "postgres"
	KindOnce = "postgres-once"
)

// Limits of a lease's sessions. The gate keeps the agent from setting others.
const (
	statementTimeout = "60s"
	lockTimeout      = "10s"
	idleInTime       = "60s" // in a transaction
	idleSession      = "30min"
	sessions         = 20 // at a time
)

// Config says what the leases of one task's service are.
type Config struct {
	Admin    []byte  `json:"admin"`    // the administrator's URL, postgres://USER:PASSWORD@HOST:PORT/DATABASE
	Address  string  `json:"address"`  // host:port that is dialled; "" for the URL's
	Host     string  `json:"host"`     // the name in its certificate; "" for the one that is dialled
	TLS      string  `json:"tls"`      // "on", which checks the certificate, "off", or "" for the URL's sslmode
	CA       []byte  `json:"ca"`       // PEM of whom to trust; none for the system's
	Database string  `json:"database"` // "" for the URL's
	Rights   []Right `json:"rights"`   // none for a role that may only log in
	ReadOnly bool    `json:"read_only"`
	// Now is the clock that orders are made by; nil for the machine's. The database
	// has another one.
	Now func() time.Time `json:"-"`
}

// Provider makes a role for each lease. It implements [broker.Renewer] and
// [broker.Lasting].
type Provider struct {
	c      Config
	server *server
	groups []group

	mu     sync.Mutex
	secret map[string][]byte // by lease: what is tried when it should be dead
	closed bool
	fault  func(step string) error // of tests
}

var (
	_ broker.Renewer = (*Provider)(nil)
	_ broker.Lasting = (*Provider)(nil)
)

// Provider makes the provider of one task's service. It takes c.Admin over and
// wipes it when it is closed. Nothing is connected to yet.
func (s *Servers) Provider(c Config) (*Provider, error) {
	l, err := c.parse()
	if err != nil {
		return nil, err
	}
	if c.ReadOnly && slices.ContainsFunc(c.Rights, func(r Right) bool { return r.Privilege != Select }) {
		return nil, fmt.Errorf("cannot make leases of database %s: they are for reading only, and have rights to write", l.Database)
	}
	for _, r := range c.Rights {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("cannot make leases of database %s: %w", l.Database, err)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Provider{c: c, server: s.use(l), groups: groups(l.Database, c.Rights), secret: map[string][]byte{}}, nil
}

// FromRecipe makes the provider again that recipe is of.
func (s *Servers) FromRecipe(recipe []byte) (*Provider, error) {
	var c Config
	if err := json.Unmarshal(recipe, &c); err != nil {
		return nil, errors.New("cannot make leases of a database: what was kept of it cannot be read")
	}
	return s.Provider(c)
}

// Recipe implements [broker.Lasting].
func (p *Provider) Recipe() ([]byte, error) { return json.Marshal(p.c) }

// Target is where the lease is used.
func (p *Provider) Target() Target { return p.server.login.Target }

// Name implements [broker.Provider].
func (p *Provider) Name() string { return Kind }

// Format shows where the leases are of and nothing else, in every verb.
func (p *Provider) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "roles of database %s at %s", p.server.login.Database, p.server.login.Dial)
}

// Close ends the use of the administrator's connections and wipes the URL.
func (p *Provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		clear(p.c.Admin)
		for lease := range p.secret {
			p.forget(lease)
		}
		p.server.leave()
	}
	return nil
}

// at tells a test that a step is about to happen.
func (p *Provider) at(step string) error {
	if p.fault == nil {
		return nil
	}
	return p.fault(step)
}

// Role is the name of a lease's role.
func Role(lease string) string { return "ambit_" + lease }

// checkLease refuses an id that could be anything but part of a role's name.
func checkLease(id string) error {
	if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("cannot use lease %.40q: its id is not 32 hexadecimal digits", id)
	}
	return nil
}

// Mint implements [broker.Provider]. The credential is the role's name, a line
// feed and its password; the handle is the role's number in the catalog.
func (p *Provider) Mint(ctx context.Context, o broker.Order) (broker.Credential, error) {
	if err := checkLease(o.Lease); err != nil {
		return broker.Credential{}, err
	}
	password := random()
	verifier, err := pgwire.Verifier(password)
	if err != nil {
		return broker.Credential{}, err
	}
	var oid string
	var sent creation
	err = p.server.with(ctx, func(ctx context.Context, s *session) error {
		if oid, err = p.make(ctx, s, o, verifier, &sent); err != nil {
			return p.explain(err)
		}
		return p.at("role made")
	})
	if err != nil {
		return broker.Credential{}, sent.explain(err)
	}
	p.mu.Lock()
	p.secret[o.Lease] = password
	p.mu.Unlock()
	return broker.Credential{Secret: ambit.NewSecret(append([]byte(Role(o.Lease)+"\n"), password...)), Handle: oid}, nil
}

// forget wipes a lease's password. The caller holds the lock.
func (p *Provider) forget(lease string) {
	clear(p.secret[lease])
	delete(p.secret, lease)
}

// random is a password of 256 bits: nobody will guess it.
func random() []byte {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.AppendEncode(nil, b[:])
}

// make makes the role and the groups that are missing, and returns its number.
func (p *Provider) make(ctx context.Context, s *session, o broker.Order, verifier string, sent *creation) (oid string, err error) {
	return oid, p.withGroups(ctx, s, p.groups, func() error {
		oid, err = p.role(ctx, s, o, verifier, sent)
		return err
	})
}

// withGroups runs f, and makes the groups that it misses. Somebody may drop one in
// between.
func (p *Provider) withGroups(ctx context.Context, s *session, all []group, f func() error) error {
	for range 5 {
		if err := f(); !errors.Is(err, errGroups) {
			return err
		}
		missing, _, err := p.missing(ctx, s, all, time.Time{})
		if err == nil {
			err = p.ensure(ctx, s, missing)
		}
		if err == nil {
			err = p.at("groups made")
		}
		if err != nil {
			return err
		}
	}
	return errGroups
}

var errGroups = errors.New("its groups are dropped by somebody else all the time")

// missing are the groups that are not there, or do not give all that they are for.
// until is an end as the database's own clock has it.
func (p *Provider) missing(ctx context.Context, s *session, all []group, end time.Time) (out []group, until string, err error) {
	has := []string{p.until(end)}
	for _, g := range all {
		has = append(has, g.has)
	}
	rows, err := s.run(ctx, "SELECT "+strings.Join(has, ", "))
	if err != nil {
		return nil, "", err
	}
	for i, g := range all {
		if rows[0][i+1] != "t" {
			out = append(out, g)
		}
	}
	return out, rows[0][0], nil
}

// role makes the role in one step: it never is without its limits, and never with
// more than its groups.
func (p *Provider) role(ctx context.Context, s *session, o broker.Order, verifier string, sent *creation) (oid string, err error) {
	return oid, again(ctx, func() error {
		return s.in(ctx, lockShared+"; "+lockLease(o.Lease), func() error {
			missing, until, err := p.missing(ctx, s, p.groups, o.Expires)
			if err == nil && len(missing) > 0 {
				err = errGroups
			}
			if err != nil {
				return err
			}
			rows, err := sent.run(ctx, s, p.create(s, o.Lease, verifier, until))
			if err != nil {
				return err
			}
			if oid = first(rows); oid == "" {
				return errors.New("the role is not there after it was made")
			}
			return p.at("before the role is there")
		})
	})
}

func first(rows [][]string) string {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return ""
	}
	return rows[0][0]
}

// create is the statements that make a role, or make it anew, and select its number.
func (p *Provider) create(s *session, lease, verifier, until string) string {
	r := Role(lease)
	var b strings.Builder
	fmt.Fprintf(&b, "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s) THEN CREATE ROLE %s NOLOGIN; END IF; END $$;\n", literal(r), r)
	fmt.Fprintf(&b, "COMMENT ON ROLE %s IS 'Ambit: a lease of a task; it is dropped with it';\n", r)
	for name, value := range p.settings(s) {
		fmt.Fprintf(&b, "ALTER ROLE %s SET %s = %s;\n", r, name, value)
	}
	for _, g := range p.groups {
		fmt.Fprintf(&b, "GRANT %s TO %s%s;\n", g.name, r, s.inheritOnly())
	}
	fmt.Fprintf(&b, "ALTER ROLE %s LOGIN INHERIT CONNECTION LIMIT %d PASSWORD %s VALID UNTIL %s;\n", r, sessions, literal(verifier), literal(until))
	fmt.Fprintf(&b, "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s", literal(r))
	return b.String()
}

func (p *Provider) settings(s *session) map[string]string {
	m := map[string]string{
		"search_path": "pg_catalog, public, pg_temp", "statement_timeout": literal(statementTimeout), "lock_timeout": literal(lockTimeout),
		"idle_in_transaction_session_timeout": literal(idleInTime), "default_transaction_read_only": "off",
	}
	if p.c.ReadOnly {
		m["default_transaction_read_only"] = "on"
	}
	if s.version() >= 14 {
		m["idle_session_timeout"] = literal(idleSession)
	}
	return m
}

// version is the server's major version, 0 when it does not say.
func (s *session) version() (n int) {
	_, _ = fmt.Sscanf(s.c.Parameter("server_version"), "%d", &n)
	return n
}

// inheritOnly ends a GRANT of a role: its rights, and not to become it. A session that
// became a group would keep its rights when it is a member no more. Before PostgreSQL 16
// the one cannot be had without the other.
func (s *session) inheritOnly() string {
	if s.version() >= 16 {
		return " WITH INHERIT TRUE, SET FALSE"
	}
	return ""
}

// until is an expression for an end as the database's own clock has it: the daemon's
// only says how far away it is.
func (p *Provider) until(end time.Time) string {
	return fmt.Sprintf("clock_timestamp() + interval '%d milliseconds'", max(end.Sub(p.c.Now()).Milliseconds(), 0))
}

// Renew implements [broker.Renewer].
func (p *Provider) Renew(ctx context.Context, l row.Lease, until time.Time) error {
	if err := checkLease(l.ID); err != nil {
		return err
	}
	return p.server.with(ctx, func(ctx context.Context, s *session) error {
		rows, err := s.run(ctx, "SELECT "+p.until(until)+" FROM pg_catalog.pg_roles WHERE rolcanlogin AND rolname = "+literal(Role(l.ID)))
		if err != nil {
			return p.explain(err)
		}
		if len(rows) == 0 {
			return broker.ErrGone
		}
		err = again(ctx, func() error {
			_, err := s.run(ctx, fmt.Sprintf("ALTER ROLE %s VALID UNTIL %s", Role(l.ID), literal(first(rows))))
			return err
		})
		if err == nil {
			// What an approved statement made in a transaction that is committed since. What
			// cannot be handed over now is when the lease ends.
			_ = p.server.handOver(ctx, s, Role(l.ID), briefly)
		}
		return p.explain(err)
	})
}

// explain adds what to do about errors that a person can do something about.
func (p *Provider) explain(err error) error {
	if err == nil {
		return nil
	}
	next := ""
	switch code(err) {
	case "42501":
		next = ": the administrator's role must be a superuser, or have CREATEROLE and own what is granted"
	case "3F000", "42P01", "42703":
		next = ": a line of the grants names what is not there"
	}
	return fmt.Errorf("database %s at %s: %w%s", p.server.login.Database, p.server.login.Dial, err, next)
}
