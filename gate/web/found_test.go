package web

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestFoundCredentials uses tokens that lie about in place of the task's own. They
// are refused, by whatever way they are sent, and alert; nothing of them leaves, and
// nothing of them is recorded. The placeholder, and what is no credential, pass.
func TestFoundCredentials(t *testing.T) {
	const old = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
	const plain = "0123456789abcdef0123456789abcdef01234567" // as tokens once were
	jwt := "eyJhbGciOiJSUzI1NiJ9." + strings.Repeat("x", 60) + ".sig"
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header[k] = []string{v} } }
	query := func(q string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = q } }
	found := map[string]struct {
		spoil  func(*http.Request)
		strict bool // seen only where the agent has nothing of its own
	}{
		"bearer":                {header("Authorization", "Bearer "+old), false},
		"token":                 {header("Authorization", "token "+old), false},
		"bare":                  {header("Authorization", old), false},
		"basic password":        {header("Authorization", basic("x-access-token:"+old)), false},
		"basic user":            {header("Authorization", basic(old+":x-oauth-basic")), false},
		"basic user alone":      {header("Authorization", basic(old+":")), false},
		"basic user and a word": {header("Authorization", basic(old+":x")), false},
		"basic behind a tab":    {header("Authorization", strings.Replace(basic("x:"+old), " ", "\t", 1)), false},
		"basic without padding": {header("Authorization", strings.TrimRight(basic("xx:"+old), "=")), false},
		"basic, other alphabet": {header("Authorization", "Basic "+base64.URLEncoding.EncodeToString([]byte("\xff\xfe\xfd:"+old))), false},
		"no mark, basic user":   {header("Authorization", basic(plain+":x")), true},
		"another header":        {header("X-Whatever", "a="+old), false},
		"a cookie":              {header("Cookie", "s=1; t="+old), false},
		"a JSON web token":      {header("Authorization", "Bearer "+jwt), false},
		"another issuer's":      {header("Private-Token", "glpat-0123456789abcdefghij"), false},
		"query":                 {query("a=1&access_token=" + old), false},
		"query, another name":   {query("q=" + old), false},
		"query, escaped":        {query("q=" + percentAll(old)), false},
		"query, escaped twice":  {query("q=" + url.QueryEscape(percentAll(old))), false},
		"no mark":               {header("Authorization", "token "+plain), true},
		"no mark, basic":        {header("Authorization", basic("x:"+plain)), true},
		"no mark, query":        {query("access_token=" + plain), true},
	}
	benign := map[string]func(*http.Request){
		"nothing":               func(*http.Request) {},
		"the placeholder":       header("Authorization", "token "+fakeValue),
		"the placeholder basic": header("Authorization", basic("x:"+fakeValue)),
		"a word":                header("Authorization", "Bearer none"),
		"a broken basic":        header("Authorization", "Basic !"),
		"words":                 query("q=sk-tools&page=ghp_&x=task-0123456789abcdefghij"),
		"a name with a mark":    header("User-Agent", "risk-assessment-0123456789/1.0"),
	}
	for kind, change := range map[string]func(*house, *Config){
		"with a credential": withCredential,
		"strict":            func(h *house, c *Config) { withCredential(h, c); c.Routes[0].NoOwn = true },
		"a page":            func(h *house, c *Config) { c.Routes[0].Kind = "web" },
	} {
		h := newHouse(t, nil, change)
		send := func(spoil func(*http.Request)) (int, string) {
			req, err := http.NewRequest("GET", h.url("/a"), nil)
			if err != nil {
				t.Fatal(err)
			}
			spoil(req)
			resp, err := h.client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(b)
		}
		for name, x := range found {
			if x.strict && kind != "strict" || kind == "a page" && strings.Contains(name, "JSON") {
				continue
			}
			t.Run(kind+", "+name, func(t *testing.T) {
				h.alerts.clear()
				before := len(h.up.requests())
				if code, b := send(x.spoil); code != 403 || !strings.Contains(b, CodeFound) || strings.Contains(b, old) {
					t.Errorf("got %d %s", code, b)
				}
				eventually(t, "alert", func() bool { return h.alerts.has(AlertFound) })
				if len(h.up.requests()) != before {
					t.Error("the upstream was asked")
				}
			})
		}
		for name, f := range benign {
			if strings.Contains(name, "placeholder") && kind == "a page" {
				continue
			}
			t.Run(kind+", "+name, func(t *testing.T) {
				if code, b := send(f); code != 200 {
					t.Errorf("got %d %s", code, b)
				}
			})
		}
		if all := fmt.Sprint(h.up.requests(), h.alerts); strings.Contains(all, old) || strings.Contains(all, plain) {
			t.Errorf("%s: a found token left: %s", kind, all)
		}
	}
}

// TestNothingOfItsOwn: where the agent has no credential of its own, nothing that could
// be one reaches the service, also when it is too short to be told from a dummy and the
// file names none for the service either. The request itself passes.
func TestNothingOfItsOwn(t *testing.T) {
	h := newHouse(t, nil, func(_ *house, c *Config) { c.Routes[0].NoOwn = true })
	for k, v := range map[string]string{
		"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("root:hunter2")), "Cookie": "user_session=0123456789abcdef0123456789abcdef",
		"X-Github-Token": "short", "Private-Token": "abc", "X_Api_Key": "key",
	} {
		req, err := http.NewRequest("GET", h.url("/a"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header[k] = []string{v}
		resp, err := h.client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 && k != "X_Api_Key" {
			t.Errorf("%s: %d", k, resp.StatusCode)
		}
	}
	for _, r := range h.up.requests() {
		for k := range r.header {
			if credentialFields[k] || strings.Contains(k, "_") {
				t.Errorf("%s arrived: %v", k, r.header)
			}
		}
	}
	if n := len(h.up.requests()); n < 4 {
		t.Errorf("%d requests arrived", n)
	}
	req, err := http.NewRequest("GET", h.url("/a?access_token=abc"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := h.client().Do(req); err != nil || resp.StatusCode != 403 {
		t.Errorf("a short token in the query: %v, %v", resp, err)
	}
}

// TestOthersMayBringTheirOwn leaves a service of which the file names no credential to
// whatever the agent was given for it.
func TestOthersMayBringTheirOwn(t *testing.T) {
	h := newHouse(t, nil)
	req, err := http.NewRequest("GET", h.url("/a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer ghp_0123456789abcdefghijABCDEFGHIJ012345")
	if resp, err := h.client().Do(req); err != nil || resp.StatusCode != 200 {
		t.Errorf("%v, %v", resp, err)
	}
}
