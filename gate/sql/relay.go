package sql

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit/pgwire"
)

// event is what the relay tells the session: kind is the message's type, and 0 when
// the database's connection has ended.
type event struct {
	kind   byte
	tag    string // of CommandComplete
	state  string // of ErrorResponse
	status byte   // of ReadyForQuery
}

// pending is what the database has yet to confirm: the messages after an error are
// skipped by it, and then nothing of it is true.
type pending struct {
	kind byte // 'P', 'B', 'C', or settleKind
	name string
	of   byte // 'S' or 'P' for 'C'
	stmt *prepared
	port *portal
}

// errEnded says that the database ended the connection.
var errEnded = errors.New("the database ended the connection")

// relay passes on what the database sends. Rows and data go through in pieces; of
// the other messages each is looked at.
func (s *session) relay() error {
	defer close(s.events)
	for {
		kind, n, err := s.up.Header()
		if err == nil {
			err = s.pass(kind, n)
		}
		if err == nil && s.up.R.Buffered() == 0 {
			err = s.out.flush()
		}
		if err != nil {
			_ = s.out.flush() // the agent learns why: a last error may be there
			s.a.conn.Close()
			return errors.Join(errEnded, err)
		}
	}
}

func (c *client) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.w.Flush()
}

// pass passes one message on, and tells the session what it waits for.
func (s *session) pass(kind byte, n int) error {
	switch kind {
	case 'D', 'd', 'T':
		return s.stream(kind, n)
	case '1', '2', '3', 'n', 't', 's', 'C', 'I', 'E', 'N', 'A', 'S', 'G', 'H', 'c', 'Z':
	default: // COPY both ways, or what this protocol does not have here
		return unexpected(kind, nil)
	}
	if n > pgwire.MaxMessage {
		return unexpected(kind, nil)
	}
	body, err := pgwire.ReadBody(s.up.R, n)
	if err != nil {
		return err
	}
	ev, show, err := s.note(kind, body)
	if err != nil {
		return err
	}
	if show {
		if err := s.out.raw(kind, body); err != nil {
			return err
		}
	}
	if ev.kind != 0 {
		s.events <- ev
	}
	return nil
}

// stream passes a message on as it comes.
func (s *session) stream(kind byte, n int) error {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	var h [headerSize]byte
	h[0] = kind
	binary.BigEndian.PutUint32(h[1:], uint32(n+4))
	if _, err := s.out.w.Write(h[:]); err != nil {
		return err
	}
	for n > 0 {
		// What is in the buffer already, without another copy.
		b, err := s.up.R.Peek(min(n, max(1, s.up.R.Buffered())))
		if err != nil {
			return errors.Join(io.ErrUnexpectedEOF, err)
		}
		if _, err := s.out.w.Write(b); err != nil {
			return err
		}
		n -= len(b)
		if _, err := s.up.R.Discard(len(b)); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) raw(kind byte, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var h [headerSize]byte
	h[0] = kind
	binary.BigEndian.PutUint32(h[1:], uint32(len(body)+4))
	if _, err := c.w.Write(h[:]); err != nil {
		return err
	}
	_, err := c.w.Write(body)
	return err
}

// note keeps what a message changes. It says what to tell the session and whether
// the agent is shown the message.
func (s *session) note(kind byte, body []byte) (ev event, show bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	show = true
	if s.own > 0 && kind != 'N' && kind != 'A' && kind != 'S' {
		ev, err = s.swallowOwn(kind)
		return ev, false, err
	}
	switch kind {
	case '1', '2', '3':
		if show = !s.confirm(kind); !show {
			ev = event{kind: kind}
		}
	case 'S':
		var m pgproto3.ParameterStatus
		if err := m.Decode(body); err != nil {
			return ev, false, err
		}
		// The reader of statements rests on these: what follows would be read in
		// another way than the database reads it.
		if m.Name == "client_encoding" && m.Value != "UTF8" || m.Name == "standard_conforming_strings" && m.Value != "on" {
			return ev, false, errors.New(m.Name + " was changed")
		}
		// So does where names are looked up, and who the session is, as far as the server
		// tells (search_path since PostgreSQL 18): a call that was approved can change it.
		if was, told := s.up.Params[m.Name]; told && restedOn(m.Name) && m.Value != was {
			return ev, false, errors.New(m.Name + " was changed")
		}
		if readsValues(m.Name) {
			s.reading[m.Name] = m.Value
		}
	case 'C':
		var m pgproto3.CommandComplete
		if err := m.Decode(body); err != nil {
			return ev, false, err
		}
		ev = event{kind: kind, tag: printable(string(m.CommandTag), 64)}
	case 'I', 's', 'G':
		ev = event{kind: kind}
	case 'E':
		var m pgproto3.ErrorResponse
		if err := m.Decode(body); err != nil {
			return ev, false, err
		}
		s.release(s.pend)
		s.pend, s.failed = nil, true
		ev, show, s.swallow = event{kind: kind, state: printable(m.Code, 5)}, !s.swallow, false
	case 'Z':
		var m pgproto3.ReadyForQuery
		if err := m.Decode(body); err != nil {
			return ev, false, err
		}
		if m.TxStatus == 'I' {
			s.dropPortals() // they end with their transaction
		}
		s.release(s.pend)
		s.pend, s.failed = nil, false
		ev = event{kind: kind, status: m.TxStatus}
	}
	if !s.expect {
		ev = event{}
	}
	return ev, show, nil
}

// confirm takes the first thing that the database had to confirm, and says whether it
// is of the gate's own.
func (s *session) confirm(kind byte) (own bool) {
	if len(s.pend) == 0 {
		return false
	}
	p := s.pend[0]
	s.pend = s.pend[1:]
	switch {
	case p.kind == settleKind && kind == '3':
		return true
	case p.kind == 'P' && kind == '1':
		s.keepName(p.name, p.stmt)
		s.keepPrepare(p.name, nil)
	case p.kind == 'B' && kind == '2':
		s.keepPortal(p.name, p.port)
	case p.kind == 'C' && kind == '3' && p.of == 'S':
		s.keepName(p.name, nil)
		s.keepPrepare(p.name, nil)
	case p.kind == 'C' && kind == '3':
		s.keepPortal(p.name, nil)
		delete(s.bound, p.name)
	default: // out of step: nothing that is known is sure
		s.release(append(s.pend, p))
		for name := range s.named {
			s.keepName(name, nil)
		}
		s.dropPrepares()
		for name := range s.portals {
			s.keepPortal(name, nil)
		}
		s.pend = nil
	}
	return false
}
