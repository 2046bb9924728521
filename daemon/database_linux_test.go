package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit"
	"ambit/audit"
	"ambit/daemon/wire"
	"ambit/grants"
	"ambit/internal/ambittest"
	"ambit/pipeline"
)

const shopGrants = `agent: clerk
services:
  shop: {kind: postgres, address: "127.0.0.1:%d", database: shop, credential: {env: SHOP_ADMIN_URL}}
read:
  - shop: public.orders
ask:
  - shop: public.orders
    operations: [update, delete]
    because: a wrong row may need correcting
`

// clerk enrols a task with a database.
func (x *house) clerk(pg *ambittest.Postgres) *agent { return x.clerkWith(pg, pg.AdminURL("shop")) }

// clerkWith enrols one with an administrator's URL.
func (x *house) clerkWith(pg *ambittest.Postgres, admin string) *agent {
	x.t.Helper()
	a, err := x.tryEnrol("clerk", func(e *wire.Enrol) {
		e.Secrets = map[string]wire.Secret{"shop": {Kind: "postgres", Value: []byte(admin)}}
		e.Grants = fmt.Appendf(nil, shopGrants, pg.Port)
		f, err := grants.Parse(e.File, e.Grants)
		if err != nil {
			x.t.Fatal(err)
		}
		e.Digest = f.Digest()
	})
	if err != nil {
		x.t.Fatal(err)
	}
	if _, err := a.Start(x.t.Context(), wire.Start{Walls: []byte("{}")}); err != nil {
		x.t.Fatal(err)
	}
	return a
}

// statement is an action on the orders, which a person is asked about.
func (a *agent) statement(op, columns string) pipeline.Intent {
	act := ambit.Action{
		Task: a.got.Task, Agent: a.name(), Service: "shop", Operation: op, Effect: ambit.Write, Resource: ambit.Resource{Kind: "table", Segments: []string{"public", "orders"}},
		Args: map[string]string{"columns": columns, "statement": "UPDATE orders SET note = 'x' WHERE id = 7"},
	}
	g, _ := act.Digest()
	return pipeline.Intent{Action: act, Digest: g, Decision: ambit.Decision{Verdict: ambit.Ask, By: "f:6:5", Why: "a wrong row may need correcting"}}
}

// shop is a database and a login of the task's at it.
type shop struct {
	t  *testing.T
	pg *ambittest.Postgres
}

func newShop(t *testing.T) shop {
	t.Helper()
	if testing.Short() {
		t.Skip("a real database takes a while to start")
	}
	pg := ambittest.NewPostgres(t, ambittest.PostgresConfig{})
	pg.Query(t, "postgres", "CREATE DATABASE shop")
	pg.Query(t, "shop", "CREATE TABLE orders (id int PRIMARY KEY, note text); INSERT INTO orders VALUES (7, 'old'), (8, 'old')")
	return shop{t, pg}
}

func (s shop) try(secret []byte, sql string) error {
	user, password, _ := strings.Cut(string(secret), "\n")
	_, err := s.pg.Try(s.pg.URL(user, password, "shop"), sql)
	return err
}

func (s shop) roles() string {
	s.t.Helper()
	return s.pg.Query(s.t, "shop", "SELECT rolname FROM pg_roles WHERE rolname ~ '^ambit_[0-9a-f]{32}$'")
}

func mint(t *testing.T, a *agent) []byte {
	t.Helper()
	s, err := a.Mint(t.Context(), &ambit.Action{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return s.Reveal()
}

// A task works with its database as a role of its own; what a person approved is all
// that it may do beside, once; and nothing is left of it.
func TestDatabase(t *testing.T) {
	s := newShop(t)
	x := start(t, newHome(t))
	a := x.clerk(s.pg)
	secret := mint(t, a)
	if strings.Contains(string(secret), s.pg.Password.Value) || a.got.Placeholders["shop"] == "" {
		t.Fatal("the gatekeeper was given the administrator's password")
	}
	const update = "UPDATE orders SET note = 'new' WHERE id = 7"
	must := func(what string, err error, ok bool) {
		t.Helper()
		if (err == nil) != ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	must("reading", s.try(secret, "SELECT * FROM orders"), true)
	must("writing without an approval", s.try(secret, update), false)

	in := a.statement("sql.update", "note")
	ans := x.approved(a, in)
	in.Approval = ans.By
	id, err := a.Intent(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	must("a right for another intent", a.Elevate(t.Context(), id+1), false)
	must("the right", a.Elevate(t.Context(), id), true)
	must("the approved statement", s.try(secret, update), true)
	must("another column", s.try(secret, "UPDATE orders SET id = 9 WHERE id = 8"), false)
	must("another operation", s.try(secret, "DELETE FROM orders"), false)
	must("lower", a.Lower(t.Context(), id), true)
	must("the same once more", s.try(secret, update), false)
	must("the right again", a.Elevate(t.Context(), id), false)
	must("outcome", a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed}), true)

	// A gatekeeper that forgets: the outcome takes it back.
	in = a.statement("sql.delete", "*")
	in.Action.Effect = ambit.Irreversible
	in.Digest, _ = in.Action.Digest()
	in.Approval = x.approved(a, in).By
	if id, err = a.Intent(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	must("the right to delete", a.Elevate(t.Context(), id), true)
	must("deleting", s.try(secret, "DELETE FROM orders WHERE id = 8"), true)
	must("outcome", a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed}), true)
	eventually(t, "the right is taken back", func() bool { return s.try(secret, "DELETE FROM orders WHERE id = 7") != nil })

	seen, err := x.desk().Leases(t.Context(), false)
	if err != nil || len(seen) != 1 || seen[0].Provider != "postgres" || seen[0].State != "live" || seen[0].Agent != "clerk" {
		t.Errorf("leases are %+v, %v", seen, err)
	}
	if all, err := x.desk().Leases(t.Context(), true); err != nil || len(all) != 3 {
		t.Errorf("all leases are %+v, %v", all, err)
	}
	if got := s.pg.Query(t, "shop", "SELECT id, note FROM orders"); got != "7|new" {
		t.Errorf("the orders are %q", got)
	}
	must("end", a.End(t.Context(), wire.End{}), true)
	must("a login after the end", s.try(secret, "SELECT 1"), false)
	if left := s.roles(); left != "" {
		t.Errorf("roles are left: %s", left)
	}
	x.sealed(s, secret)
}

// sealed looks for secrets in the daemon's state.
func (x *house) sealed(s shop, lease []byte) {
	x.t.Helper()
	_, password, _ := strings.Cut(string(lease), "\n")
	found, err := ambittest.FindInTree(x.home.Dir, s.pg.Password, ambittest.Canary{Name: "lease", Value: password})
	if err != nil || len(found) > 0 {
		x.t.Errorf("found %v, %v", found, err)
	}
	if fi, err := os.Stat(filepath.Join(x.home.Keys(), "leases.key")); err != nil || fi.Mode().Perm() != 0o600 {
		x.t.Errorf("the key: %v, %v", fi, err)
	}
}

// A task keeps its role when the daemon is another one; and while the database is
// down at its end, the lease is tried, shown, and ended when the database is back.
func TestDatabaseOutlivesTheDaemon(t *testing.T) {
	s := newShop(t)
	h := newHome(t)
	x := start(t, h)
	a := x.clerk(s.pg)
	secret := string(mint(t, a))
	x.end()
	x.sealed(s, []byte(secret))
	y := start(t, h)
	eventually(t, "the link is back", func() bool { return a.Live() == nil })
	seen, err := y.desk().Leases(t.Context(), false)
	if err != nil || len(seen) != 1 || seen[0].State != "live" {
		t.Errorf("leases are %+v, %v", seen, err)
	}
	if err := s.try([]byte(secret), "SELECT * FROM orders"); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	y.sealed(s, []byte(secret))

	s.pg.Stop()
	if err := a.End(t.Context(), wire.End{}); err != nil {
		t.Errorf("End: %v", err)
	}
	eventually(t, "it is tried again", func() bool {
		seen, err = y.desk().Leases(t.Context(), false)
		return err == nil && len(seen) == 1 && seen[0].Tries >= 2
	})
	if seen[0].State != "revoking" || seen[0].Trouble == "" || seen[0].Next.IsZero() || strings.Contains(seen[0].Trouble, s.pg.Password.Value) {
		t.Errorf("shown: %+v", seen[0])
	}
	eventually(t, "people are told", func() bool {
		alerts := records(t, y, audit.Alert)
		return len(alerts) > 0 && strings.HasPrefix(alerts[0].Detail, "lease: ")
	})
	y.end()
	y = start(t, h)
	if seen, err = y.desk().Leases(t.Context(), false); err != nil || len(seen) != 1 || seen[0].Agent != "clerk" {
		t.Errorf("of a task that was over before the daemon began: %+v, %v", seen, err)
	}
	s.pg.Start(t)
	eventually(t, "it is ended", func() bool {
		seen, err = y.desk().Leases(t.Context(), false)
		return err == nil && len(seen) == 0
	})
	if left := s.roles(); left != "" {
		t.Errorf("roles are left: %s", left)
	}
	y.sealed(s, []byte(secret))
}

// With a wrong password no lease is made, and none is left to be ended: the agent and
// the person hear why, and a task with the right one works beside it.
func TestWrongPasswordLeavesNothing(t *testing.T) {
	s := newShop(t)
	h := newHome(t)
	x := start(t, h)
	a := x.clerkWith(s.pg, s.pg.URL("postgres", canary, "shop"))
	for range 2 {
		_, err := a.Mint(t.Context(), &ambit.Action{Service: "shop"})
		if err == nil || !strings.Contains(err.Error(), "password authentication failed") || strings.Contains(err.Error(), canary) {
			t.Errorf("the agent hears %v", err)
		}
	}
	eventually(t, "people are told", func() bool {
		alerts := records(t, x, audit.Alert)
		return len(alerts) == 1 && strings.Contains(alerts[0].Detail, "never made") && strings.Contains(alerts[0].Detail, "password authentication failed")
	})
	if seen, err := x.desk().Leases(t.Context(), false); err != nil || len(seen) > 0 {
		t.Errorf("leases are %+v, %v", seen, err)
	}
	b := x.clerk(s.pg)
	if err := s.try(mint(t, b), "SELECT * FROM orders"); err != nil {
		t.Errorf("with the right one: %v", err)
	}
	for _, one := range []*agent{a, b} {
		if err := one.End(t.Context(), wire.End{}); err != nil {
			t.Errorf("End: %v", err)
		}
	}
	x.end()
	y := start(t, h)
	if seen, err := y.desk().Leases(t.Context(), false); err != nil || len(seen) > 0 {
		t.Errorf("after a restart leases are %+v, %v", seen, err)
	}
}

// A database's credential is refused where it cannot be used as one.
func TestDatabaseIsRefused(t *testing.T) {
	x := start(t, newHome(t))
	for name, change := range map[string]func(*wire.Enrol){
		"no URL": func(e *wire.Enrol) {
			e.Secrets = map[string]wire.Secret{"api": {Kind: "postgres", Value: []byte(canary)}}
		},
		"no such": func(e *wire.Enrol) {
			e.Secrets = map[string]wire.Secret{"other": {Kind: "postgres", Value: []byte("postgres://u:" + canary + "@127.0.0.1/x")}}
		},
		"not of SQL": func(e *wire.Enrol) {
			e.Secrets = map[string]wire.Secret{"api": {Kind: "postgres", Value: []byte("postgres://u:" + canary + "@127.0.0.1/x")}}
		},
	} {
		if _, err := x.tryEnrol("worker", change); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
