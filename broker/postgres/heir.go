package postgres

import (
	"context"
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
	if s.c.Parameter("is_superuser") == "on" {
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
