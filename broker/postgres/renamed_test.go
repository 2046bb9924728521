package postgres

import "testing"

// TestRenamedTables: a table or a column that is called something else keeps the grants
// that it had. A lease that is made then has no right on it, and on the new one it has.
func TestRenamedTables(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders, Right{Schema: "public", Table: "orders", Privilege: Insert}, Right{Schema: "public", Table: "customers", Columns: []string{"id", "city"}, Privilege: Select},
		Right{Schema: "back", Table: All, Except: []string{"secret"}, Privilege: Select})
	first, url := w.lease(p)
	mustQuery(t, url, "SELECT id, city FROM customers")
	mustQuery(t, url, "SELECT * FROM back.stock")
	groups := len(w.roles())
	w.exec(`ALTER TABLE orders RENAME TO payroll; CREATE TABLE orders (id serial, total int);
		ALTER TABLE customers RENAME city TO home; ALTER TABLE customers ADD city text;
		ALTER TABLE back.secret RENAME TO other; ALTER TABLE back.stock RENAME TO secret`)
	second, again := w.lease(p)
	for sql, allowed := range map[string]bool{
		"SELECT * FROM orders":                  true,
		"INSERT INTO orders (total) VALUES (1)": true,
		"SELECT id, city FROM customers":        true,
		"SELECT * FROM back.other":              true,
		"SELECT * FROM payroll":                 false,
		"INSERT INTO payroll DEFAULT VALUES":    false,
		"SELECT home FROM customers":            false,
		"SELECT * FROM back.secret":             false,
	} {
		if _, err := query(again, sql); (err == nil) != allowed {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if n := len(w.roles()); n != groups+1 {
		t.Errorf("there are %d roles, and were %d before another lease", n, groups)
	}
	third, _ := w.lease(p)
	w.end(p, first)
	w.end(p, second)
	w.end(p, third)
}
