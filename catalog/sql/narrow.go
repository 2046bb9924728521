package sql

import "ambit/catalog/sql/grammar"

// narrow says whether the condition of an UPDATE keeps it from being one of all
// rows. It is a matter of form: a condition narrows when a part of it that must
// hold compares a column of the changed relation with something that does not
// depend on that column. WHERE true, 1=1, id=id, id IS NOT NULL, x OR true, the
// condition of another relation and their like do not narrow.
type narrow struct {
	name  string // of the changed relation in this statement; "" takes any column
	alone bool   // no other relation could have an unqualified column
}

func narrows(where *grammar.Node, of item, alone bool) bool {
	return narrow{of.name, alone}.must(where)
}

// fewRows says whether a query that gives the rows of an INSERT gives those that the
// statement itself names: values, those of a function, or those of relations that a
// condition narrows.
func fewRows(q *grammar.Node) bool {
	switch {
	case q == nil:
		return true // DEFAULT VALUES
	case !q.Is("SelectStmt"):
		return false
	case q.Node("larg") != nil:
		return fewRows(q.Node("larg")) && fewRows(q.Node("rarg"))
	}
	named := len(q.List("values_lists")) > 0 || !hasNode(q, "SubLink") // unnest(ARRAY(SELECT …)) gives a table's rows
	for _, f := range q.List("from_clause") {
		named = named && f.Is("RangeFunction")
	}
	return named || narrow{}.must(q.Node("where_clause"))
}

func (w narrow) must(n *grammar.Node) bool {
	switch {
	case n.Is("CurrentOfExpr"):
		return true
	case n.Is("BoolExpr"):
		return w.boolean(n)
	case n.Is("A_Expr"):
		return w.compares(n)
	case n.Is("NullTest"):
		return n.Enum("nulltesttype") == "IS_NULL" && w.column(n.Node("arg")) != ""
	case n.Is("SubLink"): // column IN (SELECT … WHERE …)
		op := grammar.Strings(n.List("oper_name"))
		q := n.Node("subselect")
		return n.Enum("sub_link_type") == "ANY_SUBLINK" && (len(op) == 0 || len(op) == 1 && op[0] == "=") && w.column(n.Node("testexpr")) != "" &&
			q.Is("SelectStmt") && q.Node("larg") == nil && narrow{}.must(q.Node("where_clause"))
	}
	return w.column(n) != "" // a column that is true or not
}

func (w narrow) boolean(n *grammar.Node) bool {
	args := n.List("args")
	switch n.Enum("boolop") {
	case "AND_EXPR":
		for _, a := range args {
			if w.must(a) {
				return true
			}
		}
		return false
	case "OR_EXPR":
		for _, a := range args {
			if !w.must(a) {
				return false
			}
		}
		return len(args) > 0
	}
	return len(args) == 1 && w.column(args[0]) != "" // NOT column
}

func (w narrow) compares(n *grammar.Node) bool {
	l, r := n.Node("lexpr"), n.Node("rexpr")
	switch n.Enum("kind") {
	case "AEXPR_IN", "AEXPR_BETWEEN", "AEXPR_OP_ANY":
		op := grammar.Strings(n.List("name"))
		return len(op) == 1 && (op[0] == "=" || op[0] == "BETWEEN") && w.between(l, r)
	case "AEXPR_OP":
		op, ok := own(grammar.Strings(n.List("name")))
		switch op {
		case "=", "<", ">", "<=", ">=", "@>", "<@", "&&":
			return ok && (w.between(l, r) || w.between(r, l))
		}
	}
	return false
}

// between says whether one side is a column and the other one has no column at
// all: against another column every row may pass.
func (w narrow) between(column, other *grammar.Node) bool {
	return w.column(column) != "" && other != nil && !hasColumn(other)
}

// column returns the name of the column that an expression is, "" when it is
// none of the relation.
func (w narrow) column(n *grammar.Node) string {
	for n.Is("TypeCast") {
		n = n.Node("arg")
	}
	f := grammar.Strings(n.List("fields"))
	if !n.Is("ColumnRef") || len(f) == 0 {
		return ""
	}
	if w.name != "" && (len(f) == 1 && !w.alone || len(f) > 1 && f[len(f)-2] != w.name) {
		return ""
	}
	return f[len(f)-1]
}

func hasColumn(n *grammar.Node) bool {
	if n.Is("ColumnRef", "SubLink") {
		return true
	}
	for _, child := range n.Children() {
		if hasColumn(child) {
			return true
		}
	}
	return false
}
