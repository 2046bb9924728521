package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Need is a right that an approved statement needs beside those on the rows of tables.
// The words are those of the reader of statements (catalog/sql.Need).
type Need struct {
	Right  string `json:"right"`
	Kind   string `json:"kind"`
	Schema string `json:"schema,omitempty"`
	Name   string `json:"name,omitempty"`
}

// maxNeeds bounds those of one action.
const maxNeeds = 64

// ParseNeeds reads needs as an action holds them: a JSON array; "" for none.
func ParseNeeds(text string) (out []Need, err error) {
	if text == "" {
		return nil, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil || d.More() || len(out) > maxNeeds {
		return nil, errors.New("cannot read what a statement needs")
	}
	for _, n := range out {
		if err := n.check(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (n Need) check() error {
	named := func(s string) bool { return s != "" && len(s) < 64 && !badText(s) }
	catalogs := func(s string) bool { return s == "information_schema" || strings.HasPrefix(s, "pg_") }
	ok := false
	switch n.Right + " " + n.Kind {
	case "owner relation", "maintain relation", "usage relation", "update relation", "trigger relation", "owner routine", "owner type":
		ok = named(n.Schema) && named(n.Name) && !catalogs(n.Schema)
	case "execute routine":
		ok = (n.Schema == "" || named(n.Schema)) && named(n.Name)
	case "owner schema", "create schema", "plant schema", "add schema":
		ok = n.Schema == "" && named(n.Name) && !catalogs(n.Name)
	case "create database":
		ok = n.Schema == "" && n.Name == ""
	}
	if !ok {
		return fmt.Errorf("cannot lend the right %.20q on %.20q: there is none", n.Right, n.Kind)
	}
	return nil
}

// Unlent says why something is not lent, for people and for the agent: it names no
// address and no administrator.
type Unlent struct{ Why string }

// Error is the reason, with what to do about it.
func (e *Unlent) Error() string { return e.Why }

func unlent(format string, args ...any) error { return &Unlent{fmt.Sprintf(format, args...)} }

// createGroup may make something in a schema.
func createGroup(database, schema string) group {
	g := newGroup(database, "CREATE in schema "+quote(schema))
	g.only(schema)
	g.has = fmt.Sprintf("(coalesce(has_schema_privilege(%s, (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %s), 'CREATE'), false) AND NOT EXISTS (%s))", oidOf(g.name), literal(schema), g.surplus)
	g.grants = []grant{{sql: func(string) string { return "GRANT CREATE ON SCHEMA " + quote(schema) + " TO " + g.name }}}
	return g
}

// only has a group of one schema lose what it has on one that had its name before.
func (g *group) only(schema string) {
	g.surplus = "SELECT quote_ident(n.nspname) FROM pg_catalog.pg_namespace n WHERE n.oid IN " + held(g.name, "pg_namespace") + " AND n.nspname <> " + literal(schema)
	g.of = "SCHEMA"
}

// createSchemaGroup may make schemas in the database.
func createSchemaGroup(database string) group {
	g := newGroup(database, "CREATE")
	g.has = fmt.Sprintf("coalesce(has_database_privilege(%s, %s, 'CREATE'), false)", oidOf(g.name), literal(database))
	g.grants = []grant{{sql: func(string) string { return "GRANT CREATE ON DATABASE " + quote(database) + " TO " + g.name }}}
	return g
}

// programGroup gives nothing. Its members are leases of which a person approved that
// they make functions or views in a schema, which then become the schema's: what a lease
// makes of that sort without it becomes nobody's.
func programGroup(database, schema string) group {
	g := newGroup(database, "nothing; its members made programs in schema "+quote(schema))
	g.has = "(" + oidOf(g.name) + " IS NOT NULL)"
	return g
}

// routines is a condition on pg_proc p: that it has a name, and is none of the server's.
func routines(schema, name string) string {
	return "p.pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = " + literal(schema) + ") AND p.proname = " + literal(name)
}

// executeGroup may execute every function and procedure of a name.
func executeGroup(database, schema, name string) group {
	g := newGroup(database, "EXECUTE on "+quote(schema)+"."+quote(name))
	of := "pg_catalog.pg_proc p WHERE " + routines(schema, name)
	g.surplus = "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p WHERE p.oid IN " + held(g.name, "pg_proc") + " AND NOT (" + routines(schema, name) + ")"
	g.of = "ROUTINE"
	g.has = fmt.Sprintf("(%s IS NOT NULL AND NOT EXISTS (%s) AND NOT EXISTS (SELECT 1 FROM %s AND NOT has_function_privilege(%s, p.oid, 'EXECUTE')))", oidOf(g.name), g.surplus, of, oidOf(g.name))
	g.grants = []grant{{
		on:  "SELECT p.oid::pg_catalog.regprocedure::text FROM " + of,
		sql: func(on string) string { return "GRANT EXECUTE ON ROUTINE " + on + " TO " + g.name },
	}}
	return g
}

// sequenceGroup has USAGE or UPDATE of one sequence.
func sequenceGroup(database, privilege, schema, name string) group {
	g := newGroup(database, privilege+" on sequence "+quote(schema)+"."+quote(name))
	is := "c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = " + literal(schema) + ") AND c.relname = " + literal(name) + " AND c.relkind = 'S'"
	g.surplus = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN " + held(g.name, "pg_class") + " AND NOT (" + is + ")"
	g.has = fmt.Sprintf("(%s IS NOT NULL AND NOT EXISTS (%s) AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE %s AND NOT has_sequence_privilege(%s, c.oid, '%s')))", oidOf(g.name), g.surplus, is, oidOf(g.name), privilege)
	g.grants = []grant{{
		on:  "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE " + is,
		sql: func(on string) string { return "GRANT " + privilege + " ON SEQUENCE " + on + " TO " + g.name },
	}}
	return g
}

// held is a query, in parentheses, of what a role has in a catalog of this database.
func held(role, catalog string) string {
	return "(SELECT d.objid FROM pg_catalog.pg_shdepend d WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass " +
		"AND d.refobjid = " + oidOf(role) + " AND d.classid = 'pg_catalog." + catalog + "'::pg_catalog.regclass)"
}

func addGroup(all []group, more ...group) []group {
	for _, g := range more {
		if !slices.ContainsFunc(all, func(o group) bool { return o.name == g.name }) {
			all = append(all, g)
		}
	}
	return all
}
