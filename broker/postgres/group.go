package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Who makes or drops a group holds the lock alone; who makes or drops a role that
// is a member holds it with others. So no group goes while a role joins it. The
// number is "ambit" in ASCII; the lock is the database's.
const (
	lockNumber = "418447354228"
	lockAlone  = "SELECT pg_advisory_xact_lock(" + lockNumber + ")"
	lockShared = "SELECT pg_advisory_xact_lock_shared(" + lockNumber + ")"
)

// lockLease takes the lock of one lease, by the first 60 bits of its id. Who makes its
// role holds it until that is there, or never will be.
func lockLease(id string) string { return "SELECT pg_advisory_xact_lock(" + leaseNumber(id) + ")" }

func leaseNumber(id string) string { return "x'0" + id[:15] + "'::bigint" }

// settled waits until nobody is about to make the role of a lease, and returns its
// number in the catalog, "" when it is not there. A daemon that was killed, or a call
// that was given up, may have told the database to make it just before, and it would
// come into being after it was found missing.
func settled(ctx context.Context, s *session, id string) (oid string, err error) {
	return oid, again(ctx, func() error {
		if err := s.whole(ctx, lockLease(id)); code(err) == lockTimedOut {
			return errors.Join(err, s.free(ctx, id))
		} else if err != nil {
			return err
		}
		oid, err = numberOf(ctx, s, Role(id))
		return err
	})
}

// ensure makes groups, and gives them what is missing.
func (p *Provider) ensure(ctx context.Context, s *session, missing []group) error {
	return again(ctx, func() error {
		return s.in(ctx, lockAlone, func() error {
			for _, g := range missing {
				if err := ensureGroup(ctx, s, g); err != nil {
					return err
				}
				if err := p.at("before a group is there"); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func ensureGroup(ctx context.Context, s *session, g group) error {
	_, err := s.run(ctx, fmt.Sprintf("DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s) THEN CREATE ROLE %s NOLOGIN; END IF; END $$;\nCOMMENT ON ROLE %s IS %s",
		literal(g.name), g.name, g.name, literal("Ambit: "+g.what)))
	if err != nil {
		return err
	}
	if g.surplus != "" {
		more, err := names(ctx, s, g.surplus)
		if err == nil && more != "" {
			_, err = s.run(ctx, "REVOKE ALL ON "+orTable(g.of)+" "+more+" FROM "+g.name)
		}
		if err != nil {
			return err
		}
	}
	for _, one := range g.grants {
		on := ""
		if one.on != "" {
			if on, err = names(ctx, s, one.on); err != nil {
				return err
			}
			if on == "" && one.must {
				return fmt.Errorf("there is no table for %s: correct the line of the grants, or make the table", g.what)
			}
			if on == "" {
				continue
			}
		}
		if _, err := s.run(ctx, one.sql(on)); err != nil {
			return err
		}
	}
	return nil
}

func orTable(kind string) string {
	if kind == "" {
		return "TABLE"
	}
	return kind
}

// names runs a query of one column and joins its rows with commas.
func names(ctx context.Context, s *session, sql string) (string, error) {
	rows, err := s.run(ctx, sql)
	var all []string
	for _, r := range rows {
		all = append(all, r[0])
	}
	return strings.Join(all, ", "), err
}

// strayAfter is how long a role must have been invalid before it is nobody's. A
// daemon that lives renews its leases before they end.
const strayAfter = "1 hour"

// tidy drops the groups of this database that nobody is a member of, and roles of
// leases that a daemon lost with its store. It returns how many roles are gone.
func (v *server) tidy(ctx context.Context) (n int, err error) {
	err = v.with(ctx, func(ctx context.Context, s *session) error {
		strays, err := s.run(ctx, fmt.Sprintf("SELECT rolname FROM pg_catalog.pg_roles r WHERE rolname ~ '^ambit_[0-9a-f]{32}$' AND rolvaliduntil < now() - interval '%s' "+
			"AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid)", strayAfter))
		if err != nil {
			return err
		}
		for _, r := range strays {
			if err := dropRole(ctx, v, s, r[0]); err != nil {
				return err
			}
			n++
		}
		return again(ctx, func() error {
			return s.in(ctx, lockAlone, func() error {
				gone, err := dropGroups(ctx, s, v.login.Database)
				n += gone
				return err
			})
		})
	})
	return n, err
}

func dropGroups(ctx context.Context, s *session, database string) (int, error) {
	rows, err := s.run(ctx, "SELECT rolname FROM pg_catalog.pg_roles r WHERE rolname LIKE "+literal(strings.ReplaceAll(groupPrefix(database), "_", `\_`)+"%")+
		" AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid AND m.member <> (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))")
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		if err := become(ctx, s, r[0]); err != nil {
			return 0, err
		}
		// DROP OWNED takes the grants back; a group owns nothing.
		if _, err := s.run(ctx, fmt.Sprintf("DROP OWNED BY %s RESTRICT; DROP ROLE %s", quote(r[0]), quote(r[0]))); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

// become lets an administrator who is no superuser act for a role that it made.
func become(ctx context.Context, s *session, role string) error {
	if s.c.Parameter("is_superuser") == "on" {
		return nil
	}
	rows, err := s.run(ctx, "SELECT pg_has_role(current_user, "+literal(role)+", 'USAGE')")
	if err != nil || first(rows) == "t" {
		return err
	}
	option := ""
	if s.version() >= 16 {
		option = " WITH INHERIT TRUE, SET TRUE"
	}
	if _, err := s.run(ctx, "GRANT "+quote(role)+" TO CURRENT_USER"+option); err != nil {
		return errors.Join(fmt.Errorf("cannot act for role %s", role), err)
	}
	return nil
}
