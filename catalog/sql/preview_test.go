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
		"DELETE FROM orders USING todo WHERE order_id = id AND batch = 1",
		"DELETE FROM orders USING todo",
		"DELETE FROM orders USING todo WHERE batch = 7",
		"DELETE FROM orders USING orders o WHERE o.id = orders.id + 35",
		"UPDATE orders SET total = t.batch FROM todo t JOIN todo u USING (order_id) WHERE t.order_id = orders.id",
		"WITH x AS (SELECT order_id FROM todo WHERE batch = 0) DELETE FROM orders WHERE id IN (SELECT order_id FROM x)",
		`DELETE FROM orders WHERE city = E'it\'s' OR city = $$c1$$ -- with a comment`,
	} {
		list, err := shared().Parse(text)
		if err != nil || len(list) != 1 {
			t.Fatal(text, err)
		}
		count, rows, why := shared().Preview(list[0])
		if why != "" {
			t.Errorf("%s: no preview: %s", text, why)
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
		"WITH orders AS (SELECT 1 AS id) DELETE FROM orders":                                       "",
		"WITH orders AS (SELECT 1 AS id) DELETE FROM s.orders":                                     "WITH orders AS (SELECT 1 AS id) SELECT count(*) FROM s.orders\nWITH orders AS (SELECT 1 AS id) SELECT orders.* FROM s.orders LIMIT 10",
		"DELETE FROM orders o USING todo t WHERE t.id = o.id":                                      "SELECT count(*) FROM orders o WHERE EXISTS (SELECT 1 FROM todo t WHERE t.id = o.id)\nSELECT o.* FROM orders o WHERE EXISTS (SELECT 1 FROM todo t WHERE t.id = o.id) LIMIT 10",
		// The grammar's writer leaves these parentheses out, which makes them other conditions.
		"DELETE FROM orders WHERE paid BETWEEN false AND (true = shipped)": "",
		"DELETE FROM orders WHERE (total > id) IN (true)":                  "",
		"DELETE FROM orders WHERE paid BETWEEN false AND shipped":          "SELECT count(*) FROM orders WHERE paid BETWEEN false AND shipped\nSELECT orders.* FROM orders WHERE paid BETWEEN false AND shipped LIMIT 10",
	} {
		list, err := shared().Parse(text)
		if err != nil || len(list) != 1 {
			t.Fatal(text, err)
		}
		count, rows, why := shared().Preview(list[0])
		if got := strings.Trim(count+"\n"+rows, "\n"); got != want || (why == "") != (want != "") {
			t.Errorf("%s:\n%s %s\nwant\n%s", text, got, why, want)
		}
	}
	if _, _, why := shared().Preview(Statement{}); why == "" {
		t.Error("nothing has a preview")
	}
}

// TestPreviewOfColumns: a preview shows the columns that it is given, whatever they
// are called.
func TestPreviewOfColumns(t *testing.T) {
	list, err := shared().Parse("UPDATE orders o SET total = 0 WHERE id = 1")
	if err != nil {
		t.Fatal(err)
	}
	_, rows, why := shared().Preview(list[0], "id", "Order", `a"b; DROP TABLE orders`)
	if want := `SELECT o.id, o."Order", o."a""b; DROP TABLE orders" FROM orders o WHERE id = 1 LIMIT 10`; rows != want || why != "" {
		t.Errorf("%s %s, want %s", rows, why, want)
	}
}
