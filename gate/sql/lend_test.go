package sql

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/internal/ambittest"
	"ambit/pipeline"
)

// lender gives the task's role what an approved action says that it needs, with the
// rights of an owner that can do much more.
type lender struct {
	s  *shop
	mu sync.Mutex

	why    string        // it cannot be lent
	window chan struct{} // closed while rights are there, when it is not nil
	open   chan struct{} // and the right is given when this is closed
	lent   []string
}

func (l *lender) Lendable(_ context.Context, service, _ string) (string, error) {
	if service != "shop" {
		return "", errors.New("there is no such service")
	}
	return l.why, nil
}

func (l *lender) Elevate(_ context.Context, id ambit.RecordID) error {
	l.s.mu.Lock()
	a := l.s.under[id]
	l.s.mu.Unlock()
	for _, n := range needsOf(a) {
		sql := "GRANT CREATE ON SCHEMA " + n.Name + " TO ambit_task"
		switch {
		case n.Owns():
			sql = "GRANT keeper TO ambit_task"
		case n.Kind == "routine" && n.Schema != "":
			sql = "GRANT EXECUTE ON ROUTINE " + n.Schema + "." + n.Name + " TO ambit_task"
		case n.Kind == "routine":
			continue
		case n.Kind == "relation":
			sql = "GRANT " + n.Right + " ON SEQUENCE " + n.Schema + "." + n.Name + " TO ambit_task"
		}
		l.s.pg.Query(l.s.t, "shop", sql)
		l.mu.Lock()
		l.lent = append(l.lent, n.String())
		l.mu.Unlock()
	}
	if l.window != nil {
		close(l.window)
		<-l.open
	}
	return nil
}

func (l *lender) Lower(context.Context, ambit.RecordID) error {
	l.s.pg.Query(l.s.t, "shop", "REVOKE keeper FROM ambit_task; REVOKE CREATE ON SCHEMA public FROM ambit_task; REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM ambit_task; REVOKE ALL ON ALL ROUTINES IN SCHEMA public FROM ambit_task")
	return nil
}

// newLending is a shop whose owner has tables a and b, with a function that drops b with
// the rights of whoever calls it, which the grants allow without a question.
func newLending(t *testing.T, change ...func(*Config)) (*shop, *lender) {
	l := &lender{}
	s := newShop(t, ambittest.PostgresConfig{}, func(c *Config) {
		c.Elevator, c.Limits.Still = l, 3*time.Second
		for _, f := range change {
			f(c)
		}
	})
	l.s = s
	s.pg.Query(t, "shop", `CREATE ROLE keeper; ALTER SCHEMA public OWNER TO keeper; ALTER TABLE orders OWNER TO keeper; CREATE SEQUENCE numbers; REVOKE ALL ON SEQUENCE numbers FROM PUBLIC;
		CREATE PROCEDURE closes() LANGUAGE plpgsql AS 'BEGIN END'; REVOKE ALL ON PROCEDURE closes() FROM PUBLIC;
		CREATE FUNCTION evil() RETURNS bool LANGUAGE plpgsql AS 'BEGIN DROP TABLE public.b; RETURN true; EXCEPTION WHEN insufficient_privilege THEN RETURN false; END';
		CREATE TABLE queue (x int); GRANT INSERT ON queue TO PUBLIC; CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.evil(); RETURN NEW; END';
		CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()`)
	s.answer = func(pipeline.Question) (pipeline.Answer, error) {
		return pipeline.Answer{Approved: true, By: "ann"}, nil
	}
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Effect == ambit.Read || a.Operation == "sql.call" && (strings.Contains(a.Args["needs"], "evil") || strings.Contains(a.Args["needs"], "pg_sleep")) || strings.HasSuffix(a.Resource.String(), "queue") {
			return ambit.Allow
		}
		return ambit.Ask
	})
	return s, l
}

// tables makes a and b anew, of the owner.
func (s *shop) tables(t *testing.T) {
	t.Helper()
	s.pg.Query(t, "shop", "DROP TABLE IF EXISTS a, b CASCADE; CREATE TABLE a (x int, y text); CREATE TABLE b (x int); ALTER TABLE a OWNER TO keeper; ALTER TABLE b OWNER TO keeper")
}

func (s *shop) there(table string) bool {
	return s.pg.Query(s.t, "shop", "SELECT to_regclass('public."+table+"') IS NOT NULL") == "t"
}

// TestApprovedDefinitions: what a person approved runs once, by either protocol, with
// what it needs, and the question says what that is.
func TestApprovedDefinitions(t *testing.T) {
	s, l := newLending(t)
	s.tables(t)
	s.pg.Query(t, "shop", "CREATE MATERIALIZED VIEW m AS SELECT 1 AS x; ALTER MATERIALIZED VIEW m OWNER TO keeper")
	w := s.raw()
	end := &pgproto3.Sync{}
	extended := func(text string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{parseOf("", text), &pgproto3.Bind{}, executeOf(""), end}
	}
	w.plays(t,
		says("CZI", queryOf("ALTER TABLE a ADD COLUMN z int DEFAULT 7")),
		says("12CZI", extended("CREATE INDEX ON a (lower(y))")...),
		says("CZI", queryOf("VACUUM a")),
		says("12CZI", extended("VACUUM ANALYZE a")...),
		says("CZI", queryOf("REFRESH MATERIALIZED VIEW m")),
		says("12CZI", extended("COMMENT ON TABLE a IS 'x'")...),
		says("CZT", queryOf("BEGIN")),
		says("CZT", queryOf("CREATE TABLE c (x int)")),
		says("12CZT", extended("ALTER TABLE a DROP COLUMN z")...),
		says("CZI", queryOf("COMMIT")),
		says("TDCZI", queryOf("SELECT nextval('numbers')")),
		says("12DCZI", extended("SELECT setval('numbers', 7)")...),
		says("CZI", queryOf("CALL public.closes()")),
		says("12CZI", extended("DROP TABLE a")...),
		says("EZI 42P01", queryOf("DROP TABLE a")))
	if s.there("a") || !s.there("b") || !s.there("c") {
		t.Errorf("the tables are other ones; the agent was told %q", w.got)
	}
	if p, _, _ := s.lastAsked(); !strings.Contains(p, "while it runs, the task has the rights of the owner of relation public.a\n") {
		t.Errorf("the person saw\n%s", p)
	}
	s.answer = nil
	w.plays(t, says("EZI 42501", queryOf("DROP TABLE b")), says("EZI 42501", queryOf("CREATE TABLE d (x int)")), says("TDCZI", queryOf("SELECT evil()")))
	if !s.there("b") || s.there("d") {
		t.Error("something of the rights is left")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lent) < 12 {
		t.Errorf("lent: %q", l.lent)
	}
}

// TestOwnersRightsAreForOneStatement: whatever stands before, behind or beside an
// approved statement does not have the rights of the owner that it has.
func TestOwnersRightsAreForOneStatement(t *testing.T) {
	s, l := newLending(t)
	end := &pgproto3.Sync{}
	drop := []pgproto3.FrontendMessage{parseOf("d", "DROP TABLE a"), &pgproto3.Bind{DestinationPortal: "d", PreparedStatement: "d"}, executeOf("d")}
	evil := []pgproto3.FrontendMessage{parseOf("e", "SELECT evil()"), &pgproto3.Bind{DestinationPortal: "e", PreparedStatement: "e"}, executeOf("e")}
	later := []pgproto3.FrontendMessage{parseOf("q", "INSERT INTO queue VALUES (1)"), &pgproto3.Bind{DestinationPortal: "q", PreparedStatement: "q"}, executeOf("q")}
	joined := func(parts ...[]pgproto3.FrontendMessage) (out []pgproto3.FrontendMessage) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return append(out, end)
	}
	for name, x := range map[string]struct {
		steps []step
		gone  bool // a, which was approved
	}{
		"behind it":                     {[]step{says("12C12DCZI", joined(drop, evil)...)}, true},
		"before it":                     {[]step{says("12DC1EZI 42501", joined(evil, drop)...)}, false},
		"put off to the end":            {[]step{says("12C12CZI", joined(later, drop)...)}, true},
		"put off, in a transaction":     {[]step{says("CZT", queryOf("BEGIN")), says("CZT", queryOf("INSERT INTO queue VALUES (1)")), says("CZT", queryOf("DROP TABLE a")), says("CZI", queryOf("COMMIT"))}, true},
		"put off, and then a query":     {[]step{says("12CEZI 42501", append(later[:3:3], queryOf("DROP TABLE a"))...)}, false},
		"in one message":                {[]step{says("EZI 42501", queryOf("DROP TABLE a; SELECT evil()"))}, false},
		"in one message, before it":     {[]step{says("EZI 42501", queryOf("INSERT INTO queue VALUES (1); DROP TABLE a"))}, false},
		"two tables, of which one":      {[]step{says("EZI 42501", queryOf("DROP TABLE a; DROP TABLE b"))}, false},
		"a default that is run with it": {[]step{says("EZI 42501", queryOf("ALTER TABLE a ADD COLUMN z bool DEFAULT evil()"))}, false},
		"an index that is":              {[]step{says("EZI 42501", queryOf("CREATE INDEX ON a ((evil()))"))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.tables(t)
			w := s.raw()
			w.plays(t, x.steps...)
			if !s.there("b") || s.there("a") == x.gone {
				t.Errorf("a is there: %v, b: %v; the agent was told %q", s.there("a"), s.there("b"), w.got)
			}
		})
	}
	t.Run("in another session", func(t *testing.T) {
		s.t = t
		s.tables(t)
		l.window, l.open = make(chan struct{}), make(chan struct{})
		busy, w := s.raw(), s.raw()
		done := make(chan string, 2)
		if err := busy.send(queryOf("SELECT pg_sleep(1), evil()")); err != nil { // it runs already
			t.Fatal(err)
		}
		asleep := func() bool {
			return s.pg.Query(t, "shop", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ambit_task' AND wait_event = 'PgSleep'") == "1"
		}
		if !ambittest.Eventually(ambittest.Patience, asleep) {
			t.Fatal("it does not run")
		}
		go func() { done <- w.says(t, queryOf("DROP TABLE a")) }()
		<-l.window
		other := make(chan string, 1)
		go func() { _, _, _ = busy.until(); other <- busy.says(t, queryOf("SELECT evil()")) }()
		select {
		case got := <-other:
			t.Errorf("another session went on meanwhile: %s", got)
		case <-time.After(300 * time.Millisecond):
		}
		close(l.open)
		if got := <-done; got != "CZI" {
			t.Errorf("the approved statement: %s", got)
		}
		if got := <-other; got != "TDCZI" || !s.there("b") || s.there("a") {
			t.Errorf("the other session then: %s", got)
		}
		l.window = nil
	})
	t.Run("and its client hangs up", func(t *testing.T) {
		s.t = t
		s.tables(t)
		admin, err := pgx.Connect(t.Context(), s.pg.AdminURL("shop"))
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close(context.Background())
		if _, err := admin.Exec(t.Context(), "BEGIN; LOCK TABLE a"); err != nil {
			t.Fatal(err)
		}
		gone, w := s.raw(), s.raw()
		if err := gone.send(queryOf("DROP TABLE a")); err != nil {
			t.Fatal(err)
		}
		if !ambittest.Eventually(ambittest.Patience, func() bool {
			return s.pg.Query(t, "shop", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ambit_task' AND wait_event_type = 'Lock'") == "1"
		}) {
			t.Fatal("it does not wait")
		}
		gone.c.Close()
		w.plays(t, says("TDCZI", queryOf("SELECT evil()"))) // it goes on, and has no right
		if !s.there("b") {
			t.Error("the owner's rights stay")
		}
	})
	t.Run("and its transaction goes on", func(t *testing.T) {
		s.t = t
		s.pg.Query(t, "shop", "CREATE OR REPLACE FUNCTION evil() RETURNS bool LANGUAGE plpgsql AS 'BEGIN ALTER TYPE public.mood ADD VALUE ''planted''; RETURN true; EXCEPTION WHEN insufficient_privilege THEN RETURN false; END'")
		begin, fails := says("CZT", queryOf("BEGIN")), says("EZE 42703", queryOf("ALTER TABLE a DROP COLUMN nothing"))
		point, back, calls := says("CZT", queryOf("SAVEPOINT p")), says("CZT", queryOf("ROLLBACK TO p")), says("TDCZT", queryOf("SELECT evil()"))
		backs := []pgproto3.FrontendMessage{parseOf("r", "ROLLBACK TO p"), &pgproto3.Bind{DestinationPortal: "r", PreparedStatement: "r"}, executeOf("r")}
		for name, steps := range map[string][]step{
			"at once":              {begin, says("CZT", queryOf("ALTER TABLE a ADD z int")), calls, says("CZI", queryOf("COMMIT"))},
			"behind it":            {begin, says("12C12DCZT", joined([]pgproto3.FrontendMessage{parseOf("c", "COMMENT ON TABLE a IS 'x'"), &pgproto3.Bind{PreparedStatement: "c"}, executeOf("")}, evil)...), says("CZI", queryOf("COMMIT"))},
			"after a failure":      {begin, point, fails, back, calls, says("CZI", queryOf("COMMIT"))},
			"in one message":       {begin, point, fails, says("EZE 42501", queryOf("ROLLBACK TO p; SELECT evil()")), says("CZI", queryOf("ROLLBACK"))},
			"in one batch":         {begin, point, fails, says("12C12DCZT", joined(backs, evil)...), says("CZI", queryOf("ROLLBACK"))},
			"with another's right": {begin, calls, says("CZT", queryOf("ALTER TABLE a ADD z int")), says("TDCZT", queryOf("SELECT nextval('numbers')")), calls, says("CZI", queryOf("COMMIT"))},
		} {
			s.tables(t)
			s.pg.Query(t, "shop", "DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('good'); ALTER TYPE mood OWNER TO keeper")
			w := s.raw()
			// With all of the catalog at hand that is needed, the server does not look again.
			for range 3 {
				w.plays(t, begin, says("CZT", queryOf("ALTER TABLE a ADD z int")), calls, says("CZI", queryOf("ROLLBACK")))
			}
			w.plays(t, steps...)
			if s.pg.Query(t, "shop", "SELECT count(*) FROM pg_enum WHERE enumlabel = 'planted'") != "0" {
				t.Errorf("%s: the owner's rights stay", name)
			}
		}
	})
	t.Run("and it fails", func(t *testing.T) {
		s.t = t
		s.tables(t)
		w := s.raw()
		w.plays(t,
			says("EZI 42703", queryOf("ALTER TABLE a DROP COLUMN nothing")), says("TDCZI", queryOf("SELECT evil()")),
			says("CZT", queryOf("BEGIN")), says("EZE 42703", queryOf("ALTER TABLE a DROP COLUMN nothing")), says("CZI", queryOf("ROLLBACK")), says("TDCZI", queryOf("SELECT evil()")),
			says("CZI", queryOf("DROP TABLE a")))
		if !s.there("b") || s.there("a") {
			t.Errorf("the tables are other ones; the agent was told %q", w.got)
		}
	})
	t.Run("beside one that does not end", func(t *testing.T) {
		s.t = t
		s.tables(t)
		busy, w := s.raw(), s.raw()
		if err := busy.send(queryOf("SELECT pg_sleep(60)")); err != nil {
			t.Fatal(err)
		}
		if !ambittest.Eventually(ambittest.Patience, func() bool {
			return s.pg.Query(t, "shop", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ambit_task' AND wait_event = 'PgSleep'") == "1"
		}) {
			t.Fatal("it does not run")
		}
		w.plays(t, says("EZI 42501", queryOf("DROP TABLE a")), says("TDCZI", queryOf("SELECT 1")))
		if !s.there("a") {
			t.Error("it was dropped")
		}
	})
}

// TestNobodyIsAskedInVain: what cannot be lent is refused, with the reason, before a
// person is asked.
func TestNobodyIsAskedInVain(t *testing.T) {
	s, l := newLending(t)
	s.tables(t)
	w := s.raw()
	for _, text := range []string{"ALTER SYSTEM SET fsync = off", "CREATE EXTENSION dblink", "COPY orders TO PROGRAM 'cat'", "VACUUM", "ALTER TABLE a OWNER TO ambit_task", "CREATE ROLE x"} {
		w.plays(t, says("EZI 42501", queryOf(text)))
	}
	l.why = "the relation public.a belongs to role postgres, which is a superuser"
	w.plays(t, says("EZI 42501", queryOf("DROP TABLE a")))
	if _, _, ok := s.lastAsked(); ok || !s.there("a") || !strings.Contains(w.got.String(), "which is a superuser") || !strings.Contains(w.got.String(), CodeNotLent) {
		t.Errorf("somebody was asked, or not told why:\n%s", w.got.String())
	}
	s.forget()
	s.allow(func(*ambit.Action) ambit.Verdict { return ambit.Deny })
	w.plays(t, says("EZI 42501", queryOf("DROP TABLE a"))) // an ordinary refusal, with its remedy
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refusals) != 1 || s.refusals[0].Decision.Verdict != ambit.Deny {
		t.Errorf("refusals: %+v", s.refusals)
	}
}
