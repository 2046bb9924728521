package sql

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/catalog/sql"
	"ambit/gate/gatetest"
)

// The hostile battery, over each of the two ways in which a client sends statements.
func TestBattery(t *testing.T) {
	for _, extended := range []bool{false, true} {
		t.Run(map[bool]string{false: "simple", true: "extended"}[extended], func(t *testing.T) {
			gatetest.Run(t, gatetest.Harness{
				Start: func(t *testing.T, s gatetest.Setup) gatetest.Gate { return startBattery(t, s, extended) },
				Opens: func(a *ambit.Action) bool { return a.Operation == "sql.connect" },
			})
		})
	}
}

// words reads statements by their first word.
type words struct{}

func (words) Parse(text string) (out []sql.Statement, err error) {
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		op, _, _ := strings.Cut(strings.ToLower(part), " ")
		st := sql.Statement{Text: part, Kind: sql.KindQuery, Operation: "sql." + op}
		switch op {
		case "":
			continue
		case "select":
			st.Effect = ambit.Read
		case "insert":
			st.Effect = ambit.Write
		case "delete":
			st.Effect = ambit.Irreversible
		case "begin", "commit", "rollback":
			st.Effect, st.Kind = ambit.Read, sql.KindTransaction
		case "prepare":
			st.Kind = sql.KindPrepare
		default:
			return nil, errors.New("it is no statement that is known here")
		}
		if st.Kind == sql.KindQuery {
			st.Accesses = []sql.Access{{Operation: st.Operation, Effect: st.Effect, Schema: "public", Table: "things", Columns: []string{"id", "mark"}}}
			if strings.Contains(part, " others") {
				st.Accesses = append(st.Accesses, sql.Access{Operation: "sql.select", Effect: ambit.Read, Schema: "public", Table: "others", Columns: []string{"*"}})
			}
		}
		out = append(out, st)
	}
	return out, nil
}

func (words) Preview(sql.Statement, ...string) (count, rows, why string) {
	return "", "", "it is no statement of SQL"
}

// noNames is a resolver that has answered nothing.
type noNames struct{}

func (noNames) Lookup(netip.Addr) (string, bool) { return "", false }

// batteryGate is a gate with an agent beside it.
type batteryGate struct {
	gate     *Gate
	addr     string
	extended bool
}

func testConfig(t testing.TB, db string, ln net.Listener) Config {
	return Config{
		Names: noNames{}, Reader: words{},
		Databases:   []Database{{Service: "shop", Hosts: []string{"127.0.0.1"}, Port: ln.Addr().(*net.TCPAddr).AddrPort().Port(), Name: "shop", Dial: db}},
		Resolve:     func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") },
		Login:       func(secret []byte) (Login, error) { return Login{"ambit_task", secret}, nil },
		Certificate: func(string) (*tls.Certificate, error) { return nil, errors.New("none here") },
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func startGate(t testing.TB, c Config, ln net.Listener) *Gate {
	t.Helper()
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		g.Close()
		if err := <-done; !errors.Is(err, errClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return g
}

const canaryPassword = "canary/7Jq2+xW9=ambit&0123456789" // as the battery mints it

func startBattery(t *testing.T, s gatetest.Setup, extended bool) gatetest.Gate {
	up := newServer(t, func() string { return canaryPassword }, func(ctx context.Context, user, text string) ([]string, *pgproto3.ErrorResponse) {
		_, mark, _ := strings.Cut(text, "'")
		mark, _, _ = strings.Cut(mark, "'")
		// Whoever got here has proved the password.
		s.Saw(ctx, gatetest.Seen{Mark: mark, Credential: canaryPassword})
		return []string{user + " " + text, mark}, nil
	})
	ln := listen(t)
	c := testConfig(t, up.ln.Addr().String(), ln)
	c.Task, c.Do, c.Foresee = s.Task, s.Do, s.Foresee
	c.Alert = func(_ context.Context, kind string, a ambit.Action, detail string) {
		s.Alert(kind, describe(&a)+" "+detail)
	}
	return &batteryGate{startGate(t, c, ln), ln.Addr().String(), extended}
}

// Attempt opens a connection and sends one statement.
func (g *batteryGate) Attempt(ctx context.Context, e ambit.Effect, mark string) (res gatetest.Result) {
	w, err := dialWire(ctx, g.addr)
	if err != nil {
		return gatetest.Result{Err: err}
	}
	defer w.c.Close()
	defer context.AfterFunc(ctx, func() { w.c.Close() })()
	defer func() { res.Received = w.got.Bytes() }()
	if failed, err := w.start(nil); failed != nil || err != nil {
		return refusedResult(failed, err)
	}
	text := map[ambit.Effect]string{ambit.Read: "SELECT ", ambit.Write: "INSERT ", ambit.Irreversible: "DELETE "}[e]
	if g.extended {
		err = w.send(&pgproto3.Parse{Query: text + "$1"}, &pgproto3.Bind{Parameters: [][]byte{[]byte(mark)}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	} else {
		err = w.send(&pgproto3.Query{String: text + "'" + mark + "'"})
	}
	if err != nil {
		return gatetest.Result{Err: err}
	}
	kinds, failed, err := w.until()
	if failed != nil || err != nil {
		return refusedResult(failed, err)
	}
	return gatetest.Result{Done: strings.Contains(kinds, "CZ")}
}

// refusedResult reads a refusal as an agent does.
func refusedResult(m *pgproto3.ErrorResponse, err error) gatetest.Result {
	r := gatetest.Result{Err: err}
	if m != nil {
		f := strings.Fields(strings.ReplaceAll(m.Detail, ":", ""))
		if len(f) > 1 {
			r.Code, r.Record = f[0], f[1]
		}
	}
	return r
}

// Revoke revokes the gate.
func (g *batteryGate) Revoke() { g.gate.Revoke() }
