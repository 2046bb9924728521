package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/catalog/sql"
)

// prepared is a statement that was read and parsed; nil Statement is an empty one.
type prepared struct {
	stmt  *sql.Statement
	oids  []uint32 // types of the parameters, as the client gave them; they decide what a statement means
	types string   // the same as text
	size  int      // bytes that it keeps
	waits bool     // a Bind of it is sent with its Execute, and not before
	early bool     // and so is its Parse
}

// portal is a prepared statement with its parameters.
type portal struct {
	of     *prepared
	params parameters
	size   int  // bytes that it keeps
	begun  bool // its first execution was permitted, and made
}

// parse reads a statement for later. What it does is decided when it is executed;
// to parse it only looks names up.
func (s *session) parse(ctx context.Context, body []byte) error {
	var m pgproto3.Parse
	raw, bad := decoded(&m, 'P', body)
	if bad != nil {
		return s.fatal(ctx, bad)
	}
	if bad := tooLong(m.Name); bad != nil {
		return s.stop(ctx, bad, false)
	}
	list, err := s.g.c.Reader.Parse(m.Query)
	switch {
	case err != nil:
		return s.stop(ctx, unread(err), false)
	case len(list) > 1:
		return s.stop(ctx, notUnderstood("a prepared statement is one statement"), false)
	}
	if bad := s.readable(m.Query, list); bad != nil {
		return s.stop(ctx, bad, false)
	}
	p := &prepared{size: len(m.Query) + 8*len(m.ParameterOIDs) + 256, oids: m.ParameterOIDs}
	for _, oid := range m.ParameterOIDs {
		if p.types += fmt.Sprintf("%d,", oid); len(p.types) > maxArg {
			return s.stop(ctx, &refusal{code: CodeBusy, state: stateMemory, why: "the statement has too many parameters"}, false)
		}
	}
	if len(list) == 1 {
		// What an EXECUTE runs is known when it is executed.
		if bad := s.unfit(&list[0]); bad != nil && list[0].Operation != "sql.execute" {
			return s.stop(ctx, bad, false)
		}
		p.stmt = ofOwnTypes(list[0], p.oids)
		free := s.foreseen(p.stmt)
		p.waits = !free || p.stmt.Effect.Worst() != ambit.Read
		p.early = !free && p.stmt.Early
	}
	s.mu.Lock()
	many := len(s.named) >= s.g.c.Limits.Names
	s.mu.Unlock()
	if many || !s.take(p.size) {
		return s.stop(ctx, &refusal{code: CodeBusy, state: stateMemory, why: "too many statements are prepared", instead: "Close some, or connect anew."}, false)
	}
	return s.later(raw, pending{kind: 'P', name: m.Name, stmt: p}, p.early || len(s.held) > 0)
}

// keepName replaces a prepared statement by name; nil removes it. The caller holds
// the lock.
func (s *session) keepName(name string, p *prepared) {
	if old := s.named[name]; old != nil {
		s.give(old.size)
	}
	if delete(s.named, name); p != nil {
		s.named[name] = p
	}
}

// lookup finds a prepared statement as the database will know it when it gets there.
func (s *session) lookup(name string) *prepared {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.named[name]
	for _, x := range append(s.pend[:len(s.pend):len(s.pend)], s.heldPend...) {
		switch {
		case x.kind == 'P' && x.name == name:
			p = x.stmt
		case x.kind == 'C' && x.of == 'S' && x.name == name:
			p = nil
		}
	}
	return p
}

func (s *session) lookupPortal(name string) *portal {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.portals[name]
	for _, x := range append(s.pend[:len(s.pend):len(s.pend)], s.heldPend...) {
		switch {
		case x.kind == 'B' && x.name == name:
			p = x.port
		case x.kind == 'C' && x.of == 'P' && x.name == name:
			p = nil
		}
	}
	return p
}

// later sends a message to the database with what follows it, or holds it back until
// an Execute is permitted.
func (s *session) later(raw []byte, p pending, hold bool) error {
	if hold {
		if len(s.held)+len(raw) > s.g.c.Limits.BindBytes+maxSmall || len(s.heldPend) > s.g.c.Limits.Names || !s.take(len(raw)) {
			return &refusal{code: CodeBusy, state: stateMemory, why: "too much waits for its Execute"}
		}
		if s.held = append(s.held, raw...); p.kind != 0 {
			s.heldPend = append(s.heldPend, p)
		}
		return nil
	}
	s.mu.Lock()
	if p.kind != 0 {
		s.pend = append(s.pend, p)
	}
	many := len(s.pend) > s.g.c.Limits.Names
	s.mu.Unlock()
	if many {
		return &refusal{code: CodeBusy, state: stateMemory, why: "too many messages wait for a Sync"}
	}
	s.wbuf, s.sent, s.binds = append(s.wbuf, raw...), true, s.binds || p.kind == 'B'
	if len(s.wbuf) > maxSmall {
		return s.write()
	}
	return nil
}

// bind gives a statement its parameters. That reads their values, and makes a plan, in
// which functions are run that claim to be immutable; and FETCH, which is SQL, can
// execute what is bound. So what is more than a read, or not sure to be allowed, waits
// for its Execute.
func (s *session) bind(ctx context.Context, body []byte) error {
	var m pgproto3.Bind
	raw, bad := decoded(&m, 'B', body)
	if bad != nil {
		return s.fatal(ctx, bad)
	}
	if bad := tooLong(m.PreparedStatement, m.DestinationPortal); bad != nil {
		return s.stop(ctx, bad, false)
	}
	of := s.lookup(m.PreparedStatement)
	if of == nil {
		return s.stop(ctx, &refusal{code: CodeUnknown, state: "26000", why: "there is no prepared statement " + printable(m.PreparedStatement, 64)}, false)
	}
	p := &portal{of: of, params: s.parameters(&m)}
	if p.size = p.params.kept() + 256; !s.take(p.size) {
		return s.stop(ctx, tooManyPortals(), false)
	}
	if !s.name(m.DestinationPortal) {
		s.give(p.size)
		return s.stop(ctx, tooManyPortals(), false)
	}
	return s.later(raw, pending{kind: 'B', name: m.DestinationPortal, port: p}, len(s.held) > 0 || of.waits)
}

// describe asks what a statement returns, which changes nothing.
func (s *session) describe(ctx context.Context, f frame) error {
	var m pgproto3.Describe
	raw, bad := decoded(&m, 'D', f.body)
	if bad == nil && m.ObjectType != 'S' && m.ObjectType != 'P' {
		bad = badProtocol("it asks to describe what does not exist")
	}
	if bad != nil {
		return s.fatal(ctx, bad)
	}
	if bad := tooLong(m.Name); bad != nil {
		return s.stop(ctx, bad, false)
	}
	return s.later(raw, pending{}, len(s.held) > 0)
}

func (s *session) closeName(ctx context.Context, f frame) error {
	var m pgproto3.Close
	raw, bad := decoded(&m, 'C', f.body)
	if bad == nil && m.ObjectType != 'S' && m.ObjectType != 'P' {
		bad = badProtocol("it asks to close what does not exist")
	}
	if bad != nil {
		return s.fatal(ctx, bad)
	}
	if bad := tooLong(m.Name); bad != nil {
		return s.stop(ctx, bad, false)
	}
	return s.later(raw, pending{kind: 'C', name: m.Name, of: m.ObjectType}, len(s.held) > 0)
}

// waiting refuses to go on while something waits for its Execute.
func (s *session) waiting(ctx context.Context) (bool, error) {
	if len(s.held) == 0 {
		return false, nil
	}
	return true, s.stop(ctx, leftBound(), false)
}

func leftBound() *refusal {
	return &refusal{code: CodeUnknown, state: stateRefused, why: "a statement that is more than a read, or not sure to be allowed, was bound and is not executed at once",
		instead: "Send Parse, Bind and Execute together."}
}

// flushed sends what was gathered, and has the database answer it.
func (s *session) flushed(ctx context.Context) error {
	if stopped, err := s.waiting(ctx); stopped {
		return err
	}
	s.wbuf = append(s.wbuf, messageFlush...)
	return s.write()
}

const (
	messageFlush = "H\x00\x00\x00\x04"
	messageSync  = "S\x00\x00\x00\x04"
)

// sync ends what belongs together, and waits until the database has.
func (s *session) sync(ctx context.Context) error {
	if !s.skip {
		if _, err := s.waiting(ctx); err != nil {
			return err
		}
	}
	s.skip = false
	s.listen(true)
	s.wbuf = append(s.wbuf, messageSync...)
	if err := s.write(); err != nil {
		return err
	}
	_, _, err := s.await("Z")
	return err
}

// settleKind is the kind of what settle has the database confirm.
const settleKind = '!'

// settle waits until the database has taken what was sent and not ended by a Sync. When
// it has failed, it skips what follows, and would never say that it is ready.
func (s *session) settle() (skips bool, err error) {
	b, err := (&pgproto3.Close{ObjectType: 'S', Name: "ambit settles"}).Encode(nil)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	if s.failed {
		s.mu.Unlock()
		return true, nil
	}
	s.expect, s.pend = true, append(s.pend, pending{kind: settleKind})
	s.mu.Unlock()
	s.wbuf = append(append(s.wbuf, b...), messageFlush...)
	if err := s.write(); err != nil {
		return false, err
	}
	_, _, err = s.await("3E")
	return s.listen(false), err
}

// listen says whether the session waits for events.
func (s *session) listen(on bool) (failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expect = on
	return s.failed
}

// stop tells the agent of a refusal of the gate itself. What it belongs to fails as
// if the database had said so: an open transaction is rolled back at its end, and
// nothing that came before in the same batch stays.
func (s *session) stop(ctx context.Context, bad *refusal, simple bool) error {
	bad.what = orText(bad.what, "the statement")
	return s.fail(s.g.refuse(ctx, s.a.connAction(), bad), simple)
}

// brokenStatement is no statement in any language: the database refuses it, and
// with it what it belongs to.
const brokenStatement = "refused by ambit"

// fail makes the database fail where the agent is told that something failed, so
// that both are of one mind about the transaction.
func (s *session) fail(m *pgproto3.ErrorResponse, simple bool) error {
	s.dropHeld()
	if simple {
		return s.failSimple(m)
	}
	s.skip = true
	if s.status != 'T' && !s.sent {
		return s.out.send(true, m)
	}
	s.mu.Lock()
	failed := s.failed
	s.expect, s.swallow = !failed, !failed
	s.mu.Unlock()
	if failed {
		return nil // the agent knows of an error already, and the database skips
	}
	b, err := (&pgproto3.Parse{Name: "ambit", Query: brokenStatement}).Encode(nil)
	if err != nil {
		return err
	}
	s.wbuf = append(append(s.wbuf, b...), messageFlush...)
	if err := s.write(); err != nil {
		return err
	}
	_, _, err = s.await("E")
	s.listen(false)
	if err != nil {
		return err
	}
	return s.out.send(true, m)
}

// failSimple answers a simple query with a refusal.
func (s *session) failSimple(m *pgproto3.ErrorResponse) error {
	if s.status != 'T' && !s.sent {
		return s.out.send(true, m, &pgproto3.ReadyForQuery{TxStatus: s.status})
	}
	s.mu.Lock()
	s.expect, s.swallow = true, !s.failed
	s.mu.Unlock()
	if err := s.out.send(false, m); err != nil {
		return err
	}
	b, err := (&pgproto3.Query{String: brokenStatement}).Encode(nil)
	if err != nil {
		return err
	}
	s.wbuf = append(s.wbuf, b...)
	if err := s.write(); err != nil {
		return err
	}
	_, _, err = s.await("Z")
	return err
}
