package sql

import (
	"slices"
	"strings"
	"testing"

	"ambit"
	"ambit/catalog/sql/grammar"
)

// statements are the node types that can be a statement, and what was decided:
// "read" (it can be one), "judged" (by its parts, never a read by itself) or
// "irreversible".
var statements = map[string]string{
	"SelectStmt": "read", "ExplainStmt": "read", "CopyStmt": "read", "DeclareCursorStmt": "read", "FetchStmt": "read", "ClosePortalStmt": "read",
	"PrepareStmt": "read", "DeallocateStmt": "read", "TransactionStmt": "read", "VariableSetStmt": "read", "VariableShowStmt": "read",
	"DiscardStmt": "read", "ConstraintsSetStmt": "read", "ListenStmt": "read", "UnlistenStmt": "read",
	"InsertStmt": "judged", "UpdateStmt": "judged", "MergeStmt": "judged", "NotifyStmt": "judged", "LockStmt": "judged", "CreateStmt": "judged",
	"CreateTableAsStmt": "judged", "IndexStmt": "judged", "CreateEnumStmt": "judged", "CreateSchemaStmt": "judged", "CreateSeqStmt": "judged",
}

// others are node types that are neither statements nor expressions as the
// parser makes them: parts that a statement's own reader looks into, and what
// only the server's planner and executor make.
const others = `
	AccessPriv CreateOpClassItem CommonTableExpr Constraint CreateForeignTableStmt DefElem FunctionParameter IndexElem InferClause IntoClause LockingClause MergeWhenClause
	ObjectWithArgs OnConflictClause PartitionBoundSpec PartitionCmd PartitionElem PartitionRangeDatum PartitionSpec PublicationObjSpec PublicationTable
	RangeFunction RangeSubselect RangeTableFunc RangeTableSample RangeVar RawStmt ReturnStmt RoleSpec SinglePartitionSpec StatsElem TableLikeClause TriggerTransition
	VacuumRelation WithClause WithCheckOption JoinExpr ATAlterConstraint CallContext InlineCodeBlock PLAssignStmt
	Aggref AlternativeSubPlan ArrayCoerceExpr ArrayExpr BoolExpr CaseTestExpr CoerceToDomain CoerceToDomainValue CoerceViaIO CollateExpr Const ConvertRowtypeExpr
	DistinctExpr FieldSelect FieldStore FromExpr FuncExpr InferenceElem IntList JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin
	MergeAction MergeSupportFunc NextValueExpr NullIfExpr OidList OnConflictExpr OpExpr Param Query RangeTblEntry RangeTblFunction RangeTblRef RTEPermissionInfo RelabelType
	RowCompareExpr RowMarkClause ScalarArrayOpExpr SetOperationStmt SortGroupClause SubPlan SubscriptingRef TableFunc TableSampleClause TargetEntry Var
	WindowClause WindowFunc WindowFuncRunCondition AlterTableCmd FuncCall A_Expr ColumnRef ParamRef SubLink TypeName SortBy A_Indirection CollateClause ColumnDef`

// TestEveryType goes through all node types of the grammar: a new one must be
// decided on here before it can pass.
func TestEveryType(t *testing.T) {
	rest := strings.Fields(others)
	for _, typ := range grammar.Types() {
		_, named := statements[typ]
		stmt := strings.HasSuffix(typ, "Stmt") && !slices.Contains(rest, typ)
		switch {
		case named && !stmt:
			t.Errorf("%s is no statement", typ)
		case stmt, expressions(typ), slices.Contains(rest, typ):
		default:
			t.Errorf("nobody decided what a %s is", typ)
		}
		if !stmt {
			continue
		}
		// An empty node of the type, as a statement: nothing in it makes it worse.
		r := newReader()
		v := r.statement(grammar.Make(typ))
		e := r.effect()
		if v.op == "" || v.kind == KindUnknown && e != ambit.Irreversible {
			t.Errorf("%s is nothing", typ)
		}
		if !named && e != ambit.Irreversible {
			t.Errorf("%s is %s, and nobody decided so", typ, e)
		}
	}
	for typ := range statements {
		if !slices.Contains(grammar.Types(), typ) {
			t.Errorf("the grammar has no %s", typ)
		}
	}
}

// TestUnknownNodes puts every type that is no expression where a value stands:
// none may pass as read.
func TestUnknownNodes(t *testing.T) {
	for _, typ := range grammar.Types() {
		if expressions(typ) {
			continue
		}
		r := newReader()
		r.expr(grammar.Make(typ), nil, nil)
		switch typ {
		case "ColumnRef", "ParamRef", "A_Indirection", "CollateClause", "SelectStmt", "MergeStmt", "SubLink", "SortBy", "ColumnDef": // they are what is in them
		default:
			if r.effect() == ambit.Read {
				t.Errorf("a %s passes as a value that is only read", typ)
			}
		}
	}
}
