package sql

import (
	"github.com/jackc/pgx/v5/pgproto3"
)

// The server looks a session's rights up once and keeps them until it learns that some
// were changed, which inside a transaction it may do much later: what was lent would not
// be there yet, and what was taken back would be there still, for code that a later
// statement of the same transaction calls. It learns of changes when it locks something,
// and that is what this statement has it do. It returns no row.
const freshText = `SELECT 1 FROM (SELECT pg_catalog.pg_get_object_address('schema', '{pg_catalog}', '{}') IS NULL AS x OFFSET 0) q WHERE q.x`

// freshName is of its statement and portal.
const freshName = "ambit looks again"

// freshKind is the kind of the event after the last of its answers.
const freshKind = '='

// refresh has the server look again, inside of a transaction that has not failed and with
// nothing under way. The agent sees nothing of it.
func (s *session) refresh() error {
	err := s.ownQuery(&pgproto3.Flush{},
		&pgproto3.Close{ObjectType: 'S', Name: freshName}, &pgproto3.Parse{Name: freshName, Query: freshText}, &pgproto3.Bind{DestinationPortal: freshName, PreparedStatement: freshName},
		&pgproto3.Execute{Portal: freshName}, &pgproto3.Close{ObjectType: 'P', Name: freshName}, &pgproto3.Close{ObjectType: 'S', Name: freshName})
	if err != nil {
		return err
	}
	s.stale = false
	if !s.sent && !s.lone {
		s.rest()
	}
	return nil
}

// again ends the transaction that the server began for what was only parsed since the
// last Sync, so that it begins another, with the rights of then.
func (s *session) again() error {
	if s.status != 'I' || s.executes || s.binds || !s.sent {
		return nil
	}
	if err := s.ownQuery(nil, &pgproto3.Sync{}); err != nil {
		return err
	}
	s.sent = false
	s.rest()
	return nil
}

// ownQuery sends messages of the gate's own, each of which has one answer, and at last one
// that has none.
func (s *session) ownQuery(last pgproto3.FrontendMessage, ms ...pgproto3.FrontendMessage) error {
	all, b := ms, []byte(nil)
	if last != nil {
		all = append(all, last)
	}
	for _, m := range all {
		var err error
		if b, err = m.Encode(b); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.own = len(ms)
	s.mu.Unlock()
	s.wbuf = append(s.wbuf, b...)
	if err := s.write(); err != nil {
		return err
	}
	if ev, ok := <-s.events; !ok || ev.kind != freshKind {
		return errEnded
	}
	return nil
}

// swallowOwn takes an answer to the gate's own statement. The caller holds the lock.
func (s *session) swallowOwn(kind byte) (ev event, err error) {
	switch kind {
	case '1', '2', '3', 'C', 'Z':
		if s.own--; s.own == 0 {
			ev.kind = freshKind
		}
		return ev, nil
	}
	// It cannot be known what the session may do: it ends.
	return ev, unexpected(kind, nil)
}

// within says whether a transaction is open, also one that a Sync ends.
func (s *session) within() bool { return s.status != 'I' || s.executes }

// freshen has the server look again after rights were taken back, before it gets anything
// else. In a transaction that has failed it runs nothing but what ends that, or goes back
// to a point before; then it is the next message.
func (s *session) freshen() error {
	switch {
	case !s.within():
		s.stale = false
	case s.hasFailed(), s.status == 'E' && !s.executes:
	default:
		return s.refresh()
	}
	return nil
}

// looksLate says whether a message of several statements would go on in a transaction
// that has failed, with rights that were taken back.
func (s *session) looksLate(statements int) *refusal {
	if !s.stale || statements < 2 {
		return nil
	}
	return &refusal{code: CodeUnknown, state: stateRefused, why: "in the transaction that has failed rights were given and taken back, which the database has yet to notice", instead: "Send ROLLBACK alone, as a message of its own."}
}
