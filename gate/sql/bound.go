package sql

import (
	"fmt"
	"slices"
	"strings"

	"ambit"
	"ambit/catalog/sql"
)

// firstOwnType is the least number of a type that the server did not bring itself
// (FirstNormalObjectId in PostgreSQL's access/transam.h).
const firstOwnType = 16384

// ofOwnTypes is a statement with the types of its parameters, as the client gives them
// by their numbers. To read a value of a type that is not the server's own can run
// code, such as the check of a domain: SELECT $1 is no less than SELECT '1'::domain.
func ofOwnTypes(st sql.Statement, oids []uint32) *sql.Statement {
	if !slices.ContainsFunc(oids, func(oid uint32) bool { return oid >= firstOwnType }) {
		return &st
	}
	st.Effect, st.Early = ambit.Irreversible, true
	st.Because = append(slices.Clip(st.Because), "has a parameter of a type that is not PostgreSQL's own")
	for i, a := range st.Accesses {
		if a.Table == "" && a.Operation == "sql.call" {
			st.Accesses = slices.Clone(st.Accesses)
			st.Accesses[i].Effect = ambit.Irreversible
			return &st
		}
	}
	st.Accesses = append(slices.Clip(st.Accesses), sql.Access{Operation: "sql.call", Effect: ambit.Irreversible})
	return &st
}

// foreseen says whether all that a statement does will be allowed without a question,
// as far as one can know.
func (s *session) foreseen(st *sql.Statement) bool {
	f := s.g.c.Foresee
	if f == nil {
		return false
	}
	for _, a := range Accesses(*st) {
		if x := s.touch(a); f(&x) != ambit.Allow {
			return false
		}
	}
	return true
}

// unfit refuses statements whose meaning this connection could lose sight of.
func (s *session) unfit(st *sql.Statement) *refusal {
	bad := s.losing(st)
	if bad != nil {
		x := s.touch(sql.Access{Operation: orText(st.Operation, "sql.unknown")})
		bad.what = describe(&x)
	}
	return bad
}

// losing is the refusal of a statement whose meaning would be lost sight of, or nil.
func (s *session) losing(st *sql.Statement) *refusal {
	switch {
	case st.Kind == sql.KindExecute:
		// It runs more than what was prepared: EXPLAIN ANALYZE EXECUTE, CREATE TABLE AS EXECUTE.
		return &refusal{code: CodeUnknown, state: stateRefused, why: "it hides what is executed in another statement", instead: "Send EXECUTE alone, or the statement itself."}
	case st.Operation == "sql.set" && st.Effect.Worst() != ambit.Read && restedOn(st.Name):
		// Approved once, it would change what every later statement means.
		return &refusal{code: CodeSetting, state: stateRefused, why: "statements are read by the setting " + printable(st.Name, 64) + ", which stays as it is",
			instead: "Name schemas in the statements themselves; connect anew to be somebody else."}
	case st.Operation == "sql.fetch" && s.isBound(st.Name):
		// FETCH executes a portal that was bound, whatever it does, as if it were a cursor.
		return &refusal{code: CodeUnknown, state: stateRefused, why: "the portal " + printable(st.Name, 64) + " was bound by the protocol, and FETCH hides what it executes",
			instead: "Execute it by the protocol, or declare a cursor of another name."}
	}
	return nil
}

// readable refuses a text that the database may read in another way than the gate: in
// another encoding names are folded and cut otherwise, and an older version takes new
// syntax for calls of functions.
func (s *session) readable(text string, list []sql.Statement) *refusal {
	if e := s.up.encoding(); e != "UTF8" && strings.ContainsFunc(text, func(r rune) bool { return r > 127 }) {
		return &refusal{code: CodeUnknown, state: stateRefused, why: "the database keeps text as " + printable(e, 20) + ", and may read letters that are not ASCII as other names", instead: "Send such values as parameters."}
	}
	for i := range list {
		if v := s.up.version(); list[i].Since > v {
			return notUnderstood(fmt.Sprintf("it has syntax of PostgreSQL %d, which is a call of any function in the database's version %d", list[i].Since, v))
		}
	}
	return nil
}

// restedOn are the settings by which it is known what names and texts mean, and who
// the session is.
func restedOn(setting string) bool {
	switch strings.ToLower(setting) {
	case "search_path", "role", "session_authorization", "client_encoding", "standard_conforming_strings":
		return true
	}
	return false
}

// name notes the name of a portal that may come to be; false when there are too many.
// SQL cannot name the one without a name.
func (s *session) name(portal string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.bound[portal]; portal == "" || known {
		return true
	}
	if len(s.bound) >= s.g.c.Limits.Names {
		return false
	}
	s.bound[portal] = struct{}{}
	return true
}

func (s *session) isBound(portal string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.bound[portal]
	return ok
}

func tooManyPortals() *refusal {
	return &refusal{code: CodeBusy, state: stateMemory, why: "too many portals are open, or their parameters are too large", instead: "Close some, or end the transaction."}
}

// forgetCursor drops a portal whose name a statement of SQL gives to something else.
func (s *session) forgetCursor(st *sql.Statement) {
	if st.Kind == sql.KindCursor {
		s.mu.Lock()
		s.keepPortal(st.Name, nil)
		s.mu.Unlock()
	}
}

// executed frees the names of cursors that SQL has made: the database makes none of a
// name that a portal has.
func (s *session) executed(list []sql.Statement, last event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		if list[i].Operation == "sql.declare" && last.kind == 'C' {
			delete(s.bound, list[i].Name)
		}
	}
}

// keepPortal replaces a portal by name; nil removes it. The caller holds the lock.
func (s *session) keepPortal(name string, p *portal) {
	if old := s.portals[name]; old != nil {
		s.give(old.size)
	}
	if delete(s.portals, name); p != nil {
		s.portals[name] = p
	}
}

// dropPortals removes all of them. The caller holds the lock.
func (s *session) dropPortals() {
	for name := range s.portals {
		s.keepPortal(name, nil)
	}
	clear(s.bound)
}

// release gives back what was counted for messages that came to nothing.
func (s *session) release(list []pending) {
	for _, p := range list {
		if p.stmt != nil {
			s.give(p.stmt.size)
		}
		if p.port != nil {
			s.give(p.port.size)
		}
	}
}

// belongs says whether all that waits for an Execute waits for that of this portal.
// Nothing that waits is sent along with what somebody permitted for something else: also
// a read is planned when it is bound, and a view can call what is run then.
func (s *session) belongs(p *portal) bool {
	for _, x := range s.heldPend {
		if x.port != nil && x.port != p || x.stmt != nil && x.stmt != p.of && x.stmt.early {
			return false
		}
	}
	return true
}

// dropHeld forgets what waited for its Execute.
func (s *session) dropHeld() {
	s.release(s.heldPend)
	s.give(len(s.held))
	s.held, s.heldPend = nil, nil
}
