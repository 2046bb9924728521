package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// shopDatabase is a real database of a shop, over TLS.
type shopDatabase struct {
	*ambittest.Postgres
	ca *ambittest.CA
}

func newShopDatabase(t *testing.T) *shopDatabase {
	t.Helper()
	ca := ambittest.NewCA(t)
	d := &shopDatabase{Postgres: ambittest.NewPostgres(t, ambittest.PostgresConfig{CA: ca, Names: []string{"db.internal"}}), ca: ca}
	d.Query(t, "postgres", "CREATE DATABASE shop")
	d.Query(t, "shop", `
		REVOKE TEMPORARY ON DATABASE shop FROM public;
		CREATE TABLE orders (id int PRIMARY KEY, customer int, total int);
		INSERT INTO orders SELECT i, i % 7, i * 10 FROM generate_series(1, 1000) i;
		CREATE TABLE customers (id int PRIMARY KEY, city text, email text);
		INSERT INTO customers SELECT i, 'Bern', 'c' || i || '@example.org' FROM generate_series(0, 6) i;`)
	return d
}

// grants is the file's services section. The name db.internal is the certificate's;
// it is dialled where the server really is.
func (d *shopDatabase) grants() string {
	return head + fmt.Sprintf("services:\n  shop: {kind: postgres, host: db.internal, address: %q, database: shop, ca: %q, credential: {env: SHOP_ADMIN_URL}, env: [DATABASE_URL]}\n",
		net.JoinHostPort(d.Host, strconv.Itoa(d.Port)), d.ca.File) + `
read:
  - files: ["."]
  - shop: [public.orders, "public.customers(id, city)"]
write:
  - files: ["."]
    because: the work is done here
`
}

// env is what the task's role is made with.
func (d *shopDatabase) env() string { return "SHOP_ADMIN_URL=" + d.AdminURL("shop") }

// nobodyLeft sees that no role of a task is left, and no session of one.
func (d *shopDatabase) nobodyLeft(t *testing.T) {
	t.Helper()
	gone := func() bool {
		return d.Query(t, "shop", `SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'ambit\_%' AND rolcanlogin) + (SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'ambit\_%')`) == "0"
	}
	if !ambittest.Eventually(ambittest.Patience, gone) {
		t.Errorf("a role of the task is left: %s", d.Query(t, "shop", "SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname LIKE 'ambit%'"))
	}
}

// state is what the tables hold, as the superuser sees them.
func (d *shopDatabase) state(t *testing.T) string {
	t.Helper()
	return d.Query(t, "shop", `SELECT 'orders', count(*), sum(total), md5(string_agg(orders::text, ',' ORDER BY id)) FROM orders
		UNION ALL SELECT 'customers', count(*), 0, md5(string_agg(customers::text, ',' ORDER BY id)) FROM customers
		UNION ALL SELECT 'relations', count(*), 0, '' FROM pg_class UNION ALL SELECT 'functions', count(*), 0, '' FROM pg_proc
		UNION ALL SELECT 'large objects', count(*), 0, '' FROM pg_largeobject_metadata ORDER BY 1`)
}

// psql is the program itself: Debian's wrapper of it chooses a server by files that are
// not there inside.
const psql = "psql=$(ls -d /usr/lib/postgresql/*/bin/psql | tail -1)\n"

// TestDatabaseClients lets four clients reach the database by its names, with TLS and
// without, with whatever password; none of them holds the lease.
func TestDatabaseClients(t *testing.T) {
	slow(t)
	t.Parallel()
	users(t, func(t *testing.T, uid int) {
		d := newShopDatabase(t)
		h := ambittest.NewHome(t, uid)
		h.Compiled(t)
		h.Grants(t, "uses: [node, python]\n"+d.grants())
		copyModules(t, "../../bin/agents/node_modules", filepath.Join(h.Workspace, "node_modules"))
		h.Own(t)
		h.File(t, "client.js", `
const { Client } = require('pg');
(async () => {
  const c = new Client({ host: 'db.internal', port: Number(process.env.PORT), database: 'shop', user: 'x', password: 'y', ssl: { rejectUnauthorized: true } });
  await c.connect();
  const r = await c.query('SELECT total FROM orders WHERE id = $1', [7]);
  console.log('node ' + r.rows[0].total);
  try { await c.query('DELETE FROM orders WHERE id = $1', [7]); console.log('node DELETED'); } catch (e) { console.log('node refused ' + e.code + ' ' + e.message); }
  console.log('node again ' + (await c.query('SELECT count(*) FROM orders')).rows[0].count);
  await c.end();
})();
`)
		h.File(t, "client.py", `
import psycopg2, os
c = psycopg2.connect(os.environ['DATABASE_URL'] + '?sslmode=require')
k = c.cursor()
k.execute('SELECT total FROM orders WHERE id = %s', (7,))
print('python', k.fetchone()[0])
try:
    k.execute('UPDATE orders SET total = 0'); print('python UPDATED')
except psycopg2.Error as e:
    print('python refused', e.pgcode, e.diag.message_primary)
c.rollback()
with c.cursor(name='big') as k2:
    k2.execute('SELECT id FROM orders ORDER BY id'); print('python cursor', len(k2.fetchall()))
`)
		port := strconv.Itoa(d.Port)
		h.File(t, "all.sh", psql+`
export PORT=`+port+` PGPASSWORD=nonsense
for at in "host=db.internal sslmode=verify-full" "host=shop.ambit sslmode=verify-full" "host=shop.ambit sslmode=disable" "host=db.internal sslmode=require"; do
  echo "psql $($psql -XAt "$at port=$PORT dbname=shop user=me" -c 'SELECT total FROM orders WHERE id = 7')"
done
$psql -XAt "host=shop.ambit port=$PORT dbname=shop user=me" -c 'SELECT email FROM customers' 2>&1 | sed 's/^/psql /'
echo '\d orders' | $psql -XAt "host=shop.ambit port=$PORT dbname=shop user=me" | sed 's/^/d /'
node client.js 2>&1
python3 client.py 2>&1
env > env.txt
`)
		before := d.state(t)
		c := h.Ambit("run", "--", "sh", "all.sh")
		c.Env = append(c.Env, d.env())
		r := ambittest.Finish(t, c)
		want(t, r, 0)
		if n := strings.Count(r.Stdout, "psql 70\n"); n != 4 {
			t.Errorf("psql read the order %d times, want 4", n)
		}
		has(t, "the agent's output", r.Stdout, "ambit refused sql.select on public.customers", "d id|integer", "node 70\n", "node refused 42501 ambit refused sql.delete on public.orders", "node again 1000",
			"python 70\n", "python refused 42501 ambit refused sql.update on public.orders", "python cursor 1000")
		lacks(t, "the agent's output", []byte(r.Stdout+r.Stderr), append(h.Secrets(), d.Password)...)
		lacks(t, "the agent's environment", []byte(h.Read(t, "env.txt")), append(h.Secrets(), d.Password)...)
		if after := d.state(t); after != before {
			t.Errorf("the database was\n%s\nand is\n%s", before, after)
		}
		if t.Failed() {
			t.Log(r)
		}
		d.nobodyLeft(t)
		verified(t, h, d.Password)
	})
}

// copyModules gives the agent the client of Node.js that npm installed beside the
// agent programs.
func copyModules(t *testing.T, from, to string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(from, "pg")); err != nil {
		t.Fatalf("the client pg for Node.js is not installed: ./check setup (%v)", err)
	}
	all, err := filepath.Glob(from + "/pg*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres-array", "postgres-bytea", "postgres-date", "postgres-interval", "split2", "xtend"} {
		all = append(all, filepath.Join(from, name))
	}
	for _, m := range all {
		if err := os.CopyFS(filepath.Join(to, filepath.Base(m)), os.DirFS(m)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReportTask replays an agent that was to write a report on production orders and
// deleted them: reading passes, and nothing else that it tries changes a row.
func TestReportTask(t *testing.T) {
	slow(t)
	t.Parallel()
	d := newShopDatabase(t)
	h := ambittest.NewHome(t, ambittest.Users()[0])
	h.Compiled(t)
	h.Grants(t, "uses: [node]\n"+d.grants())
	attempts := []string{
		"DELETE FROM orders", "DROP TABLE orders", "DROP SCHEMA public CASCADE", "TRUNCATE orders", "WITH d AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM d",
		"SELECT lo_create(4711)", "SELECT lo_import('/etc/hostname')", "SELECT lo_unlink(4711)", "COPY orders TO PROGRAM 'touch /tmp/x'", "COPY orders FROM PROGRAM 'cat'",
		"COMMIT; DROP SCHEMA public CASCADE", "SELECT 1; DELETE FROM orders", "SET ROLE postgres", "SET default_transaction_read_only = off", "SET SESSION AUTHORIZATION postgres",
		"DO $x$ BEGIN DELETE FROM orders; END $x$", "UPDATE orders SET total = 0", "UPDATE orders SET total = 0 WHERE id = 1", "INSERT INTO orders VALUES (5000, 1, 1)",
		"EXPLAIN ANALYZE DELETE FROM orders", "SELECT email FROM customers", "SELECT * FROM customers", "SELECT pg_read_file('/etc/passwd')", "SELECT set_config('role', 'postgres', false)",
		"BEGIN; DELETE FROM orders; COMMIT", "CREATE TABLE x (y int)", "GRANT ALL ON orders TO public", "ALTER TABLE orders DROP COLUMN total", "SELECT * FROM orders FOR UPDATE",
	}
	var b strings.Builder
	b.WriteString(psql + `at="host=shop.ambit port=` + strconv.Itoa(d.Port) + ` dbname=shop user=me"` + "\n")
	var extended []string
	for _, a := range attempts {
		fmt.Fprintf(&b, "$psql -XAtq \"$at\" -c %s 2>&1 | sed 's/^/simple /'\n", quoteShell(a))
		if !strings.Contains(a, ";") || strings.Contains(a, "$x$") {
			extended = append(extended, a)
		}
	}
	b.WriteString("node extended.js\n" + `echo "report $($psql -XAtq "$at" -c 'SELECT c.city, count(*), sum(o.total) FROM orders o JOIN customers c ON c.id = o.customer GROUP BY c.city')"` + "\n")
	copyModules(t, "../../bin/agents/node_modules", filepath.Join(h.Workspace, "node_modules"))
	list, err := json.Marshal(extended)
	if err != nil {
		t.Fatal(err)
	}
	// The same by the extended protocol, on one connection, and each once more behind a
	// statement that passes, in one go.
	h.File(t, "extended.js", `
const { Client } = require('pg');
(async () => {
  const c = new Client({ host: 'shop.ambit', port: `+strconv.Itoa(d.Port)+`, database: 'shop', user: 'x', pipeline: true });
  await c.connect();
  for (const text of `+string(list)+`) {
    const both = [c.query({ text: 'SELECT 1', queryMode: 'extended' }), c.query({ text, queryMode: 'extended' })];
    const [one, two] = await Promise.allSettled(both);
    console.log('extended ' + one.status + ' ' + (two.reason ? two.reason.message : 'DONE ' + text));
  }
  await c.end();
})();
`)
	h.File(t, "report.sh", b.String())
	before := d.state(t)
	c := h.Ambit("run", "--", "sh", "report.sh")
	c.Env = append(c.Env, d.env())
	r := ambittest.Finish(t, c)
	want(t, r, 0)
	if after := d.state(t); after != before {
		t.Errorf("the database was\n%s\nand is\n%s", before, after)
	}
	has(t, "the report", r.Stdout, "report Bern|1000|5005000")
	if n := strings.Count(r.Stdout, "simple ERROR:  ambit refused"); n != len(attempts) {
		t.Errorf("%d of %d attempts were refused by a simple query", n, len(attempts))
	}
	if n := strings.Count(r.Stdout, "extended fulfilled ambit refused"); n != len(extended) {
		t.Errorf("%d of %d attempts were refused by the extended protocol", n, len(extended))
	}
	if t.Failed() {
		t.Log(r)
	}
	d.nobodyLeft(t)
	verified(t, h, d.Password)
}

func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// TestChangeFreeze replays an agent that changed production during a freeze: what a
// person approves runs once, and no other row, no second time.
func TestChangeFreeze(t *testing.T) {
	slow(t)
	t.Parallel()
	d := newShopDatabase(t)
	h := ambittest.NewHome(t, ambittest.Users()[len(ambittest.Users())-1])
	h.Compiled(t)
	h.Grants(t, d.grants()+`ask:
  - shop: public.orders
    operations: [update, delete]
    because: a wrong row may need correcting
`)
	hold(t, h, "200ms")
	h.File(t, "fix.sh", psql+`at="host=shop.ambit port=`+strconv.Itoa(d.Port)+` dbname=shop user=me"
u() { $psql -XAt "$at" -c "$1" 2>&1 || true; }
u 'UPDATE orders SET total = 1 WHERE id = 7'
while [ ! -e go ]; do sleep 0.05; done
echo other; u 'UPDATE orders SET total = 1 WHERE id = 8'
echo bytes; u 'UPDATE orders SET total = 1  WHERE id = 7'
echo same; u 'UPDATE orders SET total = 1 WHERE id = 7'
echo again; u 'UPDATE orders SET total = 1 WHERE id = 7'
`)
	c := h.Ambit("run", "--", "sh", "fix.sh")
	c.Env = append(c.Env, d.env())
	run := start(t, c)
	run.says(t, "ambit refused sql.update on public.orders")
	q := asked(t, h)
	has(t, "the question", q.Operation+" "+q.Resource+" "+q.Screen, "sql.update", "UPDATE orders SET total = 1 WHERE id = 7", "it would touch 1 row\n", "total: 70")
	if got := d.Query(t, "shop", "SELECT total FROM orders WHERE id = 7"); got != "70" {
		t.Errorf("before anybody approved the total is %s", got)
	}
	want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
	h.File(t, "go", "")
	r := run.wait(t)
	want(t, r, 0)
	_, rest, _ := strings.Cut(r.Stdout, "other\n")
	before, after, _ := strings.Cut(rest, "same\n")
	same, again, _ := strings.Cut(after, "again\n")
	if !strings.HasPrefix(same, "UPDATE 1") || strings.Contains(before+again, "UPDATE 1") {
		t.Errorf("exactly the identical statement should run, once:\n%s", r.Stdout)
	}
	if got := d.Query(t, "shop", "SELECT string_agg(total::text, ',' ORDER BY id) FROM orders WHERE id IN (7, 8)"); got != "1,80" {
		t.Errorf("the totals are %s, want 1,80", got)
	}
	d.nobodyLeft(t)
	verified(t, h, d.Password)
}
