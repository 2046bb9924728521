package web

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzHead checks that whatever the strict reader accepts, net/http reads in
// the same way: method, target, host, fields and where the body ends.
func FuzzHead(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /x?y HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\n\r\nhello",
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\nGET",
		"GET / HTTP/1.0\r\nHost: a\r\nx: \xff\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 4 << 10
		c := &fixedConn{b: b}
		r := newReader(c, most)
		raw, err := r.head()
		if err != nil {
			return
		}
		if len(raw) > most {
			t.Fatalf("a head of %d bytes", len(raw))
		}
		h, bad := parseHead(raw)
		if bad != nil {
			return
		}
		if _, bad := parseTarget(h.method, h.target, true); bad != nil {
			return
		}
		rest := bufio.NewReader(bytes.NewReader(b))
		q, err := http.ReadRequest(rest)
		if err != nil {
			t.Fatalf("net/http refuses what we accept: %v\n%q", err, b)
		}
		if q.Method != h.method || q.RequestURI != h.target || q.Host != h.host || q.ProtoMinor != h.minor {
			t.Fatalf("net/http reads %s %s %s, we read %s %s %s", q.Method, q.RequestURI, q.Host, h.method, h.target, h.host)
		}
		sameFields(t, h.header, q.Header)
		sameBody(t, h, r, q, rest)
	})
}

func sameFields(t *testing.T, ours, theirs http.Header) {
	t.Helper()
	for k, vs := range theirs {
		if strings.Join(vs, "\x00") != strings.Join(ours[k], "\x00") && k != "Content-Length" {
			t.Fatalf("net/http reads %s: %q, we read %q", k, vs, ours[k])
		}
	}
	for k := range ours {
		// net/http takes these out of the header.
		if _, ok := theirs[k]; !ok && k != "Trailer" && k != "Connection" {
			t.Fatalf("only we read %s", k)
		}
	}
}

func sameBody(t *testing.T, h *head, r *reader, q *http.Request, rest *bufio.Reader) {
	t.Helper()
	if h.length != q.ContentLength {
		t.Fatalf("net/http reads a length of %d, we of %d", q.ContentLength, h.length)
	}
	if h.length == 0 {
		return
	}
	body := &body1{r: r, stall: time.Second, left: max(h.length, 0), chunked: h.length == unknownLength, atEnd: func() {}}
	ours, err := io.ReadAll(body)
	if err != nil {
		return // cut or refused: the request does not pass whole
	}
	theirs, err := io.ReadAll(q.Body)
	if err != nil || !bytes.Equal(ours, theirs) {
		t.Fatalf("net/http reads the body %q (%v), we %q", theirs, err, ours)
	}
	next1, _ := io.ReadAll(r)
	next2, _ := io.ReadAll(rest)
	if !bytes.Equal(next1, next2) {
		t.Fatalf("net/http goes on at %q, we at %q", next2, next1)
	}
}

// TestSlowHeadIsRefused drips a head without end: every byte comes in time, and the
// whole never does.
func TestSlowHeadIsRefused(t *testing.T) {
	h := newHouse(t, nil, func(_ *house, c *Config) { c.Limits.HeadTime = 150 * time.Millisecond })
	c := h.raw()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: ")
	go func() {
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	if b, err := io.ReadAll(c); !strings.HasPrefix(string(b), "HTTP/1.1 403 ") || isTimeout(err) {
		t.Errorf("answered %.60q, %v", b, err)
	}
	c.Close()
}

func TestIdleConnectionIsClosed(t *testing.T) {
	h := newHouse(t, nil, func(_ *house, c *Config) { c.Limits.Idle = 100 * time.Millisecond })
	if b, err := io.ReadAll(h.raw()); len(b) > 0 || isTimeout(err) {
		t.Errorf("an idle connection got %q, %v", b, err)
	}
}

func TestStalledBodyIsCut(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		h := newHouse(t, nil, func(_ *house, c *Config) { c.Limits.Stall = time.Second })
		r, w := io.Pipe()
		defer w.Close()
		go io.WriteString(w, "begun")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", h.url("/x"), r)
		if resp, err := h.client(proto).Do(req); err == nil {
			if resp.StatusCode == 200 {
				t.Errorf("%s: got %s", proto, resp.Status)
			}
			resp.Body.Close()
		}
		if ctx.Err() != nil {
			t.Errorf("%s: not cut", proto)
		}
		eventually(t, "cut upload", func() bool { s := h.up.requests(); return len(s) == 1 && s[0].cut })
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	h := newHouse(t, nil, func(_ *house, c *Config) { c.Limits.Conns = 2 })
	a, b := h.raw(), h.raw()
	c, err := net.Dial("tcp", h.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("a third connection got %d bytes", n)
	}
	a.Close()
	b.Close()
	eventually(t, "free place", func() bool { return len(h.gate.slots) == 0 })
	if code, _ := get(t, h.client(), h.url("/")); code != 200 {
		t.Errorf("after the others ended: %d", code)
	}
}
