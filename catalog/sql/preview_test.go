package sql

import (
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestPreview runs previews on a real server beside the statements themselves:
// the count is the number of rows that the statement changes, and the rows are
// among them.
func TestPreview(t *testing.T) {
	pg := ambittest.NewPostgres(t, ambittest.PostgresConfig{})
	const schema = `CREATE TABLE orders (id int, city text, total int); INSERT INTO orders SELECT i, 'c' || i % 3, i FROM generate_series(1, 40) i;
		CREATE TABLE todo (order_id int, batch int); INSERT INTO todo SELECT i % 7, i % 2 FROM generate_series(1, 30) i;`
	pg.Query(t, "postgres", schema)
	for _, text := range []string{
		"UPDATE orders SET total = 0 WHERE id = 7",
		"UPDATE orders SET total = 0",
		"UPDATE public.orders AS o SET total = o.total + 1 WHERE o.city = 'c1' OR o.id < 4",
		"UPDATE ONLY orders SET (total, city) = (1, 'x') WHERE id = ANY(ARRAY[1, 2, 99])",
		"DELETE FROM orders WHERE city = 'c2' RETURNING id",
		"DELETE FROM orders o USING todo t WHERE t.order_id = o.id AND t.batch = 1",
		"UPDATE orders SET total = t.batch FROM todo t JOIN todo u USING (order_id) WHERE t.order_id = orders.id",
		"WITH x AS (SELECT order_id FROM todo WHERE batch = 0) DELETE FROM orders WHERE id IN (SELECT order_id FROM x)",
		`DELETE FROM orders WHERE city = E'it\'s' OR city = $$c1$$ -- with a comment`,
	} {
		list, err := shared().Parse(text)
		if err != nil || len(list) != 1 {
			t.Fatal(text, err)
		}
		count, rows, ok := shared().Preview(list[0])
		if !ok {
			t.Errorf("%s: no preview", text)
			continue
		}
		const split = "SELECT '--'"
		got := strings.Split(pg.Query(t, "postgres", "BEGIN;"+count+";"+split+";SELECT count(*), bool_and(q::text = ANY (SELECT o::text FROM orders o)) FROM ("+rows+") q;"+split+";\n"+
			text+"\n;\\echo :ROW_COUNT\nROLLBACK;"), "\n--\n")
		changed := got[2][strings.LastIndex(got[2], "\n")+1:]
		if got[0] != changed {
			t.Errorf("%s: the preview counts %s rows, %s were changed", text, got[0], changed)
		}
		want := changed + "|t"
		if len(changed) > 1 {
			want = "10|t"
		}
		if changed == "0" {
			want = "0|"
		}
		if got[1] != want {
			t.Errorf("%s: the rows are %s, want %s", text, got[1], want)
		}
	}
}

// TestPreviewKeepsParameters holds the text of previews.
func TestPreviewKeepsParameters(t *testing.T) {
	for text, want := range map[string]string{
		"UPDATE orders SET total = $1 WHERE id = $2 AND city = $3": "SELECT count(*) FROM orders WHERE id = $2 AND city = $3\nSELECT orders.* FROM orders WHERE id = $2 AND city = $3 LIMIT 10",
		"DELETE FROM s.orders o WHERE o.id = $1":                   "SELECT count(*) FROM s.orders o WHERE o.id = $1\nSELECT o.* FROM s.orders o WHERE o.id = $1 LIMIT 10",
		"DELETE FROM orders WHERE f(id)":                           "",
		"DELETE FROM orders WHERE CURRENT OF c":                    "",
		"UPDATE orders SET total = f() WHERE id = 1":               "",
		"INSERT INTO orders (id) VALUES (1)":                       "",
		"SELECT 1":                                                 "",
		"TRUNCATE orders":                                          "",
		"EXPLAIN ANALYZE DELETE FROM orders":                       "",
		"WITH x AS (DELETE FROM a RETURNING id) DELETE FROM orders WHERE id IN (SELECT id FROM x)": "",
		"DELETE FROM orders WHERE id = nextval('s')":                                               "",
		// The grammar's writer leaves these parentheses out, which makes them other conditions.
		"DELETE FROM orders WHERE paid BETWEEN false AND (true = shipped)": "",
		"DELETE FROM orders WHERE (total > id) IN (true)":                  "",
		"DELETE FROM orders WHERE paid BETWEEN false AND shipped":          "SELECT count(*) FROM orders WHERE paid BETWEEN false AND shipped\nSELECT orders.* FROM orders WHERE paid BETWEEN false AND shipped LIMIT 10",
	} {
		list, err := shared().Parse(text)
		if err != nil || len(list) != 1 {
			t.Fatal(text, err)
		}
		count, rows, ok := shared().Preview(list[0])
		if got := strings.Trim(count+"\n"+rows, "\n"); got != want || ok != (want != "") {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, want)
		}
	}
	if _, _, ok := shared().Preview(Statement{}); ok {
		t.Error("nothing has a preview")
	}
}
