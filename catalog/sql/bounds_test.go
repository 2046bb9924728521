package sql

import (
	"strings"
	"testing"
)

// TestTooMuchWork: a text whose columns could each belong to each of very many tables is
// refused at once. To go through them all would take a processor for hours.
func TestTooMuchWork(t *testing.T) {
	for name, text := range map[string]string{
		"columns":           "SELECT " + strings.Repeat("a,", 20_000) + "a FROM " + strings.Repeat("t,", 20_000) + "t",
		"qualified columns": "SELECT " + strings.Repeat("x.a,", 20_000) + "a FROM " + strings.Repeat("t,", 20_000) + "t",
		"names of WITH":     "WITH " + strings.Repeat("a AS (SELECT 1),", 9_000) + "b AS (SELECT 1) SELECT 1 FROM " + strings.Repeat("t,", 20_000) + "t",
	} {
		if list, err := shared().Parse(text); err == nil {
			t.Errorf("%s: %d bytes are read as %+v", name, len(text), list[0].Accesses)
		}
	}
	for name, text := range map[string]string{
		"a wide table": "SELECT " + strings.Repeat("t.a,", 1600) + "t.b FROM t JOIN u ON t.id = u.id JOIN v ON v.id = u.id",
		"many rows":    "INSERT INTO t VALUES " + strings.Repeat("(1, 'x'),", 20_000) + "(1, 'x')",
		"many values":  "SELECT a FROM t WHERE a IN (" + strings.Repeat("1,", 50_000) + "1)",
		"many names":   "WITH " + strings.Repeat("a AS (SELECT 1),", 100) + "b AS (SELECT 1) SELECT 1 FROM " + strings.Repeat("t,", 100) + "t",
	} {
		if _, err := shared().Parse(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnseenAndEarly: what a text does not say of what it does, and what runs as soon as
// it is read.
func TestUnseenAndEarly(t *testing.T) {
	for text, want := range map[string]struct {
		unseen, early bool
		kind          Kind
	}{
		"COPY orders FROM STDIN":                                     {true, false, KindCopyIn},
		"COPY orders TO STDOUT":                                      {false, false, KindCopyOut},
		"COPY orders FROM '/etc/passwd'":                             {false, false, KindCode},
		"UPDATE orders SET total = 1 WHERE CURRENT OF c":             {true, false, KindQuery},
		"EXPLAIN ANALYZE DELETE FROM orders WHERE CURRENT OF c":      {true, false, KindQuery},
		"WITH x AS (SELECT '(1)'::comp) UPDATE orders SET total = 1": {false, true, KindQuery},
		"SELECT pg_catalog.lower(public.careful '1')":                {false, true, KindQuery},
		"EXPLAIN SELECT CAST('{1}' AS careful[])":                    {false, true, KindQuery},
		"SELECT * FROM json_to_record('{}') AS x(a careful)":         {false, true, KindQuery},
		"SELECT '1'::int, ARRAY['2']::pg_catalog.text[] FROM orders": {false, false, KindQuery},
		"EXPLAIN EXECUTE p":                                          {false, false, KindExecute},
		"EXPLAIN ANALYZE CREATE TABLE x AS EXECUTE p":                {false, false, KindExecute},
		"CREATE TABLE x AS EXECUTE p('1'::careful)":                  {false, true, KindExecute},
		"CREATE TABLE x AS SELECT 1":                                 {false, false, KindDefinition},
	} {
		list, err := shared().Parse(text)
		if err != nil || len(list) != 1 {
			t.Fatal(text, err)
		}
		if s := list[0]; (s.Unseen != "") != want.unseen || s.Early != want.early || s.Kind != want.kind {
			t.Errorf("%s: %q, %v, kind %d", text, s.Unseen, s.Early, s.Kind)
		}
	}
}
