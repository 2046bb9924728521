package web

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ambit"
)

// Placeholders that leave, credentials that come back, keys of the agent's own.

func TestPlaceholdersDoNotLeave(t *testing.T) {
	half := len(otherFake) / 2
	b64 := base64.StdEncoding.EncodeToString
	tests := map[string]func(r *http.Request){
		"another's in authorization": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+otherFake) },
		"another's, basic":           func(r *http.Request) { r.Header.Set("Authorization", "Basic "+b64([]byte("user:"+otherFake))) },
		"another's in a cookie":      func(r *http.Request) { r.Header.Set("Cookie", "session="+otherFake) },
		"own header":                 func(r *http.Request) { r.Header.Set("X-Note", otherFake) },
		"bearer":                     func(r *http.Request) { r.Header.Set("X-Token", "Bearer "+otherFake) },
		"header name":                func(r *http.Request) { r.Header.Set("X-"+otherFake, "1") },
		"header, spaced":             func(r *http.Request) { r.Header.Set("X-Note", otherFake[:half]+" "+otherFake[half:]) },
		"two header lines":           func(r *http.Request) { r.Header["X-Note"] = []string{"a", otherFake} },
		"basic":                      func(r *http.Request) { r.Header.Set("X-Basic", "Basic "+b64([]byte("user:"+otherFake))) },
		"base64 twice":               func(r *http.Request) { r.Header.Set("X-Note", b64([]byte(b64([]byte("x"+otherFake))))) },
		"hex":                        func(r *http.Request) { r.Header.Set("X-Note", hex.EncodeToString([]byte(otherFake))) },
		"path":                       func(r *http.Request) { r.URL.Path = "/x/" + otherFake },
		"path, escaped":              func(r *http.Request) { r.URL.Opaque = "/x/" + percentAll(otherFake) },
		"query":                      func(r *http.Request) { r.URL.RawQuery = "q=" + otherFake },
		"query, escaped":             func(r *http.Request) { r.URL.RawQuery = "q=" + percentAll(otherFake) },
		"query, escaped twice":       func(r *http.Request) { r.URL.RawQuery = "q=" + url.QueryEscape(percentAll(otherFake)) },
		"query, base64":              func(r *http.Request) { r.URL.RawQuery = "q=" + url.QueryEscape(b64([]byte("ab"+otherFake+"c"))) },
		"cookie elsewhere":           func(r *http.Request) { r.Header.Set("X-Cookie", "a=b; c="+otherFake) },
		"body":                       func(r *http.Request) { setBody(r, "token="+otherFake+"&x", true) },
		"body, base64":               func(r *http.Request) { setBody(r, "x"+b64([]byte("abcd"+otherFake+"ef")), true) },
		"long body":                  func(r *http.Request) { setBody(r, strings.Repeat("x", 300<<10)+otherFake, true) },
		"chunked body":               func(r *http.Request) { setBody(r, "x"+otherFake, false) },
		"body in pieces": func(r *http.Request) {
			r.Method, r.ContentLength = "POST", -1
			r.Body = io.NopCloser(&dribble{s: strings.Repeat("y", 40<<10) + otherFake + "z", n: 7})
		},
		"own placeholder in the body": func(r *http.Request) { setBody(r, "x"+fakeValue, true) },
		"own placeholder in the path": func(r *http.Request) { r.URL.Path = "/" + fakeValue },
	}
	for _, proto := range []string{"http/1.1", "h2"} {
		h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), withCredential)
		c := h.client(proto)
		for name, spoil := range tests {
			t.Run(proto+" "+name, func(t *testing.T) {
				h.alerts.clear()
				req, _ := http.NewRequest("GET", h.url("/a"), nil)
				spoil(req)
				resp, err := c.Do(req)
				if err == nil {
					b, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 403 || !strings.Contains(string(b), CodePlaceholder) {
						t.Errorf("got %d %s", resp.StatusCode, b)
					}
				} // an upload may be cut before the answer arrives
				eventually(t, "alert", func() bool { return h.alerts.has(AlertPlaceholder) })
			})
		}
		for _, s := range h.up.requests() {
			if all := fmt.Sprint(s); strings.Contains(all, otherFake) || strings.Contains(all, fakeValue) {
				t.Errorf("the upstream saw a placeholder: %+v", s)
			}
		}
	}
}

// dribble gives n bytes at a time.
type dribble struct {
	s string
	n int
}

func (d *dribble) Read(p []byte) (int, error) {
	if d.s == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), d.n)], d.s)
	d.s = d.s[n:]
	return n, nil
}

func setBody(r *http.Request, s string, known bool) {
	r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader(s)), -1
	if known {
		r.ContentLength = int64(len(s))
	}
}

func TestOwnKeysAreRemoved(t *testing.T) {
	h := newHouse(t, nil, withCredential)
	req, _ := http.NewRequest("GET", h.url("/a?access=1"), nil)
	for _, k := range []string{"Authorization", "Cookie", "X-Api-Key", "Private-Token", "x-goog-api-key"} {
		req.Header.Set(k, "attacker-key")
	}
	resp, err := h.client().Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	s := h.up.requests()[0]
	if all := fmt.Sprint(s); strings.Contains(all, "attacker") || s.header.Get("Authorization") != "Bearer "+testSecret || s.uri != "/a?access=1" {
		t.Errorf("the upstream saw %+v", s)
	}
	for _, q := range []string{"access_token=attacker", "x=1&Access%5fToken=attacker", "private_token=x"} {
		if code, _ := get(t, h.client(), h.url("/a?"+q)); code != 403 {
			t.Errorf("%s: got %d", q, code)
		}
	}
	plain := newHouse(t, nil)
	req, _ = http.NewRequest("GET", plain.url("/a?access_token=mine"), nil)
	req.Header.Set("Authorization", "mine")
	if resp, err := plain.client().Do(req); err != nil || resp.StatusCode != 200 || plain.up.requests()[0].header.Get("Authorization") != "mine" {
		t.Errorf("a service without a credential: %v %v", resp, err)
	}
}

func TestInjection(t *testing.T) {
	tests := map[string]struct {
		inject Inject
		send   func(r *http.Request)
		want   func(s seen) bool
	}{
		"header": {Inject{Header: "x-api-key"}, func(r *http.Request) { r.Header.Set("x-api-key", fakeValue) },
			func(s seen) bool { return s.header.Get("X-Api-Key") == testSecret && s.uri == "/a?b=c" }},
		"basic": {Inject{Basic: "x-access-token"}, func(r *http.Request) { r.SetBasicAuth("git", fakeValue) },
			func(s seen) bool {
				return s.header.Get("Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte("x-access-token:"+testSecret))
			}},
		"query": {Inject{Query: "key"}, func(r *http.Request) { r.URL.RawQuery += "&key=" + fakeValue },
			func(s seen) bool { return s.uri == "/a?b=c&key="+url.QueryEscape(testSecret) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil, withCredential, func(_ *house, c *Config) { c.Routes[0].Inject = tt.inject })
			req, _ := http.NewRequest("GET", h.url("/a?b=c"), nil)
			tt.send(req)
			resp, err := h.client().Do(req)
			if err != nil || resp.StatusCode != 200 {
				t.Fatal(resp, err)
			}
			defer resp.Body.Close()
			if s := h.up.requests()[0]; !tt.want(s) || strings.Contains(fmt.Sprint(s), fakeValue) {
				t.Errorf("the upstream saw %+v", s)
			}
			if b, _ := io.ReadAll(resp.Body); strings.Contains(string(b), testSecret) || strings.Contains(string(b), url.QueryEscape(testSecret)) {
				t.Errorf("the agent got %s", b)
			}
			if all := h.log.text(); strings.Contains(all, testSecret) || strings.Contains(all, url.QueryEscape(testSecret)) {
				t.Error("the log holds the credential")
			}
		})
	}
}

func TestSecretWithALineEndIsNotInjected(t *testing.T) {
	for _, s := range []string{"", "a\r\nX: y", "a\nb", "a\x00b", strings.Repeat("x", 9<<10)} {
		h := newHouse(t, nil, withCredential)
		h.secret = []byte(s)
		if code, body := get(t, h.client(), h.url("/a")); code != 403 || len(h.up.requests()) != 0 || len(s) > 3 && strings.Contains(body, s) {
			t.Errorf("%q: got %d %s", s, code, body)
		}
		if e := h.log.lastEnd(t); e.Outcome != ambit.Refused {
			t.Errorf("recorded %v", e)
		}
	}
}

func TestReflectedCredentialIsBlanked(t *testing.T) {
	s := testSecret
	js, _ := json.Marshal(s)
	forms := map[string]string{
		"plain": s, "percent": url.QueryEscape(s), "percent, lower case": strings.ToLower(url.PathEscape(s)), "percent, all": percentAll(s),
		"base64": base64.StdEncoding.EncodeToString([]byte(s)), "base64, one off": base64.StdEncoding.EncodeToString([]byte("x" + s)),
		"base64, two off": base64.StdEncoding.EncodeToString([]byte("xy" + s + "z")), "base64, url": base64.RawURLEncoding.EncodeToString([]byte(s)),
		"hex": hex.EncodeToString([]byte(s)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(s))), "JSON": string(js),
		"JSON, slashes": strings.ReplaceAll(string(js), "/", `\/`), "HTML": html.EscapeString(s),
	}
	for _, proto := range []string{"http/1.1", "h2"} {
		for name, form := range forms {
			t.Run(proto+" "+name, func(t *testing.T) {
				h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Echo", "a"+form+"b")
					w.Header().Set("Location", "/x?"+form)
					w.Header().Set("Set-Cookie", "session=opened")
					f := w.(http.Flusher)
					for i := range len(form) { // split everywhere
						io.WriteString(w, form[i:i+1])
						if i%5 == 0 {
							f.Flush()
						}
					}
					io.WriteString(w, strings.Repeat(".", 40<<10)+form)
				}), withCredential)
				resp, err := h.client(proto).Get(h.url("/a"))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				if err != nil || len(b) != 40<<10+2*len(form) {
					t.Errorf("got %d bytes, %v", len(b), err)
				}
				core := coreOf(form)
				if strings.Contains(string(b), core) || strings.Contains(fmt.Sprint(resp.Header), core) {
					t.Errorf("the agent got %q and %.80q", resp.Header, b)
				}
				if resp.Header.Get("Set-Cookie") != "" {
					t.Error("the agent got a session of the credential")
				}
				eventually(t, "alert", func() bool { return h.alerts.has(AlertReflected) })
			})
		}
	}
}

// coreOf is the middle of a form, which no edge effect of an encoding touches.
func coreOf(form string) string { return form[len(form)/4 : 3*len(form)/4] }

func TestBlankedBodyKeepsItsLength(t *testing.T) {
	body := `{"token":"` + testSecret + `","ok":true}`
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Range") != "" {
			t.Errorf("the upstream was asked for %v", r.Header)
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		io.WriteString(w, body)
	}), withCredential)
	req, _ := http.NewRequest("GET", h.url("/a"), nil)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Range", "bytes=11-20") // a slice of the secret would not be recognised
	resp, err := h.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if want := `{"token":"` + strings.Repeat("X", len(testSecret)) + `","ok":true}`; string(b) != want {
		t.Errorf("got %s", b)
	}
}

func gzipped(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	io.WriteString(z, s)
	z.Close()
}

func TestCompressedAnswers(t *testing.T) {
	hand := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { gzipped(w, testSecret) })
	t.Run("cannot be searched", func(t *testing.T) {
		h := newHouse(t, hand, withCredential)
		if code, body := get(t, h.client(), h.url("/a")); code != 502 || !strings.Contains(body, CodeUnscrubbed) {
			t.Errorf("got %d %s", code, body)
		}
		if e := h.log.lastEnd(t); e.Outcome != ambit.Performed {
			t.Errorf("recorded %v", e)
		}
	})
	t.Run("pass untouched without a credential", func(t *testing.T) {
		h := newHouse(t, hand)
		resp, err := h.client().Get(h.url("/a"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(z); string(b) != testSecret || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("got %q %v", b, resp.Header)
		}
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://evil.example/take?x=1", http.StatusTemporaryRedirect)
	}), withCredential)
	resp, err := h.client().Post(h.url("/a"), "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 307 || resp.Header.Get("Location") != "https://evil.example/take?x=1" || len(h.up.requests()) != 1 {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
	if n, _, _ := h.log.counts(); n != 1 {
		t.Errorf("%d intents", n)
	}
}
