package daemon

import (
	"fmt"
	"strings"
	"testing"

	"ambit"
	"ambit/daemon/wire"
	"ambit/grants"
	"ambit/pipeline"
)

const definitionGrants = `agent: clerk
services:
  shop: {kind: postgres, address: "127.0.0.1:%d", database: shop, credential: {env: SHOP_ADMIN_URL}}
read:
  - shop: public.orders
ask:
  - shop: [public.*, shop]
    operations: [create, alter, drop]
    because: the tables change with the program
`

// definer enrols a task that may change what tables are there, when a person approves.
func (x *house) definer(s shop) *agent {
	x.t.Helper()
	a, err := x.tryEnrol("clerk", func(e *wire.Enrol) {
		e.Secrets = map[string]wire.Secret{"shop": {Kind: "postgres", Value: []byte(s.pg.AdminURL("shop"))}}
		e.Grants = fmt.Appendf(nil, definitionGrants, s.pg.Port)
		f, err := grants.Parse(e.File, e.Grants)
		if err != nil {
			x.t.Fatal(err)
		}
		e.Digest = f.Digest()
	})
	if err == nil {
		_, err = a.Start(x.t.Context(), wire.Start{Walls: []byte("{}")})
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return a
}

const owner = `[{"right":"owner","kind":"relation","schema":"public","name":"%s"}]`

// definition is an approved action that changes what tables are there, with what it needs.
func (a *agent) definition(op, needs string) pipeline.Intent {
	in := a.statement(op, "*")
	in.Action.Effect = ambit.Irreversible
	in.Action.Args = map[string]string{"statement": "x", "needs": needs}
	in.Digest, _ = in.Action.Digest()
	return in
}

// TestDefinitions: an approved statement that needs an owner has the rights of that owner
// while it runs; what the gatekeeper says of needs counts only as the person approved it;
// and what cannot be lent is known before.
func TestDefinitions(t *testing.T) {
	s := newShop(t)
	s.pg.Query(t, "shop", `CREATE ROLE keeper; ALTER SCHEMA public OWNER TO keeper; ALTER TABLE orders OWNER TO keeper; CREATE TABLE supers (x int); CREATE TABLE old (x int); ALTER TABLE old OWNER TO keeper`)
	x := start(t, newHome(t))
	a := x.definer(s)
	secret := mint(t, a)
	begin := func(in pipeline.Intent) ambit.RecordID {
		t.Helper()
		in.Approval = x.approved(a, in).By
		id, err := a.Intent(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if err := s.try(secret, "DROP TABLE old"); err == nil {
		t.Fatal("dropped without an approval")
	}
	id := begin(a.definition("sql.drop", fmt.Sprintf(owner, "old")))
	if err := a.Elevate(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := s.try(secret, "DROP TABLE old"); err != nil {
		t.Errorf("the approved statement: %v", err)
	}
	if err := a.Lower(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := s.try(secret, "DROP TABLE orders"); err == nil {
		t.Error("the owner's rights stay")
	}
	if err := a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed}); err != nil {
		t.Error(err)
	}
	id = begin(a.definition("sql.create", `[{"right":"create","kind":"schema","name":"public"}]`))
	if err := a.Elevate(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := s.try(secret, "CREATE TABLE public.made (x int)"); err != nil {
		t.Errorf("the approved statement: %v", err)
	}
	if err := a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed}); err != nil {
		t.Error(err)
	}
	for _, needs := range []string{"", "[]", "{}", `[{"right":"owner"}]`, `[{"right":"owner","kind":"relation","schema":"pg_catalog","name":"pg_authid"}]`, fmt.Sprintf(owner, "supers"), `[{"right":"owner","kind":"relation","schema":"public","name":"orders","more":1}]`} {
		id := begin(a.definition("sql.drop", needs))
		if err := a.Elevate(t.Context(), id); err == nil {
			t.Errorf("%s was given", needs)
		}
		if err := a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Refused}); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct{ needs, want string }{{fmt.Sprintf(owner, "supers"), "superuser"}, {fmt.Sprintf(owner, "orders"), ""}} {
		why, err := a.Lendable(t.Context(), "shop", c.needs)
		if err != nil || (c.want == "") != (why == "") || !strings.Contains(why, c.want) || strings.Contains(why, s.pg.Password.Value) {
			t.Errorf("%s: %q, %v", c.needs, why, err)
		}
	}
	for _, service := range []string{"shop", "other"} {
		if why, err := a.Lendable(t.Context(), service, "nonsense"); err == nil {
			t.Errorf("nonsense of %s: %q", service, why)
		}
	}
	if err := a.End(t.Context(), wire.End{}); err != nil {
		t.Error(err)
	}
	if got := s.pg.Query(t, "shop", "SELECT tableowner FROM pg_tables WHERE tablename = 'made'"); got != "keeper" {
		t.Errorf("what was made belongs to %q", got)
	}
	if left := s.roles(); left != "" {
		t.Errorf("roles are left: %s", left)
	}
}
