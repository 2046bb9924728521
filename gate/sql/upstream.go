package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ambit/pgwire"
)

// upstream is a connection to a database, past its startup.
type upstream struct{ *pgwire.Conn }

// connect reaches a database and logs in with the lease.
func (g *Gate) connect(ctx context.Context, d *Database, l Login, settings map[string]string) (*upstream, error) {
	c, err := g.dial(ctx, d)
	if err != nil {
		return nil, err
	}
	u := &upstream{pgwire.NewConn(c)}
	c.SetDeadline(time.Now().Add(g.c.Limits.Handshake))
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := u.login(d, l, settings); err != nil {
		g.drop(c)
		return nil, &dialError{err}
	}
	if !stop() {
		g.drop(c)
		return nil, ctx.Err()
	}
	c.SetDeadline(time.Time{})
	return u, nil
}

// login sends the startup message (temporary tables come last in the search path:
// where they are not named they come first, and hide others), proves the password and reads what the server
// says of itself.
func (u *upstream) login(d *Database, l Login, settings map[string]string) error {
	params := map[string]string{"user": l.User, "database": d.Name, "client_encoding": "UTF8", "search_path": "public, pg_temp"}
	for k, v := range settings {
		params[k] = v
	}
	// The lease's password is ASCII, so that SASLprep (RFC 4013) changes nothing.
	for _, c := range l.Password {
		if c < ' ' || c > '~' {
			return errors.New("the lease's password is not printable ASCII")
		}
	}
	// A database that lets in whoever comes needs no password of the lease's either.
	if err := u.Start(pgwire.Login{Params: params, Password: l.Password, Unproved: true}); err != nil {
		return reported(err)
	}
	return u.assumed()
}

// version is the server's major version, 0 when it does not say.
func (u *upstream) version() (n int) {
	_, _ = fmt.Sscanf(u.Params["server_version"], "%d", &n)
	return n
}

// encoding is the database's own.
func (u *upstream) encoding() string { return u.Params["server_encoding"] }

// assumed checks what the reader of statements takes for granted: otherwise it
// would read other statements than the database.
func (u *upstream) assumed() error {
	if e := u.Params["client_encoding"]; e != "UTF8" {
		return fmt.Errorf("the database speaks the encoding %q and not UTF8", e)
	}
	if u.Params["standard_conforming_strings"] != "on" {
		return errors.New("standard_conforming_strings is off in the database; turn it on")
	}
	return nil
}

// errDatabase is an error that the database reported.
type errDatabase struct{ state, message string }

// Error holds the state and the message.
func (e *errDatabase) Error() string { return "the database refused: " + e.state + " " + e.message }

// reported is an error with what the database reported as one of the gate's: the state
// and the message, which name no secret.
func reported(err error) error {
	if bad, ok := errors.AsType[*pgwire.Error](err); ok {
		return &errDatabase{printable(bad.Code, 5), printable(bad.Message, 200)}
	}
	return err
}

// unexpected is the error of a message that does not belong there.
func unexpected(kind byte, body []byte) error { return reported(pgwire.Unexpected(kind, body)) }
