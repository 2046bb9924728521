package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ambit/pgwire"
	"ambit/store/row"
)

// Revoke implements [broker.Provider]: nobody logs in as the role any more, its
// sessions are ended, and it is dropped with all that it has. Each step can be
// repeated.
func (p *Provider) Revoke(ctx context.Context, l row.Lease) error {
	if err := checkLease(l.ID); err != nil {
		return err
	}
	err := p.server.with(ctx, func(ctx context.Context, s *session) error {
		return p.end(ctx, s, l)
	})
	if err != nil {
		return p.explain(err)
	}
	return nil
}

func (p *Provider) end(ctx context.Context, s *session, l row.Lease) error {
	r := Role(l.ID)
	oid, err := numberOf(ctx, s, r)
	if err == nil && oid != "" {
		err = p.cut(ctx, s, r, oid)
	}
	if err == nil {
		oid, err = settled(ctx, s, l.ID)
	}
	if err != nil {
		return err
	}
	if oid != "" {
		if err := again(ctx, func() error { return p.shut(ctx, s, r, oid) }); err != nil {
			return err
		}
		if err := p.at("nobody logs in"); err != nil {
			return err
		}
	} else if oid, err = vacant(ctx, s, l.Handle); err != nil {
		return err
	}
	if err := terminate(ctx, s, oid); err != nil {
		return err
	}
	if err := p.at("sessions ended"); err != nil {
		return err
	}
	if err := dropRole(ctx, p.server, s, r); err != nil {
		return err
	}
	return p.at("role dropped")
}

// cut ends what a lease does just now, before anything is waited for: a session could
// hold the very locks that its end needs, those of leases or that of its own row, and
// so could a transaction that it prepared, for as long as nobody looks.
func (p *Provider) cut(ctx context.Context, s *session, r, oid string) error {
	if err := become(ctx, s, r); err != nil {
		return err
	}
	if _, err := s.run(ctx, "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usesysid = "+oid); err != nil {
		return err
	}
	return unprepare(ctx, p.server, s, r)
}

// unprepare rolls back what a role prepared to commit later: it outlives its sessions,
// and holds their locks.
func unprepare(ctx context.Context, v *server, s *session, r string) error {
	rows, err := s.run(ctx, "SELECT database, gid FROM pg_catalog.pg_prepared_xacts WHERE owner = "+literal(r))
	if err != nil {
		return err
	}
	for _, row := range rows {
		take := func(s *session) error { return s.as(ctx, r, "ROLLBACK PREPARED "+literal(row[1])) }
		if row[0] == v.login.Database {
			err = take(s)
		} else {
			err = elsewhere(ctx, v, row[0], take)
		}
		if err != nil && code(err) != "42704" { // undefined_object: somebody else was quicker
			return fmt.Errorf("cannot take back the transaction %.64q that role %s prepared in database %s: %w", row[1], r, row[0], err)
		}
	}
	return nil
}

// as runs a statement, which may be one that no transaction can hold, as another role.
func (s *session) as(ctx context.Context, role, sql string) error {
	if _, err := s.run(ctx, "SET ROLE "+quote(role)); err != nil {
		return err
	}
	_, err := s.run(ctx, sql)
	if _, back := s.run(ctx, "RESET ROLE"); back != nil {
		s.c.Close() // nobody may go on with it as that role
		return errors.Join(err, back)
	}
	return err
}

// shut keeps everybody from logging in.
func (p *Provider) shut(ctx context.Context, s *session, r, oid string) error {
	if err := p.cut(ctx, s, r, oid); err != nil {
		return err
	}
	err := s.whole(ctx, lockShared+fmt.Sprintf("; ALTER ROLE %s NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL VALID UNTIL '-infinity'", r))
	if err != nil {
		return err
	}
	return become(ctx, s, r)
}

// numberOf is the number of a role in the catalog, "" when it is not there.
func numberOf(ctx context.Context, s *session, role string) (string, error) {
	rows, err := s.run(ctx, "SELECT oid FROM pg_catalog.pg_roles WHERE rolname = "+literal(role))
	return first(rows), err
}

// vacant is the handle of a lease when it is a number that no role has: sessions of
// a role that was dropped still have it.
func vacant(ctx context.Context, s *session, handle string) (string, error) {
	n, err := strconv.ParseUint(handle, 10, 32)
	if err != nil || n == 0 {
		return "", nil
	}
	rows, err := s.run(ctx, fmt.Sprintf("SELECT 1 FROM pg_catalog.pg_roles WHERE oid = %d", n))
	if err != nil || len(rows) > 0 {
		return "", err
	}
	return strconv.FormatUint(n, 10), nil
}

// terminate ends the sessions of a role, until there is none. One that has just
// logged in is seen only when it has begun: so it must be quiet twice.
func terminate(ctx context.Context, s *session, oid string) error {
	if oid == "" {
		return nil
	}
	for quiet := 0; quiet < 2; {
		rows, err := s.run(ctx, "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usesysid = "+oid)
		if err != nil {
			return err
		}
		wait := 2 * time.Millisecond
		if quiet++; len(rows) > 0 {
			quiet, wait = 0, 5*time.Millisecond
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("its sessions do not end: %w", ctx.Err())
		}
	}
	return nil
}

// dropRole drops a role that is of no use any more, if it is there.
func dropRole(ctx context.Context, v *server, s *session, r string) error {
	drop := func() error { return s.whole(ctx, lockShared+"; DROP ROLE IF EXISTS "+quote(r)) }
	err := again(ctx, drop)
	if code(err) != dependent {
		return err
	}
	// It has come to own something, or somebody gave it something by itself.
	if err := v.handOver(ctx, s, r, lockTimeout); conflict(err) {
		return err
	} // what cannot be handed over becomes nobody's
	if err := disown(ctx, v, s, r); err != nil {
		return err
	}
	return again(ctx, drop)
}

const dependent = "2BP01" // dependent_objects_still_exist

// estate is who gets what a lease's role owned. It can do nothing, so that neither
// can a function or a view that was made to run with its owner's rights; and
// nothing is destroyed.
const estate = "ambit_estate"

// disown gives away what a role owns and takes back what it was given, in every
// database of the server where there is any.
func disown(ctx context.Context, v *server, s *session, r string) error {
	rows, err := s.run(ctx, "SELECT DISTINCT coalesce(d.datname, current_database()) FROM pg_catalog.pg_shdepend h LEFT JOIN pg_catalog.pg_database d ON d.oid = h.dbid "+
		"WHERE h.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND h.refobjid = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = "+literal(r)+")")
	if err != nil {
		return err
	}
	if err := makeEstate(ctx, s); err != nil {
		return err
	}
	give := func(s *session) error {
		for _, role := range []string{r, estate} {
			if err := become(ctx, s, role); err != nil {
				return err
			}
		}
		_, err := s.run(ctx, fmt.Sprintf("REASSIGN OWNED BY %s TO %s; DROP OWNED BY %s", quote(r), estate, quote(r)))
		return err
	}
	for _, row := range rows {
		if row[0] == v.login.Database {
			err = give(s)
		} else {
			err = elsewhere(ctx, v, row[0], give)
		}
		if err != nil {
			return fmt.Errorf("cannot take what role %s has in database %s: %w", r, row[0], err)
		}
	}
	return nil
}

func makeEstate(ctx context.Context, s *session) error {
	_, err := s.run(ctx, "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '"+estate+"') THEN CREATE ROLE "+estate+" NOLOGIN; "+
		"COMMENT ON ROLE "+estate+" IS 'Ambit: owns what tasks left; look at it, and drop it'; END IF; END $$")
	if conflict(err) {
		return nil // another was quicker
	}
	return err
}

// elsewhere does something in another database of the same server.
func elsewhere(ctx context.Context, v *server, database string, f func(*session) error) error {
	l := v.login
	l.Database = database
	c, err := l.connect(ctx, v.dial)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(&session{c})
}

// Prove implements [broker.Provider]: a lease is dead when its role is not in the
// catalog, no session of it is live, and nobody can log in as it.
func (p *Provider) Prove(ctx context.Context, l row.Lease) (usable bool, err error) {
	if err := checkLease(l.ID); err != nil {
		return false, err
	}
	err = p.server.with(ctx, func(ctx context.Context, s *session) error {
		oid, err := numberOf(ctx, s, Role(l.ID))
		if err != nil || oid != "" {
			usable = true
			return err
		}
		if oid, err = vacant(ctx, s, l.Handle); err != nil || oid == "" {
			return err
		}
		rows, err := s.run(ctx, "SELECT 1 FROM pg_catalog.pg_stat_activity WHERE usesysid = "+oid)
		usable = len(rows) > 0
		return err
	})
	if err != nil || usable {
		return usable, p.explain(err)
	}
	if usable, err = p.logsIn(ctx, l); err == nil && !usable {
		p.mu.Lock()
		p.forget(l.ID)
		p.mu.Unlock()
	}
	return usable, p.explain(err)
}

// logsIn tries to log in as a lease's role, with its own password when this process
// made it.
func (p *Provider) logsIn(ctx context.Context, l row.Lease) (bool, error) {
	p.mu.Lock()
	password := slices.Clone(p.secret[l.ID])
	p.mu.Unlock()
	if len(password) == 0 {
		password = random()
	}
	defer clear(password)
	as := p.server.login
	as.user, as.password = Role(l.ID), password
	// Where whoever comes is let in, a role that is there is let in too.
	as.unproved = true
	c, err := as.connect(ctx, p.server.dial)
	if err == nil {
		c.Close()
		return true, nil
	}
	// A role with the lease's verifier is asked by SCRAM. One that is not in the catalog, as
	// was seen before, is asked as the database's settings have it, which can be by MD5 or in
	// the clear: there the lease's password shows nothing, and would be given away.
	if strings.HasPrefix(code(err), "28") || errors.Is(err, pgwire.ErrGivesAway) { // 28 is invalid authorization
		return false, nil
	}
	return false, errors.Join(errors.New("cannot see whether anybody can log in"), err)
}
