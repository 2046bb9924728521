package sql

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/internal/ambittest"
)

// program is what a client sends, made of bytes: two for each message.
func program(code []byte) (out []pgproto3.FrontendMessage) {
	pick := func(b byte, from ...string) string { return from[int(b)%len(from)] }
	texts := []string{
		"INSERT INTO good (n) VALUES (1) RETURNING id", "INSERT INTO bad (n) VALUES (1) RETURNING id", "SELECT note FROM orders WHERE id < 4", "BEGIN", "COMMIT", "ROLLBACK",
		"SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "FETCH ALL FROM p", "MOVE 1 FROM q", "FETCH 1 FROM c", "DECLARE p CURSOR FOR SELECT id FROM orders", "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders",
		"CLOSE p", "CLOSE ALL", "DEALLOCATE a", "DEALLOCATE ALL", "DISCARD ALL", "COPY heap FROM STDIN", "COPY bad (n) FROM STDIN", "COPY orders TO STDOUT", "", "SELECT nosuch", "SELECT 1 / 0", "SELECT (",
		"INSERT INTO good (n) VALUES (1); INSERT INTO bad (n) VALUES (2)", "SELECT 1; SELECT 2", "COMMIT; BEGIN", "COMMIT AND CHAIN", "SET datestyle = 'ISO, DMY'", "WITH x AS (INSERT INTO bad (n) VALUES (3) RETURNING id) SELECT * FROM x",
		"SELECT lies()", "EXPLAIN ANALYZE INSERT INTO bad (n) VALUES (4)", "PREPARE a AS INSERT INTO bad (n) VALUES (5)", "EXECUTE a", "INSERT INTO good (n) SELECT 1 / (n - 1) FROM (VALUES (1)) v(n)",
	}
	for ; len(code) > 1; code = code[2:] {
		name, portal := pick(code[1], "", "a", "b"), pick(code[1]>>2, "", "p", "q")
		text := pick(code[1], texts...)
		switch code[0] % 16 {
		case 0, 1, 2:
			out = append(out, &pgproto3.Query{String: text})
		case 3, 4:
			out = append(out, &pgproto3.Parse{Name: pick(code[0]>>4, "", "a", "b"), Query: text})
		case 5, 6:
			out = append(out, &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name})
		case 7, 8:
			out = append(out, &pgproto3.Execute{Portal: portal, MaxRows: uint32(code[0] >> 7)})
		case 9, 10:
			out = append(out, &pgproto3.Sync{})
		case 11:
			out = append(out, &pgproto3.Flush{})
		case 12:
			out = append(out, &pgproto3.Describe{ObjectType: pick(code[0]>>4, "S", "P")[0], Name: pick(code[1], "", "a", "p")})
		case 13:
			out = append(out, &pgproto3.Close{ObjectType: pick(code[0]>>4, "S", "P")[0], Name: pick(code[1], "", "a", "p")})
		case 14: // one after the other, as clients send them
			out = append(out, &pgproto3.Parse{Query: text}, &pgproto3.Bind{DestinationPortal: portal}, &pgproto3.Execute{Portal: portal}, &pgproto3.Sync{})
		default:
			out = append(out, [][]pgproto3.FrontendMessage{{&pgproto3.CopyData{Data: []byte("7\n")}}, {&pgproto3.CopyDone{}}, {&pgproto3.CopyFail{Message: "no"}}, {&pgproto3.CopyData{Data: []byte("x\n")}, &pgproto3.CopyDone{}}}[code[1]%4]...)
		}
	}
	// What is open ends, so that the session can.
	return append(out, &pgproto3.CopyFail{}, &pgproto3.Sync{}, &pgproto3.Sync{}, &pgproto3.Query{String: "ROLLBACK"}, &pgproto3.Terminate{})
}

// newTallies is a database that counts every execution of an insertion, also of those
// that are rolled back: numbers of a sequence are never given back.
func newTallies(t testing.TB) *tallies {
	t.Helper()
	s := newShop(t, ambittest.PostgresConfig{}, nil)
	s.pg.Query(t, "shop", `CREATE TABLE good (id serial, n int); CREATE TABLE bad (id serial, n int); CREATE TABLE heap (n int); GRANT ALL ON good, bad, heap, good_id_seq, bad_id_seq TO ambit_task;
		CREATE FUNCTION lies() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN INSERT INTO bad (n) VALUES (9); RETURN 1; END'`)
	s.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Resource.Kind == "table" && a.Resource.Segments[1] == "bad" || a.Effect.Worst() == ambit.Irreversible {
			return ambit.Deny
		}
		return ambit.Allow
	})
	admin, err := pgconn.Connect(t.Context(), s.pg.AdminURL("shop"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close(context.Background()) })
	return &tallies{s, admin}
}

// tallies is a database that counts, and who looks at the numbers.
type tallies struct {
	*shop
	admin *pgconn.PgConn
}

// counted returns how often rows were inserted since the last time.
func (s *tallies) counted(t testing.TB) (good, bad int) {
	t.Helper()
	const last = "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM "
	got, err := s.admin.Exec(t.Context(), "SELECT "+last+"good_id_seq), "+last+"bad_id_seq); ALTER SEQUENCE good_id_seq RESTART; ALTER SEQUENCE bad_id_seq RESTART").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(got[0].Rows[0][0])+" "+string(got[0].Rows[0][1]), &good, &bad); err != nil {
		t.Fatal(err)
	}
	return good, bad
}

// runs sends a program, drains what comes, and compares what the database executed with
// what was let through.
func (s *tallies) runs(t testing.TB, code []byte) {
	s.forget()
	w, err := dialWire(t.Context(), s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer w.c.Close()
	w.c.SetDeadline(time.Now().Add(60 * time.Second))
	if failed, err := w.start(nil); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, w.c); ended <- err }()
	for _, m := range program(code) {
		if w.send(m) != nil {
			break // the gate ended it
		}
	}
	if err := <-ended; err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("%x: the session hangs", code)
	}
	if !ambittest.Eventually(ambittest.Patience, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.ends) == len(s.intents) }) {
		t.Fatalf("%x: actions have no outcome", code)
	}
	let := 0
	for _, op := range s.done() {
		if strings.HasPrefix(op, "sql.insert public.good") {
			let++
		}
	}
	if good, bad := s.counted(t); bad > 0 || good > let {
		t.Errorf("%x: %d insertions were let through, the database executed %d of the good and %d of the bad; the log has %v", code, let, good, bad, s.done())
	}
}

// TestMessagesInAnyOrder sends messages in any order, again and again.
func TestMessagesInAnyOrder(t *testing.T) {
	s := newTallies(t)
	rnd := rand.New(rand.NewPCG(uint64(len(brokenStatement)), 1))
	for range 80 {
		code := make([]byte, 2*(4+rnd.IntN(24)))
		for i := range code {
			code[i] = byte(rnd.Uint32())
		}
		s.runs(t, code)
	}
	// The numbers tell what is executed, also when it is rolled back.
	s.raw().plays(t, says("CZT", queryOf("BEGIN")), says("TDCZT", queryOf("INSERT INTO good (n) VALUES (1) RETURNING id")), says("CZI", queryOf("ROLLBACK")))
	s.pg.Query(t, "shop", "INSERT INTO bad (n) VALUES (1)")
	if good, bad := s.counted(t); good != 1 || bad != 1 {
		t.Errorf("%d and %d insertions were counted, one of each was made", good, bad)
	}
}

// FuzzSessions looks for an order of messages in which the database executes what was
// not let through, or in which the session hangs.
func FuzzSessions(f *testing.F) {
	for _, code := range []string{
		"\x03\x01\x05\x04\x04\x09\x05\x00\x07\x00\x09\x00",                                 // FETCH of what was bound
		"\x00\x03\x03\x00\x05\x04\x09\x00\x00\x09\x00\x04",                                 // the same across batches
		"\x00\x03\x03\x02\x05\x04\x09\x00\x00\x06\x03\x17\x07\x04\x09\x00\x00\x07\x07\x04", // a portal that was skipped
		"\x03\x20\x05\x04\x03\x02\x05\x00\x07\x00\x09\x00",                                 // bound beside another
		"\x00\x13\x0f\x00\x0f\x01\x0e\x13\x0f\x03",                                         // COPY
		"\x0e\x13\x0f\x00\x0f\x01\x0e\x10\x0f\x03",                                         // COPY that ends well, by the extended protocol, and a batch after it
	} {
		f.Add([]byte(code))
	}
	s := newTallies(f)
	if good, bad := s.counted(f); good+bad > 0 {
		f.Fatal("rows are counted that nobody inserted")
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		if len(code) <= 200 {
			s.runs(t, code)
		}
	})
}
