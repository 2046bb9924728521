package web

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ambit"
)

// HTTP/1.1 that two readers could understand differently: each attempt goes
// over a real connection, and what counts is what the upstream saw.

func TestAmbiguousRequestsDoNotPass(t *testing.T) {
	tests := map[string]string{
		"length and chunks":          "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"chunks and length":          "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG",
		"two lengths":                "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: 0\r\nContent-Length: 33\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"two equal lengths":          "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"length as a list":           "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: 2, 2\r\n\r\nok",
		"length with a sign":         "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: +2\r\n\r\nok",
		"length in hexadecimal":      "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: 0x2\r\n\r\nok",
		"length with underscores":    "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: 1_0\r\n\r\n0123456789",
		"empty length":               "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: \r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"length over the bound":      "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Length: 99999999999999999999\r\n\r\nok",
		"length with underscore":     "POST /a HTTP/1.1\r\nHost: {H}\r\nContent_Length: 33\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"coding with underscore":     "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
		"coding with a tab":          "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding:\tchunked\x0b\r\n\r\n0\r\n\r\n",
		"coding with a space before": "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"coding identity":            "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
		"coding list":                "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"coding twice":               "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
		"coding twice in one":        "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
		"coding in quotes":           "POST /a HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
		"coding in HTTP/1.0":         "POST /a HTTP/1.0\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"folded field":               "GET /a HTTP/1.1\r\nHost: {H}\r\nX: a\r\n b\r\n\r\n",
		"folded first field":         "GET /a HTTP/1.1\r\n Host: {H}\r\n\r\n",
		"bare LF":                    "GET /a HTTP/1.1\nHost: {H}\n\n",
		"bare LF in a field":         "GET /a HTTP/1.1\r\nHost: {H}\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n",
		"bare CR in a field":         "GET /a HTTP/1.1\r\nHost: {H}\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
		"NUL in a field":             "GET /a HTTP/1.1\r\nHost: {H}\r\nX: a\x00b\r\n\r\n",
		"NUL in a name":              "GET /a HTTP/1.1\r\nHost: {H}\r\nX\x00Y: a\r\n\r\n",
		"two hosts":                  "GET /a HTTP/1.1\r\nHost: {H}\r\nHost: evil.example\r\n\r\n",
		"two equal hosts":            "GET /a HTTP/1.1\r\nHost: {H}\r\nHost: {H}\r\n\r\n",
		"no host":                    "GET /a HTTP/1.1\r\nX: y\r\n\r\n",
		"empty host":                 "GET /a HTTP/1.1\r\nHost: \r\n\r\n",
		"host with a path":           "GET /a HTTP/1.1\r\nHost: {H}/x\r\n\r\n",
		"host with userinfo":         "GET /a HTTP/1.1\r\nHost: {H}@evil.example\r\n\r\n",
		"host with trailing dot":     "GET /a HTTP/1.1\r\nHost: api.example.com.\r\n\r\n",
		"host without the port":      "GET /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
		"host in another script":     "GET /a HTTP/1.1\r\nHost: \xd0\xb0pi.example.com\r\n\r\n",
		"field without a colon":      "GET /a HTTP/1.1\r\nHost: {H}\r\nnonsense\r\n\r\n",
		"field without a name":       "GET /a HTTP/1.1\r\nHost: {H}\r\n: x\r\n\r\n",
		"absolute form":              "GET https://{H}/a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"absolute form elsewhere":    "GET https://evil.example/a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"authority form":             "CONNECT evil.example:443 HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"asterisk":                   "GET * HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"no slash":                   "GET a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"double space":               "GET  /a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"tab in the line":            "GET\t/a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"space at the end":           "GET /a HTTP/1.1 \r\nHost: {H}\r\n\r\n",
		"space in the target":        "GET /a b HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"version 2":                  "GET /a HTTP/2.0\r\nHost: {H}\r\n\r\n",
		"version 1.2":                "GET /a HTTP/1.2\r\nHost: {H}\r\n\r\n",
		"no version":                 "GET /a\r\n\r\n",
		"lower-case version":         "GET /a http/1.1\r\nHost: {H}\r\n\r\n",
		"empty line first":           "\r\nGET /a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"HTTP/2 preface":             "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"lower-case method":          "get /a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"TRACE":                      "TRACE /a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"unknown method":             "FROB /a HTTP/1.1\r\nHost: {H}\r\n\r\n",
		"h2c upgrade":                "GET /a HTTP/1.1\r\nHost: {H}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
		"other upgrade":              "GET /a HTTP/1.1\r\nHost: {H}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
		"websocket without a key":    "GET /a HTTP/1.1\r\nHost: {H}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
		"websocket by POST":          "POST /a HTTP/1.1\r\nHost: {H}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"websocket with a body":      "GET /a HTTP/1.1\r\nHost: {H}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 2\r\n\r\nok",
		"hop-by-hop abuse":           "GET /a HTTP/1.1\r\nHost: {H}\r\nConnection: close, Authorization\r\nAuthorization: x\r\n\r\n",
		"method override":            "POST /a HTTP/1.1\r\nHost: {H}\r\nX-HTTP-Method-Override: DELETE\r\nContent-Length: 0\r\n\r\n",
		"method override, disguised": "POST /a HTTP/1.1\r\nHost: {H}\r\nX_HTTP_Method_Override: DELETE\r\nContent-Length: 0\r\n\r\n",
		"method in the query":        "POST /a?_method=DELETE HTTP/1.1\r\nHost: {H}\r\nContent-Length: 0\r\n\r\n",
		"method in the query, coded": "POST /a?x=1&%5fmethod=DELETE HTTP/1.1\r\nHost: {H}\r\nContent-Length: 0\r\n\r\n",
		"path override":              "GET /a HTTP/1.1\r\nHost: {H}\r\nX-Original-URL: /admin\r\n\r\n",
		"expectation":                "POST /a HTTP/1.1\r\nHost: {H}\r\nExpect: 200-ok\r\nContent-Length: 2\r\n\r\nok",
		"two content types":          "POST /a HTTP/1.1\r\nHost: {H}\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 2\r\n\r\nok",
		"too many fields":            "GET /a HTTP/1.1\r\nHost: {H}\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n",
		"head over the bound":        "GET /a HTTP/1.1\r\nHost: {H}\r\nX: " + strings.Repeat("y", 70<<10) + "\r\n\r\n",
	}
	h := newHouse(t, nil)
	for name, attempt := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(h.up.requests())
			_, refused, _ := h.log.counts()
			got := h.exchange(strings.ReplaceAll(attempt, "{H}", h.authority()))
			if !strings.HasPrefix(got, "HTTP/1.1 403 ") {
				t.Errorf("answered %.80q", got)
			}
			if strings.Count(got, "HTTP/1.1 403") != 1 || strings.Contains(got, "HTTP/1.1 200") {
				t.Errorf("answered more than once, or went on: %q", got)
			}
			if after := h.up.requests(); len(after) != before {
				t.Errorf("the upstream saw %v", after[before:])
			}
			if _, n, _ := h.log.counts(); n != refused+1 {
				t.Errorf("%d refusals were recorded", n-refused)
			}
		})
	}
	t.Run("an ordinary request still passes", func(t *testing.T) {
		if code, body := get(t, h.client(), h.url("/a")); code != 200 || body != "ok GET /a" {
			t.Errorf("got %d %q", code, body)
		}
	})
}

// exchange writes raw bytes and returns all that comes back.
func (h *house) exchange(bytes string) string {
	h.t.Helper()
	c := h.raw()
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil {
		h.t.Fatal(err)
	}
	var b strings.Builder
	c.SetReadDeadline(time.Now().Add(patience))
	io.Copy(&b, c)
	return b.String()
}

func TestBadChunksCutTheRequest(t *testing.T) {
	tests := map[string]string{
		"extension":            "5;x=y\r\nhello\r\n0\r\n\r\n",
		"sign":                 "+5\r\nhello\r\n0\r\n\r\n",
		"prefix":               "0x5\r\nhello\r\n0\r\n\r\n",
		"space":                "5 \r\nhello\r\n0\r\n\r\n",
		"bare LF":              "5\nhello\r\n0\r\n\r\n",
		"no CRLF behind":       "5\r\nhelloX\r\n0\r\n\r\n",
		"LF behind":            "5\r\nhello\n0\r\n\r\n",
		"overflow":             "ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
		"empty size":           "\r\nhello\r\n0\r\n\r\n",
		"trailer with bare LF": "5\r\nhello\r\n0\r\nX: y\n\r\n",
		"folded trailer":       "5\r\nhello\r\n0\r\n X: y\r\n\r\n",
	}
	h := newHouse(t, nil)
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			got := h.exchange("POST /a HTTP/1.1\r\nHost: " + h.authority() + "\r\nTransfer-Encoding: chunked\r\n\r\n" + body + "GET /smuggled HTTP/1.1\r\nHost: " + h.authority() + "\r\n\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 403 ") || strings.Count(got, "HTTP/1.1 403") != 1 || strings.Contains(got, "HTTP/1.1 200") {
				t.Errorf("answered %q", got)
			}
			for _, s := range h.up.requests() {
				if s.uri != "/a" || !s.cut {
					t.Errorf("the upstream saw %+v", s)
				}
			}
		})
	}
}

func TestPlainChunksPassAndTrailersDoNot(t *testing.T) {
	h := newHouse(t, nil)
	c := h.raw()
	r := bufio.NewReader(c)
	for i := range 3 {
		fmt.Fprintf(c, "POST /a%d HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-Late: 1\r\nHost: evil\r\n\r\n", i, h.authority())
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || string(b) != fmt.Sprintf("ok POST /a%d", i) {
			t.Fatalf("got %d %q", resp.StatusCode, b)
		}
	}
	for _, s := range h.up.requests() {
		if s.body != "hello world" || s.header.Get("X-Late") != "" || s.header.Get("Trailer") != "" {
			t.Errorf("the upstream saw %+v", s)
		}
	}
}

func TestPipelinedRequestsAreDecidedOneByOne(t *testing.T) {
	h := newHouse(t, nil)
	h.decide = func(a *ambit.Action) ambit.Verdict {
		if strings.Contains(a.Resource.String(), "/secret") {
			return ambit.Deny
		}
		return ambit.Allow
	}
	one := "GET %s HTTP/1.1\r\nHost: " + h.authority() + "\r\n%s\r\n"
	got := h.exchange(fmt.Sprintf(one, "/a", "") + fmt.Sprintf(one, "/secret", "") + fmt.Sprintf(one, "/b", "Connection: close\r\n"))
	var codes []string
	for _, part := range strings.Split(got, "HTTP/1.1 ")[1:] {
		codes = append(codes, part[:3])
	}
	if strings.Join(codes, " ") != "200 403 200" {
		t.Errorf("answered %v:\n%s", codes, got)
	}
	var uris []string
	for _, s := range h.up.requests() {
		uris = append(uris, s.uri)
	}
	if strings.Join(uris, " ") != "/a /b" {
		t.Errorf("the upstream saw %v", uris)
	}
}

func TestHTTP10(t *testing.T) {
	h := newHouse(t, nil)
	got := h.exchange("GET /a HTTP/1.0\r\nHost: " + h.authority() + "\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") ||
		strings.Contains(got, "chunked") || !strings.HasSuffix(got, "\r\n\r\nok GET /a") {
		t.Errorf("answered %q", got)
	}
}

func TestForgedProxyFieldsAreDropped(t *testing.T) {
	h := newHouse(t, nil)
	got := h.exchange("GET /a HTTP/1.1\r\nHost: " + h.authority() + "\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: evil\r\nForwarded: for=x\r\n" +
		"Proxy-Authorization: x\r\nKeep-Alive: 5\r\nConnection: close\r\nX-Keep: yes\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Fatalf("answered %q", got)
	}
	s := h.up.requests()[0]
	for k := range s.header {
		if k != "X-Keep" {
			t.Errorf("the upstream saw %s: %v", k, s.header[k])
		}
	}
}
