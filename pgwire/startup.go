package pgwire

import (
	"encoding/binary"
	"errors"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Login is who logs in, and how.
type Login struct {
	Params   map[string]string // of the startup message: user, database, settings
	Password []byte            // of which nothing is kept
	Binding  []byte            // of the server's certificate; nil binds nothing
	Unproved bool              // a server that asks for no password is believed, although there is one
}

// Start sends the startup message, proves the password and reads what the server says of
// itself, until it is ready. A server that asks for no password proves nothing of itself
// either: it is believed when there is none, or when l says so.
func (c *Conn) Start(l Login) error {
	if err := c.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: l.Params}); err != nil {
		return err
	}
	quota := startupQuota
	if err := c.authenticate(l, &quota); err != nil {
		return err
	}
	for {
		kind, body, err := c.ReadWithin(&quota)
		if err != nil {
			return err
		}
		switch kind {
		case 'S':
			var m pgproto3.ParameterStatus
			if m.Decode(body) != nil {
				return unreadable(kind)
			}
			c.Params[m.Name] = m.Value
		case 'K':
			var m pgproto3.BackendKeyData
			if m.Decode(body) != nil || len(m.SecretKey) > maxKey {
				return unreadable(kind)
			}
			c.PID, c.Key = m.ProcessID, m.SecretKey
		case 'N':
		case 'Z':
			return nil
		default:
			return Unexpected(kind, body)
		}
	}
}

// ErrUnproved is of a server that lets in whoever comes: anybody in its place could.
var ErrUnproved = errors.New("the database asks for no password, as anybody would who stands in its place; set its pg_hba.conf to scram-sha-256")

// ErrGivesAway is of a server that wants the password in another way than by SCRAM.
var ErrGivesAway = errors.New("the database asks for the password in a way that would give it away; set its pg_hba.conf to scram-sha-256")

// authenticate proves the password. It is never sent in the clear, nor as MD5: whoever is
// on the way, or answers in the server's place, would have it or could guess it.
func (c *Conn) authenticate(l Login, quota *int) error {
	p := proof{c: c, l: l}
	for {
		kind, body, err := c.ReadWithin(quota)
		if err != nil {
			return err
		}
		if kind == 'N' {
			continue
		}
		if kind != 'R' || len(body) < 4 {
			return Unexpected(kind, body)
		}
		done, err := p.step(binary.BigEndian.Uint32(body), body)
		if done || err != nil {
			return err
		}
	}
}

// proof is how far a login has come.
type proof struct {
	c      *Conn
	l      Login
	s      *scram
	proved bool // the server knows the password too
}

func (p *proof) step(way uint32, body []byte) (done bool, err error) {
	switch way {
	case pgproto3.AuthTypeOk:
		if p.s != nil && !p.proved {
			return false, errNotProved
		}
		// It would hear all that is said and answer as it likes, and the bound login could be
		// avoided by asking for none.
		if p.s == nil && len(p.l.Password) > 0 && !p.l.Unproved {
			return false, ErrUnproved
		}
		return true, nil
	case pgproto3.AuthTypeSASL:
		if p.s != nil {
			return false, Unexpected('R', body)
		}
		var m pgproto3.AuthenticationSASL
		if m.Decode(body) != nil {
			return false, unreadable('R')
		}
		if p.s, err = newSCRAM(m.AuthMechanisms, p.l.Password, p.l.Binding); err != nil {
			return false, err
		}
		return false, p.c.Send(&pgproto3.SASLInitialResponse{AuthMechanism: p.s.mechanism, Data: p.s.begin()})
	case pgproto3.AuthTypeSASLContinue, pgproto3.AuthTypeSASLFinal:
		if p.s == nil {
			return false, Unexpected('R', body)
		}
		if way == pgproto3.AuthTypeSASLFinal {
			err = p.s.verify(body[4:])
			p.proved = err == nil
			return false, err
		}
		answer, err := p.s.answer(body[4:])
		if err != nil {
			return false, err
		}
		return false, p.c.Send(&pgproto3.SASLResponse{Data: answer})
	}
	return false, ErrGivesAway
}
