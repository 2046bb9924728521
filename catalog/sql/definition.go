package sql

import (
	"ambit"
	"ambit/catalog/sql/grammar"
)

// definition reads what makes, changes or removes objects. Making a new
// relation, index or type of one's own is a write; what plants code, or changes
// what is there, is irreversible.
func (r *reader) definition(n *grammar.Node) (verdict, bool) {
	create := verdict{KindDefinition, "sql.create", ""}
	switch n.Type {
	case "CreateTableAsStmt":
		r.creates(n.Node("into").Node("rel"), "makes a table")
		if q := n.Node("query"); q.Is("ExecuteStmt") {
			v := r.statement(q)
			return verdict{KindExecute, create.op, v.name}, true
		}
		r.query(n.Node("query"), nil, nil)
		return create, true
	case "CreateStmt":
		return create, r.createTable(n)
	case "IndexStmt":
		r.createIndex(n)
		return create, true
	case "CreateEnumStmt":
		at := resolveName(grammar.Strings(n.List("type_name")))
		r.database("sql.create", at.write(ambit.Write), "makes a type")
		return create, true
	case "CreateSchemaStmt":
		if len(n.List("schema_elts")) > 0 || n.Node("authrole") != nil {
			return verdict{}, false
		}
		r.database("sql.create", ambit.Write, "makes a schema")
		return create, true
	case "CreateSeqStmt":
		r.creates(n.Node("sequence"), "makes a sequence")
		if len(n.List("options")) > 0 { // OWNED BY is about another table
			r.database("sql.create", ambit.Irreversible, "makes a sequence with options")
		}
		return create, true
	case "TruncateStmt":
		r.eachRelation(n.List("relations"), "sql.truncate")
		return verdict{KindDefinition, "sql.truncate", ""}, true
	case "DropStmt":
		r.drops(n)
		return verdict{KindDefinition, "sql.drop", ""}, true
	case "AlterTableStmt", "RenameStmt", "AlterObjectSchemaStmt":
		rel := n.Node("relation")
		if rel == nil {
			return verdict{}, false
		}
		r.eachRelation([]*grammar.Node{rel}, "sql.alter")
		return verdict{KindDefinition, "sql.alter", ""}, true
	case "GrantStmt":
		return verdict{KindDefinition, "sql.grant", ""}, r.grants(n)
	}
	return verdict{}, false
}

// createTable takes a table that stands alone. One that inherits from another,
// is a part of it or shares its type changes that one too.
func (r *reader) createTable(n *grammar.Node) bool {
	if len(n.List("inh_relations")) > 0 || n.Node("partbound") != nil || n.Node("of_typename") != nil || n.Text("access_method") != "" || n.Text("tablespacename") != "" {
		return false
	}
	r.creates(n.Node("relation"), "makes a table")
	for name, child := range n.Children() {
		if name != "relation" && name != "options" {
			r.part(child)
		}
	}
	return true
}

// part reads a piece of a table's definition: a column, a constraint.
func (r *reader) part(n *grammar.Node) {
	switch n.Type {
	case "ColumnDef", "PartitionSpec", "PartitionElem":
	case "Constraint":
		if other := n.Node("pktable"); other != nil {
			at := resolve(other)
			r.touch("sql.references", at.write(ambit.Write), at).all = true
		}
	default:
		r.expr(n, nil, nil)
		return
	}
	for name, child := range n.Children() {
		switch name {
		case "pktable", "keys", "pk_attrs", "fk_attrs", "including", "coll_clause", "collation":
		case "type_name":
			if !serial(child) {
				r.part(child)
			}
		case "opclass", "exclusions", "options", "fdwoptions", "identity_sequence":
			r.call("has options that are not known")
		default:
			r.part(child)
		}
	}
}

// serial says whether a column's type is none but a word: an integer that counts.
func serial(t *grammar.Node) bool {
	name := grammar.Strings(t.List("names"))
	if len(name) != 1 || t.Bool("pct_type") || t.Bool("setof") {
		return false
	}
	switch name[0] {
	case "smallserial", "serial2", "serial", "serial4", "bigserial", "serial8":
		return len(t.List("array_bounds")) == 0
	}
	return false
}

// createIndex runs the functions of the index on every row.
func (r *reader) createIndex(n *grammar.Node) {
	rel := n.Node("relation")
	of, at := target(rel)
	r.creates(rel, "makes an index")
	r.touch("sql.create", at.write(ambit.Write), at)
	s := &scope{items: []item{of}}
	for _, f := range []string{"index_params", "index_including_params"} {
		for _, e := range n.List(f) {
			r.indexElement(e, s, nil)
		}
	}
	r.expr(n.Node("where_clause"), s, nil)
	switch n.Text("access_method") {
	case "btree", "hash", "gin", "gist", "brin", "spgist":
	default:
		r.call("makes an index by a method that is not known")
	}
	if len(n.List("options")) > 0 || n.Text("table_space") != "" {
		r.call("makes an index with options")
	}
}

func (r *reader) eachRelation(list []*grammar.Node, op string) {
	if len(list) == 0 {
		r.database(op, ambit.Irreversible, "")
	}
	for _, rel := range list {
		r.touch(op, ambit.Irreversible, resolve(rel)).all = true
	}
	r.say("cannot be undone")
}

// drops notes the relations that go, and the database for everything else. What
// CASCADE takes along is not known.
func (r *reader) drops(n *grammar.Node) {
	r.say("removes objects")
	relations := false
	switch n.Enum("remove_type") {
	case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE":
		relations = true
	}
	for _, o := range n.List("objects") {
		if relations && o.Is("List") {
			r.touch("sql.drop", ambit.Irreversible, resolveName(grammar.Strings(o.List("items")))).all = true
		}
	}
	if !relations || n.Enum("behavior") == "DROP_CASCADE" {
		r.database("sql.drop", ambit.Irreversible, "may remove more than it names")
	}
}

// grants notes the relations whose rights change.
func (r *reader) grants(n *grammar.Node) bool {
	if n.Enum("targtype") != "ACL_TARGET_OBJECT" || n.Enum("objtype") != "OBJECT_TABLE" {
		return false
	}
	r.eachRelation(n.List("objects"), "sql.grant")
	return true
}
