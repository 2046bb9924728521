package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"ambit/broker"
	"ambit/internal/ambittest"
	"ambit/pgwire"
)

// An administrator's password goes nowhere but into a proof: a database that wants it
// otherwise is told what to change, and no lease is made. Whom the database trusts needs
// none.
func TestWaysToLogIn(t *testing.T) {
	const wide = "pä\u00a0ßwort"
	pg := ambittest.NewPostgres(t, ambittest.PostgresConfig{HBA: "host all clear all password\nhost all hashed all md5\nhost all trusted all trust"})
	w := worldOn(t, pg, "shop")
	w.exec("SET password_encryption = 'md5'; CREATE ROLE hashed LOGIN SUPERUSER PASSWORD 's3cr3t'")
	w.exec("CREATE ROLE clear LOGIN SUPERUSER PASSWORD 's3cr3t'; CREATE ROLE trusted LOGIN SUPERUSER; CREATE ROLE wide LOGIN SUPERUSER PASSWORD 'pä ßwort'; CREATE ROLE odd LOGIN SUPERUSER PASSWORD E'\\x7fä'")
	for _, x := range []struct{ user, password, want string }{
		{ambittest.Superuser, pg.Password.Value, ""},
		{"clear", "s3cr3t", "give it away; set its pg_hba.conf to scram-sha-256, and the role's password anew"},
		{"hashed", "s3cr3t", "give it away; set its pg_hba.conf to scram-sha-256, and the role's password anew"},
		{"trusted", "", ""},
		{"wide", "pä ßwort", ""},
		{"wide", wide, "must be in Unicode's form NFKC"}, // another client would make a space of that one
		{"odd", "\u007fä", ""},                           // which SASLprep forbids, so that it stays as it is
		{"wide", "", "there is none"},
	} {
		p := w.refused(x.user, x.password)
		o := broker.Order{Lease: strings.Repeat("a", 32), Task: rowOf("a").Task, Service: "shop", Expires: time.Now().Add(time.Minute)}
		_, err := p.Mint(t.Context(), o)
		switch {
		case x.want == "":
			if err != nil {
				t.Errorf("%s: %v", x.user, err)
			}
			w.end(p, rowOf("a"))
			if _, err := p.server.tidy(t.Context()); err != nil {
				t.Error(err)
			}
		case !errors.Is(err, broker.ErrNotMade) || !strings.Contains(err.Error(), "cannot connect to database shop at 127.0.0.1:") || !strings.Contains(err.Error(), " as "+x.user+": ") || !strings.Contains(err.Error(), x.want):
			t.Errorf("%s: %v, want %q", x.user, err, x.want)
		case x.password != "" && strings.Contains(err.Error(), x.password):
			t.Errorf("%s: the error shows the password", x.user)
		}
	}
	w.exec("DROP ROLE clear, hashed, trusted, wide, odd")
}

// A lease ends also where the database asks for passwords of roles that it has not got in
// another way than by SCRAM.
func TestLeasesEndHoweverPasswordsAreAskedFor(t *testing.T) {
	for _, way := range []string{"md5", "password", "trust", "reject"} {
		t.Run(way, func(t *testing.T) {
			pg := ambittest.NewPostgres(t, ambittest.PostgresConfig{HBA: "host all postgres all scram-sha-256\nhost all all all " + way})
			w := worldOn(t, pg, "shop")
			w.exec("ALTER SYSTEM SET password_encryption = 'md5'")
			w.exec("SELECT pg_reload_conf()")
			p := w.provider(readOrders)
			l, url := w.lease(p)
			if _, err := query(url, "SELECT 1"); (err == nil) == (way == "reject") {
				t.Errorf("the lease: %v", err)
			}
			usable, err := p.logsIn(t.Context(), l)
			if want := way == "md5" || way == "trust"; usable != want || err != nil {
				t.Errorf("while it lives: %v, %v", usable, err)
			}
			w.end(p, l)
		})
	}
}

// The broker's client and another one understand the same server alike.
func TestClientsAgree(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	l, err := (&Config{Admin: []byte(w.pg.AdminURL(w.db))}).parse()
	if err != nil {
		t.Fatal(err)
	}
	mine, err := l.connect(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	other, err := pgconn.Connect(ctx, w.pg.AdminURL(w.db))
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(other)
	if _, err := ask(ctx, other, "SET search_path = pg_catalog; SET client_min_messages = error; SET DateStyle = 'ISO'; SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"SELECT 1", "SELECT NULL, '', 'a' || chr(228)", "SELECT", "", ";", "SELECT 1; SELECT 2, 3", "SELECT 1; SET x.y = '1'", "SELECT x FROM generate_series(1, 100000) x",
		"SELECT 1 WHERE false", "SELECT 1/0", "SELECT 1; SELECT 1/0; SELECT 2", "SELECT 1 / (x - 5000) FROM generate_series(1, 10000) x", "gibberish", "SELECT repeat('x', 900000)",
		"BEGIN", "SELECT 1", "SELECT 1/0", "SELECT 1", "ROLLBACK", "BEGIN; SELECT 7", "COMMIT", "BEGIN; SELECT 1/0; COMMIT", "ROLLBACK",
		"BEGIN; INSERT INTO public.orders VALUES (1)", "ROLLBACK", "DO $$ BEGIN RAISE NOTICE 'hello'; RAISE EXCEPTION 'line one' || chr(10) || 'line two' USING ERRCODE = 'P0042'; END $$",
		"SET ROLE pg_monitor", "RESET ROLE", "LISTEN a; NOTIFY a, 'x'; NOTIFY a, 'y'", "SELECT 1; UNLISTEN a", "SELECT ('{' || repeat('1,', 10000) || '1}')::int[]",
	} {
		want, wantErr := ask(ctx, other, sql)
		got, err := mine.Query(ctx, sql)
		if d := cmp.Diff(want, got); d != "" || code(err) != code(wantErr) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != strings.ReplaceAll(wantErr.Error(), "\n", " ") {
			t.Errorf("%.100s: %v, want %v; %.200s", sql, err, wantErr, d)
		}
		if mine.Status() != other.TxStatus() || mine.Closed() || mine.Parameter("is_superuser") != other.ParameterStatus("is_superuser") {
			t.Errorf("%.100s: it is %q, want %q", sql, mine.Status(), other.TxStatus())
		}
	}
	// Both are ended by the server alike.
	for range 2 {
		w.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		_, err := mine.Query(ctx, "SELECT 1")
		if bad, ok := errors.AsType[*pgwire.Error](err); !mine.Closed() || ok && bad.Code != "57P01" || err == nil {
			t.Errorf("after its end: %v", err)
		}
	}
}

// A statement that nobody waits for any more is stopped in the server, and holds nothing.
func TestStopped(t *testing.T) {
	w := newWorld(t)
	l, err := (&Config{Admin: []byte(w.pg.AdminURL(w.db))}).parse()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c, err := l.connect(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Query(ctx, "SET statement_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	session := "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ambit broker'"
	go func() {
		defer stop()
		for {
			rows, err := query(w.pg.AdminURL(w.db), session+" AND wait_event = 'PgSleep'")
			if err != nil || len(rows) > 0 {
				return
			}
		}
	}()
	if _, err := c.Query(ctx, "SELECT pg_sleep(3600)"); !errors.Is(err, context.Canceled) || !c.Closed() {
		t.Errorf("%v", err)
	}
	for end := time.Now().Add(2 * time.Minute); len(w.exec(session)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it sleeps on")
		}
	}
}
