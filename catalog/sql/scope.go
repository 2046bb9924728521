package sql

import (
	"ambit"
	"ambit/catalog/sql/grammar"
)

// scope is what the columns of one query can belong to.
type scope struct {
	outer  *scope // of the query around this one
	items  []item
	behind int // relations that aliases of joins have behind them
}

// item is an entry of FROM. The relations behind it are several for an alias
// of a join, and none for what has columns of its own.
type item struct {
	name   string // its alias, or the relation's name
	schema string // of a relation without an alias
	behind []ref
	hidden bool // its columns have other names here
	query  bool // it is a query that stands here
}

// ctes are the names that WITH gives, which hide relations.
type ctes struct {
	outer *ctes
	names set
	deep  int
}

func (c *ctes) add(names set) *ctes {
	if c == nil {
		return &ctes{nil, names, 1}
	}
	return &ctes{c, names, c.deep + 1}
}

func (c *ctes) has(name string) bool {
	for ; c != nil; c = c.outer {
		if c.names.has(name) {
			return true
		}
	}
	return false
}

// column notes that a ColumnRef is used. Where it cannot be told to which
// relation it belongs, it counts for each that it could belong to.
func (r *reader) column(n *grammar.Node, s *scope) {
	fields := n.List("fields")
	names := grammar.Strings(fields)
	last := len(fields) - 1
	if last < 0 || r.tooMuch(s) {
		return
	}
	star := fields[last].Is("A_Star")
	if last > 0 && !star {
		r.dotted(names[last])
	}
	switch {
	case last == 0 && star:
		s.nearest(func(i item) { r.uses(i, "") })
	case last == 0:
		r.plain(names[0], s)
	default:
		i, ok := s.find(names[:last])
		switch {
		case ok && star:
			r.uses(i, "")
		case ok:
			r.uses(i, names[last])
		default: // no entry has that name
			s.every(func(i item) { r.uses(i, "") })
		}
	}
}

// maxWork bounds the entries of FROM, and the relations behind them, that are gone
// through for the columns of one statement: a statement of a megabyte can have a
// hundred thousand of each.
const maxWork = 5_000_000

// spend counts work, and says that the bound is reached.
func (r *reader) spend(work int) bool {
	r.work += work
	r.full = r.full || r.work > maxWork
	return r.full
}

// tooMuch counts what one column costs.
func (r *reader) tooMuch(s *scope) bool {
	cost := 1
	for ; s != nil; s = s.outer {
		cost += 1 + len(s.items) + s.behind
	}
	return r.spend(cost)
}

// plain is a name without a qualifier: a column, or a whole row by its name.
func (r *reader) plain(name string, s *scope) {
	whole := false
	s.every(func(i item) {
		if whole = whole || i.name == name; i.name == name {
			r.uses(i, "")
		}
	})
	if !whole {
		s.every(func(i item) { r.uses(i, name) })
	}
}

// uses notes that a column of the entry is read; "" is all of them.
func (r *reader) uses(i item, column string) {
	if i.hidden {
		column = ""
	}
	for _, at := range i.behind {
		r.touch("sql.select", ambit.Read, at).column(column)
	}
}

// dotted looks at a column behind its table's name: PostgreSQL takes o.name for
// name(o) when o has no such column, so that o.pg_sleep calls a function. One
// that the owner of the database made for rows of o cannot be told from a
// column here; it shows among the columns.
func (r *reader) dotted(name string) {
	if b := builtin(); b.others.has(name) {
		r.call("calls %s, written as a column", name)
	}
}

func (s *scope) nearest(do func(item)) {
	if s == nil {
		return
	}
	for _, i := range s.items {
		do(i)
	}
}

func (s *scope) every(do func(item)) {
	for ; s != nil; s = s.outer {
		s.nearest(do)
	}
}

// find returns the entry that a qualifier names: alias, relation, or
// schema.relation.
func (s *scope) find(qualifier []string) (item, bool) {
	n := len(qualifier)
	for ; s != nil; s = s.outer {
		for _, i := range s.items {
			if i.name == qualifier[n-1] && (n == 1 || i.schema == qualifier[n-2]) {
				return i, true
			}
		}
	}
	return item{}, false
}

// from adds an entry of FROM, and what is in it, to the scope.
func (r *reader) from(n *grammar.Node, s *scope, c *ctes) {
	switch {
	case n.Is("RangeVar"):
		s.items = append(s.items, r.relation(n, c))
	case n.Is("RangeSubselect"):
		outer := s.outer
		if n.Bool("lateral") {
			outer = s
		}
		r.query(n.Node("subquery"), outer, c)
		s.derived(n.Node("alias"))
		s.items[len(s.items)-1].query = true
	case n.Is("JoinExpr"):
		r.join(n, s, c)
	case n.Is("RangeTableSample"):
		if m, ok := own(grammar.Strings(n.List("method"))); !ok || m != "bernoulli" && m != "system" {
			r.call("samples by a method that is not known")
		}
		r.from(n.Node("relation"), s, c)
		r.each(n.List("args"), s, c)
		r.expr(n.Node("repeatable"), s, c)
	case n.Is("RangeFunction", "RangeTableFunc", "JsonTable"):
		alias := n.Node("alias")
		for name, child := range n.Children() {
			if name != "alias" {
				r.expr(child, s, c)
			}
		}
		s.derived(alias)
	case n != nil:
		r.call("reads from a %s", n.Type)
	}
}

func (s *scope) derived(alias *grammar.Node) {
	s.items = append(s.items, item{name: alias.Text("aliasname")})
}

// relation is the entry of a RangeVar. It is read, also when no column is.
func (r *reader) relation(n *grammar.Node, c *ctes) item {
	i := item{name: n.Text("relname"), schema: n.Text("schemaname")}
	alias := n.Node("alias")
	if name := alias.Text("aliasname"); name != "" {
		i.name, i.schema = name, ""
	}
	if c != nil {
		r.spend(c.deep)
	}
	if n.Text("schemaname") == "" && !r.full && c.has(n.Text("relname")) {
		return i
	}
	at := resolve(n)
	if alias == nil {
		i.schema = at.schema
	}
	i.behind, i.hidden = []ref{at}, len(alias.List("colnames")) > 0
	r.touch("sql.select", ambit.Read, at)
	return i
}

// join adds both sides. An alias hides their names; a join by names uses the
// columns of both.
func (r *reader) join(n *grammar.Node, s *scope, c *ctes) {
	first := len(s.items)
	r.from(n.Node("larg"), s, c)
	r.from(n.Node("rarg"), s, c)
	both := s.items[first:]
	for _, i := range both {
		if n.Bool("is_natural") {
			r.uses(i, "")
		}
		for _, col := range grammar.Strings(n.List("using_clause")) {
			if r.spend(1 + len(i.behind)) {
				return
			}
			r.uses(i, col)
		}
	}
	r.expr(n.Node("quals"), s, c)
	for _, alias := range []*grammar.Node{n.Node("join_using_alias"), n.Node("alias")} {
		if alias == nil {
			continue
		}
		joined := item{name: alias.Text("aliasname"), hidden: len(alias.List("colnames")) > 0}
		for _, i := range both {
			joined.behind = append(joined.behind, i.behind...)
			joined.hidden = joined.hidden || i.hidden
		}
		s.items, s.behind = append(s.items, joined), s.behind+len(joined.behind)
		if r.spend(len(joined.behind)) {
			return
		}
	}
	if n.Node("alias") != nil {
		// What the alias hides stays where a bare column could belong to it.
		for k := range both {
			s.items[first+k].name, s.items[first+k].schema = "", ""
		}
	}
}
