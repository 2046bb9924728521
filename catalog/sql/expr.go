package sql

import (
	"strings"

	"ambit"
	"ambit/catalog/sql/grammar"
)

// each reads every node of a list.
func (r *reader) each(list []*grammar.Node, s *scope, c *ctes) {
	for _, n := range list {
		r.expr(n, s, c)
	}
}

// expr reads an expression. A node that nobody classified may do anything.
func (r *reader) expr(n *grammar.Node, s *scope, c *ctes) {
	if n == nil {
		return
	}
	r.since = max(r.since, newSyntax(n))
	switch n.Type {
	case "ColumnRef":
		r.column(n, s)
		return
	case "SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt":
		r.query(n, s, c)
		return
	case "CurrentOfExpr":
		r.unseen = "it changes the row that a cursor stands on"
	case "ParamRef":
		r.params = max(r.params, n.Int("number"))
	case "FuncCall":
		r.function(n, grammar.Strings(n.List("funcname")))
		r.inCall(n, s, c)
		return
	case "A_Expr":
		r.operation(n)
		r.expr(n.Node("lexpr"), s, c)
		r.expr(n.Node("rexpr"), s, c)
		return
	case "SubLink":
		r.operator(grammar.Strings(n.List("oper_name")))
		r.expr(n.Node("testexpr"), s, c)
		r.query(n.Node("subselect"), s, c)
		return
	case "SortBy":
		r.operator(grammar.Strings(n.List("use_op")))
		r.expr(n.Node("node"), s, c)
		return
	case "TypeName":
		r.typeName(n, s, c)
		return
	case "A_Indirection":
		for _, f := range n.List("indirection") {
			// PostgreSQL takes (value).name for name(value), whatever the value is, when
			// it has no such field: a call that does not look like one.
			if name := f.Text("sval"); f.Is("String") && !builtin().functions.has(name) {
				r.call("reads the field %s of a value, or calls a function of that name", name)
			}
		}
	case "ColumnDef": // of a function's rows
		r.expr(n.Node("type_name"), s, c)
		if n.Has("raw_default") || n.Has("constraints") {
			r.call("has a column with more than a type")
		}
		return
	case "CollateClause": // a collation is no code, and its name no expression
		r.expr(n.Node("arg"), s, c)
		return
	default:
		if !expressions(n.Type) {
			r.call("has a %s, which is not known to only read", n.Type)
		}
	}
	for _, child := range n.Children() {
		r.expr(child, s, c)
	}
}

// newSyntax is the version since which the grammar has a node, where older ones can read
// the same text as a call of a function or as a column; else 0.
func newSyntax(n *grammar.Node) int {
	switch n.Type {
	case "JsonFuncExpr", "JsonParseExpr", "JsonScalarExpr", "JsonSerializeExpr", "JsonTable", "MergeSupportFunc":
		return 17
	case "JsonArrayAgg", "JsonArrayConstructor", "JsonArrayQueryConstructor", "JsonIsPredicate", "JsonObjectAgg", "JsonObjectConstructor":
		return 16
	case "FuncCall":
		if name := grammar.Strings(n.List("funcname")); len(name) > 0 && name[len(name)-1] == "system_user" {
			return 16
		}
	}
	return 0
}

// inCall reads what is in a call beside the function's name.
func (r *reader) inCall(n *grammar.Node, s *scope, c *ctes) {
	for name, child := range n.Children() {
		if name != "funcname" {
			r.expr(child, s, c)
		}
	}
}

// expressions says whether a node holds only other nodes and values.
func expressions(node string) bool {
	switch node {
	case "A_ArrayExpr", "A_Const", "A_Indices", "A_Star", "Alias", "BitString", "Boolean", "BooleanTest", "BoolExpr",
		"CaseExpr", "CaseWhen", "CoalesceExpr", "CurrentOfExpr", "CTECycleClause", "CTESearchClause", "Float", "GroupingFunc", "GroupingSet",
		"Integer", "List", "MinMaxExpr", "MultiAssignRef", "NamedArgExpr", "NullTest", "RangeTableFuncCol", "ResTarget", "RowExpr",
		"SetToDefault", "SQLValueFunction", "String", "TypeCast", "WindowDef", "XmlExpr", "XmlSerialize",
		"JsonAggConstructor", "JsonArgument", "JsonArrayAgg", "JsonArrayConstructor", "JsonArrayQueryConstructor", "JsonBehavior", "JsonFormat",
		"JsonFuncExpr", "JsonIsPredicate", "JsonKeyValue", "JsonObjectAgg", "JsonObjectConstructor", "JsonOutput", "JsonParseExpr", "JsonReturning",
		"JsonScalarExpr", "JsonSerializeExpr", "JsonTable", "JsonTableColumn", "JsonTablePathSpec", "JsonValueExpr":
		return true
	}
	return false
}

// function judges a call by the function's name. A name that pg_catalog has is
// pg_catalog's: what the owner of public adds under such a name for types of
// their own is believed.
func (r *reader) function(n *grammar.Node, name []string) {
	f, ok := own(name)
	switch b := builtin(); {
	case ok && b.functions.has(f):
	case ok && b.writes.has(f):
		r.database("sql.call", ambit.Write, "calls %s", f)
		r.calling(n, name)
	default:
		r.call("calls %s", strings.Join(name, "."))
		r.calling(n, name)
	}
}

// operation judges the operator of an A_Expr; some kinds have words for names.
func (r *reader) operation(n *grammar.Node) {
	switch n.Enum("kind") {
	case "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN", "AEXPR_BETWEEN_SYM", "AEXPR_NOT_BETWEEN_SYM":
		return
	case "AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_OP_ALL", "AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT", "AEXPR_NULLIF", "AEXPR_IN", "AEXPR_LIKE", "AEXPR_ILIKE", "AEXPR_SIMILAR":
		r.operator(grammar.Strings(n.List("name")))
	default:
		r.call("has an expression of a kind that is not known")
	}
}

// operator judges an operator, which is a function under another name.
func (r *reader) operator(name []string) {
	if op, ok := own(name); len(name) > 0 && (!ok || !builtin().operators.has(op)) {
		r.call("uses the operator %s", strings.Join(name, "."))
	}
}

// typeName judges a type: a value that becomes one of a type that is not the
// server's own goes through functions that nobody here knows.
func (r *reader) typeName(n *grammar.Node, s *scope, c *ctes) {
	name := grammar.Strings(n.List("names"))
	t, ok := own(name)
	switch {
	case n.Bool("pct_type"):
		r.early = true
		r.call("has a type taken from %s", strings.Join(name, "."))
	case !ok || !builtin().types.has(t):
		r.early = true
		r.call("has the type %s", strings.Join(name, "."))
	}
	r.each(n.List("typmods"), s, c)
	r.each(n.List("array_bounds"), s, c)
}
