package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Privilege is a right on a table, in SQL's own word.
type Privilege string

// The privileges that a lease can have.
const (
	Select   Privilege = "SELECT"
	Insert   Privilege = "INSERT"
	Update   Privilege = "UPDATE"
	Delete   Privilege = "DELETE"
	Truncate Privilege = "TRUNCATE"
)

// The privileges that only an approved statement is lent.
const (
	References Privilege = "REFERENCES"
	Trigger    Privilege = "TRIGGER"
	Maintain   Privilege = "MAINTAIN" // since PostgreSQL 17
)

// byColumn says whether a privilege can be had on some of a table's columns.
func (p Privilege) byColumn() bool {
	return p == Select || p == Insert || p == Update || p == References
}

func (p Privilege) valid() bool {
	return p.byColumn() || p == Delete || p == Truncate || p == Trigger || p == Maintain
}

// Right is one privilege on a table, or on all tables of a schema.
type Right struct {
	Schema    string    `json:"schema"`
	Table     string    `json:"table"`             // "*" for all of the schema
	Except    []string  `json:"except,omitempty"`  // tables that "*" leaves out
	Columns   []string  `json:"columns,omitempty"` // none for all
	Privilege Privilege `json:"privilege"`
}

// All stands for every table of a schema.
const All = "*"

func (r Right) check() error {
	names := slices.Concat([]string{r.Schema, r.Table}, r.Except, r.Columns)
	switch {
	case !r.Privilege.valid():
		return fmt.Errorf("the right %.20q is none of those that a table has", r.Privilege)
	case slices.ContainsFunc(names, func(s string) bool { return s == "" || len(s) > 63 || badText(s) }):
		return errors.New("a right names a schema, table or column that cannot be one")
	case len(r.Columns) > 0 && (!r.Privilege.byColumn() || r.Table == All):
		return fmt.Errorf("the right %s cannot be for columns only", r.Privilege)
	case len(r.Except) > 0 && r.Table != All:
		return errors.New("a right for one table leaves tables out")
	case r.Schema == "pg_catalog" || r.Schema == "information_schema" || strings.HasPrefix(r.Schema, "pg_"):
		return fmt.Errorf("the schema %s is the database's own: rights on it are not given", r.Schema)
	}
	return nil
}

// String is the right as a person reads it.
func (r Right) String() string {
	t := r.Schema + "." + r.Table
	if len(r.Columns) > 0 {
		t += "(" + strings.Join(r.Columns, ", ") + ")"
	}
	if len(r.Except) > 0 {
		t += " except " + strings.Join(r.Except, ", ")
	}
	return string(r.Privilege) + " on " + t
}

// group is a role that holds one right and that nobody logs in as.
type group struct {
	name string
	what string // for people
	// has is an SQL expression: whether the group is there and gives all of it. It
	// is never NULL.
	has    string
	grants []grant
	// surplus is a query of what else it gives, as SQL identifiers; "" for a group that
	// nothing can come to. A table that was renamed keeps its grants, and so does a column.
	surplus string
	of      string // the kind of what surplus names; "" for TABLE
}

// grant is how a group gets what it gives.
type grant struct {
	// on gives what to grant on, as a query of SQL identifiers; "" when there is one
	// thing only, which sql knows.
	on  string
	sql func(on string) string
	// must says that there has to be something to grant on.
	must bool
}

const groupMark = "ambit_g_"

// groupPrefix begins the names of the groups of a database: roles are the whole
// server's.
func groupPrefix(database string) string {
	h := sha256.Sum256([]byte(database))
	return groupMark + hex.EncodeToString(h[:4]) + "_"
}

func newGroup(database, what string) group {
	h := sha256.Sum256([]byte(what))
	return group{name: groupPrefix(database) + hex.EncodeToString(h[:12]), what: what}
}

// groups are all that a role needs to be a member of.
func groups(database string, rights []Right) (out []group) {
	add := func(g group) {
		if !slices.ContainsFunc(out, func(o group) bool { return o.name == g.name }) {
			out = append(out, g)
		}
	}
	add(connectGroup(database))
	for _, r := range rights {
		add(schemaGroup(database, r.Schema))
		add(tableGroup(database, r))
	}
	return out
}

func oidOf(role string) string {
	return "(SELECT oid FROM pg_catalog.pg_roles WHERE rolname = " + literal(role) + ")"
}

func connectGroup(database string) group {
	g := newGroup(database, "CONNECT")
	g.has = fmt.Sprintf("coalesce(has_database_privilege(%s, %s, 'CONNECT'), false)", oidOf(g.name), literal(database))
	g.grants = []grant{{sql: func(string) string { return "GRANT CONNECT ON DATABASE " + quote(database) + " TO " + g.name }}}
	return g
}

func schemaGroup(database, schema string) group {
	g := newGroup(database, "USAGE on schema "+quote(schema))
	g.only(schema)
	g.has = fmt.Sprintf("(coalesce(has_schema_privilege(%s, %s, 'USAGE'), false) AND NOT EXISTS (%s))", oidOf(g.name), literal(schema), g.surplus)
	g.grants = []grant{{sql: func(string) string { return "GRANT USAGE ON SCHEMA " + quote(schema) + " TO " + g.name }}}
	return g
}

// tables is a condition on pg_class c: that it is a table of the right's.
func (r Right) tables() string {
	c := "c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = " + literal(r.Schema) + ") AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
	if r.Table != All {
		return c + " AND c.relname = " + literal(r.Table)
	}
	for _, x := range r.Except {
		c += " AND c.relname <> " + literal(x)
	}
	return c
}

// sequences is a part of a query: the sequences q that are columns' own of the
// right's tables, and a condition.
func (r Right) sequences() string {
	return "pg_catalog.pg_depend d JOIN pg_catalog.pg_class q ON q.oid = d.objid AND q.relkind = 'S' JOIN pg_catalog.pg_class c ON c.oid = d.refobjid " +
		"WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'a' AND " + r.tables()
}

// tableGroup gives one right. Whether it is whole is asked of the catalog for each
// lease: a table may have been made anew since.
func tableGroup(database string, r Right) group {
	columns := slices.Clone(r.Columns)
	slices.Sort(columns)
	columns = slices.Compact(columns)
	except := slices.Clone(r.Except)
	slices.Sort(except)
	g := newGroup(database, fmt.Sprintf("%s (%s) on %s.%s except (%s)", r.Privilege, quoteAll(columns), quote(r.Schema), quote(r.Table), quoteAll(except)))
	oid, list, missing := oidOf(g.name), "", fmt.Sprintf("NOT has_table_privilege(%s, c.oid, '%s')", oidOf(g.name), r.Privilege)
	if len(columns) > 0 {
		list = " (" + quoteAll(columns) + ")"
		var any []string
		for _, col := range columns {
			any = append(any, fmt.Sprintf("NOT has_column_privilege(%s, c.oid, %s, '%s')", oid, literal(col), r.Privilege))
		}
		missing = "(" + strings.Join(any, " OR ") + ")"
	}
	g.surplus = r.surplus(oid, columns)
	g.has = fmt.Sprintf("(%s IS NOT NULL AND NOT EXISTS (%s) AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE %s AND %s)", oid, g.surplus, r.tables(), missing)
	if r.Table != All {
		g.has += " AND EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE " + r.tables() + ")"
	}
	g.grants = []grant{{
		on: "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE " + r.tables(),
		sql: func(on string) string {
			return "GRANT " + string(r.Privilege) + list + " ON TABLE " + on + " TO " + g.name
		},
		must: r.Table != All,
	}}
	if r.Privilege == Insert {
		// A default of a new row may be the next of a sequence that is the table's own.
		g.has += fmt.Sprintf(" AND NOT EXISTS (SELECT 1 FROM %s AND NOT has_sequence_privilege(%s, q.oid, 'USAGE'))", r.sequences(), oid)
		g.grants = append(g.grants, grant{
			on:  "SELECT format('%I.%I', n.nspname, q.relname) FROM pg_catalog.pg_namespace n, " + r.sequences() + " AND n.oid = q.relnamespace",
			sql: func(on string) string { return "GRANT USAGE ON SEQUENCE " + on + " TO " + g.name },
		})
	}
	g.has += ")"
	return g
}

// surplus is a query of the relations on which a role has more than the right.
func (r Right) surplus(role string, columns []string) string {
	covered := "(" + r.tables() + ")"
	if r.Privilege == Insert {
		covered += " OR c.oid IN (SELECT q.oid FROM " + r.sequences() + ")"
	}
	if len(columns) > 0 {
		var all []string
		for _, col := range columns {
			all = append(all, literal(col))
		}
		covered = "(" + covered + ") AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = c.oid AND x.grantee = " + role +
			" AND a.attname NOT IN (" + strings.Join(all, ", ") + "))"
	}
	return "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN " +
		"(SELECT d.objid FROM pg_catalog.pg_shdepend d WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass " +
		"AND d.refobjid = " + role + " AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass) AND NOT (" + covered + ")"
}

// quote writes an identifier of SQL.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func quoteAll(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ")
}

// literal writes a text of SQL, whatever standard_conforming_strings is.
func literal(s string) string {
	return `E'` + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + `'`
}
