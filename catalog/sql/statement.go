package sql

import (
	"slices"
	"strings"

	"ambit"
	"ambit/catalog/sql/grammar"
)

// verdict is what a statement is, beside what it touches.
type verdict struct {
	kind Kind
	op   string
	name string
}

// statement reads one statement. What is not named here is irreversible.
func (r *reader) statement(n *grammar.Node) verdict {
	switch n.Type {
	case "SelectStmt":
		r.query(n, nil, nil)
		return verdict{KindQuery, "sql.select", ""}
	case "InsertStmt":
		r.query(n, nil, nil)
		return verdict{KindQuery, "sql.insert", ""}
	case "UpdateStmt":
		r.query(n, nil, nil)
		return verdict{KindQuery, "sql.update", ""}
	case "DeleteStmt":
		r.query(n, nil, nil)
		return verdict{KindQuery, "sql.delete", ""}
	case "MergeStmt":
		r.query(n, nil, nil)
		return verdict{KindQuery, "sql.merge", ""}
	case "ExplainStmt":
		return r.explain(n)
	case "CopyStmt":
		return r.copies(n)
	case "DeclareCursorStmt":
		r.query(n.Node("query"), nil, nil)
		return verdict{KindCursor, "sql.declare", n.Text("portalname")}
	case "FetchStmt":
		return verdict{KindCursor, "sql.fetch", n.Text("portalname")}
	case "ClosePortalStmt":
		return verdict{KindCursor, "sql.close", n.Text("portalname")}
	case "PrepareStmt":
		r.each(n.List("argtypes"), nil, nil)
		r.query(n.Node("query"), nil, nil)
		return verdict{KindPrepare, "sql.prepare", n.Text("name")}
	case "DeallocateStmt":
		return verdict{KindPrepare, "sql.deallocate", n.Text("name")}
	case "ExecuteStmt":
		r.each(n.List("params"), nil, nil)
		r.database("sql.execute", ambit.Irreversible, "%s", runsPrepared(n.Text("name")))
		return verdict{KindExecute, "sql.execute", n.Text("name")}
	}
	if v, ok := r.session(n); ok {
		return v
	}
	if v, ok := r.definition(n); ok {
		return v
	}
	return r.other(n)
}

// other is a statement that is irreversible as a whole.
func (r *reader) other(n *grammar.Node) verdict {
	v := verdict{KindDefinition, "sql.other", ""}
	switch {
	case strings.HasPrefix(n.Type, "Create"), strings.HasPrefix(n.Type, "Define"), n.Is("RuleStmt", "ViewStmt", "IndexStmt", "CompositeTypeStmt", "ImportForeignSchemaStmt"):
		v.op = "sql.create"
	case strings.HasPrefix(n.Type, "Alter"), n.Is("RenameStmt", "CommentStmt", "SecLabelStmt", "ReplicaIdentityStmt"):
		v.op = "sql.alter"
	case strings.HasPrefix(n.Type, "Drop"), n.Is("ReassignOwnedStmt"):
		v.op = "sql.drop"
	case strings.HasPrefix(n.Type, "Grant"):
		v.op = "sql.grant"
	case n.Is("DoStmt"):
		v = verdict{KindCode, "sql.do", ""}
	case n.Is("CallStmt"):
		v = verdict{KindCode, "sql.call", ""}
	case n.Is("LoadStmt"):
		v = verdict{KindCode, "sql.load", ""}
	case n.Is("VacuumStmt", "ReindexStmt", "ClusterStmt", "CheckPointStmt", "RefreshMatViewStmt"):
		v = verdict{KindUpkeep, "sql.upkeep", ""}
	default:
		v.kind = KindUnknown
	}
	r.database(v.op, ambit.Irreversible, "is a %s", strings.TrimSuffix(n.Type, "Stmt"))
	return v
}

// explain runs the statement when it says ANALYZE; else it only makes a plan,
// for which constant calls may be made.
func (r *reader) explain(n *grammar.Node) verdict {
	v := verdict{KindQuery, "sql.explain", ""}
	analyze := false
	for _, o := range n.List("options") {
		if strings.EqualFold(o.Text("defname"), "analyze") || strings.EqualFold(o.Text("defname"), "serialize") {
			analyze = analyze || !isFalse(o.Node("arg"))
		}
	}
	q := n.Node("query")
	inner := newReader()
	switch {
	case q.Is("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
		inner.query(q, nil, nil)
	case q.Is("DeclareCursorStmt", "CreateTableAsStmt"):
		if k := inner.statement(q); k.kind == KindExecute {
			v.kind, v.name = KindExecute, k.name
		} else if analyze {
			inner.needed(q, k.op)
		}
	case q.Is("ExecuteStmt"):
		v.kind, v.name = KindExecute, q.Text("name")
		inner.statement(q)
	default:
		inner.call("explains what is no query")
	}
	r.take(inner, !analyze)
	return v
}

// take adds what another reader found. When it is only planned, what it would
// do to relations is as good as reading them.
func (r *reader) take(inner *reader, planned bool) {
	for p, t := range inner.touched {
		e := t.effect
		if planned && p.table != "" {
			p.op, e = "sql.select", ambit.Read
		}
		mine := r.touch(p.op, e, ref{p.schema, p.table})
		mine.all = mine.all || t.all
		if !planned || p.table == "" {
			for _, n := range t.needs {
				if !slices.Contains(mine.needs, n) {
					mine.needs = append(mine.needs, n)
				}
			}
		}
		for c := range t.columns {
			mine.column(c)
		}
	}
	for _, why := range inner.because {
		r.say("%s", why)
	}
	r.params, r.work, r.full = max(r.params, inner.params), r.work+inner.work, r.full || inner.full
	r.early, r.since = r.early || inner.early, max(r.since, inner.since)
	if inner.beyond != "" {
		r.cannotLend(inner.beyond)
	}
	if inner.unseen != "" {
		r.unseen = inner.unseen
	}
}

// isFalse says whether an option's value is surely false.
func isFalse(arg *grammar.Node) bool {
	switch {
	case arg.Is("String"):
		return strings.EqualFold(arg.Text("sval"), "false") || strings.EqualFold(arg.Text("sval"), "off")
	case arg.Is("Integer"):
		return !arg.Has("ival")
	}
	return false
}

// copies reads COPY. A file or a program is the server's own.
func (r *reader) copies(n *grammar.Node) verdict {
	v := verdict{KindCopyOut, "sql.copy", ""}
	in := n.Bool("is_from")
	if in {
		v.kind, r.unseen = KindCopyIn, "its rows come after the statement"
	}
	if n.Bool("is_program") || n.Text("filename") != "" {
		v.kind, r.unseen = KindCode, ""
		r.database("sql.copy", ambit.Irreversible, "copies from or to a file or program of the server")
	}
	if q := n.Node("query"); q != nil {
		r.query(q, nil, nil)
	}
	rel := n.Node("relation")
	if rel == nil {
		return v
	}
	of, at := target(rel)
	t := r.touch("sql.select", ambit.Read, at)
	if in {
		delete(r.touched, place{"sql.select", at.schema, at.table})
		t = r.touch("sql.insert", at.write(ambit.Write), at)
		r.say("adds rows")
	}
	for _, c := range grammar.Strings(n.List("attlist")) {
		t.column(c)
	}
	t.all = t.all || len(n.List("attlist")) == 0
	r.expr(n.Node("where_clause"), &scope{items: []item{of}}, nil)
	return v
}
