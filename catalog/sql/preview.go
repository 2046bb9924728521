package sql

import (
	"slices"

	"ambit"
	"ambit/catalog/sql/grammar"
)

// previewRows is how many rows a preview returns.
const previewRows = 10

// Preview gives, for an UPDATE or DELETE, the statements that show what it
// would touch: one that counts the rows, one that returns the first ten, of them
// the given columns of the changed relation; without any, all. They are made of
// the statement's own tree by the grammar's writer. Their parameters are those of
// the statement, by number; since some may not occur, they are prepared with the
// types that the server reports for the statement. They read what the condition
// reads, and no system columns, which a role with rights on columns may not read.
// There is no preview when the statement is of another kind, changes more than
// one relation, or calls what is not known to only read: then why says it to people.
func (p *Parser) Preview(s Statement, columns ...string) (count, rows, why string) {
	list, err := p.g.Parse(s.Text)
	if err != nil || len(list) != 1 {
		return "", "", "it is not one statement that can be read"
	}
	n := list[0].Tree
	v := view{n, "from_clause"}
	switch {
	case n.Is("DeleteStmt"):
		v.from = "using_clause"
	case n.Is("UpdateStmt"):
	case s.Effect == ambit.Read:
		return "", "", "it is no UPDATE or DELETE, and only reads"
	default:
		return "", "", "it is no UPDATE or DELETE"
	}
	if why := v.hidden(s); why != "" {
		return "", "", why
	}
	count, ok1 := p.write(v.count())
	rows, ok2 := p.write(v.rows(columns))
	if !ok1 || !ok2 {
		return "", "", "its condition cannot be written down again exactly as it was read"
	}
	return count, rows, ""
}

// write makes text of a statement, and holds it against the grammar and the classifier:
// it is read as the same tree again, so that what a person is shown is about the rows
// that the statement changes, and it only reads.
func (p *Parser) write(statement *grammar.Node) (text string, ok bool) {
	text, err := p.g.Deparse(statement)
	if err != nil {
		return "", false
	}
	list, err := p.g.Parse(text)
	return text, err == nil && len(list) == 1 && grammar.Same(list[0].Tree, statement) && p.reads(text)
}

// hidden says why an UPDATE or DELETE has no preview; "" when it has one: it changes one
// relation and otherwise only reads.
func (v view) hidden(s Statement) string {
	changes := 0
	for _, a := range s.Accesses {
		switch {
		case a.Operation == "sql.select" && a.Effect == ambit.Read:
		case (a.Operation == "sql.update" || a.Operation == "sql.delete") && a.Table != "":
			changes++
		case a.Operation == "sql.call":
			return "it calls what is not known to only read"
		default:
			return "it does more than to change the rows of one table"
		}
	}
	switch {
	case changes != 1:
		return "it changes more than one table"
	case hasNode(v.n, "CurrentOfExpr"):
		return "it changes the row that a cursor is at"
	case v.shadowed():
		// What is changed is the table; a query would read the agent's WITH in its place.
		return "a WITH query in it has the name of the table"
	}
	return ""
}

// shadowed says whether the changed relation's name means another one in a query.
func (v view) shadowed() bool {
	rel, with := v.n.Node("relation"), v.n.Node("with_clause")
	if with == nil || rel.Text("schemaname") != "" {
		return false
	}
	return slices.ContainsFunc(with.List("ctes"), func(c *grammar.Node) bool { return c.Text("ctename") == rel.Text("relname") })
}

// reads holds what was written against the classifier: a preview is a read.
func (p *Parser) reads(text string) bool {
	list, err := p.Parse(text)
	return err == nil && len(list) == 1 && list[0].Kind == KindQuery && list[0].Effect == ambit.Read
}

func hasNode(n *grammar.Node, typ string) bool {
	if n.Is(typ) {
		return true
	}
	for _, child := range n.Children() {
		if hasNode(child, typ) {
			return true
		}
	}
	return false
}

// view is an UPDATE or DELETE whose other relations are in the field from.
type view struct {
	n    *grammar.Node
	from string
}

func one(name string, n ...*grammar.Node) grammar.Field {
	return grammar.Field{Name: name, Nodes: n}
}

func word(s string) *grammar.Node {
	return grammar.Make("String", grammar.Field{Name: "sval", Text: s})
}

func output(n *grammar.Node) *grammar.Node { return grammar.Make("ResTarget", one("val", n)) }

// noSetOperation is SETOP_NONE: a query that is no UNION.
func noSetOperation() grammar.Field { return grammar.Field{Name: "op", Num: 1} }

// noLimit is LIMIT_OPTION_DEFAULT.
func noLimit() grammar.Field { return grammar.Field{Name: "limit_option", Num: 1} }

// selects makes SELECT … FROM the changed relation WHERE the condition; with other
// relations beside it, WHERE there are rows of theirs that meet the condition, since
// a row of the changed relation can come up more than once with them.
func (v view) selects(more ...grammar.Field) *grammar.Node {
	fields := append(more, one("from_clause", v.n.Node("relation")), noSetOperation())
	if c := v.condition(); c != nil {
		fields = append(fields, one("where_clause", c))
	}
	if w := v.n.Node("with_clause"); w != nil {
		fields = append(fields, one("with_clause", w))
	}
	return grammar.Make("SelectStmt", fields...)
}

func (v view) condition() *grammar.Node {
	where, others := v.n.Node("where_clause"), v.n.List(v.from)
	if len(others) == 0 {
		return where
	}
	fields := []grammar.Field{one("target_list", output(integer(1))), one("from_clause", others...), noSetOperation(), noLimit()}
	if where != nil {
		fields = append(fields, one("where_clause", where))
	}
	return grammar.Make("SubLink", grammar.Field{Name: "sub_link_type", Num: 1}, one("subselect", grammar.Make("SelectStmt", fields...))) // EXISTS_SUBLINK
}

func integer(n uint64) *grammar.Node {
	return grammar.Make("A_Const", one("ival", grammar.Make("Integer", grammar.Field{Name: "ival", Num: n})))
}

// target is a column of the changed relation.
func (v view) target(column *grammar.Node) *grammar.Node {
	of, _ := target(v.n.Node("relation"))
	return output(grammar.Make("ColumnRef", one("fields", word(of.name), column)))
}

func (v view) count() *grammar.Node {
	call := grammar.Make("FuncCall", one("funcname", word("count")), grammar.Field{Name: "agg_star", Num: 1}, grammar.Field{Name: "funcformat", Num: 1})
	return v.selects(one("target_list", output(call)), noLimit())
}

func (v view) rows(columns []string) *grammar.Node {
	var out []*grammar.Node
	for _, c := range columns {
		out = append(out, v.target(word(c)))
	}
	if len(out) == 0 {
		out = append(out, v.target(grammar.Make("A_Star")))
	}
	return v.selects(one("target_list", out...), one("limit_count", integer(previewRows)), grammar.Field{Name: "limit_option", Num: 2}) // LIMIT_OPTION_COUNT
}
