package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// create lends the right to make something in a schema. What is made belongs to the
// lease's role at first, which is dropped with it, so there must be somebody to have it
// then: see handOver.
func (o *Once) create(ctx context.Context, s *session, l *loan, n Need) error {
	db := o.p.server.login.Database
	if n.Kind == "database" {
		l.groups = addGroup(l.groups, createSchemaGroup(db))
		return nil
	}
	rows, err := s.run(ctx, "SELECT has_schema_privilege('public', oid, 'CREATE') FROM pg_catalog.pg_namespace WHERE nspname = "+literal(n.Name))
	if err != nil || len(rows) == 0 {
		return err
	}
	everybody := first(rows) == "t"
	if !everybody {
		l.groups = addGroup(l.groups, schemaGroup(db, n.Name), createGroup(db, n.Name))
	}
	if n.Right == "add" {
		return nil
	}
	if everybody {
		// The task could have put there what nobody approved, which would become its owner's too.
		return unlent("everybody may create in the schema %s, so that what was approved cannot be told from what was not: REVOKE CREATE ON SCHEMA %s FROM PUBLIC", n.Name, quote(n.Name))
	}
	who, err := heir(ctx, s, literal(n.Name))
	if err != nil {
		return err
	}
	if n.Right == "plant" {
		// It runs with its owner's rights, whoever calls it.
		if err := trusted(ctx, s, who, "what is made in the schema "+n.Name); err != nil {
			return err
		}
		l.marks = addGroup(l.marks, programGroup(db, n.Name))
	}
	return o.gives(ctx, s, who, n.Name)
}

// gives checks that the administrator can give the heir what is made.
func (o *Once) gives(ctx context.Context, s *session, who, schema string) error {
	if s.c.ParameterStatus("is_superuser") == "on" {
		return nil
	}
	rows, err := s.run(ctx, "SELECT pg_has_role(current_user, "+literal(who)+", 'USAGE') AND has_schema_privilege("+literal(who)+", "+literal(schema)+", 'CREATE')")
	if err == nil && first(rows) != "t" {
		err = unlent("what is made in the schema %s becomes role %s's, which must have CREATE on it and have the role that makes those of tasks as a member", schema, who)
	}
	return err
}

// heir is who gets what a task makes in a schema: the owner of most tables there, a
// superuser only when there is no other, and without tables that of the schema. schema is an expression of its name.
func heir(ctx context.Context, s *session, schema string) (string, error) {
	rows, err := s.run(ctx, "SELECT r.rolname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner "+
		"WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = "+schema+") AND c.relkind IN ('r', 'p') AND r.rolname !~ '^ambit_' "+
		"GROUP BY r.rolname, r.rolsuper, r.oid ORDER BY r.rolsuper, count(*) DESC, r.oid LIMIT 1")
	if err != nil || len(rows) > 0 {
		return first(rows), err
	}
	rows, err = s.run(ctx, "SELECT "+realOwner("nspowner")+" FROM pg_catalog.pg_namespace WHERE nspname = "+schema)
	if err == nil && (first(rows) == "" || strings.HasPrefix(first(rows), "ambit_")) {
		err = unlent("the schema belongs to nobody who could have what is made there")
	}
	return first(rows), err
}

// handOver gives what a lease's role made in this database, as far as a person approved
// it, to the schema's owner. The role can make things only where that was lent to it, or
// where everybody can, and then they stay. It can be repeated, and finds what was
// committed since. It waits for locks as long as patience says, as an interval.
func (v *server) handOver(ctx context.Context, s *session, role string, patience string) error {
	rows, err := s.run(ctx, "SELECT i.type, i.identity, coalesce(n.nspname, ''), coalesce(has_schema_privilege('public', n.oid, 'CREATE'), false) "+
		"FROM pg_catalog.pg_shdepend d, LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i LEFT JOIN pg_catalog.pg_namespace n ON quote_ident(n.nspname) = i.schema OR n.nspname = i.schema "+
		"WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = "+oidOf(role)+" AND d.deptype = 'o' "+
		"AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend x WHERE x.classid = d.classid AND x.objid = d.objid AND x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND x.deptype IN ('a', 'i')) ORDER BY d.objid")
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rows {
		errs = append(errs, v.hand(ctx, s, role, made{r[0], r[1], r[2], r[3] == "t"}, patience))
	}
	return errors.Join(errs...)
}

// made is an object that a lease's role owns.
type made struct {
	sort, identity, schema string
	everybody              bool // can create in the schema
}

// hand gives one object.
func (v *server) hand(ctx context.Context, s *session, role string, m made, patience string) error {
	word, program := heritable(m.sort)
	if word == "" || m.everybody {
		return nil
	}
	if program {
		g := programGroup(v.login.Database, m.schema)
		rows, err := s.run(ctx, "SELECT 1 FROM pg_catalog.pg_auth_members WHERE roleid = "+oidOf(g.name)+" AND member = "+oidOf(role))
		if err != nil || len(rows) == 0 {
			return err // nobody approved that one is made there
		}
	}
	who, err := heir(ctx, s, literal(m.schema))
	if word == "SCHEMA" {
		var rows [][]string
		rows, err = s.run(ctx, "SELECT o.rolname FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba WHERE d.datname = current_database()")
		who = first(rows)
	}
	if err != nil {
		return err
	}
	for _, r := range []string{role, who} {
		if err := become(ctx, s, r); err != nil {
			return err
		}
	}
	return s.whole(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %s; ALTER %s %s OWNER TO %s", literal(patience), word, m.identity, quote(who)))
}

// heritable is the word of SQL for a sort of object that can be handed over, "" for
// others, and whether it is one that runs with its owner's rights.
func heritable(sort string) (word string, program bool) {
	switch sort {
	case "table", "sequence", "foreign table", "schema":
		return strings.ToUpper(sort), false
	case "type", "composite type":
		return "TYPE", false
	case "view", "materialized view", "function", "procedure":
		return strings.ToUpper(sort), true
	case "domain":
		return "DOMAIN", true
	}
	return "", false
}
