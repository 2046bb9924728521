package sql

import (
	"slices"
	"strings"

	"ambit/catalog/sql/grammar"
)

// neededToAlter is what ALTER needs: the owner of the object, and what else a change
// makes or takes in.
func (r *reader) neededToAlter(n *grammar.Node, op string) {
	switch n.Type {
	case "AlterTableStmt":
		at := resolve(n.Node("relation"))
		r.owned(op, KindRelation, at)
		for _, c := range n.List("cmds") {
			r.change(c, op, at)
		}
	case "RenameStmt", "AlterObjectSchemaStmt":
		r.renames(n, op)
	case "AlterFunctionStmt":
		r.owned(op, KindRoutine, program(grammar.Strings(n.Node("func").List("objname"))))
	case "AlterEnumStmt":
		r.owned(op, KindType, program(grammar.Strings(n.List("type_name"))))
	case "AlterDomainStmt":
		r.owned(op, KindType, program(grammar.Strings(n.List("type_name"))))
		r.runs(n.Node("def"))
	case "AlterPolicyStmt":
		r.owned(op, KindRelation, resolve(n.Node("table")))
	case "AlterSeqStmt":
		r.owned(op, KindRelation, resolve(n.Node("sequence")))
		if hasOption(n.List("options"), "owned_by") {
			r.cannotLend("OWNED BY is about the owners of two objects")
		}
	}
}

// change reads one part of an ALTER TABLE.
func (r *reader) change(c *grammar.Node, op string, at ref) {
	def := c.Node("def")
	switch k := c.Enum("subtype"); k {
	case "AT_AddColumn", "AT_AddConstraint", "AT_AddIdentity":
		// An index or a sequence of its own comes with some.
		r.need(op, at, createIn(RightAdd, at.schema))
		r.runs(def)
	case "AT_ColumnDefault", "AT_AlterColumnType", "AT_SetExpression":
		r.runs(def)
	case "AT_AttachPartition", "AT_DetachPartition", "AT_DetachPartitionFinalize":
		r.bounds(def.Node("bound"))
		r.second(op, at, def.Node("name"))
	case "AT_AddInherit", "AT_DropInherit":
		r.second(op, at, def)
	case "AT_DropNotNull", "AT_SetNotNull", "AT_DropExpression", "AT_SetStatistics", "AT_SetOptions", "AT_ResetOptions", "AT_SetStorage", "AT_SetCompression", "AT_DropColumn",
		"AT_AlterConstraint", "AT_ValidateConstraint", "AT_DropConstraint", "AT_ClusterOn", "AT_DropCluster", "AT_SetLogged", "AT_SetUnLogged", "AT_SetRelOptions", "AT_ResetRelOptions",
		"AT_EnableTrig", "AT_EnableAlwaysTrig", "AT_EnableReplicaTrig", "AT_DisableTrig", "AT_EnableTrigUser", "AT_DisableTrigUser", "AT_EnableRule", "AT_EnableAlwaysRule", "AT_EnableReplicaRule", "AT_DisableRule",
		"AT_ReplicaIdentity", "AT_EnableRowSecurity", "AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity", "AT_SetIdentity", "AT_DropIdentity":
	case "AT_ChangeOwner":
		r.cannotLend("it gives the table to another owner, for which two roles' rights are needed")
	default:
		r.cannotLend(forAdministrators)
	}
}

// second notes the owner of the second table of a change, at the access of the first.
func (r *reader) second(op string, at ref, rel *grammar.Node) {
	if other := resolve(rel); rel == nil || other.table == "" || other.catalogs() {
		r.cannotLend(ofTheServers)
	} else {
		r.need(op, at, owner(KindRelation, other))
	}
}

// runs reads expressions that a definition evaluates, for the code that they call and
// the tables that they refer to.
func (r *reader) runs(n *grammar.Node) {
	if n == nil {
		return
	}
	inner := newReader()
	inner.part(n)
	r.take(inner, false)
}

// renames is what RENAME and SET SCHEMA need.
func (r *reader) renames(n *grammar.Node, op string) {
	sort, object := n.Enum("rename_type"), n.Node("object")
	if n.Is("AlterObjectSchemaStmt") {
		sort = n.Enum("object_type")
	}
	switch sort {
	case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_SEQUENCE", "OBJECT_INDEX", "OBJECT_FOREIGN_TABLE":
		at := resolve(n.Node("relation"))
		r.owned(op, KindRelation, at)
		r.need(op, at, createIn(RightAdd, orPublic(n.Text("newschema"), at.schema)))
	case "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY":
		r.owned(op, KindRelation, resolve(n.Node("relation")))
	case "OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_TYPE", "OBJECT_DOMAIN":
		name := grammar.Strings(object.List("items"))
		kind := KindType
		if object.Is("ObjectWithArgs") {
			name, kind = grammar.Strings(object.List("objname")), KindRoutine
		}
		at := program(name)
		r.owned(op, kind, at)
		r.need(op, at, createIn(RightAdd, orPublic(n.Text("newschema"), at.schema)))
	default:
		r.cannotLend(forAdministrators)
	}
}

func orPublic(schema, otherwise string) string {
	if schema != "" {
		return schema
	}
	return otherwise
}

// neededToMake is what CREATE needs. What is made belongs to its schema's owner when the
// statement is over; what runs later with that owner's rights is another matter than a table.
func (r *reader) neededToMake(n *grammar.Node) {
	switch n.Type {
	case "CreateStmt":
		r.makesTable(n)
	case "CreateTableAsStmt":
		rel, right := n.Node("into").Node("rel"), RightCreate
		if n.Enum("objtype") == "OBJECT_MATVIEW" {
			right = RightPlant
		}
		r.made(right, resolve(rel), temporary(rel))
		r.placed(n.Node("into").Text("table_space_name"))
	case "IndexStmt":
		at := resolve(n.Node("relation"))
		r.owned("sql.create", KindRelation, at)
		r.made(RightAdd, at, false)
		r.placed(n.Text("table_space"))
	case "ViewStmt":
		rel := n.Node("view")
		at := resolve(rel)
		r.made(RightPlant, at, temporary(rel))
		if n.Bool("replace") {
			r.need("sql.create", at, owner(KindRelation, at))
		}
	case "CreateFunctionStmt":
		r.makesRoutine(n)
	case "CreateSeqStmt":
		rel := n.Node("sequence")
		r.made(RightCreate, resolve(rel), temporary(rel))
		if hasOption(n.List("options"), "owned_by") {
			r.cannotLend("OWNED BY is about the owners of two objects")
		}
	case "CreateEnumStmt":
		r.made(RightCreate, program(grammar.Strings(n.List("type_name"))), false)
	case "CreateDomainStmt":
		r.made(RightPlant, program(grammar.Strings(n.List("domainname"))), false)
	case "CompositeTypeStmt":
		r.made(RightCreate, resolve(n.Node("typevar")), false)
	case "CreateSchemaStmt":
		if n.Node("authrole") != nil || len(n.List("schema_elts")) > 0 {
			r.cannotLend("make a schema by itself, and what is in it after it")
		}
		r.need("sql.create", nowhere(), Need{Right: RightCreate, Kind: KindDatabase})
	case "CreateTrigStmt":
		at := resolve(n.Node("relation"))
		r.need("sql.create", at, Need{RightTrigger, KindRelation, at.schema, at.table})
		if f, ok := routine(grammar.Strings(n.List("funcname"))); ok {
			r.need("sql.create", at, f)
		}
	case "RuleStmt":
		r.owned("sql.create", KindRelation, resolve(n.Node("relation")))
	case "CreatePolicyStmt":
		r.owned("sql.create", KindRelation, resolve(n.Node("table")))
	default:
		r.cannotLend(forAdministrators)
	}
}

func (r *reader) placed(tablespace string) {
	if tablespace != "" {
		r.cannotLend("places of the server's disks are an administrator's")
	}
}

func (r *reader) makesTable(n *grammar.Node) {
	rel := n.Node("relation")
	at := resolve(rel)
	r.made(RightCreate, at, temporary(rel))
	r.placed(n.Text("tablespacename"))
	for _, parent := range n.List("inh_relations") {
		r.second("sql.create", at, parent)
	}
	r.bounds(n.Node("partbound"))
	if t := r.touched[place{"sql.create", at.schema, at.table}]; t == nil {
		// It was not read part by part, since it changes another table too.
		for _, f := range []string{"table_elts", "constraints"} {
			for _, e := range n.List(f) {
				r.runs(e)
			}
		}
		r.runs(n.Node("partspec")) // it is planned, which runs what claims to be immutable
	}
}

// bounds reads the values at which a partition begins and ends.
func (r *reader) bounds(n *grammar.Node) {
	for _, f := range []string{"listdatums", "lowerdatums", "upperdatums"} {
		for _, e := range n.List(f) {
			if e.Is("PartitionRangeDatum") {
				e = e.Node("value")
			}
			r.runs(e)
		}
	}
}

// makesRoutine takes the languages of which everybody may make functions.
func (r *reader) makesRoutine(n *grammar.Node) {
	at := program(grammar.Strings(n.List("funcname")))
	r.made(RightPlant, at, false)
	if n.Bool("replace") {
		r.need("sql.create", at, owner(KindRoutine, at))
	}
	for _, o := range n.List("options") {
		if l := o.Node("arg").Text("sval"); o.Text("defname") == "language" && !slices.Contains([]string{"sql", "plpgsql"}, strings.ToLower(l)) {
			r.cannotLend(forAdministrators)
		}
	}
}
