package pgwire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func several(all ...[]byte) []byte { return bytes.Join(all, nil) }

// What a server that works says, and what is made of it. The connection lives on.
func TestAnswers(t *testing.T) {
	type got struct {
		Rows   [][]string
		Err    string
		Status string
	}
	for name, x := range map[string]struct {
		sent []byte
		want got
	}{
		"rows":                       {several(columns(2), row("a", ""), row("b", "c"), completed, ready), got{[][]string{{"a", ""}, {"b", "c"}}, "", "I"}},
		"no rows":                    {several(columns(2), completed, ready), got{nil, "", "I"}},
		"no columns":                 {several(columns(0), row(), completed, ready), got{[][]string{{}}, "", "I"}},
		"NULL":                       {several(columns(1), frame('D', 0, 1, 0xff, 0xff, 0xff, 0xff), completed, ready), got{[][]string{{""}}, "", "I"}},
		"the last of three":          {several(columns(1), row("a"), completed, columns(1), row("b"), completed, columns(1), row("c"), completed, ready), got{[][]string{{"c"}}, "", "I"}},
		"a last without rows":        {several(columns(1), row("a"), completed, text('C', "COMMIT"), ready), got{nil, "", "I"}},
		"nothing":                    {several(frame('I'), ready), got{nil, "", "I"}},
		"in a transaction":           {several(text('C', "BEGIN"), frame('Z', 'T')), got{nil, "", "T"}},
		"with much between":          {several(text('N', "Mx", ""), columns(1), text('S', "is_superuser", "off"), row("a"), frame('A', 0, 0, 0, 1, 'c', 0, 'p', 0), completed, text('N', "Mx", ""), ready), got{[][]string{{"a"}}, "", "I"}},
		"an error":                   {several(failure("ERROR", "42501", "denied"), frame('Z', 'E')), got{nil, "ERROR: denied (SQLSTATE 42501)", "E"}},
		"an error amid rows":         {several(columns(1), row("a"), failure("ERROR", "22012", "division"), ready), got{nil, "ERROR: division (SQLSTATE 22012)", "I"}},
		"an error after a statement": {several(columns(1), row("a"), completed, failure("ERROR", "22012", "division"), text('N', "Mx", ""), ready), got{nil, "ERROR: division (SQLSTATE 22012)", "I"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(p *peer) {
				if !welcome(t)(p) {
					return
				}
				for _, b := range [][]byte{x.sent, several(columns(1), row("next"), completed, ready)} {
					if kind, body := p.message(); kind != 'Q' || string(body) != "SELECT ä\x00" {
						t.Errorf("it sent %q %q", kind, body)
					}
					for _, one := range b { // byte by byte
						p.send([]byte{one})
					}
				}
				p.message()
			})
			ctx, c := opened(t, h)
			rows, err := c.Query(ctx, "SELECT ä")
			g := got{Rows: rows}
			if err != nil {
				g.Err = err.Error()
			}
			g.Status = string(c.Status())
			if d := cmp.Diff(x.want, g); d != "" {
				t.Error(d)
			}
			if name == "with much between" && c.Parameter("is_superuser") != "off" {
				t.Error("the setting is not seen")
			}
			if rows, err := c.Query(ctx, "SELECT ä"); err != nil || len(rows) != 1 || rows[0][0] != "next" {
				t.Errorf("the next answer is %q, %v", rows, err)
			}
		})
	}
}

// What a server that does not: each ends with a bounded error, and the connection too.
func TestHostileAnswers(t *testing.T) {
	says := func(b []byte) func(*peer) {
		return func(p *peer) { p.send(b) }
	}
	forEver := func(first, b []byte) func(*peer) {
		return func(p *peer) {
			b := bytes.Repeat(b, 1+10_000/len(b))
			for p.send(first); p.send(b); {
			}
		}
	}
	big := strings.Repeat("x", 900_000)
	for name, x := range map[string]struct {
		script func(*peer)
		want   string
	}{
		"it hangs up":             {says(nil), "ended the connection"},
		"amid rows":               {says(several(columns(1), row("a"))), "ended the connection"},
		"in a row":                {says(several(columns(1), row("abc")[:9])), "ended the connection"},
		"before it is ready":      {says(several(columns(1), row("a"), completed)), "ended the connection"},
		"after an error":          {says(failure("ERROR", "42501", "denied")), "ended the connection: unexpected EOF (after it had refused a statement: ERROR: denied (SQLSTATE 42501))"},
		"a huge row":              {says(several(columns(1), []byte{'D', 0x40, 0, 0, 0})), "at most"},
		"a length below zero":     {says([]byte{'D', 0xff, 0, 0, 0}), "no possible length"},
		"a row of other columns":  {says(several(columns(2), row("a"))), "a row of 1 columns, and said before that there are 2"},
		"columns that are lies":   {says(several(columns(1), frame('D', 0xff, 0xff))), "cannot be read"},
		"a value that is longer":  {says(several(columns(1), frame('D', 0, 1, 0, 0, 0, 9, 'x'))), "cannot be read"},
		"a value below zero":      {says(several(columns(1), frame('D', 0, 1, 0xff, 0xff, 0xff, 0xfe))), "cannot be read"},
		"a row without columns":   {says(row("a")), "unexpected message 'D'"},
		"a row after the end":     {says(several(columns(1), completed, row("a"))), "unexpected message 'D'"},
		"columns amid rows":       {says(several(columns(1), columns(1))), "unexpected message 'T'"},
		"columns of nothing":      {says(frame('T', 0, 9)), "cannot be read"},
		"ready amid rows":         {says(several(columns(1), ready)), "unexpected message 'Z'"},
		"ready as nobody knows":   {says(frame('Z', 'X')), "unexpected message 'Z'"},
		"ready before the end":    {says(ready), "unexpected message 'Z'"},
		"ready after a notice":    {says(several(text('N', "Mx", ""), ready)), "unexpected message 'Z'"},
		"ready and no more":       {says(frame('Z')), "cannot be read"},
		"COPY in":                 {says(frame('G', 0, 0, 0)), "unexpected message 'G'"},
		"COPY out":                {says(frame('H', 0, 0, 0)), "unexpected message 'H'"},
		"COPY both":               {says(frame('W', 0, 0, 0)), "unexpected message 'W'"},
		"a question for a proof":  {says(auth(3, "")), "unexpected message 'R'"},
		"another key":             {says(keyData), "unexpected message 'K'"},
		"nothing that there is":   {says(frame(0)), "unexpected message"},
		"rows after an error":     {says(several(failure("ERROR", "42501", "denied"), columns(1))), "unexpected message 'T'"},
		"two errors":              {says(several(failure("ERROR", "42501", "denied"), failure("ERROR", "42502", "again"), ready)), "again (SQLSTATE 42502) (after it had refused a statement: ERROR: denied (SQLSTATE 42501))"},
		"an error that is none":   {says(frame('E', 'M', 'x')), "unexpected message 'E'"},
		"rows for ever":           {forEver(columns(1), row("x")), "an answer may hold"},
		"empty rows for ever":     {forEver(columns(0), row()), "an answer may hold"},
		"big rows for ever":       {forEver(columns(1), row(big)), "an answer may hold"},
		"wide rows for ever":      {forEver(columns(1600), row(make([]string, 1600)...)), "an answer may hold"},
		"statements for ever":     {forEver(nil, several(columns(1), completed)), "an answer may hold"},
		"nothing for ever":        {forEver(nil, frame('I')), "an answer may hold"},
		"notices for ever":        {forEver(nil, frame('N')), "an answer may hold"},
		"notifications for ever":  {forEver(failure("ERROR", "42501", "denied"), frame('A')), "an answer may hold"},
		"settings for ever":       {forEver(nil, several(text('S', "a", "1"), text('S', "b", "2"))), "an answer may hold"},
		"a setting without a end": {says(frame('S', 'x')), "cannot be read"},
		"a setting of a megabyte": {says(text('S', "a", big)), "more settings than it can have"},
		"new settings for ever": {func(p *peer) {
			for n := 0; p.send(text('S', fmt.Sprint("name", n), "v")); n++ {
			}
		}, "more settings than it can have"},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(p *peer) {
				if welcome(t)(p) {
					p.message()
					x.script(p)
				}
			}, func(*peer) { t.Error("it comes again") })
			ctx, c := opened(t, h)
			if name != "rows for ever" {
				c.quota = 4 << 20
			}
			rows, err := c.Query(ctx, "SELECT 1")
			if err == nil || rows != nil || !strings.Contains(err.Error(), x.want) || len(err.Error()) > 3000 {
				t.Errorf("%v, want %q", err, x.want)
			}
			// What became of the statement is not known: nobody may take it for refused.
			if _, ok := errors.AsType[*Error](err); ok {
				t.Error("it is an error of the server's")
			}
			if !c.Closed() || c.Status() != 0 {
				t.Error("the connection goes on")
			}
		})
	}
}

// A server that ends the session says why, also after an error of the statement.
func TestFatal(t *testing.T) {
	for name, sent := range map[string][]byte{
		"alone":          failure("FATAL", "57P01", "terminated"),
		"amid rows":      several(columns(1), row("a"), failure("FATAL", "57P01", "terminated")),
		"after an error": several(failure("ERROR", "42501", "denied"), failure("FATAL", "57P01", "terminated")),
		"in German":      frame('E', []byte("SFATALER FEHLER\x00VFATAL\x00C57P01\x00Mterminated\x00\x00")...),
		"in panic":       failure("PANIC", "57P01", "terminated"),
		"as of old":      frame('E', []byte("SFATAL\x00C57P01\x00Mterminated\x00\x00")...),
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(p *peer) {
				if welcome(t)(p) {
					p.message()
					p.send(sent)
				}
			}, func(*peer) { t.Error("there is nothing to cancel") })
			c, err := Open(t.Context(), h.config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Query(t.Context(), "SELECT 1")
			if bad, ok := errors.AsType[*Error](err); !ok || bad.Code != "57P01" || !c.Closed() {
				t.Errorf("%v, closed: %v", err, c.Closed())
			}
		})
	}
}

// A wait ends with its context, the connection with it, and the server is asked to stop.
func TestQueryEndsWithItsContext(t *testing.T) {
	for name, before := range map[string]func(*peer){
		"before an answer":    func(p *peer) { p.message() },
		"amid rows":           func(p *peer) { p.message(); p.send(several(columns(1), row("a"))) },
		"in a row":            func(p *peer) { p.message(); p.send(several(columns(1), row("abc")[:9])) },
		"after an error":      func(p *peer) { p.message(); p.send(failure("ERROR", "42501", "denied")) },
		"while notices come":  func(p *peer) { p.message(); p.send(bytes.Repeat(frame('N'), 100)) },
		"in a row that grows": func(p *peer) { p.message(); p.send(append([]byte{'D', 0, 0x0f, 0, 0}, make([]byte, 100_000)...)) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			cancelled := make(chan []byte, 1)
			over := make(chan struct{})
			h := serve(t, func(p *peer) {
				if welcome(t)(p) {
					before(p)
					stop()
					b := make([]byte, 64<<10)
					for !bytes.HasSuffix(p.heard.all(), []byte("X\x00\x00\x00\x04")) {
						if _, err := p.in.Read(b); err != nil {
							t.Errorf("it does not say that it goes: %v", err)
							break
						}
					}
					close(over)
				}
			}, func(p *peer) { cancelled <- p.packet() })
			c, err := Open(ctx, h.config)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := c.Query(ctx, "SELECT 1")
			if !errors.Is(err, context.Canceled) || rows != nil || !c.Closed() {
				t.Errorf("%v; closed: %v", err, c.Closed())
			}
			if _, ok := errors.AsType[*Error](err); ok {
				t.Error("it is an error of the server's")
			}
			if got := <-cancelled; string(got) != "\x04\xd2\x16\x2e\x00\x00\x00\x07\x01\x02\x03\x04" {
				t.Errorf("the request to cancel is %x", got)
			}
			<-over
		})
	}
}

// A statement that was sent in part is never run: nothing may follow that the server would
// take for the rest of it.
func TestHalfAStatement(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	heard, cut := make(chan []byte, 1), make(chan struct{})
	h := serve(t, func(p *peer) {
		if welcome(t)(p) {
			_, _ = p.in.Read(make([]byte, 1))
			before := len(p.heard.all()) - 1
			stop()
			<-cut // to read on would make room for the rest
			_, _ = io.Copy(io.Discard, p.in)
			heard <- p.heard.all()[before:]
		}
	}, func(*peer) { t.Error("there is nothing to cancel") })
	c, err := Open(t.Context(), h.config)
	if err != nil {
		t.Fatal(err)
	}
	sql := strings.Repeat("SELECT 1;", 2_000_000) // no buffer between holds it
	if _, err := c.Query(ctx, sql); !errors.Is(err, context.Canceled) || !c.Closed() {
		t.Errorf("%v; closed: %v", err, c.Closed())
	}
	close(cut)
	whole := "Q" + string(binary.BigEndian.AppendUint32(nil, uint32(len(sql)+5))) + sql + "\x00"
	if got := string(<-heard); len(got) == len(whole) || !strings.HasPrefix(whole, got) {
		t.Errorf("of %d bytes it heard %d, with %q at the end", len(whole), len(got), got[max(0, len(got)-20):])
	}
}

// An answer that nobody asked for is not taken for that of the next statement.
func TestAnswerTooMany(t *testing.T) {
	trusts := several(auth(0, ""), keyData, ready)
	one := several(columns(1), row("a"), completed, ready)
	for name, x := range map[string]struct {
		sent []byte
		want string
	}{
		"none":      {several(one, text('N', "Mx", ""), one), ""},
		"a setting": {several(one, text('S', "a", "b"), one), ""},
		"rows":      {several(one, columns(1), row("old"), completed, ready), "unexpected message 'T'"},
		"an end":    {several(one, completed, ready), "unexpected message 'C'"},
		"ready":     {several(one, ready, one), "unexpected message 'Z'"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Open(t.Context(), Config{User: "u", Database: "d", Dial: func(context.Context) (net.Conn, error) {
				return scripted{io.MultiReader(bytes.NewReader(trusts), bytes.NewReader(x.sent))}, nil // each comes at once
			}})
			if err != nil {
				t.Fatal(err)
			}
			if rows, err := c.Query(t.Context(), "SELECT 1"); err != nil || len(rows) != 1 {
				t.Fatalf("%v, %v", rows, err)
			}
			switch rows, err := c.Query(t.Context(), "SELECT 2"); {
			case x.want == "" && (err != nil || len(rows) != 1 || c.Closed()):
				t.Errorf("%v, %v", rows, err)
			case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want) || rows != nil || !c.Closed()):
				t.Errorf("%v, %v, want %q; closed: %v", rows, err, x.want, c.Closed())
			}
		})
	}
}

// A context that is over before, or a statement that cannot be sent, costs no connection.
func TestNothingIsSent(t *testing.T) {
	h := serve(t, func(p *peer) {
		if welcome(t)(p) {
			if kind, _ := p.message(); kind != 'X' {
				t.Errorf("it sent %q", kind)
			}
		}
	})
	c, err := Open(t.Context(), h.config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.Query(ctx, "SELECT 1"); !errors.Is(err, context.Canceled) || c.Closed() {
		t.Errorf("%v, closed: %v", err, c.Closed())
	}
	if _, err := c.Query(t.Context(), "SELECT 1\x00; DROP TABLE x"); err == nil || c.Closed() {
		t.Errorf("a zero byte: %v", err)
	}
	c.Close()
	var none Client
	none.Close()
	if _, err := none.Query(t.Context(), "SELECT 1"); err == nil || !none.Closed() || none.Parameter("x") != "" {
		t.Error("a client that was never opened is open")
	}
}
