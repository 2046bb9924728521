package sql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/catalog/sql"
	"ambit/gate"
	"ambit/internal/ambittest"
	"ambit/pipeline"
)

// shop is a real database behind a gate, with a real reader and a real pipeline.
type shop struct {
	t    testing.TB
	pg   *ambittest.Postgres
	gate *Gate
	addr string

	mu       sync.Mutex
	allowed  func(a *ambit.Action) ambit.Verdict
	answer   func(q pipeline.Question) (pipeline.Answer, error)
	last     ambit.RecordID
	intents  []pipeline.Intent
	under    map[ambit.RecordID]ambit.Action // by its intent
	refusals []pipeline.Intent
	ends     []pipeline.End
	asked    []pipeline.Question
	alerts   []string
	mint     error
}

const rolePassword = "a-password-of-the-lease"

// parser is one for all tests: it is made ready once.
var parser = sync.OnceValues(func() (*sql.Parser, error) {
	p := sql.NewParser(ambittest.CodeCache())
	return p, p.Start()
})

func newShop(t testing.TB, cfg ambittest.PostgresConfig, change func(*Config)) *shop {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real PostgreSQL, and makes the grammar ready, which takes seconds")
	}
	p, err := parser()
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, pg: ambittest.NewPostgres(t, cfg)}
	s.allowed = func(*ambit.Action) ambit.Verdict { return ambit.Allow }
	s.pg.Query(t, "postgres", `CREATE DATABASE shop`)
	s.pg.Query(t, "shop", `
		REVOKE ALL ON SCHEMA public FROM public; GRANT USAGE ON SCHEMA public TO public; REVOKE TEMPORARY ON DATABASE shop FROM public;
		CREATE TABLE orders (id int PRIMARY KEY, total int, note text);
		INSERT INTO orders SELECT i, i * 10, 'note ' || i FROM generate_series(1, 100) i;
		CREATE ROLE ambit_task LOGIN PASSWORD '`+rolePassword+`';
		ALTER ROLE ambit_task SET search_path = public;
		GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO ambit_task;`)
	ln := listen(t)
	c := testConfig(t, net.JoinHostPort(s.pg.Host, fmt.Sprint(s.pg.Port)), ln)
	c.Task, c.Reader, c.Alert = gate.Task{ID: ambit.NewTaskID(), Agent: "tester"}, p, s.alert
	c.Login = func(secret []byte) (Login, error) { return Login{"ambit_task", secret}, nil }
	pipe, err := pipeline.New(pipeline.Config{Task: c.Task.ID, Agent: c.Task.Agent, Identity: s, Decider: s, Asker: s, Recorder: s, Minter: s, Freeze: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	c.Do = pipe
	c.Foresee = func(a *ambit.Action) ambit.Verdict { return s.Decide(a).Verdict }
	if change != nil {
		change(&c)
	}
	s.gate, s.addr = startGate(t, c, ln), ln.Addr().String()
	return s
}

func (s *shop) alert(_ context.Context, kind string, _ ambit.Action, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alerts = append(s.alerts, kind+": "+detail)
}

func (s *shop) Live() error { return nil }

func (s *shop) Decide(a *ambit.Action) ambit.Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Service == "" {
		return ambit.Decision{By: "no-service", Why: "nothing has this name"}
	}
	return ambit.Decision{Verdict: s.allowed(a), By: "test.yaml:1:1", Why: "the test says so"}
}

func (s *shop) Remedy(*ambit.Action) string { return "a line that would allow it" }

func (s *shop) Ask(_ context.Context, q pipeline.Question) (pipeline.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, q)
	if s.answer == nil {
		return pipeline.Answer{}, errors.New("nobody is there")
	}
	return s.answer(q)
}

func (s *shop) Intent(_ context.Context, i pipeline.Intent) (ambit.RecordID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.intents = append(s.intents, i)
	if s.under == nil {
		s.under = map[ambit.RecordID]ambit.Action{}
	}
	s.under[s.last] = i.Action
	return s.last, nil
}

func (s *shop) Refusal(_ context.Context, i pipeline.Intent, _ string) (ambit.RecordID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.refusals = append(s.refusals, i)
	return s.last, nil
}

func (s *shop) Outcome(_ context.Context, e pipeline.End) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, e)
	return nil
}

func (s *shop) Mint(context.Context, *ambit.Action) (ambit.SecretValue, error) {
	return ambit.NewSecret([]byte(rolePassword)), s.mint
}

// readOnly allows what reads.
func readOnly(a *ambit.Action) ambit.Verdict {
	if a.Effect == ambit.Read {
		return ambit.Allow
	}
	return ambit.Deny
}

func (s *shop) allow(f func(a *ambit.Action) ambit.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = f
}

// done lists the operations of the actions that were let through, but for those of
// connections.
func (s *shop) done() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.intents {
		if a := &i.Action; a.Operation != "sql.connect" {
			text := a.Operation + " " + strings.Join(a.Resource.Segments, ".")
			if c := a.Args["columns"]; c != "" {
				text += "(" + c + ")"
			}
			out = append(out, text)
		}
	}
	return out
}

func (s *shop) url(settings string) string {
	return "postgres://anybody:nothing@" + s.addr + "/shop?" + settings
}

func (s *shop) connect(settings string) *pgx.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), ambittest.Patience)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url(settings))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// state is what the table holds, as the superuser sees it.
func (s *shop) state() string {
	return s.pg.Query(s.t, "shop", "SELECT count(*), sum(total), md5(string_agg(id || ':' || total || ':' || note, ',' ORDER BY id)) FROM orders")
}

func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return fmt.Sprint(err)
}

func TestClientsWork(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	for _, mode := range []string{"simple_protocol", "cache_statement", "cache_describe", "exec", "describe_exec"} {
		t.Run(mode, func(t *testing.T) {
			c := s.connect("sslmode=disable&default_query_exec_mode=" + mode)
			ctx := t.Context()
			for range 3 {
				var total int
				if err := c.QueryRow(ctx, "SELECT total FROM orders WHERE id = $1", 7).Scan(&total); err != nil || total != 70 {
					t.Fatal(total, err)
				}
			}
			tx, err := c.Begin(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if tag, err := tx.Exec(ctx, "UPDATE orders SET note = $2 WHERE id = $1", 7, "other"); err != nil || tag.RowsAffected() != 1 {
				t.Fatal(tag, err)
			}
			if err := tx.Rollback(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Exec(ctx, "SELECT nonsense FROM orders"); code(err) != "42703" {
				t.Errorf("an error of the database is %v", err)
			}
			rows, err := c.Query(ctx, "SELECT id FROM orders ORDER BY id")
			if err != nil {
				t.Fatal(err)
			}
			if ids, err := pgx.CollectRows(rows, pgx.RowTo[int]); err != nil || len(ids) != 100 {
				t.Fatal(len(ids), err)
			}
		})
	}
	for _, want := range []string{"sql.select public.orders(id,total)", "sql.update public.orders(note)", "sql.select public.orders(id)", "sql.transaction shop"} {
		if !slices.Contains(s.done(), want) {
			t.Errorf("there is no %s among %v", want, slices.Compact(s.done()))
		}
	}
}

func TestCopyListenCursors(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	c := s.connect("sslmode=disable")
	ctx := t.Context()
	n, err := c.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"id", "total", "note"}, pgx.CopyFromSlice(20000, func(i int) ([]any, error) {
		return []any{1000 + i, 1, strings.Repeat("x", 100)}, nil
	}))
	if err != nil || n != 20000 {
		t.Fatal(n, err)
	}
	var out counter
	if tag, err := c.PgConn().CopyTo(ctx, &out, "COPY orders TO STDOUT"); err != nil || tag.RowsAffected() != 20100 || out < 2_000_000 {
		t.Fatal(tag, out, err)
	}
	// Data that the database refuses in the middle: the connection goes on.
	_, err = c.CopyFrom(ctx, pgx.Identifier{"orders"}, []string{"id", "total", "note"}, pgx.CopyFromSlice(50000, func(i int) ([]any, error) {
		return []any{1000 + i%2, 1, strings.Repeat("x", 1000)}, nil
	}))
	if code(err) != "23505" {
		t.Fatalf("%v", err)
	}
	if _, err := c.Exec(ctx, "LISTEN news"); err != nil {
		t.Fatal(err)
	}
	s.pg.Query(t, "shop", "NOTIFY news, 'hello'")
	wait, cancel := context.WithTimeout(ctx, ambittest.Patience)
	defer cancel()
	if m, err := c.WaitForNotification(wait); err != nil || m.Payload != "hello" {
		t.Fatal(m, err)
	}
	tx, err := c.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		var id int
		if err := tx.QueryRow(ctx, "FETCH 1 FROM c").Scan(&id); err != nil || id != i+1 {
			t.Fatal(id, err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	var big string
	if err := c.QueryRow(ctx, "SELECT repeat('y', 50000000)").Scan(&big); err != nil || len(big) != 50_000_000 {
		t.Fatal(len(big), err)
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// TestReadOnlyTask is a task that may only read: whatever else it tries is refused by
// the gate, and every row is unchanged; the connection goes on.
func TestReadOnlyTask(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.allow(readOnly)
	before := s.state()
	for _, mode := range []string{"simple_protocol", "exec"} {
		c := s.connect("sslmode=disable&default_query_exec_mode=" + mode)
		for _, text := range []string{
			"DELETE FROM orders", "UPDATE orders SET total = 0", "UPDATE orders SET total = 0 WHERE id = 1", "INSERT INTO orders VALUES (500, 1, 'x')", "TRUNCATE orders", "DROP TABLE orders",
			"WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d", "SELECT lo_create(0)", "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')",
			"COPY orders TO PROGRAM 'cat'", "COPY orders FROM STDIN", "COMMIT; DROP SCHEMA public CASCADE", "SELECT 1; DELETE FROM orders", "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres",
			"SET default_transaction_read_only = off", "SET TRANSACTION READ WRITE", "BEGIN READ WRITE", "DO $$ BEGIN DELETE FROM orders; END $$", "EXPLAIN ANALYZE DELETE FROM orders",
			"SELECT set_config('search_path', 'x', false)", "SET search_path = x", "SET client_encoding = 'SJIS'", "SET standard_conforming_strings = off", "PREPARE p AS DELETE FROM orders", "EXECUTE p",
			"SELECT pg_sleep(0); DELETE FROM orders WHERE id = 1", "CREATE TEMP TABLE t (x int)", "SELECT * INTO t2 FROM orders", "CREATE TABLE t2 AS SELECT * FROM orders", "LOCK orders",
			"SELECT * FROM orders FOR UPDATE", "MERGE INTO orders USING orders o ON true WHEN MATCHED THEN DELETE", "CALL p()", "GRANT ALL ON orders TO public", "NOTIFY news",
			"REFRESH MATERIALIZED VIEW v", "ALTER TABLE orders ADD x int", "COMMENT ON TABLE orders IS 'x'", "VACUUM", "selec nonsense", "SELECT 'x\x01", "SELECT nextval('s')",
		} {
			_, err := c.Exec(t.Context(), text)
			e, ok := errors.AsType[*pgconn.PgError](err)
			mistake := ok && (text == "selec nonsense" || text == "SELECT 'x\x01") && e.Code == "42601" && strings.Contains(e.Detail, "was not sent")
			if !ok || !mistake && !strings.HasPrefix(e.Message, "ambit refused") || e.Detail == "" || e.Hint == "" {
				t.Errorf("%s: %s: %v", mode, text, err)
			}
			var n int
			if err := c.QueryRow(t.Context(), "SELECT count(*) FROM orders").Scan(&n); err != nil || n != 100 {
				t.Fatalf("after %s: %d, %v", text, n, err)
			}
		}
	}
	if after := s.state(); after != before {
		t.Errorf("the rows were %s and are %s", before, after)
	}
}

// TestRefusalsEndTransactions: what was refused fails what it belongs to, so that no
// part of it is kept and the client's view of the transaction is the database's.
func TestRefusalsEndTransactions(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Effect == ambit.Irreversible {
			return ambit.Deny
		}
		return ambit.Allow
	})
	before := s.state()
	for _, mode := range []string{"simple_protocol", "exec", "cache_statement"} {
		c := s.connect("sslmode=disable&default_query_exec_mode=" + mode)
		ctx := t.Context()
		tx, err := c.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, "UPDATE orders SET total = 1 WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, "DELETE FROM orders"); code(err) != "42501" {
			t.Errorf("%s: %v", mode, err)
		}
		if st := c.PgConn().TxStatus(); st != 'E' {
			t.Errorf("%s: the transaction is %c", mode, st)
		}
		if _, err := tx.Exec(ctx, "SELECT 1"); code(err) != "25P02" {
			t.Errorf("%s: %v", mode, err)
		}
		if err := tx.Commit(ctx); !errors.Is(err, pgx.ErrTxCommitRollback) {
			t.Errorf("%s: commit: %v", mode, err)
		}
		// A pipeline: the first part passes and is taken back, the third is skipped.
		b := &pgx.Batch{}
		b.Queue("UPDATE orders SET total = 2 WHERE id = 2")
		b.Queue("DELETE FROM orders WHERE id = 3")
		b.Queue("UPDATE orders SET total = 4 WHERE id = 4")
		if err := c.SendBatch(ctx, b).Close(); code(err) != "42501" {
			t.Errorf("%s: the batch: %v", mode, err)
		}
		var n int
		if err := c.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(&n); err != nil || n != 100 {
			t.Errorf("%s: %d, %v", mode, n, err)
		}
	}
	if after := s.state(); after != before {
		t.Errorf("the rows were %s and are %s", before, after)
	}
}

// TestAskedStatements: a person sees what would happen, and what they approve
// happens once.
func TestAskedStatements(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	approved := map[ambit.Digest]bool{}
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Effect != ambit.Read {
			return ambit.Ask
		}
		return ambit.Allow
	})
	s.answer = func(q pipeline.Question) (pipeline.Answer, error) {
		if approved[q.Digest] {
			delete(approved, q.Digest)
			return pipeline.Answer{Approved: true, By: "ann"}, nil
		}
		return pipeline.Answer{Pending: true, Ticket: "t1", Until: time.Now().Add(time.Minute)}, nil
	}
	ctx := t.Context()
	for _, mode := range []string{"simple_protocol", "exec"} {
		c := s.connect("sslmode=disable&default_query_exec_mode=" + mode)
		update := func(id int, note string) error {
			_, err := c.Exec(ctx, "UPDATE orders SET note = $1 WHERE id = $2", note, id)
			return err
		}
		err := update(7, "mended "+mode)
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "42501" || !strings.Contains(e.Hint, "ticket t1") || !strings.Contains(e.Detail, "pending r") {
			t.Fatalf("%s: %+v", mode, err)
		}
		q := s.asked[len(s.asked)-1]
		for _, want := range []string{"UPDATE orders", "mended " + mode, "public.orders", "it would touch 1 row\n", "id: 7", "total: 70"} {
			if !strings.Contains(q.Preview, want) {
				t.Errorf("%s: the question lacks %q:\n%s", mode, want, q.Preview)
			}
		}
		approved[q.Digest] = true
		if err := update(8, "mended "+mode); code(err) != "42501" {
			t.Errorf("%s: another row: %v", mode, err)
		}
		if err := update(7, "mended  "+mode); code(err) != "42501" {
			t.Errorf("%s: other bytes: %v", mode, err)
		}
		if err := update(7, "mended "+mode); err != nil {
			t.Errorf("%s: the approved one: %v", mode, err)
		}
		if err := update(7, "mended "+mode); code(err) != "42501" {
			t.Errorf("%s: a second time: %v", mode, err)
		}
		if got := s.pg.Query(t, "shop", "SELECT string_agg(note, ',' ORDER BY id) FROM orders WHERE id IN (7, 8)"); got != "mended "+mode+",note 8" {
			t.Errorf("%s: the rows say %s", mode, got)
		}
	}
}

func TestCancel(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	c := s.connect("sslmode=disable")
	done := make(chan error, 1)
	go func() { _, err := c.PgConn().Exec(t.Context(), "SELECT pg_sleep(60)").ReadAll(); done <- err }()
	if !ambittest.Eventually(ambittest.Patience, func() bool {
		return s.pg.Query(t, "shop", "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND usename = 'ambit_task'") == "1"
	}) {
		t.Fatal("the statement does not run")
	}
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; code(err) != "57014" {
		t.Errorf("%v", err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPipelineOfWrites is what psycopg's executemany sends: one statement, and its
// executions one behind the other, each described before it, with one Sync for all.
func TestPipelineOfWrites(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	w := s.raw()
	ms := []pgproto3.FrontendMessage{parseOf("many", "INSERT INTO orders VALUES ($1, 1, 'many')")}
	for i := range 5 {
		ms = append(ms, bindOf("", "many", fmt.Sprint(1000+i)), &pgproto3.Describe{ObjectType: 'P'}, executeOf(""))
	}
	if got, want := w.says(t, append(ms, &pgproto3.Sync{})...), "1"+strings.Repeat("2C", 5)+"ZI"; got != want {
		t.Errorf("the agent got %s, want %s", got, want)
	}
	if got := w.says(t, bindOf("", "many", "2000"), executeOf(""), &pgproto3.Sync{}); got != "2CZI" {
		t.Errorf("the statement that was prepared: %s", got)
	}
	if got := s.pg.Query(t, "shop", "SELECT count(*) FROM orders WHERE note = 'many'"); got != "6" {
		t.Errorf("%s rows were inserted, want 6", got)
	}
}

// TestPortalThatDidNotBegin: a portal whose execution the database skipped, for an
// error before it, is decided anew; it is no fetch that goes on.
func TestPortalThatDidNotBegin(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	w, err := dialWire(t.Context(), s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer w.c.Close()
	w.c.SetDeadline(time.Now().Add(ambittest.Patience))
	if failed, err := w.start(map[string]string{"database": "shop"}); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	q := func(text string) pgproto3.FrontendMessage { return &pgproto3.Query{String: text} }
	bind := &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "u"}
	for _, step := range []struct {
		send []pgproto3.FrontendMessage
		want string
	}{
		{[]pgproto3.FrontendMessage{q("BEGIN")}, "CZT"},
		{[]pgproto3.FrontendMessage{parseOf("u", "SELECT total FROM orders WHERE id = 1"), bind, &pgproto3.Sync{}}, "12ZT"},
		{[]pgproto3.FrontendMessage{q("SAVEPOINT a")}, "CZT"},
		{[]pgproto3.FrontendMessage{parseOf("bad", "SELECT nosuch FROM orders"), executeOf("p"), &pgproto3.Sync{}}, "EZE 42703"},
		{[]pgproto3.FrontendMessage{q("ROLLBACK TO a")}, "CZT"},
		{[]pgproto3.FrontendMessage{executeOf("p"), &pgproto3.Sync{}}, "DCZT"},
		{[]pgproto3.FrontendMessage{q("COMMIT")}, "CZI"},
	} {
		if got := w.says(t, step.send...); got != step.want {
			t.Fatalf("%v: %s, want %s", step.send, got, step.want)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reads := 0
	for _, i := range s.intents {
		switch i.Action.Operation {
		case "sql.select":
			reads++
		case "sql.fetch":
			t.Errorf("the read of %s was recorded as a fetch", i.Action.Resource)
		}
	}
	if reads != 2 {
		t.Errorf("%d reads were recorded, want 2: the one that failed and the one that ran", reads)
	}
}
