package sql

import (
	"maps"

	"ambit"
	"ambit/catalog/sql"
)

// maxName is the length of the longest name, in bytes; the server cuts what is longer
// (NAMEDATALEN), so that two such names could be one there.
const maxName = 63

// tooLong refuses names of the protocol that the server would take for others.
func tooLong(names ...string) *refusal {
	for _, n := range names {
		if len(n) > maxName {
			return &refusal{code: CodeUnknown, state: "42622", why: "a name has more than 63 bytes, and the database cuts it", instead: "Use shorter names for statements and portals."}
		}
	}
	return nil
}

// What PREPARE prepares is known by its name, and is judged when EXECUTE runs it. The
// server has one space of names for these and for those of the protocol, and keeps them
// whatever becomes of the transaction. So what is under a name here is what the server
// has said that it took under it last; and where that cannot be sure, nothing is.

// names are what a message does to what is prepared by SQL.
type names struct {
	set map[string]*sql.Statement // nil for a name that is not prepared after it
	all bool                      // nothing else is prepared after it
}

// resolve gives each EXECUTE of a message what it runs, and each PREPARE what it does by
// itself, which is to read the statement. It returns what the names are when all of the
// message has run.
func (s *session) resolve(list []sql.Statement) (out []sql.Statement, n names, bad *refusal) {
	n.set = map[string]*sql.Statement{}
	for i := range list {
		st := &list[i]
		var to sql.Statement
		switch {
		case st.Kind == sql.KindExecute && st.Operation == "sql.execute":
			before := list[:i]
			if out != nil {
				before = out
			}
			to, bad = s.executing(st, before, &n)
		case st.Kind == sql.KindPrepare && st.Operation == "sql.prepare":
			to, bad = s.preparing(st, &n)
		case st.Kind == sql.KindPrepare || st.Operation == "sql.discard":
			if to = *st; st.Name != "" {
				n.set[st.Name] = nil
			} else {
				n = names{set: map[string]*sql.Statement{}, all: true}
			}
		default:
			if out != nil {
				out = append(out, *st)
			}
			continue
		}
		if bad != nil {
			x := s.touch(sql.Access{Operation: orText(st.Operation, "sql.unknown")})
			bad.what = describe(&x)
			return nil, n, bad
		}
		if out == nil {
			out = append(make([]sql.Statement, 0, len(list)), list[:i]...) // the parser's own is shared
		}
		out = append(out, to)
	}
	if out == nil {
		out = list
	}
	return out, n, nil
}

// preparing is what PREPARE does: what it prepares is not run. Where code runs when a
// statement is only read, or when it would be refused anyway, it is judged at once.
func (s *session) preparing(st *sql.Statement, n *names) (sql.Statement, *refusal) {
	if len(st.Name) > maxName || st.Name == "" {
		return *st, notUnderstood("the name of the statement is too long")
	}
	inner := *st
	if inner.Kind = sql.KindQuery; len(inner.Accesses) == 0 {
		inner.Operation = "sql.select"
	}
	n.set[st.Name] = &inner
	out := *st
	if !st.Early && s.passes(st) {
		out.Effect, out.Accesses, out.Because, out.Unseen, out.Beyond = ambit.Read, nil, nil, "", ""
	}
	return out, nil
}

// passes says whether nothing that a statement does will be refused without a question.
func (s *session) passes(st *sql.Statement) bool {
	f := s.g.c.Foresee
	if f == nil {
		return false
	}
	for _, a := range st.Accesses {
		if x := s.touch(a); f(&x) == ambit.Deny {
			return false
		}
	}
	return true
}

// executing is what EXECUTE does: what was prepared under its name, with its arguments.
func (s *session) executing(st *sql.Statement, before []sql.Statement, n *names) (sql.Statement, *refusal) {
	for i := range before {
		if wild(&before[i]) {
			return *st, notUnderstood("what stands before EXECUTE in the message may change what it runs")
		}
	}
	prepared, here := n.set[st.Name]
	if !here && !n.all {
		s.mu.Lock()
		prepared = s.prepares[st.Name]
		for _, p := range append(s.pend[:len(s.pend):len(s.pend)], s.heldPend...) {
			if (p.kind == 'P' || p.kind == 'C' && p.of == 'S') && p.name == st.Name {
				prepared = nil // the database has yet to say what became of the name
			}
		}
		s.mu.Unlock()
	}
	if prepared == nil {
		return *st, &refusal{code: CodeUnknown, state: stateNoStatement, why: "it is not sure which statement is prepared as " + printable(st.Name, 64),
			instead: "DEALLOCATE it and PREPARE it again, by SQL and alone; or send the statement itself."}
	}
	out := sql.Execute(*st, *prepared)
	out.Kind, out.Text = sql.KindQuery, prepared.Text+";\n"+st.Text
	return out, nil
}

// wild says whether a statement may run code that could change what is prepared.
func wild(st *sql.Statement) bool {
	for _, a := range Accesses(*st) {
		if a.Table == "" && a.Effect.Worst() == ambit.Irreversible {
			return true
		}
	}
	return false
}

// unname forgets, before a message is sent, what it may change: what fails may have
// succeeded in part, and what it says of that can be made up by a trigger.
func (s *session) unname(list []sql.Statement, n names) {
	all := n.all
	for i := range list {
		all = all || wild(&list[i])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range n.set {
		s.keepPrepare(name, nil)
		s.keepName(name, nil)
	}
	if !all {
		return
	}
	s.dropPrepares()
	if n.all {
		for name := range maps.Clone(s.named) {
			if name != "" { // that one stays
				s.keepName(name, nil)
			}
		}
	}
}

// rename keeps what a message has prepared, all of which has run.
func (s *session) rename(list []sql.Statement, n names) {
	for i := range list {
		if wild(&list[i]) {
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, st := range n.set {
		s.keepPrepare(name, st)
	}
}

// keepPrepare replaces a statement that was prepared by SQL; nil removes it, and so does
// one for which there is no room. The caller holds the lock.
func (s *session) keepPrepare(name string, st *sql.Statement) {
	if old := s.prepares[name]; old != nil {
		s.give(sizeOf(old))
		delete(s.prepares, name)
	}
	if st != nil && len(s.prepares) < s.g.c.Limits.Names && s.take(sizeOf(st)) {
		s.prepares[name] = st
	}
}

func sizeOf(st *sql.Statement) int { return 2*len(st.Text) + 64*len(st.Accesses) + 256 }

// dropPrepares forgets all of them. The caller holds the lock.
func (s *session) dropPrepares() {
	for name := range maps.Clone(s.prepares) {
		s.keepPrepare(name, nil)
	}
}
