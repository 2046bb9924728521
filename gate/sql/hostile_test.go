package sql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/gate"
	"ambit/pipeline"
)

// front is a small database behind a gate, with a pipeline that a test steers.
type front struct {
	*shop
	server *server
	mu     sync.Mutex
	ran    []string
}

func newFront(t *testing.T) *front {
	t.Helper()
	f := &front{shop: &shop{t: t}}
	f.allowed = readOnly
	f.server = newServer(t, func() string { return rolePassword }, func(_ context.Context, _, text string) ([]string, *pgproto3.ErrorResponse) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ran = append(f.ran, text)
		return []string{"row"}, nil
	})
	f.serve(f.server.ln.Addr().String())
	return f
}

// serve starts a gate in front of a database.
func (f *front) serve(db string) {
	f.t.Helper()
	ln := listen(f.t)
	c := testConfig(f.t, db, ln)
	c.Task, c.Alert = gate.Task{ID: ambit.NewTaskID(), Agent: "tester"}, f.alert
	pipe, err := pipeline.New(pipeline.Config{Task: c.Task.ID, Agent: c.Task.Agent, Identity: f, Decider: f, Asker: f, Recorder: f, Minter: f, Freeze: func(error) {}})
	if err != nil {
		f.t.Fatal(err)
	}
	c.Do = pipe
	f.gate, f.addr = startGate(f.t, c, ln), ln.Addr().String()
}

func (f *front) executed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.ran, "|")
}

// open starts a session.
func (f *front) open() *wire {
	f.t.Helper()
	w, err := dialWire(f.t.Context(), f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { w.c.Close() })
	w.c.SetDeadline(time.Now().Add(time.Minute))
	if failed, err := w.start(nil); failed != nil || err != nil {
		f.t.Fatal(failed, err)
	}
	return w
}

// says sends messages and returns what came, with the states of errors.
func (w *wire) says(t *testing.T, ms ...pgproto3.FrontendMessage) string {
	t.Helper()
	if err := w.send(ms...); err != nil {
		t.Fatal(err)
	}
	kinds, failed, err := w.until()
	if err != nil {
		return kinds + " " + fmt.Sprint(err)
	}
	if failed != nil {
		kinds += " " + failed.Code
	}
	return kinds
}

func parseOf(name, text string) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: text}
}

func bindOf(portal, name, value string) pgproto3.FrontendMessage {
	return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name, Parameters: [][]byte{[]byte(value)}}
}

func executeOf(portal string) pgproto3.FrontendMessage { return &pgproto3.Execute{Portal: portal} }

// TestSequences: whatever order messages come in, what the database executes is what
// was decided, and the connection goes on.
func TestSequences(t *testing.T) {
	q := func(s string) pgproto3.FrontendMessage { return &pgproto3.Query{String: s} }
	sync := &pgproto3.Sync{}
	for name, c := range map[string]struct {
		send []pgproto3.FrontendMessage
		want string // what the agent gets, up to the first ReadyForQuery
		ran  string // what the database executed
	}{
		"a read":                               {[]pgproto3.FrontendMessage{q("SELECT 'a'")}, "TDCZI", "SELECT 'a'"},
		"nothing":                              {[]pgproto3.FrontendMessage{q(" ; ")}, "ZI", ""},
		"a deletion":                           {[]pgproto3.FrontendMessage{q("DELETE 'a'")}, "EZI 42501", ""},
		"a read and a deletion":                {[]pgproto3.FrontendMessage{q("SELECT 'a'; DELETE 'b'")}, "EZI 42501", ""},
		"what cannot be read":                  {[]pgproto3.FrontendMessage{q("ENIGMA 'a'")}, "EZI 42501", ""},
		"an extended read":                     {[]pgproto3.FrontendMessage{parseOf("", "SELECT $1"), bindOf("", "", "a"), executeOf(""), sync}, "12TDCZI", "SELECT 'a'"},
		"an extended deletion":                 {[]pgproto3.FrontendMessage{parseOf("", "DELETE $1"), bindOf("", "", "a"), executeOf(""), sync}, "1EZI 42501", ""},
		"a pipeline":                           {[]pgproto3.FrontendMessage{parseOf("s", "SELECT $1"), bindOf("", "s", "a"), executeOf(""), bindOf("", "s", "b"), executeOf(""), sync}, "12TDC2TDCZI", "SELECT 'a'|SELECT 'b'"},
		"a refusal in the middle":              {[]pgproto3.FrontendMessage{parseOf("s", "SELECT $1"), bindOf("", "s", "a"), executeOf(""), parseOf("d", "DELETE $1"), bindOf("", "d", "b"), executeOf(""), bindOf("", "s", "c"), executeOf(""), sync}, "12TDC1EZI 42501", "SELECT 'a'"},
		"a name that is taken by another":      {[]pgproto3.FrontendMessage{parseOf("s", "SELECT $1"), parseOf("s", "DELETE $1"), bindOf("", "s", "a"), executeOf(""), sync}, "11EZI 42501", ""},
		"a name that was closed":               {[]pgproto3.FrontendMessage{parseOf("s", "SELECT $1"), &pgproto3.Close{ObjectType: 'S', Name: "s"}, bindOf("", "s", "a"), executeOf(""), sync}, "1EZI 26000", ""},
		"a statement that nobody prepared":     {[]pgproto3.FrontendMessage{bindOf("", "s", "a"), executeOf(""), sync}, "EZI 26000", ""},
		"a portal that nobody bound":           {[]pgproto3.FrontendMessage{executeOf("p"), sync}, "EZI 34000", ""},
		"two statements prepared as one":       {[]pgproto3.FrontendMessage{parseOf("", "SELECT 'a'; DELETE 'b'"), bindOf("", "", ""), executeOf(""), sync}, "EZI 42501", ""},
		"a deletion that is bound and left":    {[]pgproto3.FrontendMessage{parseOf("", "DELETE $1"), bindOf("", "", "a"), sync}, "1EZI 42501", ""},
		"prepared by SQL":                      {[]pgproto3.FrontendMessage{q("PREPARE x AS DELETE 'a'")}, "EZI 42501", ""},
		"a function by its number":             {[]pgproto3.FrontendMessage{&pgproto3.FunctionCall{Function: 1}}, "EZI 42501", ""},
		"data that belongs to no copy":         {[]pgproto3.FrontendMessage{&pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyDone{}, q("SELECT 'a'")}, "TDCZI", "SELECT 'a'"},
		"a sync alone":                         {[]pgproto3.FrontendMessage{sync}, "ZI", ""},
		"a description":                        {[]pgproto3.FrontendMessage{parseOf("", "SELECT $1"), sync}, "1ZI", ""},
		"a table more than is given":           {[]pgproto3.FrontendMessage{q("SELECT 'a' others")}, "TDCZI", "SELECT 'a' others"},
		"a pipeline that ends in two refusals": {[]pgproto3.FrontendMessage{parseOf("", "DELETE $1"), bindOf("", "", "a"), executeOf(""), bindOf("", "", "b"), executeOf(""), sync}, "1EZI 42501", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			w := f.open()
			if got := w.says(t, c.send...); got != c.want {
				t.Errorf("the agent got %s, want %s", got, c.want)
			}
			if got := f.executed(); got != c.ran {
				t.Errorf("the database executed %s, want %s", got, c.ran)
			}
			if got := w.says(t, &pgproto3.Query{String: "SELECT 'twin'"}); got != "TDCZI" || !strings.HasSuffix(f.executed(), "SELECT 'twin'") {
				t.Errorf("afterwards the agent got %s", got)
			}
		})
	}
}

// TestEveryTableIsAsked: a statement that touches a table that is not given is
// refused as a whole, and both actions are in the log.
func TestEveryTableIsAsked(t *testing.T) {
	f := newFront(t)
	f.allow(func(a *ambit.Action) ambit.Verdict {
		if a.Operation == "sql.select" && a.Resource.Segments[1] == "others" {
			return ambit.Deny
		}
		return ambit.Allow
	})
	if got := f.open().says(t, &pgproto3.Query{String: "DELETE 'a' others"}); got != "EZI 42501" || f.executed() != "" {
		t.Errorf("the agent got %s, the database executed %s", got, f.executed())
	}
	f.shop.mu.Lock()
	defer f.shop.mu.Unlock()
	last := f.ends[len(f.ends)-1]
	if last.Outcome != ambit.Refused || len(f.refusals) != 1 || f.refusals[0].Action.Resource.Segments[1] != "others" {
		t.Errorf("%+v %+v", f.ends, f.refusals)
	}
}

// TestHostileBytes: bytes that no client sends end the connection, with a record and
// without anything for the database.
func TestHostileBytes(t *testing.T) {
	for name, b := range map[string]string{
		"an unknown type":           "?\x00\x00\x00\x04",
		"the server's message":      "Z\x00\x00\x00\x05I",
		"a negative length":         "Q\xff\xff\xff\xff",
		"a huge length":             "Q\x7f\xff\xff\xff",
		"a query without its end":   "Q\x00\x00\x00\x0cSELECT 1",
		"a query with two ends":     "Q\x00\x00\x00\x16SELECT 'a'\x00DELETE\x00",
		"a bind with a lying count": "B\x00\x00\x00\x0e\x00\x00\x00\x00\x00\x05\x00\x00\x00\x01",
		"an execute with more":      "E\x00\x00\x00\x0a\x00\x00\x00\x00\x00x",
		"a password":                "p\x00\x00\x00\x08abc\x00",
	} {
		f := newFront(t)
		w := f.open()
		if _, err := w.c.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
		_, failed, err := w.until()
		if err == nil || failed == nil || failed.Severity != "FATAL" || failed.Code != stateProtocol || !strings.Contains(failed.Detail, "bad-request r") {
			t.Errorf("%s: %+v, %v", name, failed, err)
		}
		if f.executed() != "" {
			t.Errorf("%s: the database executed %s", name, f.executed())
		}
	}
}

// TestHostileStarts: what comes before a session.
func TestHostileStarts(t *testing.T) {
	const start = "\x00\x00\x00\x1b\x00\x03\x00\x00user\x00me\x00database\x00"
	for name, b := range map[string]string{
		"an old protocol":             "\x00\x00\x00\x08\x00\x02\x00\x00",
		"the next protocol":           "\x00\x00\x00\x08\x00\x04\x00\x00",
		"a length of nothing":         "\x00\x00\x00\x00",
		"a huge length":               "\x7f\xff\xff\xff\x00\x03\x00\x00",
		"not a list":                  start,
		"bytes behind the SSLRequest": "\x00\x00\x00\x08\x04\xd2\x16\x2fQ\x00\x00\x00\x0dDELETE 1\x00",
		"GSS again and again":         strings.Repeat("\x00\x00\x00\x08\x04\xd2\x16\x30", 9),
		"a web request":               "GET / HTTP/1.1\r\nHost: db\r\n\r\n",
	} {
		f := newFront(t)
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		if _, err := c.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
		if tc, ok := c.(*net.TCPConn); ok {
			tc.CloseWrite()
		}
		var got []byte
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if got = append(got, buf[:n]...); err != nil {
				break
			}
		}
		c.Close()
		if strings.Contains(string(got), "SELECT") || f.executed() != "" || len(f.server.startup) > 0 {
			t.Errorf("%s: the database was reached", name)
		}
	}
}

// TestUpstreamsThatLie: a database that does not prove that it knows the role, asks
// for the password itself, or reads text in another way gets nothing.
func TestUpstreamsThatLie(t *testing.T) {
	send := func(ms ...pgproto3.BackendMessage) func(b *pgproto3.Backend) {
		return func(b *pgproto3.Backend) {
			for _, m := range ms {
				b.Send(m)
			}
			b.Flush()
			b.Receive()
		}
	}
	status := func(k, v string) pgproto3.BackendMessage { return &pgproto3.ParameterStatus{Name: k, Value: v} }
	key := &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}
	for name, serve := range map[string]func(b *pgproto3.Backend){
		"the password in the clear": send(&pgproto3.AuthenticationCleartextPassword{}),
		"the password by MD5":       send(&pgproto3.AuthenticationMD5Password{}),
		"another mechanism":         send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"PLAIN"}}),
		"no proof": func(b *pgproto3.Backend) {
			send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}})(b)
			send(&pgproto3.AuthenticationOk{})(b)
		},
		"a wrong proof": func(b *pgproto3.Backend) {
			send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}})(b)
			send(&pgproto3.AuthenticationSASLContinue{Data: []byte("r=x,s=c2FsdA==,i=4096")})(b)
		},
		"another encoding":   send(&pgproto3.AuthenticationOk{}, status("client_encoding", "SJIS"), status("standard_conforming_strings", "on"), key, &pgproto3.ReadyForQuery{TxStatus: 'I'}),
		"backslashes escape": send(&pgproto3.AuthenticationOk{}, status("client_encoding", "UTF8"), status("standard_conforming_strings", "off"), key, &pgproto3.ReadyForQuery{TxStatus: 'I'}),
		"nothing":            func(*pgproto3.Backend) {},
	} {
		t.Run(name, func(t *testing.T) {
			ln := listen(t)
			defer ln.Close()
			seen := make(chan string, 1)
			go func() {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				log := &strings.Builder{}
				b := pgproto3.NewBackend(teeReader{c, log}, c)
				if _, err := b.ReceiveStartupMessage(); err == nil {
					b.SetAuthType(pgproto3.AuthTypeSASL)
					serve(b)
				}
				seen <- log.String()
			}()
			f := &front{shop: &shop{t: t}}
			f.allowed = readOnly
			f.serve(ln.Addr().String())
			w, err := dialWire(t.Context(), f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer w.c.Close()
			w.c.SetDeadline(time.Now().Add(time.Minute))
			failed, err := w.start(nil)
			if failed == nil || failed.Severity != "FATAL" {
				t.Errorf("the agent got %+v, %v", failed, err)
			}
			if s := <-seen; strings.Contains(s, rolePassword) {
				t.Error("the password was sent")
			}
		})
	}
}

type teeReader struct {
	net.Conn
	log *strings.Builder
}

func (r teeReader) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.log.Write(b[:n])
	return n, err
}

// TestNoLeaseNoCause: an agent whose role could not be made is not told where the
// database is, nor as whom the daemon goes there; the log is.
func TestNoLeaseNoCause(t *testing.T) {
	f := newFront(t)
	f.mint = errors.New("cannot connect to 10.1.2.3 as chief")
	w, err := dialWire(t.Context(), f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer w.c.Close()
	w.c.SetDeadline(time.Now().Add(time.Minute))
	failed, err := w.start(nil)
	if failed == nil || !strings.Contains(failed.Detail, "no-credential") || strings.Contains(w.got.String(), "chief") || strings.Contains(w.got.String(), "10.1.2.3") {
		t.Errorf("the agent got %+v, %v", failed, err)
	}
	f.shop.mu.Lock()
	defer f.shop.mu.Unlock()
	if len(f.ends) != 1 || !strings.Contains(f.ends[0].Detail, "chief") {
		t.Errorf("the log has %+v", f.ends)
	}
}
