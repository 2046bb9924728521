package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"ambit/broker"
	"ambit/store/row"
)

// keep gives the tables and the schema public of a database to a role of their own, and
// returns its name.
func (w *world) keep() string {
	w.t.Helper()
	k := "keeper_" + w.db
	w.exec("CREATE ROLE " + k + "; ALTER SCHEMA public OWNER TO " + k + "; ALTER SCHEMA back OWNER TO " + k + "; ALTER TABLE orders OWNER TO " + k + "; ALTER TABLE customers OWNER TO " + k + "; ALTER TABLE back.stock OWNER TO " + k)
	w.t.Cleanup(func() {
		w.exec("DROP OWNED BY " + k + " CASCADE; DROP ROLE " + k + "; DROP ROLE IF EXISTS " + estate)
	})
	return k
}

// lend lends needs to a lease.
func (w *world) lend(p *Provider, base string, needs ...Need) (end func(), err error) {
	w.t.Helper()
	o, err := p.Once(base, nil, needs)
	if err != nil {
		w.t.Fatal(err)
	}
	lastLease++
	id := fmt.Sprintf("%032x", lastLease)
	_, err = o.Mint(w.t.Context(), broker.Order{Lease: id, Expires: time.Now().Add(5 * time.Minute)})
	return func() { w.end(o, row.Lease{ID: id}) }, err
}

func (w *world) owner(relation string) string {
	w.t.Helper()
	rows := w.exec("SELECT relowner::regrole::text FROM pg_class WHERE oid = to_regclass('" + relation + "')")
	if len(rows) == 0 {
		return "nobody: it is gone"
	}
	return rows[0][0]
}

func relation(right, name string) Need {
	return Need{Right: right, Kind: "relation", Schema: "public", Name: name}
}

func inSchema(right, schema string) Need { return Need{Right: right, Kind: "schema", Name: schema} }

// TestLent: each statement passes while it is lent what it needs, and neither before nor
// after; and what it is lent is not for another object.
func TestLent(t *testing.T) {
	w := newWorld(t)
	w.keep()
	w.exec(`CREATE TABLE a (x int, y text); CREATE SCHEMA anothers; CREATE TABLE anothers.b (x int); GRANT USAGE ON SCHEMA anothers TO PUBLIC; CREATE SEQUENCE s; CREATE MATERIALIZED VIEW m AS SELECT 1 AS x; CREATE TYPE mood AS ENUM ('good');
		CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE PROCEDURE back.p() LANGUAGE plpgsql AS 'BEGIN END'; REVOKE ALL ON ROUTINE f(int), f(text), back.p() FROM PUBLIC`)
	for _, x := range []string{"TABLE a", "SEQUENCE s", "MATERIALIZED VIEW m", "TYPE mood", "FUNCTION f(int)", "FUNCTION f(text)", "PROCEDURE back.p()"} {
		w.exec("ALTER " + x + " OWNER TO keeper_" + w.db)
	}
	p := w.provider(readOrders, Right{Schema: "public", Table: "orders", Privilege: Insert})
	l, url := w.lease(p)
	usage := Need{Right: "usage", Kind: "relation", Schema: "public", Name: "s"}
	for _, x := range []struct {
		sql   string
		needs []Need
	}{
		{"SELECT f(1)", []Need{{Right: "execute", Kind: "routine", Name: "f"}}},
		{"SELECT public.f('a'::text)", []Need{{Right: "execute", Kind: "routine", Schema: "public", Name: "f"}}},
		{"CALL back.p()", []Need{{Right: "execute", Kind: "routine", Schema: "back", Name: "p"}}},
		{"SELECT nextval('s')", []Need{{Right: "execute", Kind: "routine", Name: "nextval"}, usage}},
		{"SELECT setval('s', 7)", []Need{{Right: "update", Kind: "relation", Schema: "public", Name: "s"}}},
		{"ALTER TABLE a ADD COLUMN z int DEFAULT 7", []Need{relation("owner", "a"), inSchema("add", "public")}},
		{"ALTER TABLE a ADD PRIMARY KEY (x)", []Need{relation("owner", "a"), inSchema("add", "public")}},
		{"CREATE INDEX a_y ON a (lower(y))", []Need{relation("owner", "a"), inSchema("add", "public")}},
		{"COMMENT ON TABLE a IS 'x'", []Need{relation("owner", "a")}},
		{"GRANT SELECT ON a TO PUBLIC", []Need{relation("owner", "a")}},
		{"CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION g()", []Need{relation("trigger", "a")}},
		{"REINDEX INDEX a_y", []Need{relation("maintain", "a_y")}},
		{"REINDEX TABLE a", []Need{relation("maintain", "a")}},
		{"CLUSTER a USING a_y", []Need{relation("maintain", "a")}},
		{"REFRESH MATERIALIZED VIEW m", []Need{relation("maintain", "m")}},
		{"ALTER TYPE mood ADD VALUE 'bad'", []Need{{Right: "owner", Kind: "type", Schema: "public", Name: "mood"}}},
		{"CREATE TABLE public.new (x int)", []Need{inSchema("create", "public")}},
		{"CREATE SCHEMA fresh", []Need{{Right: "create", Kind: "database"}}},
		{"ALTER TABLE a RENAME TO a2", []Need{relation("owner", "a"), inSchema("add", "public")}},
		{"DROP TABLE a2", []Need{relation("owner", "a2")}},
		{"DROP FUNCTION f(int)", []Need{{Right: "owner", Kind: "routine", Schema: "public", Name: "f"}}},
	} {
		if _, err := query(url, x.sql); code(err) != "42501" {
			t.Errorf("%s before: %v", x.sql, err)
		}
		if err := p.Lendable(t.Context(), l.ID, x.needs); err != nil {
			t.Errorf("%s: %v", x.sql, err)
		}
		end, err := w.lend(p, l.ID, x.needs...)
		if err != nil {
			t.Errorf("%s: %v", x.sql, err)
			continue
		}
		if _, err := query(url, "DROP TABLE anothers.b"); code(err) != "42501" {
			t.Errorf("beside %s another's table: %v", x.sql, err)
		}
		if _, err := query(url, x.sql); err != nil {
			t.Errorf("%s: %v", x.sql, err)
		}
		end()
		for _, sql := range []string{"DROP TABLE orders", "CREATE TABLE public.again (x int)", "SELECT f('a'::text)", "SELECT nextval('s')"} {
			if _, err := query(url, sql); code(err) != "42501" {
				t.Errorf("after %s: %s: %v", x.sql, sql, err)
			}
		}
	}
	o, err := p.Once(l.ID, []Right{{Schema: "public", Table: "customers", Columns: []string{"id"}, Privilege: References}}, []Need{inSchema("create", "back")})
	if err != nil {
		t.Fatal(err)
	}
	w.exec("ALTER TABLE customers ADD UNIQUE (id)")
	once, _ := w.lease(o)
	mustQuery(t, url, "CREATE TABLE back.refers (id int REFERENCES public.customers (id))")
	w.end(o, once)
	w.exec("INSERT INTO back.refers VALUES (1)")
	// Outside of a transaction, and with no error when it is left out.
	before := w.exec("SELECT coalesce(last_vacuum::text, 'never') FROM pg_stat_all_tables WHERE relid = 'customers'::regclass")[0][0]
	end, err := w.lend(p, l.ID, relation("maintain", "customers"))
	if err != nil {
		t.Fatal(err)
	}
	mustQuery(t, url, "VACUUM ANALYZE customers")
	end()
	if n := w.exec("SELECT relpages FROM pg_class WHERE oid = 'customers'::regclass")[0][0]; n == "0" || before != "never" {
		t.Errorf("it was not vacuumed: %s pages", n)
	}
	w.end(p, l)
	for of, want := range map[string]string{"new": w.keeper(), "customers": w.keeper(), "a_pkey": "nobody: it is gone"} {
		if got := w.owner(of); got != want {
			t.Errorf("%s belongs to %s, want %s", of, got, want)
		}
	}
	if got := w.exec("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'fresh'"); got[0][0] != "postgres" {
		t.Errorf("the schema belongs to %v", got)
	}
}

func (w *world) keeper() string { return "keeper_" + w.db }

// TestMadeStays: what an approved statement made belongs to the schema's owner, and is
// there when the lease has ended: also when it was committed after its right was taken
// back, and whatever the name. What nobody approved becomes nobody's.
func TestMadeStays(t *testing.T) {
	w := newWorld(t)
	k := w.keep()
	w.exec(`CREATE SCHEMA "Odd ""s"; ALTER SCHEMA "Odd ""s" OWNER TO ` + k)
	p := w.provider(readOrders, Right{Schema: "public", Table: "orders", Privilege: Insert})
	l, url := w.lease(p)
	run := func(sql string, needs ...Need) {
		t.Helper()
		end, err := w.lend(p, l.ID, needs...)
		if err != nil {
			t.Fatal(err)
		}
		mustQuery(t, url, sql)
		end()
	}
	run("CREATE TABLE public.made (id serial PRIMARY KEY, x int)", inSchema("create", "public"))
	run(`CREATE TABLE "Odd ""s"."Ä b" (x int)`, inSchema("create", `Odd "s`))
	for _, name := range []string{"made", "made_id_seq", "made_pkey", `"Odd ""s"."Ä b"`} {
		if got := w.owner(name); got != k {
			t.Errorf("at once %s belongs to %s", name, got)
		}
	}
	if _, err := query(url, "INSERT INTO made VALUES (1, 2)"); code(err) != "42501" {
		t.Errorf("the task has what it made: %v", err)
	}
	// In a transaction, with a function in the window of a mere table, which a gatekeeper
	// that has fallen would send.
	end, err := w.lend(p, l.ID, inSchema("create", "public"))
	if err != nil {
		t.Fatal(err)
	}
	c := w.stays(url, "BEGIN", "CREATE TABLE public.late (x int)", "CREATE FUNCTION public.planted() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'", "CREATE VIEW public.spy AS SELECT * FROM customers")
	end()
	if _, err := ask(t.Context(), c, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if got := w.owner("late"); got != Role(l.ID) {
		t.Errorf("late belongs to %s", got)
	}
	if err := p.Renew(t.Context(), l, time.Now().Add(5*time.Minute)); err != nil || w.owner("late") != k {
		t.Errorf("when it was renewed, late belongs to %s, %v", w.owner("late"), err)
	}
	end, err = w.lend(p, l.ID, inSchema("create", "public"))
	if err != nil {
		t.Fatal(err)
	}
	c = w.stays(url, "BEGIN", "CREATE TABLE public.later (x int)", "INSERT INTO later VALUES (7)")
	end()
	if _, err := ask(t.Context(), c, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	w.end(p, l)
	if got := w.owner("later"); got != k || w.exec("SELECT x FROM later")[0][0] != "7" {
		t.Errorf("after the end later belongs to %s", got)
	}
	for _, sql := range []string{"SELECT proowner::regrole FROM pg_proc WHERE proname = 'planted'", "SELECT relowner::regrole FROM pg_class WHERE relname = 'spy'"} {
		if got := w.exec(sql)[0][0]; got != estate {
			t.Errorf("what nobody approved belongs to %s", got)
		}
	}
	w.exec("DROP OWNED BY " + estate)

	// One that a person approved is the schema's.
	l, url = w.lease(p)
	end, err = w.lend(p, l.ID, inSchema("plant", "public"))
	if err != nil {
		t.Fatal(err)
	}
	c = w.stays(url, "BEGIN", "CREATE VIEW public.seen AS SELECT 1 AS x", "CREATE FUNCTION public.seen() RETURNS int LANGUAGE sql AS 'SELECT 1'")
	end()
	if _, err := ask(t.Context(), c, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	w.end(p, l)
	if got := w.owner("seen") + " " + w.exec("SELECT proowner::regrole FROM pg_proc WHERE proname = 'seen'")[0][0]; got != k+" "+k {
		t.Errorf("what was approved belongs to %s", got)
	}
}

// TestUnlent: what reaches further than one object is not lent, and that is known before
// anybody is asked.
func TestUnlent(t *testing.T) {
	w := newWorld(t)
	k := w.keep()
	w.exec(fmt.Sprintf(`CREATE ROLE high_%[1]s IN ROLE pg_execute_server_program; CREATE ROLE higher_%[1]s IN ROLE high_%[1]s; CREATE ROLE as_super_%[1]s IN ROLE postgres; CREATE ROLE maker_%[1]s CREATEROLE;
		CREATE SCHEMA high; CREATE TABLE high.t (x int); ALTER TABLE high.t OWNER TO higher_%[1]s; CREATE TABLE supers (x int); CREATE TABLE as_super (x int); ALTER TABLE as_super OWNER TO as_super_%[1]s;
		CREATE TABLE makers (x int); ALTER TABLE makers OWNER TO maker_%[1]s; CREATE SCHEMA open; GRANT CREATE ON SCHEMA open TO PUBLIC; CREATE TABLE open.t (x int); ALTER TABLE open.t OWNER TO %[2]s;
		CREATE SCHEMA supers; CREATE TABLE supers.t (x int)`, w.db, k))
	t.Cleanup(func() {
		for _, r := range []string{"high_", "higher_", "as_super_", "maker_"} {
			w.exec("DROP OWNED BY " + r + w.db + " CASCADE; DROP ROLE " + r + w.db)
		}
	})
	p := w.provider(readOrders, Right{Schema: "public", Table: "orders", Privilege: Insert})
	l, url := w.lease(p)
	other, _ := w.lease(p)
	w.exec("CREATE TABLE others (x int); ALTER TABLE others OWNER TO " + Role(other.ID))
	for name, x := range map[string]struct {
		need Need
		want string
	}{
		"of a superuser":                        {relation("owner", "supers"), "is a superuser"},
		"of who has a superuser's rights":       {relation("owner", "as_super"), "is a superuser"},
		"of who runs programs on the server":    {Need{Right: "owner", Kind: "relation", Schema: "high", Name: "t"}, "reaches beyond this database"},
		"of another task":                       {relation("owner", "others"), "is a task's"},
		"to create where everybody may":         {inSchema("create", "open"), "REVOKE CREATE ON SCHEMA"},
		"programs that would be a superuser's":  {inSchema("plant", "supers"), "is a superuser"},
		"a function that is an administrator's": {Need{Right: "execute", Kind: "routine", Name: "pg_read_file"}, "an administrator's alone"},
	} {
		var bad *Unlent
		if err := p.Lendable(t.Context(), l.ID, []Need{x.need}); !errors.As(err, &bad) || !strings.Contains(bad.Why, x.want) {
			t.Errorf("%s: %v", name, err)
		}
		if end, err := w.lend(p, l.ID, x.need); !errors.As(err, &bad) {
			t.Errorf("%s was lent: %v", name, err)
			end()
		}
	}
	err := p.Lendable(t.Context(), l.ID, []Need{relation("owner", "makers")})
	if (err == nil) != w.from16() {
		t.Errorf("of who makes roles: %v", err)
	}
	for name, need := range map[string]Need{
		"of what is not there": relation("owner", "nothing"), "where there is no schema": inSchema("create", "nowhere"), "a table of a superuser's schema": inSchema("create", "supers"),
		"an index where everybody may create": inSchema("add", "open"), "a function of everybody's": {Right: "execute", Kind: "routine", Name: "lower"},
	} {
		if err := p.Lendable(t.Context(), l.ID, []Need{need}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []Need{{}, {Right: "owner", Kind: "relation", Schema: "pg_catalog", Name: "pg_authid"}, {Right: "owner", Kind: "database"}, {Right: "create", Kind: "schema", Name: "pg_catalog"}, {Right: "all", Kind: "relation", Schema: "a", Name: "b"}} {
		if _, err := p.Once(l.ID, nil, []Need{n}); err == nil {
			t.Errorf("%v was taken", n)
		}
	}
	if _, err := query(url, "DROP TABLE supers"); code(err) != "42501" {
		t.Errorf("dropped: %v", err)
	}
	w.exec("DROP TABLE others")
	w.end(p, l)
	w.end(p, other)
}

// TestNothingElseRuns: an owner's rights are not lent while another session of the lease
// does anything, also one whose client has gone.
func TestNothingElseRuns(t *testing.T) {
	w := newWorld(t)
	w.keep()
	p := w.provider(readOrders)
	l, url := w.lease(p)
	busy := make(chan error, 1)
	go func() { _, err := query(url, "SELECT pg_sleep(60)"); busy <- err }()
	asleep := "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
	for len(w.exec(asleep)) == 0 {
		if t.Context().Err() != nil {
			t.Fatal("it does not run")
		}
	}
	var bad *Unlent
	if end, err := w.lend(p, l.ID, relation("owner", "orders")); !errors.As(err, &bad) || !strings.Contains(bad.Why, "still running") {
		t.Errorf("lent: %v", err)
		end()
	}
	if n := w.exec("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE r.rolname = '" + w.keeper() + "'")[0][0]; n != "0" {
		t.Errorf("the owner has %s members", n)
	}
	end, err := w.lend(p, l.ID, inSchema("create", "public")) // no owner's: it may go on
	if err != nil {
		t.Error(err)
	}
	end()
	w.exec("SELECT pg_terminate_backend(pid) FROM (" + asleep + ") x")
	<-busy
	w.stays(url, "BEGIN", "SELECT count(*) FROM orders") // one that waits is no harm
	if end, err = w.lend(p, l.ID, relation("owner", "customers")); err != nil {
		t.Errorf("beside one that does nothing: %v", err)
	}
	end()
	w.end(p, l)
}

// TestLentByAnAdministrator: one that is no superuser lends what it may grant, hands over
// what was made, and says before anybody is asked what it cannot.
func TestLentByAnAdministrator(t *testing.T) {
	w := newWorld(t)
	k := w.keep()
	maker := "lender_" + w.db
	w.exec("CREATE ROLE " + maker + " LOGIN CREATEROLE PASSWORD 'pw'; ALTER DATABASE " + w.db + " OWNER TO " + maker + "; GRANT " + k + " TO " + maker + " WITH ADMIN OPTION; GRANT ALL ON SCHEMA public TO " + k)
	t.Cleanup(func() {
		w.exec("ALTER DATABASE " + w.db + " OWNER TO postgres; DROP OWNED BY " + maker + " CASCADE; DROP ROLE " + maker)
	})
	servers := &Servers{}
	p, err := servers.Provider(Config{Admin: []byte(w.pg.URL(maker, "pw", w.db)), Rights: []Right{readOrders, {Schema: "public", Table: "orders", Privilege: Insert}}})
	if err != nil {
		t.Fatal(err)
	}
	l, url := w.lease(p)
	for _, x := range []struct {
		sql   string
		needs []Need
	}{
		{"ALTER TABLE orders ADD COLUMN z int", []Need{relation("owner", "orders"), inSchema("add", "public")}},
		{"CREATE TABLE public.made (x int)", []Need{inSchema("create", "public")}},
		{"DROP TABLE customers", []Need{relation("owner", "customers")}},
	} {
		if err := p.Lendable(t.Context(), l.ID, x.needs); err != nil {
			t.Errorf("%s: %v", x.sql, err)
		}
		end, err := w.lend(p, l.ID, x.needs...)
		if err != nil {
			t.Errorf("%s: %v", x.sql, err)
			continue
		}
		if _, err := query(url, x.sql); err != nil {
			t.Errorf("%s: %v", x.sql, err)
		}
		end()
		if _, err := query(url, "DROP TABLE orders"); code(err) != "42501" {
			t.Errorf("after %s: %v", x.sql, err)
		}
	}
	if got := w.owner("made"); got != k {
		t.Errorf("made belongs to %s", got)
	}
	w.exec("CREATE TABLE foreigners (x int); CREATE ROLE far_" + w.db + "; ALTER TABLE foreigners OWNER TO far_" + w.db)
	var bad *Unlent
	if err := p.Lendable(t.Context(), l.ID, []Need{relation("owner", "foreigners")}); w.from16() && (!errors.As(err, &bad) || !strings.Contains(bad.Why, "ADMIN OPTION")) {
		t.Errorf("of an owner that it cannot grant: %v", err)
	}
	w.exec("DROP TABLE foreigners; DROP ROLE far_" + w.db)
	w.end(p, l)
	p.Close()
	if err := servers.Close(t.Context()); err != nil {
		t.Errorf("tidying up: %v", err)
	}
}
