package sql

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit/internal/ambittest"
)

// TestNewSyntaxOnOldServers: what is syntax in the grammar's version of PostgreSQL is a
// call of somebody's function in an older one.
func TestNewSyntaxOnOldServers(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{Version: ambittest.Stable}, nil)
	s.allow(readOnly)
	s.pg.Query(t, "shop", `CREATE TABLE victims (n int);
		CREATE FUNCTION json_scalar(int) RETURNS int SECURITY DEFINER LANGUAGE sql AS 'INSERT INTO public.victims VALUES (1) RETURNING n';
		CREATE FUNCTION json_value(text, text) RETURNS int SECURITY DEFINER LANGUAGE sql AS 'INSERT INTO public.victims VALUES (2) RETURNING n';
		CREATE FUNCTION json_arrayagg(int) RETURNS int SECURITY DEFINER LANGUAGE sql AS 'INSERT INTO public.victims VALUES (3) RETURNING n'`)
	w := s.raw()
	for _, text := range []string{"SELECT json_scalar(1)", "SELECT JSON_VALUE('a', 'b')", "SELECT json_arrayagg(1)", "EXPLAIN ANALYZE SELECT id FROM orders WHERE json_scalar(1) = 1"} {
		if got := w.says(t, queryOf(text)); got != "EZI 42501" {
			t.Errorf("%s: the agent got %s", text, got)
		}
		if got := w.says(t, parseOf("", text), &pgproto3.Bind{}, executeOf(""), &pgproto3.Sync{}); got != "EZI 42501" {
			t.Errorf("%s, extended: the agent got %s", text, got)
		}
	}
	if n := s.pg.Query(t, "shop", "SELECT count(*) FROM victims"); n != "0" {
		t.Errorf("the functions ran %s times", n)
	}
	w.plays(t, says("TDCZI", queryOf(`SELECT json_build_object('a', 1) -> 'a', '{"a": 1}'::json ->> 'a'`)))
}

// TestOtherEncodings: in a database of another encoding the server folds and cuts names
// otherwise than the gate reads them. What is ASCII, and what is a parameter, is the same.
func TestOtherEncodings(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.pg.Query(t, "postgres", "ALTER DATABASE shop RENAME TO kept; CREATE DATABASE shop TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
	w := s.raw()
	w.plays(t,
		says("EZI 42501", queryOf("SELECT 'é'")),
		says("EZI 42501", parseOf("", "SELECT 1 AS é"), &pgproto3.Sync{}),
		says("TDCZI", queryOf("SELECT 'e'")),
		says("12DCZI", parseOf("", "SELECT length($1)"), bindOf("", "", "é"), executeOf(""), &pgproto3.Sync{}))
	utf8 := newShop(t, ambittest.PostgresConfig{}, nil)
	utf8.raw().plays(t, says("TDCZI", queryOf("SELECT 'é' AS \"É\"")))
}

// TestNothingEndsABatch: a text of no statements ends what was sent before it, for the
// database as for the agent.
func TestNothingEndsABatch(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	w := s.raw()
	switch got := w.says(t, parseOf("", "UPDATE orders SET note = 'kept' WHERE id = 1"), &pgproto3.Bind{}, executeOf(""), queryOf(" -- nothing")); got {
	case "12CZI":
	case "12CZT":
		return // PostgreSQL 18 ends it for nobody, and says so
	default:
		t.Errorf("the agent got %s", got)
	}
	w.plays(t, says("1EZI 42703", parseOf("", "SELECT 1"), parseOf("", "SELECT nosuch"), &pgproto3.Sync{}))
	if got := s.pg.Query(t, "shop", "SELECT note FROM orders WHERE id = 1"); got != "kept" {
		t.Errorf("what the agent was told is done is %q", got)
	}
}

// TestChangedSearchPath: a call that was allowed changes where names are looked up; the
// session ends, for what comes next would be read in another way than the server does.
// PostgreSQL tells of it from version 18 on.
func TestChangedSearchPath(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{Version: ambittest.Newest}, nil)
	w := s.raw()
	w.plays(t, says("TDCZI", queryOf("SELECT set_config('search_path', 'public, pg_temp', false)")), says("CZI", queryOf("DISCARD ALL")), says("TDCZI", queryOf("SELECT 1")))
	_ = w.send(queryOf("SELECT set_config('search_path', 'pg_temp, public', false)"))
	if _, _, err := w.until(); err == nil {
		if err := w.send(queryOf("SELECT 1")); err == nil {
			if kinds, _, err := w.until(); err == nil {
				t.Errorf("the session goes on: %s", kinds)
			}
		}
	}
}
