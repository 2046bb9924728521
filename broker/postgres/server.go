// Package postgres makes leases of PostgreSQL databases: for each a role of its own
// that can log in, has the rights of the task's grants by membership in group roles
// and nothing else, and is provably gone afterwards.
//
// No table grant ever names a task's role: the list of grants of one table is one
// row, and ends at about 2,400 roles. The groups are named for what they give.
package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"ambit/pgwire"
)

const (
	connections = 4                // of the administrator, to one database
	connectTime = 10 * time.Second // to open one
	messageTime = 10 * time.Minute // for statements sent together; each has 30 s by the server's clock
	idleTime    = 20 * time.Second // after which one that nobody uses is closed
	lingerTime  = time.Minute      // after which a database that nobody uses is tidied up
)

// Servers are the administrator's connections of one daemon, shared by its tasks.
// The zero value is ready.
type Servers struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]*server
}

// server is one database, as one administrator.
type server struct {
	all   *Servers
	key   [sha256.Size]byte
	login login
	slots chan struct{}
	dial  func(ctx context.Context, network, address string) (net.Conn, error) // nil but in tests

	mu     sync.Mutex
	idle   []*idleConn
	users  int // guarded by all.mu
	linger *time.Timer
}

type idleConn struct {
	c     *pgwire.Client
	since time.Time
}

// use finds the server of a login, which it takes over, or begins it. Each use is ended
// by leave.
func (s *Servers) use(l login) *server {
	// Who trusts somebody else must not be given a connection that this one opened.
	password := sha256.Sum256(l.password)
	key := sha256.Sum256(fmt.Appendf(nil, "%q %x %q %q %q %v %q %v", l.user, password, l.Host, l.Dial, l.Database, l.TLS != nil, l.ca, l.TLS != nil && l.TLS.InsecureSkipVerify))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[[sha256.Size]byte]*server{}
	}
	v := s.open[key]
	if v == nil {
		v = &server{all: s, key: key, login: l, slots: make(chan struct{}, connections)}
		s.open[key] = v
	} else {
		clear(l.password) // it is there already
	}
	v.users++
	if v.linger != nil {
		v.linger.Stop()
	}
	return v
}

// leave ends one use. What nobody uses for a minute is tidied up and forgotten.
func (v *server) leave() {
	v.all.mu.Lock()
	defer v.all.mu.Unlock()
	if v.users--; v.users == 0 {
		v.linger = time.AfterFunc(lingerTime, func() { v.all.forget(v) })
	}
}

// forget may run more than once at a time, when a database was used for a moment while it
// was tidied up, and again when another server stands in its place.
func (s *Servers) forget(v *server) {
	unused := func() bool { return v.users == 0 && s.open[v.key] == v }
	s.mu.Lock()
	gone := unused()
	s.mu.Unlock()
	if !gone {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), connectTime)
	defer stop()
	_, _ = v.tidy(ctx) // groups that stay give nobody anything, and the next to come tidies up
	s.mu.Lock()
	if gone = unused(); gone {
		delete(s.open, v.key)
	}
	s.mu.Unlock()
	if gone {
		v.close()
		clear(v.login.password)
	}
}

// Close tidies up every database and closes all connections. No task may use them
// any more; ctx bounds it.
func (s *Servers) Close(ctx context.Context) error {
	s.mu.Lock()
	all := s.open
	s.open = nil
	s.mu.Unlock()
	var errs []error
	for _, v := range all {
		if v.linger != nil {
			v.linger.Stop()
		}
		_, err := v.tidy(ctx)
		errs = append(errs, err)
		v.close()
	}
	return errors.Join(errs...)
}

func (v *server) close() {
	v.mu.Lock()
	idle := v.idle
	v.idle = nil
	v.mu.Unlock()
	for _, i := range idle {
		i.c.Close()
	}
}

// with runs f with a connection of the administrator's. Everything that is run so
// can be run again: a connection that died while nobody used it is no error.
func (v *server) with(ctx context.Context, f func(context.Context, *session) error) error {
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return fmt.Errorf("the administrator's connections to the database are all in use: %w", ctx.Err())
	}
	c := v.take()
	if c != nil {
		err := f(ctx, &session{c})
		if err == nil || !c.Closed() || ctx.Err() != nil {
			v.give(c)
			return err
		}
	}
	c, err := v.login.connect(ctx, v.dial)
	if err != nil {
		return err
	}
	defer v.give(c)
	return f(ctx, &session{c})
}

func (v *server) take() *pgwire.Client {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.idle); n > 0 {
		c := v.idle[n-1].c
		v.idle = v.idle[:n-1]
		return c
	}
	return nil
}

// give takes a connection back; one that is in the middle of something is closed.
func (v *server) give(c *pgwire.Client) {
	if c.Closed() || c.Status() != 'I' {
		c.Close()
		return
	}
	v.mu.Lock()
	v.idle = append(v.idle, &idleConn{c, time.Now()})
	v.mu.Unlock()
	time.AfterFunc(idleTime, v.closeIdle)
}

func (v *server) closeIdle() {
	var old []*pgwire.Client
	v.mu.Lock()
	for len(v.idle) > 0 && time.Since(v.idle[0].since) >= idleTime {
		old = append(old, v.idle[0].c)
		v.idle = v.idle[1:]
	}
	v.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
}

// connect opens a connection. What the environment or the files of the user's home
// say of databases counts for nothing here.
func (l login) connect(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*pgwire.Client, error) {
	if dial == nil {
		dial = (&net.Dialer{Timeout: connectTime}).DialContext
	}
	ctx, stop := context.WithTimeout(ctx, connectTime)
	defer stop()
	c, err := pgwire.Open(ctx, pgwire.Config{
		Dial: func(ctx context.Context) (net.Conn, error) { return dial(ctx, "tcp", l.Dial) },
		TLS:  l.TLS, User: l.user, Database: l.Database, Password: l.password, Unproved: l.unproved,
		Settings: map[string]string{
			"application_name": "ambit broker", "search_path": "pg_catalog", "statement_timeout": "30s", "lock_timeout": "10s",
			"client_min_messages": "error", "client_encoding": "UTF8", "DateStyle": "ISO", "TimeZone": "UTC",
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot connect to database %s at %s as %s: %w%s", l.Database, l.Dial, l.user, err, l.advice(err))
	}
	return c, nil
}

// advice is what to do about an error of a login, where that is not plain.
func (l login) advice(err error) string {
	beyondASCII := func(c byte) bool { return c > 127 }
	switch {
	case errors.Is(err, pgwire.ErrUnproved):
		return ", or leave the password out of the URL when whoever answers there is to be believed"
	case errors.Is(err, pgwire.ErrGivesAway):
		return ", and the role's password anew if it was set while password_encryption was md5"
	case code(err) == wrongPassword && slices.ContainsFunc(l.password, beyondASCII):
		// The database keeps a password as SASLprep (RFC 4013) makes it of what was typed.
		return "; the password has letters that are not ASCII, and must be in Unicode's form NFKC"
	}
	return ""
}

// session is a connection of the administrator's.
type session struct{ c *pgwire.Client }

// run runs statements of our own making in one message and returns the rows of the
// last one as text; NULL is "".
func (s *session) run(ctx context.Context, sql string) ([][]string, error) {
	// A server that says nothing holds up one message and not the daemon.
	ctx, stop := context.WithTimeout(ctx, messageTime)
	defer stop()
	return s.c.Query(ctx, sql)
}

// in runs f in a transaction that begins with a statement, and is rolled back when f
// fails.
func (s *session) in(ctx context.Context, begin string, f func() error) error {
	_, err := s.run(ctx, "BEGIN; "+begin)
	if err == nil {
		err = f()
	}
	if err == nil {
		_, err = s.run(ctx, "COMMIT")
	}
	return s.undone(ctx, err)
}

// whole runs statements in a transaction, all of them or none.
func (s *session) whole(ctx context.Context, sql string) error {
	_, err := s.run(ctx, "BEGIN; "+sql+"; COMMIT")
	return s.undone(ctx, err)
}

// undone ends a transaction that failed. One that waited in vain for a lock of Ambit's
// frees it: everybody can take such a lock, and a lease that does wants to outlive its end.
func (s *session) undone(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	s.rollBack(ctx)
	if code(err) == lockTimedOut {
		return errors.Join(err, s.free(ctx))
	}
	return err
}

// Errors by SQLSTATE.
const (
	lockTimedOut  = "55P03" // lock_not_available
	wrongPassword = "28P01" // invalid_password
)

// free ends the sessions of leases that hold a lock of Ambit's in this database, that of
// one of ids among them. None of them has a reason to.
func (s *session) free(ctx context.Context, ids ...string) error {
	keys := "SELECT " + lockNumber
	for _, id := range ids {
		keys += " UNION ALL SELECT " + leaseNumber(id)
	}
	rows, err := s.run(ctx, "SELECT DISTINCT a.usename, a.pid FROM pg_catalog.pg_locks k JOIN pg_catalog.pg_stat_activity a ON a.pid = k.pid "+
		"WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1 AND k.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) "+
		"AND a.usename ~ '^ambit_[0-9a-f]{32}$' AND ((k.classid::bigint << 32) | k.objid::bigint IN ("+keys+" UNION ALL "+
		"SELECT ('x0' || substr(rolname, 7, 15))::bit(64)::bigint FROM pg_catalog.pg_roles WHERE rolname ~ '^ambit_[0-9a-f]{32}$'))")
	if err != nil {
		return err
	}
	for _, row := range rows {
		err := become(ctx, s, row[0])
		if err == nil {
			_, err = s.run(ctx, "SELECT pg_terminate_backend("+row[1]+")")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) rollBack(ctx context.Context) {
	if s.c.Closed() || s.c.Status() == 'I' {
		return
	}
	if ctx.Err() != nil { // nobody waits any more for a server that may say nothing; it rolls back when it hears
		s.c.Close()
		return
	}
	_, _ = s.run(ctx, "ROLLBACK") // a connection that is not idle after it is closed
}

// code is the SQLSTATE of an error, "" when it is not the database's.
func code(err error) string {
	if pe, ok := errors.AsType[*pgwire.Error](err); ok {
		return pe.Code
	}
	return ""
}

// conflict says whether an error is of two that change the catalog at once.
func conflict(err error) bool {
	pe, ok := errors.AsType[*pgwire.Error](err)
	if !ok {
		return false
	}
	switch pe.Code {
	case "40001", "40P01", lockTimedOut, "42710", "23505": // serialization, deadlock, lock timeout, exists since
		return true
	case "XX000": // these have no code of their own; the last is of 16 and later, where two drop one role
		return pe.Message == "tuple concurrently updated" || pe.Message == "tuple concurrently deleted" || strings.HasPrefix(pe.Message, "could not find tuple for role ")
	}
	return false
}

// again runs f until it does not collide with somebody else's change.
func again(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if err == nil || !conflict(err) || n == 10 {
			return err
		}
		select {
		case <-time.After(time.Duration(n*n) * 5 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}
