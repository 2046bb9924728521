package sql

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit/internal/ambittest"
)

// TestPreviewOfWhatMayBeRead: a person sees what the task may read without asking of what
// it wants to change, and is told what they do not see, and why.
func TestPreviewOfWhatMayBeRead(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.pg.Query(t, "shop", `CREATE TABLE closed (id int, note text); INSERT INTO closed VALUES (1, 'a secret');
		CREATE TABLE todo (order_id int, why text); INSERT INTO todo SELECT i % 20, 'a secret' FROM generate_series(1, 60) i; GRANT SELECT (order_id) ON todo TO ambit_task;
		CREATE TABLE "Odd ones" ("a""b" int, "Plain" int, hidden int); INSERT INTO "Odd ones" VALUES (1, 2, 4711); GRANT SELECT ("a""b", "Plain") ON "Odd ones" TO ambit_task;
		REVOKE ALL ON orders FROM ambit_task; GRANT SELECT (id, note) ON orders TO ambit_task`)
	s.asking()
	const unread = "not shown, since the task may not read them without asking: "
	for text, want := range map[string][]string{
		"UPDATE orders SET note = 'x' WHERE id = 7":                       {"it would touch 1 row\n", "as it is now:\n  id: 7  note: note 7\n", unread + "total\n", "!total: 70"},
		"DELETE FROM orders WHERE id > 88":                                {"it would touch 12 rows\n", "the first 10:", "id: 89  note: note 89", unread + "total\n"},
		"DELETE FROM orders WHERE id > 100":                               {"it would touch 0 rows\n", "!as "},
		"DELETE FROM orders o USING todo t WHERE t.order_id = o.id":       {"it would touch 19 rows\n", "the first 10:", unread + "total\n", "!a secret"},
		"UPDATE orders SET note = 'x' WHERE total = 70":                   {"could not be found: without asking, the task may not read every column that the condition reads (the database refused: 42501", "!would touch 0"},
		"UPDATE orders SET note = 'x' FROM todo WHERE todo.why = note":    {"may not read every column that the condition reads", "!a secret"},
		"DELETE FROM closed":                                              {"how many rows it would touch, and which, could not be found: ", "permission denied for table closed", "!a secret"},
		`DELETE FROM "Odd ones" WHERE "Plain" = 2`:                        {"it would touch 1 row\n", `  a"b: 1  Plain: 2`, unread + "hidden\n", "!4711"},
		"INSERT INTO orders SELECT id + 200, 1, note FROM orders":         {"there is no preview of rows: it is no UPDATE or DELETE\n"},
		"INSERT INTO orders (id) VALUES (300)":                            {"there is no preview of rows: it is no UPDATE or DELETE\n"},
		"TRUNCATE orders":                                                 {"there is no preview of rows: it is no UPDATE or DELETE\n"},
		"WITH x AS (DELETE FROM todo RETURNING *) DELETE FROM orders":     {"there is no preview of rows: it changes more than one table\n"},
		"WITH orders AS (SELECT 1 AS id) DELETE FROM orders":              {"there is no preview of rows: a WITH query in it has the name of the table\n"},
		"DELETE FROM orders; DELETE FROM orders":                          {"there is no preview of rows: it is several statements\n"},
		"UPDATE orders SET note = pg_notify('a', 'b')::text":              {"there is no preview of rows: it calls what is not known to only read\n"},
		"WITH x AS (INSERT INTO todo VALUES (1)) DELETE FROM orders":      {"there is no preview of rows: it does more than to change the rows of one table\n"},
		"SELECT pg_notify('a', 'b')":                                      {"there is no preview of rows: it is no UPDATE or DELETE\n"},
		"UPDATE orders SET note = 'x' WHERE id = 7 AND note LIKE 'note%'": {"it would touch 1 row\n"},
	} {
		s.forget()
		w := s.raw()
		_ = w.says(t, queryOf(text))
		_ = w.c.Close()
		p, _, ok := s.lastAsked()
		if !ok {
			t.Errorf("%s: nobody was asked", text)
		}
		for _, want := range want {
			if not, ok := strings.CutPrefix(want, "!"); ok == strings.Contains(p, strings.TrimPrefix(want, "!")) {
				t.Errorf("%s: want %q (%q not); the person saw\n%s", text, want, not, p)
			}
		}
	}
}

// TestPreviewOfParameters: the same for a statement with parameters, of which the count
// and the rows use other ones than the columns do.
func TestPreviewOfParameters(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.pg.Query(t, "shop", "REVOKE ALL ON orders FROM ambit_task; GRANT SELECT (id), UPDATE ON orders TO ambit_task")
	s.asking()
	w := s.raw()
	w.plays(t, says("12CZI", parseOf("", "UPDATE orders SET total = $1, note = $2 WHERE id = $3"), &pgproto3.Bind{Parameters: [][]byte{[]byte("1"), []byte("x"), []byte("7")}}, executeOf(""), &pgproto3.Sync{}))
	p, _, _ := s.lastAsked()
	if !strings.Contains(p, "it would touch 1 row\nas it is now:\n  id: 7\nnot shown, since the task may not read them without asking: total, note\n") {
		t.Errorf("the person saw\n%s", p)
	}
	if got := s.pg.Query(t, "shop", "SELECT note FROM orders WHERE id = 7"); got != "x" {
		t.Errorf("the note is %s", got)
	}
}

// TestPreviewOfAnotherTable: a WITH query takes the table's name, so that a query about
// the rows finds none, and the statement deletes those of the table.
func TestPreviewOfAnotherTable(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.asking()
	w := s.raw()
	w.plays(t, says("CZI", queryOf("WITH orders AS (SELECT id FROM orders WHERE false) DELETE FROM orders WHERE id > 90")))
	if p, _, _ := s.lastAsked(); strings.Contains(p, "would touch") || !strings.Contains(p, "there is no preview of rows: ") {
		t.Errorf("the person saw\n%s", p)
	}
	if n := s.pg.Query(t, "shop", "SELECT count(*) FROM orders"); n != "90" {
		t.Errorf("%s rows are left", n)
	}
	w.plays(t, says("CZI", queryOf("WITH old AS (SELECT id FROM orders WHERE id > 80) DELETE FROM orders WHERE id IN (SELECT id FROM old)")))
	if p, _, _ := s.lastAsked(); !strings.Contains(p, "it would touch 10 rows\n") {
		t.Errorf("the person saw\n%s", p)
	}
}
