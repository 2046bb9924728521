package sql

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/internal/ambittest"
	"ambit/pipeline"
)

// raw opens a session of a client that writes its own messages.
func (s *shop) raw() *wire {
	s.t.Helper()
	w, err := dialWire(s.t.Context(), s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { w.c.Close() })
	w.c.SetDeadline(time.Now().Add(60 * time.Second))
	if failed, err := w.start(nil); failed != nil || err != nil {
		s.t.Fatal(failed, err)
	}
	return w
}

func queryOf(text string) pgproto3.FrontendMessage { return &pgproto3.Query{String: text} }

// step is what a client sends and what it gets.
type step struct {
	send []pgproto3.FrontendMessage
	want string
}

func says(want string, send ...pgproto3.FrontendMessage) step { return step{send, want} }

func (w *wire) plays(t *testing.T, steps ...step) {
	t.Helper()
	for i, x := range steps {
		if got := w.says(t, x.send...); got != x.want {
			t.Errorf("step %d: the agent got %s, want %s", i, got, x.want)
		}
	}
}

func (s *shop) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intents, s.refusals, s.ends, s.asked = nil, nil, nil, nil
}

// TestFetchExecutesNothing: FETCH and MOVE, which are SQL, execute a portal that the
// protocol bound, as if it were a cursor. They do so for nobody.
func TestFetchExecutesNothing(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	before := s.state()
	end := &pgproto3.Sync{}
	write := parseOf("u", "UPDATE orders SET total = 0 WHERE id = 1 RETURNING id")
	read := parseOf("r", "SELECT note FROM orders")
	bind := func(portal, name string) pgproto3.FrontendMessage {
		return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
	}
	for name, steps := range map[string][]step{
		"a write in one batch":   {says("1EZI 42501", write, bind("p", "u"), parseOf("f", "FETCH ALL FROM p"), bind("", "f"), executeOf(""), end)},
		"a write across batches": {says("CZT", queryOf("BEGIN")), says("1EZE 42501", write, bind("p", "u"), end), says("EZE 42501", queryOf("MOVE ALL FROM p")), says("CZI", queryOf("COMMIT"))},
		"a read across batches":  {says("CZT", queryOf("BEGIN")), says("12ZT", read, bind("p", "r"), end), says("EZE 42501", queryOf("FETCH ALL FROM p")), says("CZI", queryOf("COMMIT"))},
		"by another spelling":    {says("CZT", queryOf("BEGIN")), says("12ZT", read, bind("P q", "r"), end), says("EZE 42501", queryOf(`fetch all from "P q"`)), says("CZI", queryOf("COMMIT"))},
		"a name closed in vain":  {says("CZT", queryOf("BEGIN")), says("12ZT", read, bind("p", "r"), end), says("CZT", queryOf("SAVEPOINT a")), says("EZE 42P03", queryOf("DECLARE p CURSOR FOR SELECT 1")), says("CZT", queryOf("ROLLBACK TO a")), says("EZE 42501", queryOf("FETCH ALL FROM p")), says("CZI", queryOf("COMMIT"))},
		"along with another":     {says("11EZI 42501", write, parseOf("ok", "SELECT 1"), bind("p", "u"), bind("q", "ok"), executeOf("q"), end)},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.forget()
			w := s.raw()
			w.plays(t, steps...)
			if slices.Contains(s.done(), "sql.fetch shop") || slices.Contains(s.done(), "sql.select public.orders(note)") {
				t.Errorf("it was let through: %v", s.done())
			}
		})
	}
	if after := s.state(); after != before {
		t.Errorf("the rows were %s and are %s", before, after)
	}
	t.Run("twins", func(t *testing.T) {
		s.t = t
		s.forget()
		w := s.raw()
		w.plays(t,
			says("CZT", queryOf("BEGIN")),
			says("12ZT", read, bind("p", "r"), end),
			says("DZT", &pgproto3.Execute{Portal: "p", MaxRows: 1}, end),
			says("DZT", &pgproto3.Execute{Portal: "p", MaxRows: 1}, end),
			says("ZT", &pgproto3.Close{ObjectType: 'P', Name: "p"}, end),
			says("CZT", queryOf("DECLARE p CURSOR FOR SELECT id FROM orders")),
			says("TDCZT", queryOf("FETCH 1 FROM p")),
			says("12DCZT", write, bind("w", "u"), executeOf("w"), end),
			says("CZI", queryOf("COMMIT")),
			says("CZT", queryOf("BEGIN")),
			says("CZT", queryOf("DECLARE w CURSOR FOR SELECT id FROM orders")),
			says("TDCZT", queryOf("FETCH 1 FROM w")),
			says("CZI", queryOf("COMMIT")))
		want := []string{"sql.transaction shop", "sql.select public.orders(note)", "sql.fetch shop(note)", "sql.select public.orders(id)", "sql.fetch shop",
			"sql.select public.orders(id)", "sql.update public.orders(total)", "sql.transaction shop", "sql.transaction shop", "sql.select public.orders(id)", "sql.fetch shop", "sql.transaction shop"}
		if got := s.done(); !slices.Equal(got, want) {
			t.Errorf("done is %q, want %q", got, want)
		}
	})
}

// planted makes a domain whose check changes rows, an array of it and a function that
// claims to be immutable, and returns the domain's number.
func (s *shop) planted() (domain, array uint32) {
	s.t.Helper()
	got := s.pg.Query(s.t, "shop", `CREATE TABLE victims (n int); CREATE FUNCTION checked(int) RETURNS bool SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.victims VALUES ($1); RETURN true; END';
		CREATE FUNCTION lies() RETURNS int IMMUTABLE SECURITY DEFINER LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.victims VALUES (9); RETURN 1; END';
		CREATE DOMAIN careful AS int CHECK (public.checked(VALUE)); SELECT 'careful'::regtype::oid || ' ' || 'careful[]'::regtype::oid`)
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if _, err := fmt.Sscan(lines[len(lines)-1], &domain, &array); err != nil || domain < firstOwnType {
		s.t.Fatal(got, err)
	}
	return domain, array
}

// TestOwnTypes: a parameter of a type that the database's owner made runs that type's
// code, which nobody sees in the statement; so does a value of it in a statement that is
// only prepared, or a function in one that is only bound.
func TestOwnTypes(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.allow(readOnly)
	domain, array := s.planted()
	end := &pgproto3.Sync{}
	of := func(name, text string, oids ...uint32) pgproto3.FrontendMessage {
		return &pgproto3.Parse{Name: name, Query: text, ParameterOIDs: oids}
	}
	none := &pgproto3.Bind{}
	for name, send := range map[string][]pgproto3.FrontendMessage{
		"a parameter of the domain":      {of("", "SELECT $1", domain), bindOf("", "", "7"), executeOf(""), end},
		"of an array of it":              {of("", "SELECT $1", array), bindOf("", "", "{7}"), executeOf(""), end},
		"only bound":                     {of("", "SELECT $1", domain), bindOf("", "", "7"), end},
		"beside another of it":           {of("", "SELECT $1 = '{8}'", array), end},
		"written in the statement":       {of("", "SELECT '{7}'::careful[]"), end},
		"a function that lies":           {of("", "SELECT lies()"), none, executeOf(""), end},
		"a function, only bound":         {of("", "SELECT lies()"), none, end},
		"a function beside a read":       {of("x", "SELECT lies()"), of("ok", "SELECT 1"), &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "x"}, &pgproto3.Bind{PreparedStatement: "ok"}, executeOf(""), end},
		"a function bound, then a query": {of("", "SELECT lies()"), none, queryOf("SELECT 1")},
		"a value beside a read":          {of("x", "SELECT '{7}'::careful[]"), of("ok", "SELECT 1"), &pgproto3.Bind{PreparedStatement: "ok"}, executeOf(""), end},
	} {
		w := s.raw()
		got := w.says(t, send...)
		if n := s.pg.Query(t, "shop", "SELECT count(*) FROM victims"); n != "0" {
			t.Fatalf("%s: the domain's code ran %s times; the agent got %s", name, n, got)
		}
		if !strings.Contains(got, "E") || !strings.HasSuffix(got, "ZI 42501") {
			t.Errorf("%s: the agent got %s", name, got)
		}
	}
	w := s.raw()
	w.plays(t,
		says("1ZI", of("d", "SELECT id FROM orders WHERE id = $1", 23), end),
		says("2DCZI", bindOf("", "d", "7"), executeOf(""), end))
	s.allow(func(*ambit.Action) ambit.Verdict { return ambit.Allow })
	s.forget()
	w.plays(t,
		says("1ZI", of("", "SELECT $1", domain), end),
		says("2DCZI", bindOf("", "", "7"), executeOf(""), end),
		says("1ZI", of("", "SELECT '{7}'::careful[]"), end),
		says("2DCZI", none, executeOf(""), end))
	if got := s.done(); !slices.Contains(got, "sql.call shop") {
		t.Errorf("no call is in the log: %v", got)
	}
}

// asking has a person asked about what is no read, who says yes each time.
func (s *shop) asking() {
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Effect != ambit.Read {
			return ambit.Ask
		}
		return ambit.Allow
	})
	s.answer = func(pipeline.Question) (pipeline.Answer, error) {
		return pipeline.Answer{Approved: true, By: "ann"}, nil
	}
}

func (s *shop) lastAsked() (preview string, a ambit.Action, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		return "", a, false
	}
	q := s.asked[len(s.asked)-1]
	return q.Preview, q.Action, true
}

// TestPreviewReadsAsTheStatementDoes: what a person is shown is found with the types,
// the settings and the bytes of what will run; what cannot be found so is said.
func TestPreviewReadsAsTheStatementDoes(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.pg.Query(t, "shop", "ALTER TABLE orders ADD made date DEFAULT '2024-01-15'; UPDATE orders SET made = '2024-02-20' WHERE id > 60")
	s.asking()
	end := &pgproto3.Sync{}
	// The bytes are 71362 as an integer, and next to nothing as a real number.
	bytes := binary.BigEndian.AppendUint32(nil, 71362)
	w := s.raw()
	w.plays(t, says("12CZI", &pgproto3.Parse{Query: "UPDATE orders SET note = 'x' WHERE id > $1", ParameterOIDs: []uint32{700}},
		&pgproto3.Bind{ParameterFormatCodes: []int16{1}, Parameters: [][]byte{bytes}}, executeOf(""), end))
	if p, _, _ := s.lastAsked(); !strings.Contains(p, "it would touch 100 rows") {
		t.Errorf("a parameter's type: the person saw\n%s", p)
	}
	// 1 February, or 2 January.
	const text = "UPDATE orders SET note = 'y' WHERE made < '01/02/2024'"
	w.plays(t, says("CZI", queryOf("SET datestyle = 'ISO, DMY'")), says("CZI", queryOf(text)))
	p, dmy, _ := s.lastAsked()
	if !strings.Contains(p, "it would touch 60 rows") || !strings.Contains(dmy.Args["reading"], "DateStyle=ISO, DMY") {
		t.Errorf("the way of dates: the person saw\n%s\n%v", p, dmy.Args)
	}
	w.plays(t, says("CZI", queryOf("SET datestyle = 'ISO, MDY'")), says("CZI", queryOf(text)))
	if p, mdy, _ := s.lastAsked(); !strings.Contains(p, "it would touch 0 rows") || mdy.Args["reading"] == dmy.Args["reading"] {
		t.Errorf("the way of dates: the person saw\n%s\n%v", p, mdy.Args)
	}
	// What the session has not committed is in no other's sight.
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Effect == ambit.Irreversible {
			return ambit.Ask
		}
		return ambit.Allow
	})
	w.plays(t, says("CZT", queryOf("BEGIN")), says("CZT", queryOf("UPDATE orders SET total = -1 WHERE id > 0")), says("CZT", queryOf("DELETE FROM orders WHERE total = -1")), says("CZI", queryOf("ROLLBACK")))
	if p, _, _ := s.lastAsked(); !strings.Contains(p, "not committed") {
		t.Errorf("changes of its own: the person saw\n%s", p)
	}
	w.plays(t, says("CZI", queryOf("DELETE FROM orders WHERE id = 1 /*\nit would touch 0 rows\n*/")))
	p, _, _ = s.lastAsked()
	for line := range strings.SplitSeq(p, "\n") {
		if strings.HasPrefix(line, "it would touch 0 rows") || strings.Contains(line, "not committed") {
			t.Errorf("a line of the statement passes for another:\n%s", p)
		}
	}
}

// TestNobodyIsAskedUnseen: nobody is asked about a statement whose text does not say
// what it does, nor about one that settings may have changed the meaning of.
func TestNobodyIsAskedUnseen(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.asking()
	end := &pgproto3.Sync{}
	set := []pgproto3.FrontendMessage{parseOf("s", "SET datestyle = 'ISO, DMY'"), &pgproto3.Bind{PreparedStatement: "s"}, executeOf("")}
	change := []pgproto3.FrontendMessage{parseOf("u", "UPDATE orders SET note = 'x' WHERE id = 1"), &pgproto3.Bind{PreparedStatement: "u"}, executeOf(""), end}
	before := s.state()
	s.raw().plays(t,
		says("EZI 42501", queryOf("COPY orders FROM STDIN")),
		says("CZT", queryOf("BEGIN")),
		says("CZT", queryOf("DECLARE c CURSOR FOR SELECT id FROM orders")),
		says("TDCZT", queryOf("FETCH 1 FROM c")),
		says("EZE 42501", queryOf("UPDATE orders SET note = 'x' WHERE CURRENT OF c")),
		says("CZI", queryOf("ROLLBACK")),
		says("12C1EZI 42501", append(slices.Clone(set), change...)...),
		says("EZI 42501", queryOf("SET search_path = pg_temp, public")),
		says("EZI 42501", queryOf("SET ROLE ambit_task")),
		says("EZI 42501", queryOf("SET SESSION AUTHORIZATION ambit_task")),
		says("EZI 42501", queryOf("EXPLAIN ANALYZE EXECUTE s")))
	if p, a, ok := s.lastAsked(); ok || s.state() != before {
		t.Errorf("somebody was asked about %v: %s", a, p)
	}
	s.raw().plays(t,
		says("12CZI", append(slices.Clone(set), end)...),
		says("12CZI", change...),
		says("CZI", queryOf("SET work_mem = '10MB'")),
		says("CZI", queryOf("INSERT INTO orders VALUES (500, 1, 'x')")))
	s.allow(func(*ambit.Action) ambit.Verdict { return ambit.Allow })
	w := s.raw()
	if err := w.send(queryOf("COPY orders FROM STDIN"), &pgproto3.CopyData{Data: []byte("501\t1\tx\n")}, &pgproto3.CopyDone{}); err != nil {
		t.Fatal(err)
	}
	if kinds, failed, err := w.until(); kinds != "CZI" || failed != nil || err != nil {
		t.Error(kinds, failed, err)
	}
}

// TestWhatIsHeld: neither portals nor failed messages take memory without a bound, and
// what is over gives it back.
func TestWhatIsHeld(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, func(c *Config) { c.Limits.Held, c.Limits.Names = 1<<20, 100 })
	end := &pgproto3.Sync{}
	big := strings.Repeat("x", 40<<10)
	w := s.raw()
	w.plays(t, says("CZT", queryOf("BEGIN")), says("1ZT", parseOf("s", "SELECT $1"), end))
	n := 0
	for ; n < 100; n++ {
		if got := w.says(t, bindOf("p"+strconv.Itoa(n), "s", big), end); got != "2ZT" {
			if got != "EZE 54000" {
				t.Errorf("the %dth portal: %s", n, got)
			}
			break
		}
	}
	if n < 2 || n > 20 {
		t.Errorf("%d portals of 40 KiB are held in 1 MiB", n)
	}
	w.plays(t, says("CZI", queryOf("ROLLBACK")))
	for range 60 { // of what fails, what is replaced and what is closed nothing stays
		w.plays(t,
			says("EZI 42703", parseOf("", "SELECT nosuch -- "+big), end),
			says("12ZI", parseOf("", "SELECT $1"), bindOf("p", "", big), end),
			says("1EZI 42501", parseOf("", "DROP TABLE nosuch -- "+big), &pgproto3.Bind{}, end))
	}
	w.plays(t, says("CZT", queryOf("BEGIN")))
	for i := range 120 {
		p := "n" + strconv.Itoa(i)
		w.plays(t, says("2DCZT", bindOf(p, "s", "x"), executeOf(p), &pgproto3.Close{ObjectType: 'P', Name: p}, end))
	}
	for i := range 100 {
		w.says(t, bindOf("m"+strconv.Itoa(i), "s", "x"), end)
	}
	w.plays(t, says("EZE 54000", bindOf("one more", "s", "x"), end), says("CZI", queryOf("ROLLBACK")), says("TDCZI", queryOf("SELECT 1")))
	w.c.Close()
	if !ambittest.Eventually(ambittest.Patience, func() bool { return s.gate.held.Load() == 0 }) {
		t.Errorf("%d bytes are held for nobody", s.gate.held.Load())
	}
}
