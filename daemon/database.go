package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ambit"
	"ambit/broker"
	"ambit/broker/postgres"
	"ambit/daemon/wire"
	"ambit/grants"
	"ambit/store/row"
)

// databaseKind is the kind of service whose credential never leaves the daemon: it
// makes roles with it.
const databaseKind = "postgres"

// database makes the provider of a task's database. What its leases may do is read
// from the task's grants; admin is the administrator's URL, which it takes over.
func (s *session) database(service string, w wire.Secret, admin []byte) (*postgres.Provider, error) {
	g, err := s.judge.read()
	if err != nil {
		return nil, err
	}
	all := g.Services()
	i := slices.IndexFunc(all, func(x grants.Service) bool { return x.Name.Value == service })
	if i < 0 || !all[i].IsDatabase() {
		return nil, errors.New("the grants have no database of that name")
	}
	x := all[i]
	c := postgres.Config{
		Admin: admin, Address: x.Dialled(), TLS: x.TLS.Value, CA: w.CA, Database: x.Database.Value, ReadOnly: true, Now: s.d.ids.Now,
	}
	if len(x.Hosts) > 0 {
		c.Host = x.Hosts[0].Value
	}
	c.ReadOnly = !g.Writes(service)
	for _, r := range g.Rights(service) {
		if r.Section != grants.SectionAsk { // those are given for one approved action
			c.Rights = append(c.Rights, tableRights(r)...)
		}
	}
	return s.d.servers.Provider(c)
}

// privilege is the right on a table that an operation needs of itself.
func privilege(operation string) (postgres.Privilege, bool) {
	switch operation {
	case "sql.select":
		return postgres.Select, true
	case "sql.insert":
		return postgres.Insert, true
	case "sql.update":
		return postgres.Update, true
	case "sql.delete":
		return postgres.Delete, true
	case "sql.truncate":
		return postgres.Truncate, true
	case "sql.lock":
		return postgres.Update, true
	case "sql.references":
		return postgres.References, true
	}
	return "", false
}

// tableRights is a line's right in the database's words.
func tableRights(r grants.TableRight) (out []postgres.Right) {
	if r.Schema == "pg_catalog" || r.Schema == "information_schema" {
		return nil // everybody may read them, and nobody gets more
	}
	for _, op := range r.Operations {
		p, ok := privilege(op)
		if !ok {
			continue
		}
		one := postgres.Right{Schema: r.Schema, Table: r.Table, Except: r.Except, Columns: r.Columns, Privilege: p}
		if p == postgres.Delete || p == postgres.Truncate {
			one.Columns = nil // they take whole rows: a line cannot say less
		}
		out = append(out, one)
	}
	return out
}

// argNeeds is what an action needs beside the right on rows that its operation says, as
// the reader of statements found it and the person approved it.
const argNeeds = "needs"

// rightsOf is what one action needs in the database.
func rightsOf(a *ambit.Action) (rights []postgres.Right, needs []postgres.Need, err error) {
	if needs, err = postgres.ParseNeeds(a.Args[argNeeds]); err != nil {
		return nil, nil, err
	}
	p, ok := privilege(a.Operation)
	switch {
	case ok && a.Resource.Kind == "table" && len(a.Resource.Segments) == 2:
	case len(needs) > 0:
		return nil, needs, nil
	default:
		return nil, nil, fmt.Errorf("cannot give a right for %s on %s: it does not say which it needs", a.Operation, a.Resource)
	}
	r := postgres.Right{Schema: a.Resource.Segments[0], Table: a.Resource.Segments[1], Privilege: p}
	if r.Table == postgres.All {
		return nil, nil, errors.New("cannot give a right on every table for one action")
	}
	if c, ok := a.Args[grants.ArgColumns]; ok && c != "" && c != grants.AllColumns && p != postgres.Delete && p != postgres.Truncate {
		r.Columns = strings.Split(c, ",")
	}
	return []postgres.Right{r}, needs, nil
}

// lendable says, before a person is asked, why what an action needs cannot be given.
func (s *session) lendable(ctx context.Context, in wire.Lendable) (any, error) {
	needs, err := postgres.ParseNeeds(in.Needs)
	if err != nil || len(needs) == 0 {
		return nil, errors.Join(err, errors.New("it does not say what it needs"))
	}
	err = s.d.broker.Look(s.taskID(), in.Service, func(base row.Lease, p broker.Provider) error {
		db, ok := p.(*postgres.Provider)
		if !ok {
			return errors.New("it is no database")
		}
		return db.Lendable(ctx, base.ID, needs)
	})
	return struct{}{}, notLent(err)
}

// notLent is an error as the gatekeeper is told: the reason alone, when it is one for
// agents, and not where the database is.
func notLent(err error) error {
	if no, ok := errors.AsType[*postgres.Unlent](err); ok {
		return &wire.Error{Code: wire.CodeNotLent, Msg: no.Why}
	}
	return err
}

// elevation is a right for one approved action, until its outcome.
type elevation struct {
	service string
	lease   string
}

var errNotApproved = &wire.Error{Code: "not-approved", Msg: "the action is not one that a person approved and that is under way"}

// approve notes an action of a database that a person approved and that is under way.
// s.mu is held.
func (s *session) approve(id ambit.RecordID, a ambit.Action) {
	if s.approved == nil {
		s.approved = map[ambit.RecordID]ambit.Action{}
	}
	s.approved[id] = a
}

// elevate gives the task's lease what one approved action needs, for as long as that is
// under way. What it needs is read from the action that was approved, and not from
// what the gatekeeper says now.
func (s *session) elevate(ctx context.Context, in wire.Elevate) (any, error) {
	s.mu.Lock()
	a, ok := s.approved[in.Intent]
	delete(s.approved, in.Intent) // once
	s.mu.Unlock()
	if !ok {
		return nil, errNotApproved
	}
	rights, needs, err := rightsOf(&a)
	if err != nil {
		return nil, err
	}
	l, err := s.d.broker.Once(ctx, a.Task, a.Service, func(base row.Lease, p broker.Provider) (broker.Provider, error) {
		db, ok := p.(*postgres.Provider)
		if !ok {
			return nil, errors.New("it is no database")
		}
		return db.Once(base.ID, rights, needs)
	})
	if err != nil {
		return nil, notLent(err)
	}
	s.mu.Lock()
	if s.elevated == nil {
		s.elevated = map[ambit.RecordID]elevation{}
	}
	s.elevated[in.Intent] = elevation{a.Service, l.ID}
	s.mu.Unlock()
	return wire.Elevated{Lease: l.ID, Expires: l.Expires}, nil
}

// lower takes back what elevate gave.
func (s *session) lower(ctx context.Context, in wire.Lower) (any, error) {
	s.mu.Lock()
	e, ok := s.elevated[in.Intent]
	delete(s.elevated, in.Intent)
	s.mu.Unlock()
	if !ok {
		return struct{}{}, nil
	}
	return struct{}{}, s.d.broker.EndOnce(ctx, s.taskID(), e.service, e.lease)
}

// settle takes back what an action was given when its outcome comes and the
// gatekeeper has not said that it needs it no longer.
func (s *session) settle(intent ambit.RecordID) {
	s.mu.Lock()
	_, left := s.elevated[intent]
	delete(s.approved, intent)
	s.mu.Unlock()
	if left {
		go func() {
			if _, err := s.lower(context.Background(), wire.Lower{Intent: intent}); err != nil {
				complainOfLeases(err)
			}
		}()
	}
}
