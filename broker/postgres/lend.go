package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// loan is what is lent to a lease for one approved statement.
type loan struct {
	groups []group  // that the role between joins
	owners []string // whose rights it has
	marks  []group  // that the lease itself joins, until its end: they give nothing
}

// Lendable says, before anybody is asked, why the needs of a statement cannot be lent to
// a lease: then it is an [Unlent].
func (p *Provider) Lendable(ctx context.Context, base string, needs []Need) error {
	o, err := p.Once(base, nil, needs)
	if err != nil {
		return err
	}
	return p.explain(p.server.with(ctx, func(ctx context.Context, s *session) error {
		_, err := o.loan(ctx, s)
		return err
	}))
}

// loan works out what is lent. What is not there needs nothing: the statement fails by
// itself, or says IF EXISTS, or is about what its own transaction has made.
func (o *Once) loan(ctx context.Context, s *session) (l loan, err error) {
	var rights []Right
	for _, r := range o.rights {
		rows, err := s.run(ctx, "SELECT 1 FROM pg_catalog.pg_class c WHERE "+r.tables())
		if err != nil {
			return l, err
		}
		if len(rows) > 0 {
			rights = append(rights, r)
		}
	}
	l.groups = groups(o.p.server.login.Database, rights)
	for _, n := range o.needs {
		if err := o.add(ctx, s, &l, n); err != nil {
			return l, err
		}
	}
	if len(rights)+len(l.owners) == 0 && len(l.groups) == 1 {
		l.groups = nil
	}
	return l, nil
}

func (o *Once) add(ctx context.Context, s *session, l *loan, n Need) error {
	db := o.p.server.login.Database
	give := func(schema string, g group) { l.groups = addGroup(l.groups, schemaGroup(db, schema), g) }
	switch n.Right {
	case "owner":
		return o.owner(ctx, s, l, n)
	case "maintain":
		// The right to maintain a table is narrower than its owner's, where there is one.
		is, err := exists(ctx, s, "SELECT 1 FROM pg_catalog.pg_class c WHERE "+Right{Schema: n.Schema, Table: n.Name}.tables())
		if err != nil || !is || s.version() < 17 {
			return errors.Join(err, o.owner(ctx, s, l, n))
		}
		give(n.Schema, tableGroup(db, Right{Schema: n.Schema, Table: n.Name, Privilege: Maintain}))
	case "trigger":
		return o.ifThere(ctx, s, n, func() { give(n.Schema, tableGroup(db, Right{Schema: n.Schema, Table: n.Name, Privilege: Trigger})) })
	case "usage", "update":
		return o.ifThere(ctx, s, n, func() { give(n.Schema, sequenceGroup(db, strings.ToUpper(n.Right), n.Schema, n.Name)) })
	case "execute":
		return o.execute(ctx, s, l, n)
	case "create", "plant", "add":
		return o.create(ctx, s, l, n)
	default:
		return errors.New("cannot give a right for one statement: it is not known")
	}
	return nil
}

func exists(ctx context.Context, s *session, sql string) (bool, error) {
	rows, err := s.run(ctx, sql)
	return len(rows) > 0, err
}

func (o *Once) ifThere(ctx context.Context, s *session, n Need, give func()) error {
	is, err := exists(ctx, s, "SELECT 1 FROM "+n.catalog()+" AND x.name = "+literal(n.Name))
	if err == nil && is {
		give()
	}
	return err
}

// catalog is a part of a query: the objects x of a need's kind and schema, with their
// names and owners, and a condition.
func (n Need) catalog() string {
	in := " WHERE x.schema = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = " + literal(n.Schema) + ")"
	switch n.Kind {
	case "relation":
		return "(SELECT relname AS name, relowner AS owner, relnamespace AS schema FROM pg_catalog.pg_class) x" + in
	case "routine":
		return "(SELECT proname AS name, proowner AS owner, pronamespace AS schema FROM pg_catalog.pg_proc) x" + in
	case "type":
		return "(SELECT typname AS name, typowner AS owner, typnamespace AS schema FROM pg_catalog.pg_type) x" + in
	case "schema":
		return "(SELECT nspname AS name, nspowner AS owner FROM pg_catalog.pg_namespace) x WHERE true"
	}
	return "(SELECT NULL::name AS name, NULL::oid AS owner) x WHERE false"
}

// realOwner is an expression: a role's name by its number. What belongs to the owner of the
// database, whoever that is, as the schema public does since PostgreSQL 15, is that one's.
func realOwner(oid string) string {
	return "(SELECT o.rolname FROM pg_catalog.pg_roles o WHERE o.oid = (SELECT CASE WHEN (SELECT w.rolname FROM pg_catalog.pg_roles w WHERE w.oid = " + oid + ") = 'pg_database_owner' " +
		"THEN (SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database()) ELSE " + oid + " END))"
}

// owner lends the rights of those that own an object.
func (o *Once) owner(ctx context.Context, s *session, l *loan, n Need) error {
	rows, err := s.run(ctx, "SELECT DISTINCT "+realOwner("x.owner")+" FROM "+n.catalog()+" AND x.name = "+literal(n.Name))
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row[0] == Role(o.base) || slices.Contains(l.owners, row[0]) {
			continue // the task made it, and has not handed it over
		}
		if err := trusted(ctx, s, row[0], n.what()); err != nil {
			return err
		}
		l.owners = append(l.owners, row[0])
	}
	return nil
}

func (n Need) what() string {
	if n.Schema == "" {
		return "the " + n.Kind + " " + n.Name
	}
	return "the " + n.Kind + " " + n.Schema + "." + n.Name
}

// trusted refuses owners whose rights reach further than what they own: who has them for
// a moment could keep them, or do what no database keeps in.
func trusted(ctx context.Context, s *session, owner, of string) error {
	rows, err := s.run(ctx, "WITH RECURSIVE up AS (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = "+literal(owner)+
		" UNION SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN up ON m.member = up.oid) "+
		"SELECT r.rolname, r.rolsuper, r.rolcreaterole OR r.rolreplication, r.rolname = current_user, pg_has_role(current_user, r.oid, 'USAGE WITH ADMIN OPTION') FROM up JOIN pg_catalog.pg_roles r USING (oid)")
	if err != nil {
		return err
	}
	const own = "; give it to a role of its own, which is neither (ALTER … OWNER TO)"
	for _, r := range rows {
		name, by := r[0], ""
		if name != owner {
			by = "who has the rights of role " + name + ", "
		}
		switch {
		case r[1] == "t":
			// Its rights end nowhere, and a superuser's catalogs hold everybody's passwords.
			return unlent("%s belongs to role %s, %swhich is a superuser: such rights are not lent, not even for one statement%s", of, owner, by, own)
		case r[3] == "t":
			return unlent("%s belongs to role %s, %swhich makes the roles of tasks; give it to another", of, owner, by)
		case strings.HasPrefix(name, "pg_"):
			return unlent("%s belongs to role %s, %swhich reaches beyond this database%s", of, owner, by, own)
		case strings.HasPrefix(name, "ambit_"):
			return unlent("%s belongs to role %s, %swhich is a task's or was left by one; give it to another", of, owner, by)
		case r[2] == "t" && s.version() < 16:
			// Whoever has the rights can become the role here, and so make others that stay.
			return unlent("%s belongs to role %s, %swhich can make roles or copy the server%s", of, owner, by, own)
		case name == owner && r[4] != "t" && s.version() >= 16 && s.c.Parameter("is_superuser") != "on":
			return unlent("%s belongs to role %s, which the role that makes those of tasks cannot grant: GRANT it with ADMIN OPTION", of, owner)
		}
	}
	if len(rows) == 0 {
		return unlent("%s belongs to a role that is not there", of)
	}
	return nil
}

// execute lends a call of every function of a name that is not the server's own. Those
// have what everybody has, or nobody.
func (o *Once) execute(ctx context.Context, s *session, l *loan, n Need) error {
	rows, err := s.run(ctx, fmt.Sprintf("SELECT has_function_privilege(%s, p.oid, 'EXECUTE') FROM pg_catalog.pg_proc p WHERE %s", oidOf(Role(o.base)), routines("pg_catalog", n.Name)))
	if err != nil {
		return err
	}
	may := slices.ContainsFunc(rows, func(r []string) bool { return r[0] == "t" })
	there, schema := false, n.Schema
	if schema == "" {
		schema = "public" // after the server's own, in the path of tasks
	}
	if schema != "pg_catalog" && schema != "information_schema" {
		if there, err = exists(ctx, s, "SELECT 1 FROM pg_catalog.pg_proc p WHERE "+routines(schema, n.Name)); err != nil {
			return err
		}
	}
	if there {
		db := o.p.server.login.Database
		l.groups = addGroup(l.groups, schemaGroup(db, schema), executeGroup(db, schema, n.Name))
		return nil
	}
	if (n.Schema == "" || n.Schema == "pg_catalog") && len(rows) > 0 && !may {
		return unlent("the function %s is the server's own, and an administrator's alone", n.Name)
	}
	return nil
}

// stillTime is how long another statement of the lease may take to end.
const stillTime = 5 * time.Second

// still waits until no session of a lease does anything: it would do it with the rights
// of the owner that are lent to another. The gate sends nothing meanwhile; but a session
// whose client hung up runs on until its statement ends, and nobody sees it but the server.
func (o *Once) still(ctx context.Context, s *session) error {
	if err := become(ctx, s, Role(o.base)); err != nil {
		return err // it could not see what they do
	}
	for end := time.Now().Add(stillTime); ; {
		rows, err := s.run(ctx, "SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = "+oidOf(Role(o.base))+
			" AND coalesce(a.state, '') NOT IN ('idle', 'idle in transaction', 'idle in transaction (aborted)')"+
			" AND coalesce(a.wait_event_type || a.wait_event, '') <> 'ClientClientRead'")
		if err != nil || len(rows) == 0 {
			return err
		}
		if time.Now().After(end) {
			return unlent("another statement of the task is still running, and would have the owner's rights too; wait until it ends")
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
