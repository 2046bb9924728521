package sql

import (
	"ambit"
	"ambit/catalog/sql/grammar"
)

// previewRows is how many rows a preview returns.
const previewRows = 10

// Preview gives, for an UPDATE or DELETE, the statements that show what it
// would touch: one that counts the rows, one that returns the first ten. They
// are made of the statement's own tree by the grammar's writer. Their
// parameters are those of the statement, by number; since some may not occur,
// they are prepared with the types that the server reports for the statement.
// There is no preview when the statement is of another kind, changes more than
// one relation, or calls what is not known to only read.
func (p *Parser) Preview(s Statement) (count, rows string, ok bool) {
	list, err := p.g.Parse(s.Text)
	if err != nil || len(list) != 1 || !previewable(s) {
		return "", "", false
	}
	n := list[0].Tree
	from := "from_clause"
	if n.Is("DeleteStmt") {
		from = "using_clause"
	} else if !n.Is("UpdateStmt") {
		return "", "", false
	}
	if hasNode(n, "CurrentOfExpr") {
		return "", "", false
	}
	v := view{n, from}
	count, ok1 := p.write(v.count())
	rows, ok2 := p.write(v.rows())
	if !ok1 || !ok2 {
		return "", "", false
	}
	return count, rows, true
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

// previewable says whether a statement changes one relation and otherwise only
// reads.
func previewable(s Statement) bool {
	changes := 0
	for _, a := range s.Accesses {
		switch {
		case a.Operation == "sql.select" && a.Effect == ambit.Read:
		case (a.Operation == "sql.update" || a.Operation == "sql.delete") && a.Table != "":
			changes++
		default:
			return false
		}
	}
	return changes == 1
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

// selects makes SELECT … FROM the relations WHERE the condition.
func (v view) selects(more ...grammar.Field) *grammar.Node {
	fields := append(more, one("from_clause", append([]*grammar.Node{v.n.Node("relation")}, v.n.List(v.from)...)...), noSetOperation())
	for _, f := range []string{"where_clause", "with_clause"} {
		if c := v.n.Node(f); c != nil {
			fields = append(fields, one(f, c))
		}
	}
	return grammar.Make("SelectStmt", fields...)
}

// target is a column of the changed relation.
func (v view) target(column *grammar.Node) *grammar.Node {
	of, _ := target(v.n.Node("relation"))
	return grammar.Make("ColumnRef", one("fields", word(of.name), column))
}

// row is what tells the rows of the changed relation apart: with other
// relations beside it, a row can come up more than once.
func (v view) row() []*grammar.Node {
	return []*grammar.Node{v.target(word("tableoid")), v.target(word("ctid"))}
}

func (v view) count() *grammar.Node {
	call := output(grammar.Make("FuncCall", one("funcname", word("count")), grammar.Field{Name: "agg_star", Num: 1}, grammar.Field{Name: "funcformat", Num: 1}))
	if len(v.n.List(v.from)) == 0 {
		return v.selects(one("target_list", call), noLimit())
	}
	id := v.row()
	rows := v.selects(one("distinct_clause", id...), one("target_list", output(id[0]), output(id[1])), noLimit())
	from := grammar.Make("RangeSubselect", one("subquery", rows), one("alias", grammar.Make("Alias", grammar.Field{Name: "aliasname", Text: "touched"})))
	return grammar.Make("SelectStmt", one("target_list", call), one("from_clause", from), noSetOperation(), noLimit())
}

func (v view) rows() *grammar.Node {
	limit := grammar.Make("A_Const", one("ival", grammar.Make("Integer", grammar.Field{Name: "ival", Num: previewRows})))
	fields := []grammar.Field{one("target_list", output(v.target(grammar.Make("A_Star")))), one("limit_count", limit), {Name: "limit_option", Num: 2}} // LIMIT_OPTION_COUNT
	if len(v.n.List(v.from)) > 0 {
		fields = append(fields, one("distinct_clause", v.row()...))
	}
	return v.selects(fields...)
}
