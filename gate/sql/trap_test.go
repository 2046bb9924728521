package sql

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/internal/ambittest"
	"ambit/pipeline"
)

// road is the way from a gate to a database, on which what one connection sends can be
// held up, as on a network or in a pooler.
type road struct {
	t     testing.TB
	to    string
	mu    sync.Mutex
	cars  int
	held  map[int]chan struct{} // by connection; what it sends waits until it is closed
	bytes map[int]int           // that were held up
	ends  map[int]bool          // the gate says no more
}

// newRoad puts a road between a gate and its database.
func newRoad(t testing.TB, c *Config) *road {
	r := &road{t: t, to: c.Databases[0].Dial, held: map[int]chan struct{}{}, bytes: map[int]int{}, ends: map[int]bool{}}
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	c.Databases[0].Dial = ln.Addr().String()
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", r.to)
			if err != nil {
				from.Close()
				return
			}
			r.mu.Lock()
			n := r.cars
			r.cars++
			r.mu.Unlock()
			go func() { io.Copy(from, to); from.Close() }()
			go r.carry(n, from, to)
		}
	}()
	return r
}

func (r *road) carry(n int, from, to net.Conn) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		k, err := from.Read(b)
		r.mu.Lock()
		wait := r.held[n]
		if wait != nil {
			r.bytes[n] += k
			r.ends[n] = err != nil
		}
		r.mu.Unlock()
		if wait != nil {
			<-wait
		}
		if k > 0 {
			to.Write(b[:k])
		}
		if err != nil {
			to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// hold holds up what a connection sends, and returns how it goes on.
func (r *road) hold(n int) (release func()) {
	c := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[n] = c
	return sync.OnceFunc(func() { close(c) })
}

func (r *road) on(n int) bool { r.mu.Lock(); defer r.mu.Unlock(); return r.bytes[n] > 0 }

// TestOwnersRightsAndWhatIsOnTheWay: a statement that was sent, and whose client has gone
// before the database had it, does not run with the rights of an owner that another one has.
func TestOwnersRightsAndWhatIsOnTheWay(t *testing.T) {
	var r *road
	s, l := newLending(t, func(c *Config) { r = newRoad(t, c) })
	s.tables(t)
	gone, w := s.raw(), s.raw()
	release := r.hold(0)
	defer release()
	if err := gone.send(queryOf("SELECT evil()")); err != nil {
		t.Fatal(err)
	}
	if !ambittest.Eventually(ambittest.Patience, func() bool { return r.on(0) }) {
		t.Fatal("it is not on the way")
	}
	gone.c.Close()
	l.window, l.open = make(chan struct{}), make(chan struct{})
	done := make(chan string, 1)
	go func() { done <- w.says(t, queryOf("DROP TABLE a")) }()
	sessions := func(n string) func() bool {
		return func() bool {
			return s.pg.Query(t, "shop", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'ambit_task'") == n
		}
	}
	select {
	case <-l.window: // now it arrives
		release()
		if !ambittest.Eventually(ambittest.Patience, sessions("1")) {
			t.Error("the session whose client has gone does not end")
		}
		close(l.open)
		<-done
	case got := <-done:
		if got != "EZI 42501" {
			t.Errorf("the approved statement: %s", got)
		}
		release()
	}
	if !s.there("b") {
		t.Fatal("it ran with the owner's rights")
	}
	// With nothing on the way any more it is lent.
	l.window = nil
	if !ambittest.Eventually(ambittest.Patience, sessions("1")) {
		t.Fatal("the session whose client has gone does not end")
	}
	if !ambittest.Eventually(ambittest.Patience, func() bool { return !s.there("a") || w.says(t, queryOf("DROP TABLE a")) == "CZI" }) || !s.there("b") {
		t.Errorf("the tables are other ones; the agent was told %q", w.got)
	}
}

// TestOwnersRightsAndWhatIsPlanned: to bind a statement makes its plan, in which what
// claims to be immutable is run. Nothing is bound beside what has an owner's rights, and
// an expression that is planned when a table is made counts as a call.
func TestOwnersRightsAndWhatIsPlanned(t *testing.T) {
	s, _ := newLending(t)
	s.pg.Query(t, "shop", `CREATE FUNCTION imm(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM public.evil(); RETURN 1; END';
		CREATE VIEW planned AS SELECT imm(1) AS x; GRANT SELECT ON planned TO ambit_task; CREATE TABLE parts (x int) PARTITION BY RANGE (x); ALTER TABLE parts OWNER TO keeper`)
	end := &pgproto3.Sync{}
	bind := func(name string) *pgproto3.Bind {
		return &pgproto3.Bind{DestinationPortal: name, PreparedStatement: name}
	}
	for name, x := range map[string]step{
		"bound with it, before": says("11EZI 42501", parseOf("d", "DROP TABLE a"), parseOf("v", "SELECT x FROM planned"), bind("d"), bind("v"), executeOf("d"), executeOf("v"), end),
		"parsed and bound":      says("1EZI 42501", parseOf("d", "DROP TABLE a"), bind("d"), parseOf("v", "SELECT x FROM planned"), bind("v"), executeOf("d"), executeOf("v"), end),
		"a part's own parts":    says("EZI 42501", queryOf("CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (2) PARTITION BY RANGE ((x + imm(1)))")),
		"bound behind it":       says("112C2DCZI", parseOf("d", "DROP TABLE a"), parseOf("v", "SELECT x FROM planned"), bind("d"), executeOf("d"), bind("v"), executeOf("v"), end),
		"a part":                says("CZI", queryOf("CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (2) PARTITION BY RANGE (x)")),
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.tables(t)
			s.pg.Query(t, "shop", "DROP TABLE IF EXISTS part")
			w := s.raw()
			w.plays(t, x)
			if !s.there("b") {
				t.Errorf("it ran with the owner's rights; the agent was told %q", w.got)
			}
			if dropped := strings.HasPrefix(x.want, "112C"); s.there("a") == dropped {
				t.Errorf("the approved statement: a is there: %v", s.there("a"))
			}
		})
	}
}

// TestLentRowsAndWhatWasPutOff: a trigger that was put off to the end of the transaction
// runs without the rights of an approved statement that came last in it.
func TestLentRowsAndWhatWasPutOff(t *testing.T) {
	e := &elevations{}
	s := newShop(t, ambittest.PostgresConfig{}, func(c *Config) { c.Elevator = e })
	e.s = s
	s.pg.Query(t, "shop", `REVOKE ALL ON orders FROM ambit_task; CREATE TABLE queue (x int); GRANT INSERT ON queue TO ambit_task;
		CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.orders WHERE id > 50; RETURN NEW; EXCEPTION WHEN insufficient_privilege THEN RETURN NEW; END';
		CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()`)
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Operation == "sql.delete" {
			return ambit.Ask
		}
		return ambit.Allow
	})
	s.answer = func(pipeline.Question) (pipeline.Answer, error) {
		return pipeline.Answer{Approved: true, By: "ann"}, nil
	}
	end := &pgproto3.Sync{}
	puts := []pgproto3.FrontendMessage{parseOf("q", "INSERT INTO queue VALUES (1)"), &pgproto3.Bind{DestinationPortal: "q", PreparedStatement: "q"}, executeOf("q")}
	w := s.raw()
	w.plays(t,
		says("12C12CZI", append(puts, parseOf("d", "DELETE FROM orders WHERE id = 3"), &pgproto3.Bind{DestinationPortal: "d", PreparedStatement: "d"}, executeOf("d"), end)...),
		says("ZI", &pgproto3.Close{ObjectType: 'S', Name: "q"}, end))
	w = s.raw()
	w.plays(t, says("12CEZI 42501", append(puts, queryOf("DELETE FROM orders WHERE id = 4"))...))
	if n := s.pg.Query(t, "shop", "SELECT count(*) FILTER (WHERE id > 50) || ' ' || count(*) FILTER (WHERE id IN (3, 4)) FROM orders"); n != "50 1" {
		t.Errorf("of 50 and of 2 rows are left: %s; the agent was told %q", n, w.got)
	}
}

// TestAskedAgainstExpectation: a limit that is used up, or a window that is closed, makes a
// question of what was foreseen as allowed. What cannot be lent is not lent then either.
func TestAskedAgainstExpectation(t *testing.T) {
	s, _ := newLending(t, func(c *Config) {
		c.Foresee = func(*ambit.Action) ambit.Verdict { return ambit.Allow }
	})
	for _, text := range []string{"DROP TABLE a; SELECT evil()", "ALTER TABLE a ADD COLUMN z bool DEFAULT evil()", "CREATE INDEX ON a ((evil()))"} {
		s.tables(t)
		w := s.raw()
		w.plays(t, says("EZI 42501", queryOf(text)))
		if !s.there("b") || !s.there("a") || !strings.Contains(w.got.String(), CodeNotLent) {
			t.Errorf("%s: a is there: %v, b: %v; the agent was told %q", text, s.there("a"), s.there("b"), w.got)
		}
	}
	s.raw().plays(t, says("CZI", queryOf("DROP TABLE a")))
	if s.there("a") {
		t.Error("what can be lent was not")
	}
}
