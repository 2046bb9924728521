package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestApprovedDefinitions: what a person approves of an agent's changes to a database's
// tables runs once, with the rights of their owner for that statement alone, and what it
// makes is that owner's when the task is over. The database tells.
func TestApprovedDefinitions(t *testing.T) {
	slow(t)
	t.Parallel()
	d := newShopDatabase(t)
	d.Query(t, "shop", `CREATE ROLE keeper; ALTER SCHEMA public OWNER TO keeper; ALTER TABLE orders OWNER TO keeper; ALTER TABLE customers OWNER TO keeper;
		CREATE TABLE old (x int); ALTER TABLE old OWNER TO keeper; CREATE TABLE supers (x int); CREATE SEQUENCE numbers; ALTER SEQUENCE numbers OWNER TO keeper;
		CREATE PROCEDURE closes() LANGUAGE sql AS 'UPDATE orders SET total = 0 WHERE id = 1'; REVOKE ALL ON PROCEDURE closes() FROM PUBLIC; ALTER PROCEDURE closes() OWNER TO keeper; ALTER PROCEDURE closes() SECURITY DEFINER`)
	h := ambittest.NewHome(t, ambittest.Users()[len(ambittest.Users())-1])
	h.Compiled(t)
	h.Grants(t, d.grants()+`ask:
  - shop: ["public.*", shop]
    operations: [create, alter, drop, call, upkeep]
    because: the tables change with the program
`)
	h.Setting(t, "hold: 45s\n")
	approved := []string{
		"DROP TABLE old", "ALTER TABLE orders ADD COLUMN note text DEFAULT ''", "CREATE INDEX orders_note ON orders (lower(note))", "CREATE TABLE made (id serial PRIMARY KEY)",
		"SELECT nextval('numbers')", "CALL public.closes()", "VACUUM orders",
	}
	refused := []string{"DROP TABLE supers", "ALTER SYSTEM SET fsync = off", "DROP TABLE orders; DROP TABLE customers", "ALTER TABLE orders OWNER TO me", "CREATE EXTENSION dblink"}
	var b strings.Builder
	fmt.Fprintf(&b, "%sat=\"host=shop.ambit port=%d dbname=shop user=me\"\n", psql, d.Port)
	for _, sql := range refused {
		fmt.Fprintf(&b, "$psql -XAtq \"$at\" -c %s 2>&1 | sed 's/^/refused: /'\n", quoteShell(sql))
	}
	for i, sql := range approved {
		fmt.Fprintf(&b, "$psql -XAtq \"$at\" -c %s 2>&1 && echo done %d\n", quoteShell(sql), i)
	}
	fmt.Fprintf(&b, "$psql -XAtq \"$at\" -c 'DROP TABLE orders' 2>&1 | sed 's/^/again: /'\n")
	h.File(t, "change.sh", b.String())
	c := h.Ambit("run", "--", "sh", "change.sh")
	c.Env = append(c.Env, d.env())
	run := start(t, c)
	for i, sql := range approved {
		q := asked(t, h)
		has(t, "the question", q.Screen, sql)
		want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
		run.says(t, "done "+strconv.Itoa(i))
	}
	q := asked(t, h) // a second time is another question
	want(t, h.Do(t, "deny", q.Ticket), 0)
	r := run.wait(t)
	if n := strings.Count(r.Stdout, "refused: ERROR:"); n != len(refused) || !strings.Contains(r.Stdout, "which is a superuser") {
		t.Errorf("%d were refused:\n%s", n, r.Stdout)
	}
	has(t, "the agent's output", r.Stdout, "again: ERROR:")
	d.nobodyLeft(t)
	got := d.Query(t, "shop", `SELECT string_agg(relname || ' ' || relowner::regrole, ', ' ORDER BY relname) FROM pg_class WHERE relname IN ('old', 'made', 'made_id_seq', 'orders', 'orders_note', 'supers')
		UNION ALL SELECT last_value::text FROM numbers UNION ALL SELECT total || note FROM orders WHERE id = 1 UNION ALL SELECT count(*)::text FROM pg_auth_members WHERE roleid = 'keeper'::regrole`)
	if wanted := "made keeper, made_id_seq keeper, orders keeper, orders_note keeper, supers postgres\n1\n0\n0"; got != wanted {
		t.Errorf("the database has\n%s\nwant\n%s\n%s", got, wanted, r.Stdout)
	}
	verified(t, h, d.Password)
}
