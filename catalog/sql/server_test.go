package sql

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"ambit/internal/ambittest"
)

// world has what the statements of the corpus name, with effects that are seen:
// functions, operators and casts that change rows.
const world = `
	CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric, city text, zip text, created timestamptz DEFAULT now(), paid bool, deleted_at timestamptz, data jsonb);
	INSERT INTO orders SELECT i, i % 7, i, 'c' || i % 3, 'z', now(), i % 2 = 0, NULL, '{"a": 1}' FROM generate_series(1, 50) i;
	CREATE TABLE customers (id int PRIMARY KEY, name text, city text, customer_id int); INSERT INTO customers SELECT i, 'n' || i, 'c', i FROM generate_series(1, 9) i;
	CREATE TABLE t (a int, b int, c bool, d date, s text, id int, x int, y int, z int, w int); INSERT INTO t SELECT i, i, true, now(), 's', i, i, i, i, i FROM generate_series(1, 9) i;
	CREATE TABLE a (id int, x int); INSERT INTO a VALUES (1, 2); CREATE TABLE b (id int, y int); INSERT INTO b VALUES (1, 3);
	CREATE TABLE docs (d jsonb, data jsonb); INSERT INTO docs VALUES ('{"a": 1}', '{"a": 1}');
	CREATE TABLE nodes (id int, parent int); INSERT INTO nodes VALUES (1, NULL), (2, 1);
	CREATE TABLE staging (id int, total numeric); INSERT INTO staging VALUES (1, 5); CREATE TABLE todo (order_id int, batch int); INSERT INTO todo VALUES (1, 3);
	CREATE TABLE victims (n int); INSERT INTO victims SELECT generate_series(1, 100);
	CREATE SEQUENCE s; SELECT nextval('s');
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO victims VALUES (0) RETURNING 1';
	CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'INSERT INTO victims VALUES ($1) RETURNING 1';
	CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'INSERT INTO victims VALUES (5) RETURNING 1';
	CREATE FUNCTION "F"(int) RETURNS int LANGUAGE sql AS 'INSERT INTO victims VALUES ($1) RETURNING 1';
	CREATE FUNCTION f(VARIADIC int[]) RETURNS int LANGUAGE sql AS 'INSERT INTO victims VALUES (1) RETURNING 1';
	CREATE FUNCTION lies() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN INSERT INTO victims VALUES (9); RETURN 1; END';
	CREATE FUNCTION less(int, int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO victims VALUES (2); RETURN $1 < $2; END';
	CREATE OPERATOR <<<>>> (FUNCTION = less, LEFTARG = int, RIGHTARG = int);
	CREATE OPERATOR public.= (FUNCTION = less, LEFTARG = int, RIGHTARG = int);
	CREATE OPERATOR public.+ (FUNCTION = less, LEFTARG = int, RIGHTARG = int);
	CREATE FUNCTION checked(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN INSERT INTO victims VALUES (3); RETURN true; END';
	CREATE DOMAIN careful AS int CHECK (checked(VALUE));
	CREATE PROCEDURE p(int) LANGUAGE sql AS 'INSERT INTO victims VALUES ($1)';
	SELECT lo_from_bytea(4711, 'x');
	CREATE PUBLICATION pub; CREATE STATISTICS st ON a, b FROM t; CREATE EXTENSION dblink;
`

// server is a real server whose whole state can be compared. Nothing writes to
// its log of changes (the WAL) but statements: every write shows there.
type server struct {
	pg    *ambittest.Postgres
	admin *pgconn.PgConn // looks
	conn  *pgconn.PgConn // runs what is judged
	other *pgconn.PgConn // an innocent session
	t     testing.TB

	worked int // texts that ran without an error
}

func newServer(t testing.TB) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a database server")
	}
	s := &server{t: t, pg: ambittest.NewPostgres(t, ambittest.PostgresConfig{Settings: map[string]string{
		"autovacuum": "off", "wal_level": "minimal", "max_wal_senders": "0", "checkpoint_timeout": "1d", "max_wal_size": "10GB", "track_commit_timestamp": "on", "max_prepared_transactions": "5",
	}})}
	s.pg.Query(t, "postgres", world+"\nVACUUM FREEZE; CHECKPOINT;")
	s.admin, s.other = s.connect(""), s.connect("")
	s.ask(s.other, "LISTEN news; LISTEN a")
	s.conn = s.connect("?statement_timeout=2000")
	return s
}

func (s *server) connect(settings string) *pgconn.PgConn {
	s.t.Helper()
	c, err := pgconn.Connect(context.Background(), s.pg.AdminURL("postgres")+settings)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// ask returns what a text of SQL returns, in one line.
func (s *server) ask(c *pgconn.PgConn, sql string) string {
	s.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	list, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		s.t.Fatalf("%.100s: %v", sql, err)
	}
	var b strings.Builder
	for _, r := range list {
		for _, row := range r.Rows {
			for _, col := range row {
				b.Write(col)
				b.WriteByte('|')
			}
		}
	}
	return b.String()
}

// pulse is what every change moves: the position in the log of changes, the
// next transaction, the locks that outlive a statement, the other session.
const pulse = `SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot()), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
	(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), (SELECT count(*) FROM pg_replication_slots), pg_conf_load_time(), (SELECT stats_reset FROM pg_stat_bgwriter)`

// guards are the settings of a session that keep it where it is.
const guards = `SELECT current_user, session_user, current_setting('search_path'),
	current_setting('standard_conforming_strings'), current_setting('client_encoding'), current_setting('row_security'), current_setting('session_replication_role'),
	current_setting('statement_timeout'), current_setting('work_mem'), current_setting('backslash_quote'), current_setting('lo_compat_privileges'), current_setting('check_function_bodies')`

// state is everything: all rows of all tables of all schemas, with their
// system columns, sequences and large objects among them, and all files.
func (s *server) state() string {
	s.t.Helper()
	tables := strings.Split(strings.Trim(s.ask(s.admin, `SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relpersistence <> 't' AND oid::regclass::text <> 'pg_catalog.pg_statistic' ORDER BY 1`), "|"), "|")
	var b strings.Builder
	b.WriteString(s.ask(s.admin, "SELECT * FROM s") + "\n") // the sequence
	for _, t := range tables {
		b.WriteString(t + " " + s.ask(s.admin, `SELECT md5(string_agg(concat_ws('/', q.ctid, q.xmin, q.xmax, (q.*)::text), E'\n' ORDER BY q.ctid)) FROM `+t+` q`) + "\n")
	}
	err := filepath.WalkDir(s.pg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "pg_stat_tmp" || d.Name() == "pgsql_tmp" || d.Name() == "pg_dynshmem") {
			return fs.SkipDir
		}
		if !strings.Contains(path, "pg_internal.init") && !strings.Contains(path, "/pg_stat") {
			b.WriteString(path + "\n")
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

// run sends texts as a client would, ends their transactions so that what they
// did stays, and says what they moved: "" when nothing.
func (s *server) run(texts ...string) string {
	s.t.Helper()
	before, held := s.ask(s.admin, pulse), s.ask(s.conn, guards)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	for _, text := range texts {
		if _, err := s.conn.Exec(ctx, text).ReadAll(); err == nil { // that it fails is as good
			s.worked++
		}
	}
	if s.conn.IsClosed() {
		return "the session ended"
	}
	if _, err := s.conn.Exec(ctx, "COMMIT").ReadAll(); err != nil {
		return err.Error()
	}
	if after := s.ask(s.conn, guards); after != held {
		return "the guards were " + held + " and are " + after
	}
	if s.other.IsClosed() {
		return "the other session ended"
	}
	s.ask(s.other, "SELECT 1")
	after := s.ask(s.admin, pulse)
	s.ask(s.conn, "DISCARD ALL")
	if after != before {
		return "the pulse was " + before + " and is " + after
	}
	return ""
}
