package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"ambit"
	"ambit/broker"
)

// stays opens a session that runs statements and goes on.
func (w *world) stays(url string, statements ...string) *pgconn.PgConn {
	w.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { hangUp(c) })
	for _, sql := range statements {
		if _, err := ask(ctx, c, sql); err != nil {
			w.t.Fatalf("%s: %v", sql, err)
		}
	}
	return c
}

// TestLeasesThatWillNotEnd: whoever has fallen to the agent and speaks to the database
// with the lease itself can take the locks that the end of the lease needs. It ends.
func TestLeasesThatWillNotEnd(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders)
	o, err := p.Once(rowOf("a").ID, []Right{{Schema: "public", Table: "orders", Privilege: Delete}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, holds := range map[string]func(own string) []string{
		"the lock of its own lease": func(own string) []string { return []string{"SELECT pg_advisory_lock(" + leaseNumber(own) + ")"} },
		"the lock of all":           func(string) []string { return []string{"SELECT pg_advisory_lock(" + lockNumber + ")"} },
		"its own row":               func(string) []string { return []string{"BEGIN READ WRITE", "ALTER ROLE CURRENT_USER PASSWORD 'other'"} },
		"its own row, prepared": func(string) []string {
			return []string{"BEGIN READ WRITE", "ALTER ROLE CURRENT_USER PASSWORD 'other'", "PREPARE TRANSACTION 'it''s'"}
		},
		"both locks, and a session with no end": func(own string) []string {
			return []string{"SET statement_timeout = 0; SET idle_session_timeout = 0; SELECT pg_advisory_lock(" + lockNumber + "), pg_advisory_lock(" + leaseNumber(own) + ")"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, url := w.lease(p)
			w.stays(url, holds(l.ID)...)
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			if err := p.Revoke(ctx, l); err != nil {
				t.Fatalf("it lives on: %v", err)
			}
			if usable, err := p.Prove(ctx, l); err != nil || usable {
				t.Errorf("Prove = %v, %v", usable, err)
			}
		})
	}
	t.Run("the lock of a right", func(t *testing.T) {
		l, url := w.lease(p)
		o.base = l.ID
		once, _ := w.lease(o)
		w.stays(url, "SELECT pg_advisory_lock("+leaseNumber(once.ID)+")")
		w.end(o, once)
		w.end(p, l)
	})
	t.Run("the lock of all, against others", func(t *testing.T) {
		l, url := w.lease(p)
		w.stays(url, "SELECT pg_advisory_lock("+lockNumber+")")
		twin, _ := w.lease(p) // it waits as long as anybody waits for a lock
		w.end(p, twin)
		w.end(p, l)
	})
	t.Run("a lock of somebody else's", func(t *testing.T) {
		l, url := w.lease(p)
		c := w.stays(url, "SELECT pg_advisory_lock(7)")
		if err := p.server.with(t.Context(), func(ctx context.Context, s *session) error { return s.free(ctx, l.ID) }); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t.Context(), c, "SELECT 1"); err != nil {
			t.Errorf("a session that holds nothing of Ambit's was ended: %v", err)
		}
		w.end(p, l)
	})
	if _, err := p.Mint(t.Context(), broker.Order{Lease: rowOf("b").ID, Task: ambit.NewTaskID(), Expires: time.Now().Add(time.Minute)}); err != nil {
		t.Error(err)
	}
	w.end(p, rowOf("b"))
}

// TestStubbornLeasesOfAnOrdinaryAdministrator: one who is no superuser ends such leases
// too.
func TestStubbornLeasesOfAnOrdinaryAdministrator(t *testing.T) {
	w := newWorld(t)
	w.exec("CREATE ROLE warden LOGIN CREATEROLE PASSWORD 'pw'; ALTER DATABASE " + w.db + " OWNER TO warden; ALTER TABLE orders OWNER TO warden; GRANT ALL ON SCHEMA public TO warden WITH GRANT OPTION")
	servers := &Servers{}
	p, err := servers.Provider(Config{Admin: []byte(w.pg.URL("warden", "pw", w.db)), Rights: []Right{readOrders}, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	l, url := w.lease(p)
	w.stays(url, "SELECT pg_advisory_lock("+lockNumber+"), pg_advisory_lock("+leaseNumber(l.ID)+")")
	w.stays(url, "BEGIN READ WRITE", "ALTER ROLE CURRENT_USER PASSWORD 'other'", "PREPARE TRANSACTION 'kept'")
	w.stays(url, "BEGIN")
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := p.Revoke(ctx, l); err != nil {
		t.Fatalf("it lives on: %v", err)
	}
	if usable, err := p.Prove(ctx, l); err != nil || usable {
		t.Errorf("Prove = %v, %v", usable, err)
	}
	hostile, url := w.lease(p)
	w.stays(url, "SELECT pg_advisory_lock("+lockNumber+")")
	if err := p.server.with(ctx, func(ctx context.Context, s *session) error { return s.free(ctx) }); err != nil {
		t.Error(err)
	}
	twin, _ := w.lease(p)
	w.end(p, twin)
	w.end(p, hostile)
	p.Close()
	if err := servers.Close(t.Context()); err != nil {
		t.Errorf("tidying up: %v", err)
	}
	w.exec("REASSIGN OWNED BY warden TO postgres; DROP OWNED BY warden; DROP ROLE warden")
}

// from16 says whether the server is PostgreSQL 16 or later.
func (w *world) from16() bool {
	return w.exec("SELECT current_setting('server_version_num')::int >= 160000")[0][0] == "t"
}

// TestNoRightIsKept: a session that made the most of an approved statement's right while
// it had it, by the role between, a prepared statement or an open transaction, has
// nothing of it afterwards.
func TestNoRightIsKept(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders, Right{Schema: "public", Table: "orders", Privilege: Insert})
	l, url := w.lease(p)
	o, err := p.Once(l.ID, []Right{{Schema: "public", Table: "orders", Privilege: Delete}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	once, _ := w.lease(o)
	sessions := map[string]*pgconn.PgConn{
		"by what it prepared": w.stays(url, "PREPARE d AS DELETE FROM orders WHERE id = 7", "EXECUTE d"),
		"in a transaction":    w.stays(url, "BEGIN ISOLATION LEVEL REPEATABLE READ", "DELETE FROM orders WHERE id = 8", "SAVEPOINT a"),
	}
	if w.from16() {
		for _, role := range []string{Role(once.ID), tableGroup(w.db, Right{Schema: "public", Table: "orders", Privilege: Delete}).name} {
			if _, err := query(url, "SET ROLE "+role); code(err) != "42501" {
				t.Errorf("it became %s: %v", role, err)
			}
		}
	} else { // an older server lets it become the group, which no lease can take back: see the threat model
		sessions["as the role between"] = w.stays(url, "SET ROLE "+Role(once.ID))
	}
	w.end(o, once)
	for name, c := range sessions {
		sql := "DELETE FROM orders" // a condition needs another right too
		if name == "by what it prepared" {
			sql = "EXECUTE d"
		}
		if _, err := ask(t.Context(), c, sql); code(err) != "42501" {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustQuery(t, url, "INSERT INTO orders (total) VALUES (1)")
	w.end(p, l)
}
