package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ambit"
	"ambit/broker"
	"ambit/store/row"
)

// Once gives the role of a live lease more rights for as long as its own lease
// lives: for one approved statement. It makes a role between the two, that nobody
// can log in as, so that all is over when that is dropped.
type Once struct {
	p      *Provider
	base   string // the live lease; "" for one that only ends
	rights []Right
	needs  []Need
	closes bool
}

// Once makes the provider of leases that add rights to the lease base. Close does
// nothing: the provider that it is of is closed by itself.
func (p *Provider) Once(base string, rights []Right, needs []Need) (*Once, error) {
	if err := checkLease(base); err != nil {
		return nil, err
	}
	if len(rights)+len(needs) == 0 {
		return nil, errors.New("cannot give a right for one statement: it needs none")
	}
	for _, r := range rights {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("cannot give a right for one statement: %w", err)
		}
	}
	for _, n := range needs {
		if err := n.check(); err != nil {
			return nil, err
		}
	}
	return &Once{p: p, base: base, rights: rights, needs: needs}, nil
}

// OnceAgain makes what ends the leases of another daemon's Once. To close it closes p.
func (p *Provider) OnceAgain() *Once { return &Once{p: p, closes: true} }

// Name implements [broker.Provider].
func (o *Once) Name() string { return KindOnce }

// Format shows what the rights are of and nothing else, in every verb.
func (o *Once) Format(f fmt.State, verb rune) { o.p.Format(f, verb) }

// Close closes the provider of an Once that was made to end another's leases.
func (o *Once) Close() error {
	if o.closes {
		return o.p.Close()
	}
	return nil
}

// Mint implements [broker.Provider]. There is no credential: the secret is the name
// of the role that was widened.
func (o *Once) Mint(ctx context.Context, order broker.Order) (broker.Credential, error) {
	if err := errors.Join(checkLease(order.Lease), checkLease(o.base)); err != nil {
		return broker.Credential{}, err
	}
	var sent creation
	err := o.p.server.with(ctx, func(ctx context.Context, s *session) error {
		l, err := o.loan(ctx, s)
		if err == nil && len(l.owners) > 0 {
			err = o.still(ctx, s)
		}
		if err != nil {
			return err
		}
		return o.p.withGroups(ctx, s, slices.Concat(l.groups, l.marks), func() error { return o.join(ctx, s, order, l, &sent) })
	})
	if err == nil {
		err = o.p.at("right given")
	}
	if err != nil {
		return broker.Credential{}, sent.explain(o.p.explain(err))
	}
	return broker.Credential{Secret: ambit.NewSecret([]byte(Role(o.base)))}, nil
}

func (o *Once) join(ctx context.Context, s *session, order broker.Order, l loan, sent *creation) error {
	r, base := Role(order.Lease), Role(o.base)
	return again(ctx, func() error {
		return s.in(ctx, lockShared+"; "+lockLease(order.Lease), func() error {
			missing, until, err := o.p.missing(ctx, s, slices.Concat(l.groups, l.marks), order.Expires)
			if err == nil && len(missing) > 0 {
				err = errGroups
			}
			if err != nil {
				return err
			}
			// VALID UNTIL ends nothing here; it tells a daemon that lost its store how
			// old this is.
			sql := fmt.Sprintf("DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s) THEN CREATE ROLE %s NOLOGIN; END IF; END $$;\n"+
				"COMMENT ON ROLE %s IS 'Ambit: a right for one approved statement'; ALTER ROLE %s VALID UNTIL %s;\n", literal(r), r, r, r, literal(until))
			for _, g := range l.groups {
				sql += "GRANT " + g.name + " TO " + r + s.inheritOnly() + ";\n"
			}
			for _, g := range l.marks {
				sql += "GRANT " + g.name + " TO " + base + s.inheritOnly() + ";\n"
			}
			for _, owner := range l.owners {
				sql += "GRANT " + quote(owner) + " TO " + r + s.inheritOnly() + ";\n"
			}
			if _, err := sent.run(ctx, s, sql+"GRANT "+r+" TO "+base+s.inheritOnly()); err != nil {
				return err
			}
			return o.p.at("before the right is there")
		})
	})
}

// Revoke implements [broker.Provider].
func (o *Once) Revoke(ctx context.Context, l row.Lease) error {
	if err := checkLease(l.ID); err != nil {
		return err
	}
	err := o.p.server.with(ctx, func(ctx context.Context, s *session) error {
		if _, err := settled(ctx, s, l.ID); err != nil {
			return err
		}
		if err := dropRole(ctx, o.p.server, s, Role(l.ID)); err != nil {
			return err
		}
		if err := o.p.at("right taken"); err != nil || o.base == "" {
			return err
		}
		// What cannot be handed over now, such as what is not committed yet, is found again
		// when the lease is renewed and when it ends.
		_ = o.p.server.handOver(ctx, s, Role(o.base), briefly)
		return nil
	})
	return o.p.explain(err)
}

// briefly is how long a lease that lives is waited for, to hand over what it made.
const briefly = "200ms"

// Prove implements [broker.Provider]: the right is gone when the role between is.
func (o *Once) Prove(ctx context.Context, l row.Lease) (usable bool, err error) {
	if err := checkLease(l.ID); err != nil {
		return false, err
	}
	err = o.p.server.with(ctx, func(ctx context.Context, s *session) error {
		oid, err := numberOf(ctx, s, Role(l.ID))
		usable = oid != ""
		return err
	})
	return usable, o.p.explain(err)
}

// Wider are those of rights that a lease of the others does not give by itself.
func Wider(rights, than []Right) (out []Right) {
	for _, r := range rights {
		if !slices.ContainsFunc(than, r.within) {
			out = append(out, r)
		}
	}
	return out
}

// within says whether a right is surely given by another.
func (r Right) within(o Right) bool {
	if r.Schema != o.Schema || r.Privilege != o.Privilege {
		return false
	}
	if o.Table != r.Table && (o.Table != All || len(o.Except) > 0) {
		return false
	}
	if len(o.Columns) == 0 {
		return true
	}
	return len(r.Columns) > 0 && !slices.ContainsFunc(r.Columns, func(c string) bool { return !slices.Contains(o.Columns, c) })
}
