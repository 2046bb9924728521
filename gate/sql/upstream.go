package sql

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// upstream is a connection to a database, past its startup.
type upstream struct {
	conn   net.Conn
	r      *bufio.Reader
	key    []byte            // the server's own, for a CancelRequest
	pid    uint32            // likewise
	params map[string]string // what the server reported
}

// maxMessage bounds a message of the database that is read as a whole, in bytes.
// Rows are not: they are passed on as they come.
const maxMessage = 1 << 20

// connect reaches a database and logs in with the lease.
func (g *Gate) connect(ctx context.Context, d *Database, l Login, settings map[string]string) (*upstream, error) {
	c, err := g.dial(ctx, d)
	if err != nil {
		return nil, err
	}
	u := &upstream{conn: c, r: bufio.NewReaderSize(c, sqlBuffer), params: map[string]string{}}
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
	if err := u.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: params}); err != nil {
		return err
	}
	if err := u.authenticate(l); err != nil {
		return err
	}
	for {
		kind, body, err := u.read()
		if err != nil {
			return err
		}
		switch kind {
		case 'S':
			var m pgproto3.ParameterStatus
			if err := m.Decode(body); err != nil {
				return err
			}
			u.params[m.Name] = m.Value
		case 'K':
			var m pgproto3.BackendKeyData
			if err := m.Decode(body); err != nil {
				return err
			}
			u.pid, u.key = m.ProcessID, append([]byte(nil), m.SecretKey...)
		case 'N':
		case 'Z':
			return u.assumed()
		default:
			return unexpected(kind, body)
		}
	}
}

// version is the server's major version, 0 when it does not say.
func (u *upstream) version() (n int) {
	_, _ = fmt.Sscanf(u.params["server_version"], "%d", &n)
	return n
}

// encoding is the database's own.
func (u *upstream) encoding() string { return u.params["server_encoding"] }

// assumed checks what the reader of statements takes for granted: otherwise it
// would read other statements than the database.
func (u *upstream) assumed() error {
	if e := u.params["client_encoding"]; e != "UTF8" {
		return fmt.Errorf("the database speaks the encoding %q and not UTF8", e)
	}
	if u.params["standard_conforming_strings"] != "on" {
		return errors.New("standard_conforming_strings is off in the database; turn it on")
	}
	return nil
}

// authenticate proves the password. It is never sent in the clear, nor as MD5.
func (u *upstream) authenticate(l Login) error {
	var s *scram
	proved := false
	for {
		kind, body, err := u.read()
		if err != nil {
			return err
		}
		if kind == 'N' {
			continue
		}
		if kind != 'R' || len(body) < 4 {
			return unexpected(kind, body)
		}
		switch binary.BigEndian.Uint32(body) {
		case pgproto3.AuthTypeOk:
			if s != nil && !proved {
				return errors.New("the database did not prove that it knows the role")
			}
			return nil
		case pgproto3.AuthTypeSASL:
			var m pgproto3.AuthenticationSASL
			if err := m.Decode(body); err != nil {
				return err
			}
			if s, err = newSCRAM(m.AuthMechanisms, l.Password); err != nil {
				return err
			}
			err = u.send(&pgproto3.SASLInitialResponse{AuthMechanism: scramSHA256, Data: s.begin()})
		case pgproto3.AuthTypeSASLContinue:
			if s == nil {
				return unexpected(kind, body)
			}
			answer, aerr := s.answer(body[4:])
			if aerr != nil {
				return aerr
			}
			err = u.send(&pgproto3.SASLResponse{Data: answer})
		case pgproto3.AuthTypeSASLFinal:
			if s == nil {
				return unexpected(kind, body)
			}
			err = s.verify(body[4:])
			proved = err == nil
		default:
			return errors.New("the database asks for the password in a way that would give it away; set its pg_hba.conf to scram-sha-256")
		}
		if err != nil {
			return err
		}
	}
}

func (u *upstream) send(m pgproto3.FrontendMessage) error {
	b, err := m.Encode(nil)
	if err != nil {
		return err
	}
	_, err = u.conn.Write(b)
	return err
}

// header reads a message's type and length.
func (u *upstream) header() (kind byte, n int, err error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(u.r, h[:]); err != nil {
		return 0, 0, err
	}
	n = int(int32(binary.BigEndian.Uint32(h[1:]))) - 4
	if n < 0 {
		return 0, 0, errors.New("the database sent a message of no possible length")
	}
	return h[0], n, nil
}

// read reads a whole message of a bounded size.
func (u *upstream) read() (kind byte, body []byte, err error) {
	kind, n, err := u.header()
	if err != nil {
		return 0, nil, err
	}
	if n > maxMessage {
		return 0, nil, fmt.Errorf("the database sent a message %q of %d bytes, at most %d", kind, n, maxMessage)
	}
	body, err = readBody(u.r, n)
	return kind, body, err
}

// errDatabase is an error that the database reported.
type errDatabase struct{ state, message string }

// Error holds the state and the message.
func (e *errDatabase) Error() string { return "the database refused: " + e.state + " " + e.message }

// unexpected is the error of a message that does not belong there. Of an error it
// keeps the state and the message, which name no secret.
func unexpected(kind byte, body []byte) error {
	if kind == 'E' {
		var m pgproto3.ErrorResponse
		if m.Decode(body) == nil {
			return &errDatabase{printable(m.Code, 5), printable(m.Message, 200)}
		}
	}
	return fmt.Errorf("the database sent an unexpected message %q", kind)
}
