package sql

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

func reader(b []byte) *frameReader {
	l := &Limits{}
	l.fill()
	return &frameReader{r: bufio.NewReaderSize(bytes.NewReader(b), sqlBuffer), limits: l, take: func(int) bool { return true }}
}

func TestHostileFrames(t *testing.T) {
	message := func(kind byte, length uint32) []byte { return binary.BigEndian.AppendUint32([]byte{kind}, length) }
	for name, c := range map[string]struct {
		in  []byte
		bad bool // a message that no client sends; else the end of what was sent
	}{
		"nothing":                 {nil, false},
		"half a header":           {[]byte("Q\x00"), false},
		"no such type":            {message('?', 8), true},
		"the server's type":       {message('Z', 5), true},
		"a password":              {message('p', 8), true},
		"a length of nothing":     {message('Q', 0), true},
		"a length of three":       {message('Q', 3), true},
		"a negative length":       {message('Q', 1<<31), true},
		"the largest length":      {message('Q', 1<<31-1), true},
		"a sync with a long body": {message('S', 1<<20), true},
		"a long execute":          {message('E', 1<<24), true},
		"a long bind":             {message('B', 1<<25), true},
		"more copied than can be": {message('d', 1<<31-1), true},
		"a body that never comes": {message('B', 1<<20), false},
		"copied, and cut":         {append(message('d', 1<<20), "abc"...), false},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := reader(c.in).next()
		runtime.ReadMemStats(&after)
		if _, bad := errors.AsType[*errProtocol](err); err == nil || bad != c.bad {
			t.Errorf("%s: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 256<<10 {
			t.Errorf("%s: %d bytes were allocated for %d that came", name, n, len(c.in))
		}
	}
}

func TestCopyIsCut(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 50_000)
	r := reader(append(appendFrame(nil, 'd', data), appendFrame(nil, 'c', nil)...))
	var got []byte
	for {
		f, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if f.kind == 'c' {
			break
		}
		if len(f.body) > maxCopy {
			t.Fatalf("a piece has %d bytes", len(f.body))
		}
		got = append(got, f.body...)
	}
	if !bytes.Equal(got, data) {
		t.Error("the pieces are not the whole")
	}
}

// FuzzFrames: whatever comes is read to its end or refused, in bounded memory, and
// what was read is what was sent.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, 'Q', []byte("SELECT 1\x00")), 'X', nil))
	f.Add(appendFrame(nil, 'd', bytes.Repeat([]byte("x"), 70_000)))
	f.Add([]byte("B\xff\xff\xff\xffabc"))
	f.Add([]byte("P\x00\x00\x00\x08\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := reader(in)
		var out []byte
		copied := 0
		for {
			fs, err := r.batch()
			for _, m := range fs {
				most, ok := r.limits.limit(m.kind)
				if !ok || len(m.body) > most {
					t.Fatalf("a message %q of %d bytes", m.kind, len(m.body))
				}
				if m.kind == 'd' {
					copied += len(m.body)
				} else {
					out = appendFrame(out, m.kind, m.body)
				}
			}
			if err != nil {
				break
			}
		}
		if len(out)+copied > len(in) {
			t.Fatalf("%d bytes were read of %d", len(out)+copied, len(in))
		}
		if copied == 0 && !bytes.HasPrefix(in, out) {
			t.Fatal("what was read is not what was sent")
		}
	})
}

// FuzzMessages: a message that is passed on has one reading.
func FuzzMessages(f *testing.F) {
	bind, err := (&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s", ParameterFormatCodes: []int16{0, 1}, Parameters: [][]byte{[]byte("a"), nil}, ResultFormatCodes: []int16{1}}).Encode(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte('B'), bind[headerSize:])
	f.Add(byte('P'), []byte("name\x00SELECT 1\x00\x00\x01\x00\x00\x00\x17"))
	f.Add(byte('Q'), []byte("SELECT 1\x00SELECT 2\x00"))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		m := map[byte]pgproto3.FrontendMessage{'B': &pgproto3.Bind{}, 'P': &pgproto3.Parse{}, 'Q': &pgproto3.Query{}, 'E': &pgproto3.Execute{}, 'D': &pgproto3.Describe{}, 'C': &pgproto3.Close{}}[kind]
		if m == nil {
			return
		}
		raw, bad := decoded(m, kind, body)
		if bad == nil && (raw[0] != kind || !bytes.Equal(raw[headerSize:], body)) {
			t.Fatalf("%q became %q", body, raw)
		}
	})
}

// FuzzStartup: a startup message is read or refused, and passes on nothing that is
// not on the list.
func FuzzStartup(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x00user\x00me\x00database\x00shop\x00\x00"))
	f.Add([]byte("\x00\x03\x00\x00user\x00me\x00options\x00-c search_path=x\x00\x00"))
	f.Add([]byte("\x00\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < 4 {
			return
		}
		a := &agent{db: &Database{Name: "shop"}, conn: discard{}}
		st, bad := a.read(body)
		if bad != nil {
			return
		}
		for k, v := range st.settings {
			if !passedOn(k) || strings.ContainsRune(k+v, 0) {
				t.Fatalf("%q=%q is passed on", k, v)
			}
		}
	})
}

func TestStartupSettings(t *testing.T) {
	for _, c := range []struct {
		pairs []string
		bad   string
	}{
		{[]string{"user", "me", "database", "shop", "application_name", "psql", "client_encoding", "UTF8", "TimeZone", "Europe/Bern", "extra_float_digits", "2"}, ""},
		{[]string{"user", "me", "database", "me"}, ""}, // what a client takes when nobody says
		{[]string{"user", "me"}, ""},
		{[]string{"user", "me", "options", " "}, ""},
		{[]string{"user", "me", "_pq_.new", "1"}, ""},
		{[]string{"user", "me", "database", "template1"}, CodeDatabase},
		{[]string{"user", "me", "options", "-c default_transaction_read_only=off"}, CodeSetting},
		{[]string{"user", "me", "search_path", "evil"}, CodeSetting},
		{[]string{"user", "me", "default_transaction_read_only", "off"}, CodeSetting},
		{[]string{"user", "me", "role", "postgres"}, CodeSetting},
		{[]string{"user", "me", "session_authorization", "postgres"}, CodeSetting},
		{[]string{"user", "me", "replication", "database"}, CodeSetting},
		{[]string{"user", "me", "client_encoding", "SJIS"}, CodeSetting},
		{[]string{"user", "me", "standard_conforming_strings", "off"}, CodeSetting},
		{[]string{"user", "me", "user", "you"}, CodeProtocol},
		{[]string{"user", "me", "", "x"}, CodeProtocol},
	} {
		body := []byte{0, 3, 0, 0}
		for _, s := range c.pairs {
			body = append(append(body, s...), 0)
		}
		a := &agent{db: &Database{Name: "shop"}, conn: discard{}}
		_, bad := a.read(append(body, 0))
		got := ""
		if bad != nil {
			got = bad.code
		}
		if got != c.bad {
			t.Errorf("%q: %q, want %q", c.pairs, got, c.bad)
		}
	}
}

// discard is a connection that swallows what is written.
type discard struct{ noConn }

func (discard) Write(b []byte) (int, error) { return io.Discard.Write(b) }

// noConn is a connection of which nothing but Write is used.
type noConn struct{ net.Conn }
