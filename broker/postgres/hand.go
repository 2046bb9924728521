package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// handOver gives what a lease's role made in this database, as far as a person approved
// it, to the schema's owner. The role can make things only where that was lent to it, or
// where everybody can, and then they stay. It can be repeated, and finds what was
// committed since. It waits for locks as long as patience says, as an interval.
func (v *server) handOver(ctx context.Context, s *session, role string, patience string) error {
	// Functions and types come before the tables that may depend on them. A sequence of a
	// column goes with its table; a part of a table depends on it too, and stands for itself.
	rows, err := s.run(ctx, "SELECT coalesce((SELECT CASE typtype WHEN 'd' THEN 'domain' WHEN 'e' THEN 'type' WHEN 'c' THEN 'type' ELSE 'other type' END FROM pg_catalog.pg_type WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND oid = d.objid), i.type), i.identity, coalesce(n.nspname, ''), coalesce(has_schema_privilege('public', n.oid, 'CREATE'), false), d.classid::pg_catalog.regclass::text, d.objid::text "+
		"FROM pg_catalog.pg_shdepend d, LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) i LEFT JOIN pg_catalog.pg_namespace n ON quote_ident(n.nspname) = i.schema "+
		"WHERE d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = "+oidOf(role)+" AND d.deptype = 'o' "+
		"AND NOT (i.type = 'sequence' AND EXISTS (SELECT 1 FROM pg_catalog.pg_depend x WHERE x.classid = d.classid AND x.objid = d.objid AND x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND x.deptype IN ('a', 'i'))) "+
		"AND coalesce(n.nspname, '') !~ '^(pg|"+estate+")_' ORDER BY d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass, d.objid")
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range rows {
		errs = append(errs, v.hand(ctx, s, role, made{r[0], r[1], r[2], r[3] == "t", r[4], r[5]}, patience))
	}
	return errors.Join(errs...)
}

// made is an object that a lease's role owns.
type made struct {
	sort, identity, schema string
	everybody              bool   // can create in the schema
	catalog, oid           string // that it is in, and its number there
}

// errKept undoes what was handed over and must not be: it becomes nobody's when the
// lease ends.
var errKept = errors.New("it is not handed over")

// hand gives one object.
func (v *server) hand(ctx context.Context, s *session, role string, m made, patience string) error {
	word, program := heritable(m.sort)
	if word == "" || m.everybody {
		return nil
	}
	if program {
		is, err := v.approved(ctx, s, role, m)
		if err == nil && !is {
			err = bury(ctx, s, role, word, m)
		}
		if err != nil || !is {
			return err
		}
	}
	who, err := v.receiver(ctx, s, m, word)
	if err == nil && program {
		if err = trusted(ctx, s, who, "the "+m.sort); isUnlent(err) {
			return nil // the heir is not any more one who may have it
		}
	}
	if err == nil {
		err = errors.Join(become(ctx, s, role), become(ctx, s, who))
	}
	if err == nil {
		err = s.in(ctx, "SET LOCAL lock_timeout = "+literal(patience), func() error {
			if _, err := s.run(ctx, fmt.Sprintf("ALTER %s %s OWNER TO %s", word, m.identity, quote(who))); err != nil {
				return err
			}
			// Only now nobody changes it any more: the lease could have given its name to
			// something else, or put code on it, while its lock was waited for.
			rows, err := s.run(ctx, "SELECT "+m.belongs(who)+" AND NOT "+m.trap())
			if err == nil && first(rows) != "t" {
				err = errKept
			}
			return err
		})
	}
	if errors.Is(err, errKept) {
		return nil
	}
	return err
}

func (v *server) receiver(ctx context.Context, s *session, m made, word string) (string, error) {
	if word != "SCHEMA" {
		return heir(ctx, s, literal(m.schema))
	}
	rows, err := s.run(ctx, "SELECT o.rolname FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles o ON o.oid = d.datdba WHERE d.datname = current_database()")
	return first(rows), err
}

// approved says whether a person approved that a program is made where this one is.
func (v *server) approved(ctx context.Context, s *session, role string, m made) (bool, error) {
	switch m.sort {
	case "aggregate", "operator", "other type": // nothing lends what makes them
		return false, nil
	}
	return exists(ctx, s, "SELECT 1 FROM pg_catalog.pg_auth_members WHERE roleid = "+oidOf(programGroup(v.login.Database, m.schema).name)+" AND member = "+oidOf(role))
}

// bury takes a program that nobody approved out of its schema. Others look names up there,
// an administrator among them, and one that fits their arguments better than what they
// mean would run with their rights.
func bury(ctx context.Context, s *session, role, word string, m made) error {
	if err := become(ctx, s, role); err != nil {
		return err
	}
	// Of a schema that is made now everybody has nothing, nor of one that is there already.
	grave := quote(estate + strings.TrimPrefix(role, "ambit"))
	return s.whole(ctx, "SET LOCAL lock_timeout = "+literal(briefly)+"; CREATE SCHEMA IF NOT EXISTS "+grave+"; COMMENT ON SCHEMA "+grave+" IS 'Ambit: what a task made and nobody approved; look at it, and drop it'; "+
		"ALTER "+word+" "+m.identity+" SET SCHEMA "+grave)
}

func isUnlent(err error) bool {
	_, is := errors.AsType[*Unlent](err)
	return is
}

// belongs is a condition: that it is this object that a role has come to own.
func (m made) belongs(who string) string {
	owner, ok := map[string]string{"pg_class": "relowner", "pg_proc": "proowner", "pg_type": "typowner", "pg_namespace": "nspowner"}[m.catalog]
	if !ok {
		return "false"
	}
	return "EXISTS (SELECT 1 FROM pg_catalog." + m.catalog + " WHERE oid = " + m.oid + " AND " + owner + " = " + oidOf(who) + ")"
}

// trap is a condition: that somebody's code would run with the rights of who gets a
// table. A rule runs as the table's owner, for whoever writes; so do the expressions of
// an index and of statistics, when the server analyzes it; and triggers, defaults,
// constraints and policies as who uses it. Rules there are none; the rest may use what is
// the server's own or belongs to somebody, but nothing of a lease's, also not by the way
// of a type.
func (m made) trap() string {
	if m.catalog != "pg_class" {
		return "false"
	}
	const class = "'pg_catalog.pg_class'::pg_catalog.regclass"
	return "(EXISTS (SELECT 1 FROM pg_catalog.pg_rewrite WHERE ev_class = " + m.oid + " AND ev_type <> '1') OR EXISTS (WITH RECURSIVE uses AS (" +
		"(SELECT " + class + "::oid AS c, " + m.oid + "::oid AS o " +
		"UNION SELECT classid, objid FROM pg_catalog.pg_depend WHERE refclassid = " + class + " AND refobjid = " + m.oid + " AND deptype IN ('a', 'i') " +
		"UNION SELECT " + class + ", indexrelid FROM pg_catalog.pg_index WHERE indrelid = " + m.oid + ") " +
		"UNION SELECT d.* FROM uses, LATERAL (SELECT refclassid, refobjid FROM pg_catalog.pg_depend WHERE classid = uses.c AND objid = uses.o " +
		"UNION ALL SELECT " + class + ", typrelid FROM pg_catalog.pg_type WHERE uses.c = 'pg_catalog.pg_type'::pg_catalog.regclass AND oid = uses.o AND typrelid <> 0 " +
		"UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid FROM pg_catalog.pg_constraint WHERE uses.c = 'pg_catalog.pg_type'::pg_catalog.regclass AND contypid = uses.o) d) " +
		"SELECT 1 FROM uses JOIN pg_catalog.pg_shdepend d ON d.classid = uses.c AND d.objid = uses.o AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) " +
		"JOIN pg_catalog.pg_roles r ON d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.oid = d.refobjid " +
		"WHERE d.deptype = 'o' AND r.rolname ~ '^ambit_' AND d.classid <> " + class + "))"
}

// heritable is the word of SQL for a sort of object that can be handed over, "" for
// others, and whether it is one that runs with its owner's rights.
func heritable(sort string) (word string, program bool) {
	switch sort {
	case "table", "sequence", "foreign table", "schema":
		return strings.ToUpper(sort), false
	case "type":
		return "TYPE", false
	case "view", "materialized view", "function", "procedure", "aggregate", "operator", "domain":
		return strings.ToUpper(sort), true
	case "other type":
		return "TYPE", true
	}
	return "", false
}
