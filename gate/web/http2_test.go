package web

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// rawGet sends one HTTP/1.1 request and returns the status.
func rawGet(t testing.TB, c io.ReadWriter, host string) string {
	t.Helper()
	fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
	b, _ := io.ReadAll(c)
	if len(b) < 12 {
		t.Fatalf("answered %q", b)
	}
	return string(b[9:12])
}

// framesOf2 is an agent that writes its own HTTP/2.
type framesOf2 struct {
	c   *tls.Conn
	f   *http2.Framer
	buf bytes.Buffer
	enc *hpack.Encoder
}

func (h *house) framesOf2(t *testing.T) *framesOf2 {
	t.Helper()
	c, err := tls.Dial("tcp", h.listener.Addr().String(), &tls.Config{RootCAs: h.agentRoots(), ServerName: testHost, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, http2.ClientPreface)
	f := &framesOf2{c: c, f: http2.NewFramer(c, c)}
	f.f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.enc = hpack.NewEncoder(&f.buf)
	f.f.AllowIllegalWrites = true
	f.f.WriteSettings()
	return f
}

// send writes one request and returns its status, or "reset" or "closed".
func (f *framesOf2) send(id uint32, body string, fields ...string) string {
	f.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		f.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	f.f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.buf.Bytes(), EndHeaders: true, EndStream: body == ""})
	if body != "" {
		f.f.WriteData(id, true, []byte(body))
	}
	for {
		fr, err := f.f.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch fr := fr.(type) {
		case *http2.MetaHeadersFrame:
			if fr.StreamID == id {
				return fr.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if fr.StreamID == id {
				return "reset"
			}
		case *http2.GoAwayFrame:
			return "closed"
		case *http2.SettingsFrame:
			if !fr.IsAck() {
				f.f.WriteSettingsAck()
			}
		}
	}
}

func lastOf[T any](s []T) T { return s[len(s)-1] }

func TestHTTP2Tricks(t *testing.T) {
	h := newHouse(t, nil)
	a := h.authority()
	base := func(extra ...string) []string {
		return append([]string{":method", "GET", ":scheme", "https", ":authority", a, ":path", "/a"}, extra...)
	}
	tests := map[string]struct {
		fields []string
		body   string
	}{
		"other authority":       {fields: []string{":method", "GET", ":scheme", "https", ":authority", "evil.example", ":path", "/a"}},
		"host beside authority": {fields: base("host", "evil.example")},
		"equal host":            {fields: base("host", "evil."+a)},
		"no authority":          {fields: []string{":method", "GET", ":scheme", "https", ":path", "/a"}},
		"two authorities":       {fields: append(base(), ":authority", "evil.example")},
		"two paths":             {fields: []string{":method", "GET", ":scheme", "https", ":authority", a, ":path", "/a", ":path", "/b"}},
		"pseudo after regular":  {fields: []string{":method", "GET", ":scheme", "https", ":authority", a, "x", "y", ":path", "/a"}},
		"unknown pseudo":        {fields: base(":evil", "x")},
		"empty path":            {fields: []string{":method", "GET", ":scheme", "https", ":authority", a, ":path", ""}},
		"absolute path":         {fields: []string{":method", "GET", ":scheme", "https", ":authority", a, ":path", "https://evil.example/"}},
		"dot path":              {fields: []string{":method", "GET", ":scheme", "https", ":authority", a, ":path", "/a/%2e%2e/b"}},
		"path with a line end":  {fields: []string{":method", "GET", ":scheme", "https", ":authority", a, ":path", "/a HTTP/1.1\r\nHost: evil\r\n\r\nGET /b"}},
		"method with a line":    {fields: []string{":method", "GET /b HTTP/1.1\r\nX:", ":scheme", "https", ":authority", a, ":path", "/a"}},
		"value with a line end": {fields: base("x", "y\r\nTransfer-Encoding: chunked")},
		"name with a colon":     {fields: base("x: y\r\nz", "1")},
		"upper-case name":       {fields: base("X-Upper", "1")},
		"transfer-encoding":     {fields: base("transfer-encoding", "chunked")},
		"connection":            {fields: base("connection", "close")},
		"upgrade":               {fields: base("upgrade", "h2c")},
		"CONNECT":               {fields: []string{":method", "CONNECT", ":authority", "evil.example:443"}},
		"extended CONNECT":      {fields: []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", a, ":path", "/a"}},
		"TRACE":                 {fields: []string{":method", "TRACE", ":scheme", "https", ":authority", a, ":path", "/a"}},
		"override":              {fields: base("x-http-method-override", "DELETE")},
		"length too short":      {fields: []string{":method", "POST", ":scheme", "https", ":authority", a, ":path", "/a", "content-length", "1"}, body: "GET /smuggled HTTP/1.1\r\n\r\n"},
		"length too long":       {fields: []string{":method", "POST", ":scheme", "https", ":authority", a, ":path", "/a", "content-length", "100"}, body: "x"},
		"two lengths":           {fields: []string{":method", "POST", ":scheme", "https", ":authority", a, ":path", "/a", "content-length", "1", "content-length", "2"}, body: "x"},
		"length not a number":   {fields: []string{":method", "POST", ":scheme", "https", ":authority", a, ":path", "/a", "content-length", "+1"}, body: "x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := h.framesOf2(t).send(1, tt.body, tt.fields...)
			if got != "403" && got != "400" && got != "reset" && got != "closed" {
				t.Errorf("answered %s", got)
			}
			for _, s := range h.up.requests() {
				if !s.cut {
					t.Errorf("the upstream saw %+v", s)
				}
			}
		})
	}
	if got := h.framesOf2(t).send(1, "", ":method", "GET", ":scheme", "http", ":authority", a, ":path", "/s"); got != "200" || lastOf(h.log.intended()).Args["url"] != h.url("/s") {
		t.Errorf("another scheme got %s, and %v was decided on", got, h.log.intended())
	}
	f := h.framesOf2(t)
	if got := f.send(1, "", base("te", "trailers")...); got != "200" {
		t.Errorf("the plain twin got %s", got)
	}
	if got := f.send(3, "hello", ":method", "POST", ":scheme", "https", ":authority", a, ":path", "/a", "content-length", "5"); got != "200" {
		t.Errorf("the plain twin with a body got %s", got)
	}
}

func TestHTTP2RequestsAreDecidedOneByOne(t *testing.T) {
	h := newHouse(t, nil)
	f := h.framesOf2(t)
	for i, path := range []string{"/a", "/b//c", "/c"} {
		want := []string{"200", "403", "200"}[i]
		got := f.send(uint32(2*i+1), "", ":method", "GET", ":scheme", "https", ":authority", h.authority(), ":path", path)
		if got != want && !(i == 2 && got == "closed") {
			t.Errorf("%s: got %s", path, got)
		}
	}
	for _, s := range h.up.requests() {
		if strings.Contains(s.uri, "//") {
			t.Errorf("the upstream saw %s", s.uri)
		}
	}
}

func TestTrailersOfResponsesReachHTTP2(t *testing.T) {
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		io.WriteString(w, "body")
		w.Header().Set("Grpc-Status", "0")
	}))
	resp, err := h.client("h2").Get(h.url("/x"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "body" || resp.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("got %q, trailers %v", b, resp.Trailer)
	}
}
