package sql

import (
	"slices"
	"strings"

	"ambit/catalog/sql/grammar"
)

// needed notes what a statement needs beside rights on rows, after it was read. What is
// not known here cannot be lent, and nobody is asked about it.
func (r *reader) needed(n *grammar.Node, op string) {
	switch n.Type {
	case "SelectStmt":
		if rel := n.Node("into_clause").Node("rel"); rel != nil {
			r.made(RightCreate, resolve(rel), temporary(rel))
		}
	case "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "ExplainStmt", "DeclareCursorStmt", "FetchStmt", "ClosePortalStmt",
		"PrepareStmt", "DeallocateStmt", "ExecuteStmt", "TransactionStmt", "VariableSetStmt", "VariableShowStmt", "DiscardStmt", "ConstraintsSetStmt",
		"ListenStmt", "UnlistenStmt", "NotifyStmt", "LockStmt", "DoStmt":
	case "TruncateStmt":
		// It begins sequences again, or takes other tables along, of which only the owner has all.
		for _, rel := range n.List("relations") {
			if n.Bool("restart_seqs") || n.Enum("behavior") == "DROP_CASCADE" {
				r.owned(op, KindRelation, resolve(rel))
			}
		}
	case "CopyStmt":
		if n.Bool("is_program") || n.Text("filename") != "" {
			r.cannotLend("files and programs of the server are an administrator's")
		}
	case "CallStmt":
		call := n.Node("funccall")
		inner := newReader()
		inner.expr(call, nil, nil)
		r.take(inner, false)
	case "VacuumStmt", "ReindexStmt", "ClusterStmt", "RefreshMatViewStmt":
		r.upkeep(n, op)
	case "DropStmt", "CommentStmt":
		r.neededBy(n, op)
	case "GrantStmt":
		r.neededToGrant(n, op)
	case "AlterTableStmt", "RenameStmt", "AlterObjectSchemaStmt", "AlterFunctionStmt", "AlterEnumStmt", "AlterSeqStmt", "AlterDomainStmt", "AlterPolicyStmt":
		r.neededToAlter(n, op)
	default:
		r.neededToMake(n)
	}
}

// guarded refuses to lend an owner's rights to a statement that runs code: what it runs
// would have them all, and be told by nobody what to do with them.
func (r *reader) guarded(n *grammar.Node) {
	if !r.owns() {
		return
	}
	if r.touched[place{op: "sql.call"}] != nil {
		r.cannotLend("it needs an owner's rights and runs code that would have them: it " + strings.Join(r.because, ", "))
	}
	// A name behind a table's can be the call of a function, which has the row.
	if n.Is("AlterTableStmt", "CreateStmt", "IndexStmt", "AlterDomainStmt") && hasDottedColumn(n) {
		r.cannotLend("it needs an owner's rights, and a name with a dot in it could be a call; name columns without their table")
	}
}

func (r *reader) owns() bool {
	for _, t := range r.touched {
		if slices.ContainsFunc(t.needs, Need.Owns) {
			return true
		}
	}
	return false
}

func hasDottedColumn(n *grammar.Node) bool {
	if n.Is("ColumnRef") && len(n.List("fields")) > 1 {
		return true
	}
	for _, child := range n.Children() {
		if hasDottedColumn(child) {
			return true
		}
	}
	return false
}

// upkeep is of the tables that it names: on a whole database it would leave out what
// the task does not own, and say so to nobody.
func (r *reader) upkeep(n *grammar.Node, op string) {
	var all []*grammar.Node
	for _, v := range n.List("rels") {
		all = append(all, v.Node("relation"))
	}
	if rel := n.Node("relation"); rel != nil {
		all = append(all, rel)
	}
	if len(all) == 0 {
		r.cannotLend(withoutNames)
	}
	if n.Is("ReindexStmt") && hasOption(n.List("params"), "tablespace") {
		r.cannotLend(forAdministrators)
	}
	for _, rel := range all {
		at := resolve(rel)
		if at.catalogs() {
			r.cannotLend(ofTheServers)
			continue
		}
		r.need(op, nowhere(), Need{RightMaintain, KindRelation, at.schema, at.table})
	}
}

func hasOption(options []*grammar.Node, name string) bool {
	return slices.ContainsFunc(options, func(o *grammar.Node) bool { return strings.EqualFold(o.Text("defname"), name) })
}

// neededBy is what DROP and COMMENT need: the owner of each object.
func (r *reader) neededBy(n *grammar.Node, op string) {
	sort, objects := n.Enum("remove_type"), n.List("objects")
	if n.Is("CommentStmt") {
		sort, objects = n.Enum("objtype"), []*grammar.Node{n.Node("object")}
	}
	for _, o := range objects {
		r.object(op, sort, o)
	}
}

// object notes the owner of one object.
func (r *reader) object(op, sort string, o *grammar.Node) {
	switch sort {
	case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_SEQUENCE", "OBJECT_INDEX", "OBJECT_FOREIGN_TABLE":
		r.owned(op, KindRelation, objectRelation(o, 0))
	case "OBJECT_COLUMN", "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY", "OBJECT_TABCONSTRAINT": // parts of a table
		r.owned(op, KindRelation, objectRelation(o, 1))
	case "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE":
		r.owned(op, KindRoutine, program(grammar.Strings(o.List("objname"))))
	case "OBJECT_TYPE", "OBJECT_DOMAIN":
		name := grammar.Strings(o.List("names"))
		if o.Is("List") {
			name = grammar.Strings(o.List("items"))
		}
		r.owned(op, KindType, program(name))
	case "OBJECT_SCHEMA":
		r.schemaOwner(op, o.Text("sval"))
	default:
		r.cannotLend(forAdministrators)
	}
}

func (r *reader) schemaOwner(op, name string) {
	switch {
	case name == "":
		r.cannotLend("what it is about cannot be told")
	case (ref{schema: name}).catalogs():
		r.cannotLend(ofTheServers)
	default:
		r.need(op, nowhere(), Need{Right: RightOwner, Kind: KindSchema, Name: name})
	}
}

// objectRelation is the relation that a name is of, without as many of its last parts.
func objectRelation(o *grammar.Node, parts int) ref {
	if o.Is("RangeVar") && parts == 0 {
		return resolve(o)
	}
	name := grammar.Strings(o.List("items"))
	if !o.Is("List") || len(name) <= parts || len(name)-parts > 2 {
		return ref{}
	}
	return resolveName(name[:len(name)-parts])
}

// neededToGrant is the owner of what rights are given on; a right in the name of another
// role, or to give it on, is not lent.
func (r *reader) neededToGrant(n *grammar.Node, op string) {
	if n.Enum("targtype") != "ACL_TARGET_OBJECT" || n.Node("grantor") != nil {
		r.cannotLend(forAdministrators)
		return
	}
	switch sort := n.Enum("objtype"); sort {
	case "OBJECT_TABLE", "OBJECT_SEQUENCE", "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_TYPE", "OBJECT_DOMAIN", "OBJECT_SCHEMA":
		for _, o := range n.List("objects") {
			r.object(op, sort, o)
		}
	default:
		r.cannotLend(forAdministrators)
	}
}
