package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"ambit"
	"ambit/broker"
	"ambit/broker/brokertest"
	"ambit/internal/ambittest"
	"ambit/pgwire"
	"ambit/store/row"
)

// shared is one server for all tests of the package, each with a database of its
// own, started when the first needs it.
var shared struct {
	once sync.Once
	p    *ambittest.Postgres
	t    suite
	n    int
}

// suite is a test that lasts as long as all of them.
type suite struct {
	testing.TB
	undo []func()
}

func (s *suite) Cleanup(f func()) { s.undo = append(s.undo, f) }

func (s *suite) TempDir() string {
	dir, err := os.MkdirTemp("", "ambit-postgres-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		os.Exit(child())
	}
	code := m.Run()
	for _, f := range slices.Backward(shared.t.undo) {
		f()
	}
	os.Exit(code)
}

// query runs statements over a connection of its own and returns the rows of the
// last one.
func query(url, sql string) ([][]string, error) {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer hangUp(c)
	return ask(ctx, c, sql)
}

// ask runs statements as an agent does, with another client than the broker's. What the
// server refuses is an error of the same type, so that code tells it.
func ask(ctx context.Context, c *pgconn.PgConn, sql string) ([][]string, error) {
	results, err := c.Exec(ctx, sql).ReadAll()
	if bad, ok := errors.AsType[*pgconn.PgError](err); ok {
		return nil, &pgwire.Error{Severity: bad.Severity, Code: bad.Code, Message: bad.Message}
	}
	if err != nil || len(results) == 0 {
		return nil, err
	}
	var rows [][]string
	for _, r := range results[len(results)-1].Rows {
		row := make([]string, len(r))
		for i, v := range r {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func hangUp(c *pgconn.PgConn) {
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	_ = c.Close(ctx) // the server notices in any case
}

func mustQuery(t testing.TB, url, sql string) [][]string {
	t.Helper()
	rows, err := query(url, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// world is a database with a few tables, and the daemon's side of it.
type world struct {
	t       testing.TB
	pg      *ambittest.Postgres
	db      string
	servers *Servers
}

func newWorld(t testing.TB) *world {
	t.Helper()
	shared.once.Do(func() {
		shared.t.TB = t
		shared.p = ambittest.NewPostgres(&shared.t, ambittest.PostgresConfig{Settings: map[string]string{"max_connections": "400", "max_prepared_transactions": "5", "log_min_messages": "fatal"}})
	})
	if shared.p == nil {
		if shared.t.Skipped() {
			t.Skip("PostgreSQL is not installed: apt-get install postgresql")
		}
		t.Fatal("there is no server: the first test says why")
	}
	shared.n++
	return worldOn(t, shared.p, fmt.Sprintf("shop%d", shared.n))
}

func worldOn(t testing.TB, pg *ambittest.Postgres, db string) *world {
	w := &world{t: t, pg: pg, db: db, servers: &Servers{}}
	mustQuery(t, pg.AdminURL("postgres"), "CREATE DATABASE "+db)
	w.exec(`
		CREATE TABLE orders (id serial PRIMARY KEY, customer int, total int);
		INSERT INTO orders (customer, total) SELECT n % 10, n FROM generate_series(1, 100) n;
		CREATE TABLE customers (id int, city text, iban text);
		INSERT INTO customers VALUES (1, 'Bonn', 'DE1'), (2, 'Ulm', 'DE2');
		CREATE TABLE "odd ""name%" (x int);
		CREATE SCHEMA back; CREATE TABLE back.stock (n int); CREATE TABLE back.secret (n int)`)
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), ambittest.Patience)
		defer stop()
		if err := w.servers.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		w.clean()
		mustQuery(t, pg.AdminURL("postgres"), "DROP DATABASE "+db+" WITH (FORCE)")
	})
	return w
}

func (w *world) exec(sql string) [][]string {
	w.t.Helper()
	return mustQuery(w.t, w.pg.AdminURL(w.db), sql)
}

// clean sees that nothing of Ambit is in the catalog of the database.
func (w *world) clean() {
	w.t.Helper()
	if rows := w.roles(); len(rows) > 0 {
		w.t.Errorf("roles are left: %v", rows)
	}
	if rows := w.exec("SELECT relname, relacl FROM pg_class WHERE relacl::text LIKE '%ambit%' UNION ALL SELECT datname, datacl FROM pg_database WHERE datname = current_database() AND datacl::text LIKE '%ambit%'" +
		" UNION ALL SELECT 'setting', setconfig::text::aclitem[] FROM pg_db_role_setting WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE oid = setrole) AND setrole <> 0"); len(rows) > 0 {
		w.t.Errorf("grants are left: %v", rows)
	}
}

// roles are Ambit's in the catalog: those of leases, and this database's groups.
func (w *world) roles() (out []string) {
	for _, r := range w.exec("SELECT rolname FROM pg_roles WHERE rolname ~ '^ambit_[0-9a-f]{32}$' OR rolname LIKE '" + strings.ReplaceAll(groupPrefix(w.db), "_", `\_`) + "%' ORDER BY 1") {
		out = append(out, r[0])
	}
	return out
}

func (w *world) config(rights ...Right) Config {
	return Config{
		Admin: []byte(w.pg.AdminURL(w.db)), Rights: rights,
		ReadOnly: !slices.ContainsFunc(rights, func(r Right) bool { return r.Privilege != Select }),
	}
}

func (w *world) provider(rights ...Right) *Provider {
	w.t.Helper()
	p, err := w.servers.Provider(w.config(rights...))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	return p
}

var lastLease int

// lease mints, and returns the lease and the URL that it gives.
func (w *world) lease(p broker.Provider) (row.Lease, string) {
	w.t.Helper()
	lastLease++
	o := broker.Order{Lease: fmt.Sprintf("%032x", lastLease), Task: ambit.NewTaskID(), Service: "shop", Expires: time.Now().Add(10 * time.Minute)}
	c, err := p.Mint(context.Background(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	l := row.Lease{ID: o.Lease, Task: o.Task, Service: o.Service, Provider: p.Name(), Handle: c.Handle, State: row.LeaseLive, Expires: o.Expires}
	return l, w.url(c.Secret.Reveal())
}

func (w *world) url(secret []byte) string {
	user, password, _ := strings.Cut(string(secret), "\n")
	return w.pg.URL(user, password, w.db)
}

func (w *world) usable(secret []byte) bool {
	_, err := query(w.url(secret), "SELECT 1")
	return err == nil
}

// end revokes and proves.
func (w *world) end(p broker.Provider, l row.Lease) {
	w.t.Helper()
	if err := p.Revoke(context.Background(), l); err != nil {
		w.t.Errorf("Revoke: %v", err)
	}
	if usable, err := p.Prove(context.Background(), l); err != nil || usable {
		w.t.Errorf("Prove = %v, %v", usable, err)
	}
}

var readOrders = Right{Schema: "public", Table: "orders", Privilege: Select}

func TestConformance(t *testing.T) {
	brokertest.Run(t, func(t *testing.T) brokertest.World {
		w := newWorld(t)
		p := w.provider(readOrders)
		var delay time.Duration
		var mu sync.Mutex
		down := false
		var loses loss
		p.server.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if down || loses.done() {
				return nil, errors.New("the network is down")
			}
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &losing{Conn: &slowConn{Conn: c, mu: &mu, delay: &delay}, on: &loses}, err
		}
		return brokertest.World{
			Provider: p, Usable: w.usable,
			Again: func() broker.Provider {
				recipe, err := p.Recipe()
				if err != nil {
					t.Fatal(err)
				}
				a, err := w.servers.FromRecipe(recipe)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { a.Close() })
				return a
			},
			Down: func(b bool) {
				p.server.close()
				mu.Lock()
				down = b
				mu.Unlock()
			},
			Slow: func(d time.Duration) {
				mu.Lock()
				delay = d
				mu.Unlock()
			},
			Refused: func() broker.Provider { return w.refused("postgres", "wrong") },
			Lose:    loses.next,
			Clock: func(skew time.Duration) broker.Provider {
				c := w.config(readOrders)
				c.Now = func() time.Time { return time.Now().Add(skew) }
				a, err := w.servers.Provider(c)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { a.Close() })
				return a
			},
			Stop: func(n int) (steps func() int) {
				// Each life makes its groups anew.
				if _, err := p.server.tidy(t.Context()); err != nil {
					t.Fatal(err)
				}
				did := 0
				p.fault = func(string) error {
					if did++; n > 0 && did >= n {
						return errors.New("stopped")
					}
					return nil
				}
				return func() int { p.fault = nil; return did }
			},
		}
	})
}

// slowConn waits before each write.
type slowConn struct {
	net.Conn
	mu    *sync.Mutex
	delay *time.Duration
}

func (c *slowConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	d := *c.delay
	c.mu.Unlock()
	time.Sleep(d)
	return c.Conn.Write(b)
}

// What the rights give passes, and nothing else does: the database says so.
func TestRights(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders, Right{Schema: "public", Table: "customers", Columns: []string{"id", "city"}, Privilege: Select},
		Right{Schema: "public", Table: `odd "name%`, Privilege: Insert}, Right{Schema: "back", Table: All, Except: []string{"secret"}, Privilege: Select},
		Right{Schema: "public", Table: "orders", Privilege: Insert}, Right{Schema: "public", Table: "orders", Columns: []string{"total"}, Privilege: Update})
	l, url := w.lease(p)
	for sql, allowed := range map[string]bool{
		"SELECT count(*) FROM orders":                        true,
		"SELECT id, city FROM customers":                     true,
		"SELECT iban FROM customers":                         false,
		"SELECT * FROM customers":                            false,
		`INSERT INTO "odd ""name%" VALUES (1)`:               true,
		`SELECT * FROM "odd ""name%"`:                        false,
		"SELECT * FROM back.stock":                           true,
		"SELECT * FROM back.secret":                          false,
		"INSERT INTO orders (customer, total) VALUES (1, 2)": true,
		"UPDATE orders SET total = 1 WHERE id = 1":           true,
		"UPDATE orders SET customer = 1":                     false,
		"DELETE FROM orders":                                 false,
		"TRUNCATE orders":                                    false,
		"DROP TABLE orders":                                  false,
		"CREATE TABLE x (n int)":                             false,
		"CREATE SCHEMA x":                                    false,
		"GRANT SELECT ON back.secret TO PUBLIC":              false,
		"COPY orders TO PROGRAM 'cat'":                       false,
		"SELECT pg_read_file('/etc/passwd')":                 false,
		"CREATE ROLE x":                                      false,
		"SET SESSION AUTHORIZATION postgres":                 false,
		"SET ROLE postgres":                                  false,
		"SELECT rolpassword FROM pg_authid":                  false,
		"ALTER TABLE orders ADD x int":                       false,
		"LOCK TABLE customers IN ACCESS EXCLUSIVE MODE":      false,
		"SELECT nextval('orders_id_seq')":                    true, // inserting gives it
		"SELECT setval('orders_id_seq', 1)":                  false,
	} {
		if _, err := query(url, sql); (err == nil) != allowed {
			t.Errorf("%s: %v", sql, err)
		}
	}
	w.end(p, l)
}

func TestReadOnlyByDefault(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders)
	l, url := w.lease(p)
	for name, want := range map[string]string{
		"default_transaction_read_only": "on", "statement_timeout": "1min", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "1min",
		"idle_session_timeout": "30min", "search_path": "pg_catalog, public, pg_temp",
	} {
		if got := mustQuery(t, url, "SHOW "+name); got[0][0] != want {
			t.Errorf("%s = %s, want %s", name, got[0][0], want)
		}
	}
	row := w.exec("SELECT rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolvaliduntil < now() + interval '11 min' FROM pg_roles WHERE rolname = '" + Role(l.ID) + "'")
	if got := strings.Join(row[0], " "); got != "f t f f t f f 20 t" {
		t.Errorf("the role is %s", got)
	}
	if rows := w.exec("SELECT relname FROM pg_class WHERE relacl::text LIKE '%" + Role(l.ID) + "%'"); len(rows) > 0 {
		t.Errorf("tables name the task's role: %v", rows)
	}
	// A task that writes is not held back.
	q := w.provider(readOrders, Right{Schema: "public", Table: "orders", Privilege: Insert})
	l2, url2 := w.lease(q)
	mustQuery(t, url2, "INSERT INTO orders (total) VALUES (1)")
	w.end(p, l)
	w.end(q, l2)
}

func TestWhatIsNotThereIsAnError(t *testing.T) {
	w := newWorld(t)
	for _, r := range []Right{
		{Schema: "public", Table: "nothing", Privilege: Select}, {Schema: "nowhere", Table: "x", Privilege: Select},
		{Schema: "public", Table: "orders", Columns: []string{"nothing"}, Privilege: Select},
	} {
		p := w.provider(r)
		_, err := p.Mint(t.Context(), broker.Order{Lease: fmt.Sprintf("%032x", 0xabc), Expires: time.Now().Add(time.Minute)})
		if err == nil || !strings.Contains(err.Error(), "grants") {
			t.Errorf("%v: %v", r, err)
		}
		w.end(p, row.Lease{ID: fmt.Sprintf("%032x", 0xabc)})
	}
	for _, r := range []Right{
		{Schema: "pg_catalog", Table: "pg_authid", Privilege: Select}, {Schema: "public", Table: "x", Privilege: "ALL"}, {Schema: "", Table: "x", Privilege: Select},
		{Schema: "public", Table: "x", Columns: []string{"a"}, Privilege: Delete}, {Schema: "public", Table: "x", Except: []string{"y"}, Privilege: Select}, {},
	} {
		if _, err := w.servers.Provider(w.config(r)); err == nil {
			t.Errorf("%v was taken", r)
		}
	}
	c := w.config(Right{Schema: "public", Table: "orders", Privilege: Insert})
	c.ReadOnly = true
	if _, err := w.servers.Provider(c); err == nil {
		t.Error("a right to write for reading only")
	}
	// A task that has nothing without asking can log in.
	p := w.provider()
	l, url := w.lease(p)
	mustQuery(t, url, "SELECT 1")
	if _, err := query(url, "SELECT * FROM orders"); err == nil {
		t.Error("read without a right")
	}
	w.end(p, l)
}

// Sessions outlive VALID UNTIL and, after SET ROLE, even their role: they must be
// gone, with what they held, when the lease has ended.
func TestSessionsEnd(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders)
	l, url := w.lease(p)
	become := ""
	if !w.from16() { // since then it cannot
		become = "SET ROLE " + tableGroup(w.db, readOrders).name + "; "
	}
	stop := make(chan error, 3)
	for _, sql := range []string{"SELECT pg_sleep(60)", become + "SELECT pg_sleep(60)", "BEGIN; SELECT * FROM orders; SELECT pg_sleep(60)"} {
		go func() {
			_, err := query(url, sql)
			stop <- err
		}()
	}
	live := "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
	if !ambittest.Eventually(ambittest.Patience, func() bool { return len(w.exec(live)) == 3 }) {
		t.Fatalf("%d sessions are live", len(w.exec(live)))
	}
	w.end(p, l)
	if rows := w.exec(live); len(rows) > 0 {
		t.Errorf("%d sessions live on", len(rows))
	}
	for range 3 {
		if err := <-stop; err == nil {
			t.Error("a session ended well")
		}
	}
}

func TestRenewedSessionsGoOn(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders)
	o := broker.Order{Lease: fmt.Sprintf("%032x", 0xdef), Expires: time.Now().Add(1500 * time.Millisecond)}
	c, err := p.Mint(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	l := row.Lease{ID: o.Lease, Handle: c.Handle}
	if !ambittest.Eventually(ambittest.Patience, func() bool { return !w.usable(c.Secret.Reveal()) }) {
		t.Error("a login after the end")
	}
	if err := p.Renew(t.Context(), l, time.Now().Add(time.Minute)); err != nil || !w.usable(c.Secret.Reveal()) {
		t.Errorf("Renew: %v", err)
	}
	w.end(p, l)
	if err := p.Renew(t.Context(), l, time.Now().Add(time.Minute)); !errors.Is(err, broker.ErrGone) {
		t.Errorf("Renew of what has ended: %v", err)
	}
}

// grave is the schema that programs of a lease are moved to which nobody approved.
func grave(lease string) string { return estate + "_" + lease }

// A role that has come to own things is dropped all the same; what it owned is
// nobody's to run, and is not destroyed.
func TestOwnedObjectsDoNotBlock(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders)
	l, _ := w.lease(p)
	r := Role(l.ID)
	other := w.db + "_other"
	mustQuery(t, w.pg.AdminURL("postgres"), "CREATE DATABASE "+other)
	for _, db := range []string{w.db, other} {
		mustQuery(t, w.pg.AdminURL(db), `CREATE TABLE public.mine (n int); INSERT INTO mine VALUES (7); ALTER TABLE mine OWNER TO `+r+`;
			CREATE FUNCTION public.trap() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'; ALTER FUNCTION trap() OWNER TO `+r)
	}
	w.exec("GRANT DELETE ON customers TO " + r + "; ALTER DEFAULT PRIVILEGES FOR ROLE " + r + " GRANT ALL ON TABLES TO PUBLIC")
	w.exec("CREATE VIEW depends AS SELECT * FROM mine")
	w.end(p, l)
	// In its own database the function is out of everybody's sight, too.
	for db, trap := range map[string]string{w.db: grave(l.ID) + ".trap", other: "public.trap"} {
		if got := mustQuery(t, w.pg.AdminURL(db), "SELECT "+trap+"() || n FROM mine"); got[0][0] != estate+"7" {
			t.Errorf("what is left runs as %v", got)
		}
		mustQuery(t, w.pg.AdminURL(db), "DROP OWNED BY "+estate+" CASCADE")
	}
	mustQuery(t, w.pg.AdminURL("postgres"), "DROP DATABASE "+other+"; ")
	w.exec("DROP ROLE " + estate)
}

func TestOneStatementsRight(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders, Right{Schema: "public", Table: "orders", Privilege: Insert})
	l, url := w.lease(p)
	other, otherURL := w.lease(p)
	const del = "DELETE FROM orders WHERE id = 7 RETURNING id"
	if _, err := query(url, del); err == nil {
		t.Fatal("deleted without the right")
	}
	o, err := p.Once(l.ID, []Right{{Schema: "public", Table: "orders", Privilege: Delete}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	once, _ := w.lease(o)
	if rows := mustQuery(t, url, del); len(rows) != 1 {
		t.Errorf("deleted %v", rows)
	}
	for u, sql := range map[string]string{otherURL: "DELETE FROM orders WHERE id = 8", url: "TRUNCATE orders"} {
		if _, err := query(u, sql); err == nil {
			t.Errorf("%s passed", sql)
		}
	}
	w.end(o, once)
	if _, err := query(url, "DELETE FROM orders WHERE id = 8"); err == nil {
		t.Error("a second deletion")
	}
	mustQuery(t, url, "SELECT * FROM orders")
	// Another daemon ends it by the lease's id alone.
	once, _ = w.lease(o)
	w.end(p.OnceAgain(), row.Lease{ID: once.ID})
	if _, err := query(url, del); err == nil {
		t.Error("the right lives on")
	}
	// The base may go first.
	once, _ = w.lease(o)
	w.end(p, l)
	w.end(o, once)
	if _, err := o.Mint(t.Context(), broker.Order{Lease: fmt.Sprintf("%032x", 0x123), Expires: time.Now().Add(time.Minute)}); err == nil {
		t.Error("widened what is dead")
	}
	w.end(o, row.Lease{ID: fmt.Sprintf("%032x", 0x123)})
	w.end(p, other)
	if _, err := p.Once("x", nil, nil); err == nil {
		t.Error("an odd lease was taken")
	}
}

func rowOf(digit string) row.Lease { return row.Lease{ID: strings.Repeat(digit, 32)} }

// An administrator need not be a superuser: CREATEROLE and owning the tables is
// enough, for all of a lease's life.
func TestAdministratorWithCreaterole(t *testing.T) {
	w := newWorld(t)
	w.exec("CREATE ROLE maker LOGIN CREATEROLE PASSWORD 'pw'; ALTER DATABASE " + w.db + " OWNER TO maker; ALTER TABLE orders OWNER TO maker; GRANT ALL ON SCHEMA public TO maker WITH GRANT OPTION")
	servers := &Servers{}
	p, err := servers.Provider(Config{Admin: []byte(w.pg.URL("maker", "pw", w.db)), Rights: []Right{readOrders, {Schema: "public", Table: "orders", Privilege: Insert}}})
	if err != nil {
		t.Fatal(err)
	}
	l, url := w.lease(p)
	mustQuery(t, url, "INSERT INTO orders (total) VALUES (1)")
	if _, err := query(url, "DELETE FROM orders"); err == nil {
		t.Error("deleted")
	}
	o, err := p.Once(l.ID, []Right{{Schema: "public", Table: "orders", Privilege: Delete}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	once, _ := w.lease(o)
	mustQuery(t, url, "DELETE FROM orders WHERE id = 1")
	w.end(o, once)
	if err := p.Renew(t.Context(), l, time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	ended := make(chan error, 1)
	go func() { _, err := query(url, "SELECT pg_sleep(60)"); ended <- err }()
	if !ambittest.Eventually(ambittest.Patience, func() bool {
		return len(w.exec("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()")) == 1
	}) {
		t.Fatal("no session")
	}
	w.exec("CREATE TABLE made (n int); ALTER TABLE made OWNER TO " + Role(l.ID) + "; CREATE VIEW left_over AS SELECT 1; ALTER VIEW left_over OWNER TO " + Role(l.ID))
	w.end(p, l)
	if err := <-ended; err == nil {
		t.Error("a session lives on")
	}
	if got := w.owner(grave(l.ID)+".left_over") + " " + w.owner("made"); got != estate+" maker" {
		t.Errorf("what is left belongs to %v", got)
	}
	p.Close()
	if err := servers.Close(t.Context()); err != nil {
		t.Errorf("tidying up: %v", err)
	}
	w.clean()
	w.exec("DROP OWNED BY " + estate + "; DROP ROLE " + estate + "; REASSIGN OWNED BY maker TO postgres; DROP OWNED BY maker; DROP ROLE maker")
}
