package postgres

import (
	"strings"
	"testing"

	"ambit/store/row"
)

// trapping is a lease in a database whose owner lends, and how it runs statements with
// what is lent to it.
type trapping struct {
	*world
	p   *Provider
	l   row.Lease
	url string
}

func newTrapping(t *testing.T) *trapping {
	w := newWorld(t)
	w.keep()
	x := &trapping{world: w, p: w.provider(readOrders, Right{Schema: "public", Table: "orders", Privilege: Insert})}
	x.l, x.url = w.lease(x.p)
	return x
}

func (x *trapping) with(sql string, needs ...Need) {
	x.t.Helper()
	end, err := x.lend(x.p, x.l.ID, needs...)
	if err != nil {
		x.t.Fatal(err)
	}
	mustQuery(x.t, x.url, sql)
	end()
}

// hit says whether a trap has written to a table that is the owner's alone.
func (x *trapping) hit() bool {
	x.t.Helper()
	return x.exec("SELECT count(*) FROM customers")[0][0] != "2"
}

// imm is a function that says it is immutable, and writes where only the owner may.
const imm = `CREATE FUNCTION S.writes() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.customers VALUES (9); RETURN 1; END';
	CREATE FUNCTION S.imm(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN S.writes(); EXCEPTION WHEN OTHERS THEN RETURN 0; END';`

// TestTrapsStayBehind: a gatekeeper that has fallen uses the moment in which a task may
// make a table to put code on it that its owner runs. Who gets the table does not run it.
func TestTrapsStayBehind(t *testing.T) {
	for name, c := range map[string]struct {
		makes string
		need  Need
		table string
		then  string // what the task does later
		admin string // and what the owner, or the server by itself
	}{
		"a rule, which runs as the table's owner": {
			makes: "CREATE TABLE public.trap (x int); CREATE RULE r AS ON INSERT TO public.trap DO ALSO DELETE FROM public.customers; GRANT INSERT ON public.trap TO PUBLIC",
			need:  inSchema("create", "public"), table: "public.trap", then: "INSERT INTO public.trap VALUES (1)"},
		"an index, whose expression is run as the table's owner": {
			makes: strings.ReplaceAll(imm, "S.", "public.") + "CREATE TABLE public.trap (x int); INSERT INTO public.trap SELECT generate_series(1, 10); CREATE INDEX ON public.trap (public.imm(x))",
			need:  inSchema("create", "public"), table: "public.trap", admin: "ANALYZE public.trap"},
		"statistics of an expression": {
			makes: strings.ReplaceAll(imm, "S.", "public.") + "CREATE TABLE public.trap (x int); INSERT INTO public.trap SELECT generate_series(1, 10); CREATE STATISTICS public.st ON (public.imm(x)) FROM public.trap",
			need:  inSchema("create", "public"), table: "public.trap", admin: "ANALYZE public.trap"},
		"an index, by the way of a type": {
			makes: strings.ReplaceAll(imm, "S.", "public.") + "CREATE DOMAIN public.dom AS int CHECK (public.imm(VALUE) >= 0); CREATE TYPE public.pair AS (d public.dom); CREATE TABLE public.trap (x int); INSERT INTO public.trap SELECT generate_series(1, 10); CREATE INDEX ON public.trap ((ROW(x)::public.pair))",
			need:  inSchema("create", "public"), table: "public.trap", admin: "ANALYZE public.trap"},
		"a trigger, which runs as who writes": {
			makes: "CREATE TABLE public.trap (x int); CREATE FUNCTION public.tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.customers VALUES (9); RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON public.trap FOR EACH ROW EXECUTE FUNCTION public.tr()",
			need:  inSchema("create", "public"), table: "public.trap"},
		"a default of its own": {
			makes: strings.ReplaceAll(imm, "S.", "public.") + "CREATE TABLE public.trap (x int DEFAULT public.writes())",
			need:  inSchema("create", "public"), table: "public.trap"},
		"a policy": {
			makes: strings.ReplaceAll(imm, "S.", "public.") + "CREATE TABLE public.trap (x int); CREATE POLICY p ON public.trap USING (public.writes() = 1)",
			need:  inSchema("create", "public"), table: "public.trap"},
		"a schema of its own, which becomes a superuser's": {
			makes: "CREATE SCHEMA fresh; " + strings.ReplaceAll(imm, "S.", "fresh.") + "CREATE TABLE fresh.trap (x int); INSERT INTO fresh.trap SELECT generate_series(1, 10); CREATE INDEX ON fresh.trap (fresh.imm(x))",
			need:  Need{Right: "create", Kind: "database"}, table: "fresh.trap", admin: "ANALYZE fresh.trap"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTrapping(t)
			x.with(c.makes, c.need)
			if c.then != "" {
				_, _ = query(x.url, c.then)
			}
			x.end(x.p, x.l)
			if got := x.owner(c.table); got != estate {
				t.Errorf("the trap belongs to %s", got)
			}
			if rows := x.exec("SELECT typname FROM pg_type WHERE typtype = 'd' AND typowner::regrole::text NOT LIKE 'ambit%' AND typnamespace = 'public'::regnamespace"); len(rows) > 0 {
				t.Errorf("domains, whose checks are code, are handed over: %v", rows)
			}
			if c.admin != "" {
				x.exec(c.admin)
			}
			if x.hit() {
				t.Error("it has run with somebody else's rights")
			}
			x.exec("DROP OWNED BY " + estate + " CASCADE; DROP SCHEMA IF EXISTS fresh CASCADE")
		})
	}
}

// TestProgramsOfNobodyAreOutOfSight: a function or an operator that fits the arguments
// better than the server's own runs with the rights of whoever means that one. What a
// gatekeeper that has fallen makes of that sort is not found by its name.
func TestProgramsOfNobodyAreOutOfSight(t *testing.T) {
	x := newTrapping(t)
	x.with(`CREATE TABLE public.made (x int);
		CREATE FUNCTION public.writes() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.customers VALUES (9); RETURN 1; END';
		CREATE FUNCTION public.length(varchar) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.customers VALUES (9); RETURN 1; END';
		CREATE FUNCTION public.same(varchar, varchar) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.customers VALUES (9); RETURN true; END';
		CREATE OPERATOR public.= (leftarg = varchar, rightarg = varchar, function = public.same);
		CREATE AGGREGATE public.sum(text) (sfunc = textcat, stype = text);
		CREATE DOMAIN public.money AS int CHECK (public.writes() = 1); CREATE TYPE public.span AS RANGE (subtype = int);
		CREATE VIEW public.report AS SELECT public.writes()`, inSchema("create", "public"))
	look := func() {
		t.Helper()
		x.exec("SET search_path = public; SELECT length('x'::varchar), 'x'::varchar = 'y'::varchar")
		for _, sql := range []string{"SELECT * FROM report", "SELECT writes()", "SELECT '1'::public.money", "SELECT sum('x'::text)", "SELECT '[1,2)'::span"} {
			if _, err := query(x.pg.AdminURL(x.db), sql); err == nil {
				t.Errorf("%s finds it", sql)
			}
		}
		if x.hit() {
			t.Error("it has run with an administrator's rights")
		}
	}
	look()
	if got := x.owner("made"); got != x.keeper() {
		t.Errorf("the table belongs to %s", got)
	}
	x.end(x.p, x.l)
	look()
	if n := x.exec("SELECT count(*) FROM pg_proc WHERE proname IN ('writes', 'length', 'same') AND pronamespace = '" + estate + strings.TrimPrefix(Role(x.l.ID), "ambit") + "'::regnamespace")[0][0]; n != "3" {
		t.Errorf("of 3 functions to look at %s are kept", n)
	}
	x.exec("DROP OWNED BY " + estate + " CASCADE")
}

// TestOrdinaryTablesAreHandedOver is the other half: what a migration makes has indexes,
// defaults, constraints and partitions, and is its schema's owner's.
func TestOrdinaryTablesAreHandedOver(t *testing.T) {
	x := newTrapping(t)
	k := x.keeper()
	x.exec("CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2'; ALTER FUNCTION touched() OWNER TO " + k + "; ALTER FUNCTION half(int) OWNER TO " + k)
	x.exec("CREATE TABLE events (at int, x text) PARTITION BY RANGE (at); ALTER TABLE events OWNER TO " + k)
	x.with(`CREATE TABLE public.made (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now(), y text CHECK (length(y) < 9), z int DEFAULT half(8));
		CREATE INDEX ON public.made (lower(y)); CREATE INDEX ON public.made (half(n)) WHERE n > 0; CREATE TRIGGER t BEFORE INSERT ON public.made FOR EACH ROW EXECUTE FUNCTION touched()`, inSchema("create", "public"))
	if got := x.owner("made"); got != k {
		t.Errorf("the table belongs to %s", got)
	}
	// With a function that was approved, whichever was made first.
	x.with(`CREATE TABLE public.noted (x int); CREATE FUNCTION public.notes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON public.noted FOR EACH ROW EXECUTE FUNCTION public.notes()`,
		inSchema("create", "public"), inSchema("plant", "public"))
	if got := x.owner("noted") + " " + x.exec("SELECT proowner::regrole FROM pg_proc WHERE oid = 'public.notes'::regproc")[0][0]; got != k+" "+k {
		t.Errorf("the table and its function belong to %s", got)
	}
	// A part of another table depends on that one, and is none of its columns' things.
	x.with("CREATE TABLE public.events_1 PARTITION OF events FOR VALUES FROM (1) TO (10)", inSchema("create", "public"), relation("owner", "events"))
	x.exec("INSERT INTO events VALUES (7, 'a secret')")
	if got := x.owner("events_1"); got != k {
		t.Errorf("the part belongs to %s", got)
	}
	if rows, err := query(x.url, "SELECT x FROM events_1"); code(err) != "42501" {
		t.Errorf("the task reads what others wrote: %v, %v", rows, err)
	}
	x.end(x.p, x.l)
	if got := x.owner("events_1") + " " + x.owner("made_id_seq") + " " + x.owner("made_n_seq"); got != k+" "+k+" "+k {
		t.Errorf("they belong to %s", got)
	}
}

// TestNameUnderWhichItIsHandedOver: what is handed over is what was found, also when the
// lease gives its name to something else meanwhile.
func TestNameUnderWhichItIsHandedOver(t *testing.T) {
	x := newTrapping(t)
	end, err := x.lend(x.p, x.l.ID, inSchema("create", "public"))
	if err != nil {
		t.Fatal(err)
	}
	c := x.stays(x.url, "BEGIN", "CREATE TABLE public.made (x int)")
	end()
	if _, err := ask(t.Context(), c, "COMMIT"); err != nil { // it is the lease's still
		t.Fatal(err)
	}
	end, err = x.lend(x.p, x.l.ID, inSchema("create", "public"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), c, "BEGIN; CREATE VIEW public.spy AS SELECT * FROM customers; GRANT SELECT ON spy TO PUBLIC; ALTER TABLE made RENAME TO other; ALTER VIEW spy RENAME TO made"); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { end(); close(over) }()
	waits := "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database() AND a.application_name = 'ambit broker'"
	for waiting := false; !waiting; {
		select {
		case <-over: // it found nothing to do, or gave up
			waiting = true
		default:
			waiting = len(x.exec(waits)) > 0
		}
	}
	if _, err := ask(t.Context(), c, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	<-over
	if got := x.owner("made"); got == x.keeper() {
		t.Errorf("a view that nobody approved belongs to %s", got)
	}
	if rows, err := query(x.url, "SELECT iban FROM made"); err == nil {
		t.Errorf("the task reads through it: %v", rows)
	}
	x.end(x.p, x.l)
}

// TestSchemaThatChangedItsName: what may be made in a schema is not made in one that had
// its name before.
func TestSchemaThatChangedItsName(t *testing.T) {
	x := newTrapping(t)
	x.with("CREATE TABLE back.first (x int)", inSchema("create", "back"))
	x.exec("ALTER SCHEMA back RENAME TO gone; CREATE SCHEMA back; ALTER SCHEMA back OWNER TO " + x.keeper())
	end, err := x.lend(x.p, x.l.ID, inSchema("create", "back"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := query(x.url, "CREATE TABLE gone.second (x int)"); code(err) != "42501" {
		t.Errorf("it is made where it was not approved: %v", err)
	}
	mustQuery(t, x.url, "CREATE TABLE back.second (x int)")
	end()
	if got := x.owner("back.second"); got != x.keeper() {
		t.Errorf("it belongs to %s", got)
	}
	x.end(x.p, x.l)
}
