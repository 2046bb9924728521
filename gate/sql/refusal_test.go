package sql

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"ambit/internal/ambittest"
)

// TestRefusalsNameWhatTheyRefuse: an agent that made a mistake is told of it as by the
// database itself, and one that may not do something is told what.
func TestRefusalsNameWhatTheyRefuse(t *testing.T) {
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	for _, mode := range []string{"simple_protocol", "exec"} {
		c := s.connect("sslmode=disable&default_query_exec_mode=" + mode)
		for text, want := range map[string][3]string{
			"selec 1":                           {"42601", `syntax error at or near "selec"`, "could not be read"},
			"SELECT 'open":                      {"42601", "unterminated quoted string", "could not be read"},
			"SELECT \x1b[31m":                   {"42601", `syntax error at or near "\u{1b}"`, "could not be read"},
			"EXPLAIN ANALYZE EXECUTE x":         {"42501", "ambit refused sql.explain on shop", "hides what is executed"},
			"EXECUTE x":                         {"26000", "ambit refused sql.execute on shop", "not sure which statement"},
			"SET search_path = pg_temp, public": {"42501", "ambit refused sql.set on shop", "search_path"},
		} {
			s.forget()
			_, err := c.Exec(t.Context(), text)
			e, ok := errors.AsType[*pgconn.PgError](err)
			if !ok || e.Code != want[0] || !strings.HasPrefix(e.Message, want[1]) || !strings.Contains(e.Detail, want[2]) {
				t.Errorf("%s, %s: %+v, want %q", mode, text, err, want)
			}
			s.mu.Lock()
			if n := len(s.refusals); n != 1 || s.refusals[0].Action.Args[ArgRefused] == "" || len(s.intents) > 0 {
				t.Errorf("%s, %s: %d refusals are recorded, and %d actions", mode, text, n, len(s.intents))
			}
			s.mu.Unlock()
		}
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "UPDATE orders SET note = 'lost' WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "selec 1"); code(err) != "42601" {
			t.Error(err)
		}
		if err := tx.Commit(t.Context()); err == nil {
			t.Error("a transaction with a mistake in it was committed")
		}
		if got := s.pg.Query(t, "shop", "SELECT note FROM orders WHERE id = 1"); got != "note 1" {
			t.Errorf("the note is %s", got)
		}
	}
}
