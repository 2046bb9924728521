// Command pgx uses a database as Go programs do: a line "ok WHAT" for each thing that
// works.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var at = "postgres://anybody:nonsense@" + os.Args[1] + ":" + os.Args[2] + "/shop?connect_timeout=60"

func main() {
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Second)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
}

func ok(what string, holds bool) {
	word := "ok"
	if !holds {
		word = "WRONG"
	}
	fmt.Println(word, what)
}

func refused(what string, err error) {
	pe, is := errors.AsType[*pgconn.PgError](err)
	ok(what, is && pe.Code == "42501" && strings.HasPrefix(pe.Message, "ambit refused"))
}

func total(ctx context.Context, c *pgx.Conn, id int) (n int, err error) {
	return n, c.QueryRow(ctx, "SELECT total FROM orders WHERE id = $1", id).Scan(&n)
}

func run(ctx context.Context) error {
	for _, settings := range []string{"sslmode=disable", "sslmode=require", "sslmode=verify-full&sslrootcert=" + os.Getenv("SSL_CERT_FILE"),
		"default_query_exec_mode=simple_protocol", "default_query_exec_mode=exec", "default_query_exec_mode=describe_exec", "default_query_exec_mode=cache_describe"} {
		c, err := pgx.Connect(ctx, at+"&"+settings)
		if err != nil {
			return fmt.Errorf("%s: %w", settings, err)
		}
		first, err := total(ctx, c, 7)
		second, again := total(ctx, c, 8)
		name, _, _ := strings.Cut(settings, "&")
		ok(strings.NewReplacer("=", " ", "default_query_exec_mode", "mode").Replace(name), err == nil && again == nil && first == 70 && second == 80)
		c.Close(ctx)
	}
	c, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if err := errors.Join(batches(ctx, c), copies(ctx, c), transactions(ctx, c), listens(ctx, c)); err != nil {
		return err
	}
	if err := cancels(ctx, c); err != nil {
		return err
	}
	_, err = c.Exec(ctx, "DELETE FROM orders WHERE id = $1", 7)
	refused("refused", err)
	_, err = c.Exec(ctx, "SELECT email FROM customers")
	refused("refused, a column", err)
	n, err := total(ctx, c, 7)
	ok("after", n == 70 && err == nil)
	return nil
}

func batches(ctx context.Context, c *pgx.Conn) error {
	b := &pgx.Batch{}
	for i := range 50 {
		b.Queue("SELECT total FROM orders WHERE id = $1", i+1)
	}
	got, sum := c.SendBatch(ctx, b), 0
	for range 50 {
		var n int
		if err := got.QueryRow().Scan(&n); err != nil {
			return err
		}
		sum += n
	}
	ok("pipeline", sum == 12750 && got.Close() == nil)
	b = &pgx.Batch{}
	b.Queue("INSERT INTO notes VALUES (100, 'taken back')")
	b.Queue("DELETE FROM orders WHERE id = 7")
	refused("pipeline, refused", c.SendBatch(ctx, b).Close())
	var n int
	err := c.QueryRow(ctx, "SELECT count(*) FROM notes WHERE id = 100").Scan(&n)
	ok("pipeline, taken back", n == 0 && err == nil)
	return nil
}

func copies(ctx context.Context, c *pgx.Conn) error {
	n, err := c.CopyFrom(ctx, pgx.Identifier{"notes"}, []string{"id", "text"}, pgx.CopyFromSlice(20000, func(i int) ([]any, error) { return []any{1000 + i, "copied"}, nil }))
	ok("copy in", n == 20000 && err == nil)
	var out strings.Builder
	tag, err := c.PgConn().CopyTo(ctx, &out, "COPY orders TO STDOUT")
	ok("copy out", tag.RowsAffected() == 1000 && strings.Count(out.String(), "\n") == 1000 && err == nil)
	return nil
}

func transactions(ctx context.Context, c *pgx.Conn) error {
	tx, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO notes VALUES (200, 'rolled back')"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DECLARE big CURSOR FOR SELECT id FROM orders ORDER BY id"); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, "FETCH 700 FROM big")
	ok("cursor", tag.RowsAffected() == 700 && err == nil)
	if err := tx.Rollback(ctx); err != nil {
		return err
	}
	var n int
	err = c.QueryRow(ctx, "SELECT count(*) FROM notes WHERE id = 200").Scan(&n)
	ok("rollback", n == 0 && err == nil)
	return nil
}

func listens(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, "LISTEN news"); err != nil {
		return err
	}
	other, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	defer other.Close(ctx)
	if _, err := other.Exec(ctx, "NOTIFY news, 'hello'"); err != nil {
		return err
	}
	m, err := c.WaitForNotification(ctx)
	ok("listen", err == nil && m.Payload == "hello")
	return nil
}

func cancels(ctx context.Context, c *pgx.Conn) error {
	const long = "SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e"
	other, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	defer other.Close(ctx)
	done := make(chan error, 1)
	go func() { _, err := c.Exec(ctx, long); done <- err }()
	for active := 0; active == 0; time.Sleep(50 * time.Millisecond) {
		if err := other.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = $1", long).Scan(&active); err != nil {
			return err
		}
	}
	if err := c.PgConn().CancelRequest(ctx); err != nil {
		return err
	}
	pe, is := errors.AsType[*pgconn.PgError](<-done)
	ok("cancel", is && pe.Code == "57014")
	return nil
}
