package sql

import (
	"maps"
	"slices"

	"ambit"
	"ambit/catalog/sql/grammar"
)

// maxQueries bounds the queries inside one another, and those of a UNION.
const maxQueries = 1000

// query reads a statement that can stand where rows are wanted.
func (r *reader) query(n *grammar.Node, outer *scope, c *ctes) {
	if r.depth++; r.depth > maxQueries {
		r.call("is nested too deeply")
		return
	}
	defer func() { r.depth-- }()
	switch {
	case n.Is("SelectStmt"):
		r.selects(n, outer, c)
	case n.Is("InsertStmt"):
		r.inserts(n, outer, c)
	case n.Is("UpdateStmt"):
		r.updates(n, outer, c)
	case n.Is("DeleteStmt"):
		r.deletes(n, outer, c)
	case n.Is("MergeStmt"):
		r.merges(n, outer, c)
	case n != nil:
		r.call("runs a %s", n.Type)
	}
}

// with reads a WITH clause and returns the names that it adds. A query of WITH
// RECURSIVE sees all of them, another only those before it.
func (r *reader) with(n *grammar.Node, outer *scope, c *ctes) *ctes {
	if n == nil {
		return c
	}
	list := n.List("ctes")
	if n.Bool("recursive") {
		all := c.add(set{})
		for _, e := range list {
			all.names[e.Text("ctename")] = struct{}{}
		}
		c = all
	}
	for _, e := range list {
		r.query(e.Node("ctequery"), outer, c)
		for name, child := range e.Children() {
			if name == "search_clause" || name == "cycle_clause" {
				r.expr(child, nil, c)
			}
		}
		if !n.Bool("recursive") {
			c = c.add(set{e.Text("ctename"): {}})
		}
	}
	return c
}

func (r *reader) selects(n *grammar.Node, outer *scope, c *ctes) {
	c = r.with(n.Node("with_clause"), outer, c)
	if into := n.Node("into_clause"); into != nil {
		r.creates(into.Node("rel"), "makes a table of what it selects")
	}
	s := &scope{outer: outer}
	if n.Node("larg") != nil {
		r.query(n.Node("larg"), outer, c)
		r.query(n.Node("rarg"), outer, c)
	}
	for _, f := range n.List("from_clause") {
		r.from(f, s, c)
	}
	names := set{}
	for _, t := range n.List("target_list") {
		if t.Text("name") != "" {
			names[t.Text("name")] = struct{}{}
		}
		r.expr(t, s, c)
	}
	for _, key := range n.List("sort_clause") {
		if !orderedByName(key, names) {
			r.expr(key, s, c)
		}
	}
	for _, f := range []string{"distinct_clause", "group_clause", "window_clause", "values_lists"} {
		r.each(n.List(f), s, c)
	}
	for _, f := range []string{"where_clause", "having_clause", "limit_offset", "limit_count"} {
		r.expr(n.Node(f), s, c)
	}
	if len(n.List("locking_clause")) > 0 {
		r.locks(s)
	}
}

// orderedByName says whether a sort key is the name of an output column, which
// PostgreSQL prefers to a column of the tables.
func orderedByName(key *grammar.Node, names set) bool {
	col := key.Node("node")
	f := grammar.Strings(col.List("fields"))
	return col.Is("ColumnRef") && len(f) == 1 && names.has(f[0]) && len(key.List("use_op")) == 0
}

// locks notes FOR UPDATE and its like: every relation of the query counts. With a query
// in FROM, whose rows are locked too, every relation counts that was read so far.
func (r *reader) locks(s *scope) {
	r.say("locks rows")
	inside := false
	s.nearest(func(i item) {
		inside = inside || i.query
		for _, at := range i.behind {
			r.touch("sql.lock", at.write(ambit.Write), at)
		}
	})
	if inside {
		for _, p := range slices.Collect(maps.Keys(r.touched)) {
			if at := (ref{p.schema, p.table}); p.op == "sql.select" && p.table != "" {
				r.touch("sql.lock", at.write(ambit.Write), at)
			}
		}
	}
	if len(s.items) == 0 {
		r.call("locks rows of what is not known")
	}
}

// target is the entry of the relation that a statement changes. A name of WITH
// does not hide it, and its columns are read only when they are used.
func target(n *grammar.Node) (item, ref) {
	at := resolve(n)
	i := item{name: n.Text("relname"), schema: at.schema, behind: []ref{at}}
	if name := n.Node("alias").Text("aliasname"); name != "" {
		i.name, i.schema = name, ""
	}
	return i, at
}

func (r *reader) inserts(n *grammar.Node, outer *scope, c *ctes) {
	c = r.with(n.Node("with_clause"), outer, c)
	into, at := target(n.Node("relation"))
	t := r.touch("sql.insert", at.write(ambit.Write), at)
	r.say("adds rows")
	r.set(t, n.List("cols"), &scope{outer: outer}, c)
	if len(n.List("cols")) == 0 {
		t.all = true
	}
	if sel := n.Node("select_stmt"); sel != nil {
		r.query(sel, outer, c)
	}
	s := &scope{outer: outer, items: []item{into}}
	if on := n.Node("on_conflict_clause"); on != nil {
		wide := !narrows(on.Node("where_clause"), into, false) && !fewRows(n.Node("select_stmt"))
		r.conflict(on, at, wide, &scope{outer: outer, items: []item{into, {name: "excluded", behind: into.behind}}}, c)
	}
	r.each(n.List("returning_list"), s, c)
}

// conflict reads ON CONFLICT. With the rows of a table it is an UPDATE of all that have
// a counterpart there, such as of the table itself.
func (r *reader) conflict(on *grammar.Node, at ref, wide bool, s *scope, c *ctes) {
	if infer := on.Node("infer"); infer != nil {
		for _, e := range infer.List("index_elems") {
			if e.Text("name") != "" {
				r.uses(s.items[0], e.Text("name"))
			}
			r.indexElement(e, s, c)
		}
		r.expr(infer.Node("where_clause"), s, c)
	}
	if list := on.List("target_list"); len(list) > 0 {
		e := ambit.Write
		r.say("changes rows")
		if wide {
			e = ambit.Irreversible
			r.say("changes rows without a condition that narrows them")
		}
		r.set(r.touch("sql.update", at.write(e), at), list, s, c)
	}
	r.expr(on.Node("where_clause"), s, c)
}

// set reads the columns that are set, with their values.
func (r *reader) set(t *touch, list []*grammar.Node, s *scope, c *ctes) {
	for _, res := range list {
		t.column(res.Text("name"))
		r.each(res.List("indirection"), s, c)
		r.expr(res.Node("val"), s, c)
	}
}

func (r *reader) updates(n *grammar.Node, outer *scope, c *ctes) {
	c = r.with(n.Node("with_clause"), outer, c)
	of, at := target(n.Node("relation"))
	s := &scope{outer: outer, items: []item{of}}
	for _, f := range n.List("from_clause") {
		r.from(f, s, c)
	}
	e := ambit.Write
	r.say("changes rows")
	if !narrows(n.Node("where_clause"), of, len(s.items) == 1) {
		e = ambit.Irreversible
		r.say("changes rows without a condition that narrows them")
	}
	r.set(r.touch("sql.update", at.write(e), at), n.List("target_list"), s, c)
	r.expr(n.Node("where_clause"), s, c)
	r.each(n.List("returning_list"), s, c)
}

func (r *reader) deletes(n *grammar.Node, outer *scope, c *ctes) {
	c = r.with(n.Node("with_clause"), outer, c)
	of, at := target(n.Node("relation"))
	s := &scope{outer: outer, items: []item{of}}
	for _, f := range n.List("using_clause") {
		r.from(f, s, c)
	}
	r.touch("sql.delete", ambit.Irreversible, at).all = true
	r.say("deletes rows")
	r.expr(n.Node("where_clause"), s, c)
	r.each(n.List("returning_list"), s, c)
}

func (r *reader) merges(n *grammar.Node, outer *scope, c *ctes) {
	c = r.with(n.Node("with_clause"), outer, c)
	of, at := target(n.Node("relation"))
	s := &scope{outer: outer, items: []item{of}}
	r.from(n.Node("source_relation"), s, c)
	r.expr(n.Node("join_condition"), s, c)
	joined := narrows(n.Node("join_condition"), of, false)
	for _, w := range n.List("merge_when_clauses") {
		r.when(w, at, joined || narrows(w.Node("condition"), of, false), s, c)
	}
	r.each(n.List("returning_list"), s, c)
}

func (r *reader) when(w *grammar.Node, at ref, narrow bool, s *scope, c *ctes) {
	r.expr(w.Node("condition"), s, c)
	switch w.Enum("command_type") {
	case "CMD_NOTHING":
		r.touch("sql.lock", at.write(ambit.Write), at)
	case "CMD_INSERT":
		t := r.touch("sql.insert", at.write(ambit.Write), at)
		r.say("adds rows")
		r.set(t, w.List("target_list"), s, c)
		t.all = t.all || len(w.List("target_list")) == 0
		r.each(w.List("values"), s, c)
	case "CMD_UPDATE":
		e := ambit.Write
		if !narrow || w.Enum("match_kind") != "MERGE_WHEN_MATCHED" {
			e = ambit.Irreversible
		}
		r.say("changes rows")
		r.set(r.touch("sql.update", at.write(e), at), w.List("target_list"), s, c)
	default:
		r.touch("sql.delete", ambit.Irreversible, at).all = true
		r.say("deletes rows")
	}
}
