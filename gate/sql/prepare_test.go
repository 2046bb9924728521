package sql

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/internal/ambittest"
)

// TestPrepareAndExecute: what SQL prepares is judged when it is executed, as what it is.
func TestPrepareAndExecute(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	w := s.raw()
	end := &pgproto3.Sync{}
	w.plays(t,
		says("CZI", queryOf("PREPARE by_id (int) AS SELECT note FROM orders WHERE id = $1")),
		says("TDCZI", queryOf("EXECUTE by_id(7)")),
		says("TDCZI", queryOf(`execute "by_id" (3 + 4)`)),
		says("CZI", queryOf(`PREPARE "By id" AS UPDATE orders SET note = $1 WHERE id = $2`)),
		says("CZI", queryOf(`EXECUTE "By id"('new', 7)`)),
		says("12DCZI", parseOf("", "EXECUTE by_id(8)"), &pgproto3.Bind{}, executeOf(""), end),
		says("12CZI", parseOf("", "PREPARE other AS SELECT total FROM orders WHERE id = 1"), &pgproto3.Bind{}, executeOf(""), end),
		says("CTDCTDCZI", queryOf("PREPARE here AS SELECT id FROM orders WHERE id = $1; EXECUTE here(1); EXECUTE here(2)")),
		says("TDCZI", queryOf("EXECUTE here(3)")),
		says("CZT", queryOf("BEGIN")),
		says("CZT", queryOf("PREPARE stays AS SELECT 1")),
		says("CZI", queryOf("ROLLBACK")),
		says("TDCZI", queryOf("EXECUTE stays")),
		says("CZI", queryOf("DEALLOCATE by_id")),
		says("EZI 26000", queryOf("EXECUTE by_id(7)")),
		says("CZI", queryOf("PREPARE by_id AS SELECT total FROM orders WHERE id = $1")),
		says("TDCZI", queryOf("EXECUTE by_id(7)")),
		says("CZI", queryOf("DISCARD ALL")),
		says("EZI 26000", queryOf("EXECUTE stays")))
	if got := s.pg.Query(t, "shop", "SELECT note FROM orders WHERE id = 7"); got != "new" {
		t.Errorf("the note is %s", got)
	}
	want := []string{"sql.prepare shop", "sql.select public.orders(id,note)", "sql.select public.orders(id,note)", "sql.prepare shop", "sql.select public.orders(id)", "sql.update public.orders(note)"}
	if got := s.done(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Errorf("done is %q", got)
	}
}

// TestPreparedIsAsked: a person who is asked about an EXECUTE sees what was prepared and
// with which values, and approves these.
func TestPreparedIsAsked(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.asking()
	w := s.raw()
	w.plays(t, says("CZI", queryOf("PREPARE d (int) AS DELETE FROM orders WHERE id = $1")))
	if _, _, ok := s.lastAsked(); ok {
		t.Error("to prepare it was asked about")
	}
	w.plays(t, says("CZI", queryOf("EXECUTE d(7)")))
	p, a, ok := s.lastAsked()
	if !ok || a.Operation != "sql.delete" || !strings.Contains(p, "DELETE FROM orders WHERE id = $1") || !strings.Contains(p, "EXECUTE d(7)") || !strings.Contains(a.Args["statement"], "DELETE FROM orders WHERE id = $1;\nEXECUTE d(7)") {
		t.Errorf("the person saw %s\nand %+v", p, a)
	}
	first, _ := a.Digest()
	s.pg.Query(t, "shop", "INSERT INTO orders VALUES (7, 1, 'x')")
	w.plays(t, says("CZI", queryOf("EXECUTE d(8)")))
	_, a, _ = s.lastAsked()
	if second, _ := a.Digest(); first == second {
		t.Error("other values are the same action")
	}
	s.answer = nil
	w.plays(t, says("EZI 42501", queryOf("EXECUTE d(9)")), says("EZI 42501", queryOf("PREPARE f AS SELECT 1; EXECUTE d(9)")))
	if n := s.pg.Query(t, "shop", "SELECT count(*) FROM orders WHERE id IN (7, 8, 9)"); n != "2" {
		t.Errorf("%s of the rows are left", n)
	}
}

// TestPreparedNamesLie: an EXECUTE runs what was decided, whatever became of its name.
// Reading is allowed here, and nothing else; f calls what changes rows.
func TestPreparedNamesLie(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.pg.Query(t, "shop", `CREATE FUNCTION public.f() RETURNS int SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.orders; RETURN 1; END';
		CREATE FUNCTION public.swaps() RETURNS int LANGUAGE plpgsql AS $$BEGIN EXECUTE 'DEALLOCATE ALL'; EXECUTE 'PREPARE p AS DELETE FROM public.orders'; RETURN 1; END$$`)
	swaps := false
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Effect == ambit.Read || swaps && strings.Contains(a.Args["needs"], "swaps") {
			return ambit.Allow
		}
		if a.Operation == "sql.delete" {
			return ambit.Ask // so that it can be prepared
		}
		return ambit.Deny
	})
	before := s.state()
	end := &pgproto3.Sync{}
	read, del := "SELECT id FROM orders WHERE id = 1", "DELETE FROM orders"
	long := strings.Repeat("n", 63)
	bind := func(name string) pgproto3.FrontendMessage { return &pgproto3.Bind{PreparedStatement: name} }
	for name, steps := range map[string][]step{
		"an argument that calls":          {says("CZI", queryOf("PREPARE p (int) AS SELECT $1")), says("EZI 42501", queryOf("EXECUTE p(f())"))},
		"a name that is taken":            {says("CZI", queryOf("PREPARE p AS "+del)), says("EZI 42P05", queryOf("PREPARE p AS "+read)), says("EZI 26000", queryOf("EXECUTE p"))},
		"a failed one":                    {says("EZI 42P01", queryOf("PREPARE p AS SELECT 1 FROM nothing")), says("EZI 26000", queryOf("EXECUTE p"))},
		"by the protocol first":           {says("1ZI", parseOf("p", del), end), says("EZI 42P05", queryOf("PREPARE p AS "+read)), says("EZI 26000", queryOf("EXECUTE p")), says("EZI 26000", bind("p"), executeOf(""), end)},
		"by SQL first":                    {says("CZI", queryOf("PREPARE p AS "+del)), says("EZI 42P05", parseOf("p", read), end), says("EZI 26000", bind("p"), executeOf(""), end)},
		"by the protocol in between":      {says("CZI", queryOf("PREPARE p AS "+read)), says("ZI", &pgproto3.Close{ObjectType: 'S', Name: "p"}, end), says("1ZI", parseOf("p", del), end), says("EZI 26000", queryOf("EXECUTE p"))},
		"the same in one batch":           {says("CZI", queryOf("PREPARE p AS "+read)), says("11EZI 26000", &pgproto3.Close{ObjectType: 'S', Name: "p"}, parseOf("p", del), parseOf("e", "EXECUTE p"), bind("e"), executeOf(""), end)},
		"deallocated by SQL, and bound":   {says("1ZI", parseOf("p", read), end), says("CZI", queryOf("DEALLOCATE p")), says("CZI", queryOf("PREPARE p AS "+del)), says("EZI 26000", bind("p"), executeOf(""), end)},
		"discarded, and bound":            {says("1ZI", parseOf("p", read), end), says("CZI", queryOf("DISCARD ALL")), says("CZI", queryOf("PREPARE p AS "+del)), says("EZI 26000", bind("p"), executeOf(""), end)},
		"in a message that fails":         {says("CZI", queryOf("PREPARE p AS "+read)), says("CCEZI 22012", queryOf("DEALLOCATE p; PREPARE p AS "+del+"; SELECT 1/0")), says("EZI 26000", queryOf("EXECUTE p"))},
		"in one message":                  {says("EZI 42501", queryOf("PREPARE p AS "+del+"; EXECUTE p"))},
		"by another case":                 {says("CZI", queryOf("PREPARE P AS "+read)), says("CZI", queryOf(`PREPARE "P" AS `+del)), says("EZI 42501", queryOf(`EXECUTE "P"`)), says("TDCZI", queryOf("EXECUTE P"))},
		"by a long name":                  {says("CZI", queryOf("PREPARE "+long+"a AS "+del)), says("EZI 42501", queryOf("EXECUTE "+long+"b"))},
		"by long names of the protocol":   {says("EZI 42622", parseOf(long+"a", read), end), says("EZI 42622", bind(long+"a"), end), says("EZI 42622", &pgproto3.Close{ObjectType: 'S', Name: long + "a"}, end), says("EZI 42622", executeOf(long+"a"), end), says("EZI 42622", &pgproto3.Describe{ObjectType: 'S', Name: long + "a"}, end)},
		"in EXPLAIN":                      {says("CZI", queryOf("PREPARE p AS "+del)), says("EZI 42501", queryOf("EXPLAIN ANALYZE EXECUTE p"))},
		"in CREATE TABLE":                 {says("CZI", queryOf("PREPARE p AS "+read)), says("EZI 42501", queryOf("CREATE TABLE x AS EXECUTE p"))},
		"pipelined behind a failure":      {says("1EZI 22012", parseOf("a", "SELECT 1/0"), bind("a"), executeOf(""), parseOf("b", "PREPARE p AS "+read), bind("b"), executeOf(""), end), says("EZI 26000", queryOf("EXECUTE p"))},
		"with code when it is only read":  {says("EZI 42501", queryOf("PREPARE p (careful) AS SELECT $1"))},
		"of what would be refused anyway": {says("EZI 42501", queryOf("PREPARE p AS UPDATE orders SET note = 'x' WHERE id = 1"))},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.raw().plays(t, steps...)
			if after := s.state(); after != before {
				t.Fatalf("the rows were %s and are %s", before, after)
			}
		})
	}
	t.Run("changed by a function", func(t *testing.T) {
		s.t = t
		s.mu.Lock()
		swaps = true
		s.mu.Unlock()
		w := s.raw()
		w.plays(t,
			says("CZI", queryOf("PREPARE p AS "+read)),
			says("EZI 42501", queryOf("SELECT swaps(); EXECUTE p")),
			says("TDCZI", queryOf("SELECT swaps()")),
			says("EZI 26000", queryOf("EXECUTE p")))
		if after := s.state(); after != before {
			t.Errorf("the rows were %s and are %s", before, after)
		}
	})
}
