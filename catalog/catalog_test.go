package catalog

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ambit"
)

// req makes a request of a kind from a method and a URL, and header pairs.
func req(t testing.TB, kind, method, raw string, header ...string) Request {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	r := Request{
		Kind: kind, Scheme: u.Scheme, Host: u.Hostname(), Method: method, Query: u.RawQuery,
		TrailingSlash: len(u.Path) > 1 && strings.HasSuffix(u.Path, "/"), Header: h.Values, BodyWhole: true,
	}
	if p := u.Port(); p != "" {
		for _, c := range p {
			r.Port = r.Port*10 + int(c-'0')
		}
	}
	if p := strings.Trim(u.EscapedPath(), "/"); p != "" {
		for s := range strings.SplitSeq(p, "/") {
			d, err := url.PathUnescape(s)
			if err != nil {
				t.Fatal(err)
			}
			r.Segments = append(r.Segments, d)
		}
	}
	return r
}

func show(calls []Call) string {
	var b []string
	for _, c := range calls {
		b = append(b, c.Operation+" "+c.Effect.String()+" "+c.Resource.Kind+":"+c.Resource.String())
	}
	return strings.Join(b, "\n")
}

func TestClassify(t *testing.T) {
	for _, c := range []struct{ kind, method, url, want string }{
		{"http", "GET", "https://h.test", "http.get read http:h.test"},
		{"http", "GET", "https://h.test/a/b/?q=1", "http.get read http:h.test/a/b"},
		{"http", "HEAD", "https://h.test:8443/a", "http.head read http:h.test:8443/a"},
		{"http", "OPTIONS", "http://h.test:80/a", "http.options read http:h.test/a"},
		{"http", "GET", "https://h.test:80/a", "http.get read http:h.test:80/a"},
		{"http", "GET", "https://[2001:db8::1]:99/a", "http.get read http:[2001:db8::1]:99/a"},
		{"http", "POST", "https://h.test/a", "http.post write http:h.test/a"},
		{"http", "PUT", "https://h.test/a", "http.put write http:h.test/a"},
		{"http", "PATCH", "https://h.test/a", "http.patch write http:h.test/a"},
		{"http", "DELETE", "https://h.test/a", "http.delete irreversible http:h.test/a"},
		{"http", "PROPFIND", "https://h.test/a", "http.other irreversible http:h.test/a"},
		{"http", "M-SEARCH", "https://h.test/a", "http.other irreversible http:h.test/a"},
		{"http", "POST", "https://h.test/v4/$batch", "http.batch irreversible http:h.test/v4/$batch"},
		{"web", "GET", "https://h.test/a", "http.get read http:h.test/a"},
		{"web", "POST", "https://h.test/a", "http.post write http:h.test/a"},

		// A path that only looks like git's is a POST like any other.
		{"http", "POST", "https://h.test/x/git-upload-pack", "http.post write http:h.test/x/git-upload-pack"},
		{"web", "POST", "https://h.test/x/git-upload-pack", "http.post write http:h.test/x/git-upload-pack"},

		{"github", "GET", "https://api.github.com/repos/Acme/Web", "github.repos.get read repo:acme/web"},
		{"github", "HEAD", "https://api.github.com/repos/acme/web/contents/a/b.go", "github.contents.get read repo:acme/web"},
		{"github", "POST", "https://api.github.com/repos/acme/web/pulls", "github.pulls.create write repo:acme/web"},
		{"github", "PUT", "https://api.github.com/repos/acme/web/pulls/1/merge", "github.pulls.merge irreversible repo:acme/web"},
		{"github", "GET", "https://api.github.com/repos/acme/web/pulls/1/merge", "github.pulls.get read repo:acme/web"},
		{"github", "POST", "https://api.github.com/repos/acme/web/merges", "github.branches.merge irreversible repo:acme/web"},
		{"github", "PUT", "https://api.github.com/repos/acme/web/actions/secrets/X", "github.secrets.put irreversible repo:acme/web"},
		{"github", "PUT", "https://api.github.com/repos/acme/web/branches/main/protection", "github.branches.protect irreversible repo:acme/web/refs/heads/main"},
		{"github", "DELETE", "https://api.github.com/repos/acme/web", "github.repos.delete irreversible repo:acme/web"},
		{"github", "POST", "https://api.github.com/markdown", "github.markdown read http:api.github.com/markdown"},
		{"github", "POST", "https://api.github.com/markdown/", "http.post irreversible http:api.github.com/markdown"},
		{"github", "GET", "https://api.github.com/search/code?q=x", "github.search read http:api.github.com/search/code"},
		{"github", "GET", "https://api.github.com/repos/ACME/Web/unheard/Of", "http.get irreversible http:api.github.com/repos/acme/web/unheard/Of"},
		{"github", "POST", "https://api.github.com/repos/ACME/Web/unheard/Of", "http.post irreversible http:api.github.com/repos/acme/web/unheard/Of"},
		{"github", "PATCH", "https://api.github.com/repositories/12", "http.patch irreversible http:api.github.com/repositories/12"},
		{"github", "POST", "https://uploads.github.com/repos/acme/web/releases/1/assets?name=x", "github.releases.assets.upload irreversible repo:acme/web"},
		{"github", "GET", "https://raw.githubusercontent.com/Acme/web/main/a", "github.contents.get read repo:acme/web"},
		{"github", "GET", "https://codeload.github.com/acme/web/tar.gz/main", "github.archive.get read repo:acme/web"},
		{"github", "GET", "https://github.com/acme/web/archive/main.zip", "github.web.get read repo:acme/web"},
		{"github", "GET", "https://github.com/acme/web.git/HEAD", "git.fetch read repo:acme/web"},
		{"github", "GET", "https://github.com/Acme/Web.git/info/refs?service=git-upload-pack", "git.fetch read repo:acme/web"},
		{"github", "GET", "https://github.com/acme/web/info/refs?service=git-receive-pack", "git.fetch read repo:acme/web"},
		{"github", "POST", "https://github.com/acme/web/git-upload-pack", "http.post irreversible http:github.com/acme/web/git-upload-pack"},
		{"github", "POST", "https://github.com/login/oauth/access_token", "http.post irreversible http:github.com/login/oauth/access_token"},
		{"github", "GET", "https://ghe.test/acme/web.git/info/refs?service=git-upload-pack", "git.fetch read repo:acme/web"},
		{"github", "GET", "https://ghe.test/api/v3/repos/acme/web", "github.repos.get read repo:acme/web"},
		{"github", "POST", "https://ghe.test/api/v3/repos/acme/web/pulls", "github.pulls.create write repo:acme/web"},
		{"github", "POST", "https://ghe.test:8443/repos/acme/web/pulls", "github.pulls.create write repo:acme/web"},

		{"anthropic", "POST", "https://api.anthropic.com/v1/messages?beta=true", "anthropic.messages.create read api:messages"},
		{"anthropic", "POST", "https://api.anthropic.com/v1/messages/count_tokens", "anthropic.messages.count read api:messages/count_tokens"},
		{"anthropic", "POST", "https://api.anthropic.com/v1/messages/", "http.post irreversible http:api.anthropic.com/v1/messages"},
		{"anthropic", "POST", "https://api.anthropic.com/api/event_logging/batch", "http.post irreversible http:api.anthropic.com/api/event_logging/batch"},
		{"anthropic", "DELETE", "https://api.anthropic.com/v1/files/f", "anthropic.files.delete irreversible api:files/f"},
		{"anthropic", "GET", "https://api.anthropic.com/api/hello", "http.get read http:api.anthropic.com/api/hello"},
		{"anthropic", "GET", "https://api.anthropic.com/api/web/domain_info?domain=docs.example.org", "anthropic.web.domain read api:web/domain_info"},
		{"anthropic", "POST", "https://api.anthropic.com/api/web/domain_info", "http.post irreversible http:api.anthropic.com/api/web/domain_info"},
		{"anthropic", "GET", "https://api.anthropic.com/v1/web/domain_info", "http.get read http:api.anthropic.com/v1/web/domain_info"},
		{"anthropic", "GET", "https://api.anthropic.com/api/web/domain_info/x", "http.get read http:api.anthropic.com/api/web/domain_info/x"},
		{"openai", "POST", "https://api.openai.com/v1/responses", "openai.responses.create read api:responses"},
		{"openai", "POST", "https://api.openai.com/v1/chat/completions", "openai.chat.create read api:chat/completions"},
		{"openai", "POST", "https://api.openai.com/v1/chat/completions/c", "openai.chat.update write api:chat/completions/c"},
		{"openai", "POST", "https://api.openai.com/v1/vector_stores/v/search", "openai.vectorstores.search read api:vector_stores/v/search"},
		{"openai", "DELETE", "https://api.openai.com/v1/models/m", "openai.models.delete irreversible api:models/m"},
		{"openai", "POST", "https://api.openai.com/v1/organization/projects", "openai.organization.change irreversible api:organization/projects"},
		{"openai", "POST", "https://api.openai.com/v1/new/thing", "http.post irreversible http:api.openai.com/v1/new/thing"},

		{"npm", "GET", "https://registry.npmjs.org/@a/b", "npm.package.download read http:registry.npmjs.org/@a/b"},
		{"npm", "PUT", "https://registry.npmjs.org/@a/b", "npm.publish irreversible http:registry.npmjs.org/@a/b"},
		{"npm", "POST", "https://registry.npmjs.org/-/npm/v1/security/advisories/bulk", "npm.audit read http:registry.npmjs.org/-/npm/v1/security/advisories/bulk"},
		{"npm", "PUT", "https://registry.npmjs.org/-/package/a/dist-tags/latest", "npm.tag irreversible http:registry.npmjs.org/-/package/a/dist-tags/latest"},
		{"pypi", "GET", "https://pypi.org/simple/requests/", "pypi.simple.get read http:pypi.org/simple/requests"},
		{"pypi", "POST", "https://upload.pypi.org/legacy/", "pypi.publish irreversible http:upload.pypi.org/legacy"},
		{"pypi", "POST", "https://pypi.org/pypi", "http.post irreversible http:pypi.org/pypi"},
		{"goproxy", "GET", "https://proxy.golang.org/golang.org/x/net/@v/list", "goproxy.module.get read http:proxy.golang.org/golang.org/x/net/@v/list"},
		{"goproxy", "POST", "https://proxy.golang.org/x", "http.post irreversible http:proxy.golang.org/x"},
	} {
		t.Run(c.kind+" "+c.method+" "+c.url, func(t *testing.T) {
			calls, err := Classify(req(t, c.kind, c.method, c.url))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, show(calls)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	form := "application/x-www-form-urlencoded"
	cases := map[string]Request{
		"zero value":       {},
		"unknown kind":     req(t, "ftp", "GET", "https://h.test/"),
		"another scheme":   req(t, "http", "GET", "gopher://h.test/"),
		"upper-case host":  req(t, "http", "GET", "https://H.test/"),
		"trailing dot":     req(t, "http", "GET", "https://h.test./"),
		"odd address":      req(t, "http", "GET", "https://[::ffff:7f00:1]/"),
		"no method":        req(t, "http", "", "https://h.test/"),
		"lower case":       req(t, "http", "get", "https://h.test/"),
		"CONNECT":          req(t, "http", "CONNECT", "https://h.test/"),
		"TRACE":            req(t, "http", "TRACE", "https://h.test/"),
		"climbing":         req(t, "http", "GET", "https://h.test/a/%2e%2e/b"),
		"empty segment":    req(t, "http", "GET", "https://h.test/a//b"),
		"NUL":              req(t, "http", "GET", "https://h.test/a%00"),
		"override header":  req(t, "http", "POST", "https://h.test/a", "X-HTTP-Method-Override", "DELETE"),
		"override header2": req(t, "github", "POST", "https://api.github.com/markdown", "x-http-method", "DELETE"),
		"rewritten path":   req(t, "http", "GET", "https://h.test/a", "X-Original-URL", "/b"),
		"override query":   req(t, "http", "POST", "https://h.test/a?x=1&_method=DELETE"),
		"encoded":          req(t, "http", "POST", "https://h.test/a?%5fmetho%64=DELETE"),
		"semicolon":        req(t, "http", "POST", "https://h.test/a?x=1;_METHOD=DELETE"),
		"array":            req(t, "http", "POST", "https://h.test/a?_method[]=DELETE"),
		"h2c":              req(t, "http", "GET", "https://h.test/a", "Upgrade", "h2c"),
		"two upgrades":     req(t, "http", "GET", "https://h.test/a", "Upgrade", "websocket", "Upgrade", "h2c"),
		"posted upgrade":   req(t, "http", "POST", "https://h.test/a", "Upgrade", "websocket"),
		"spelt repository": req(t, "github", "GET", "https://api.github.com/Repos/acme/web"),
		"Kelvin's name":    req(t, "github", "GET", "https://api.github.com/repos/acme/wor%E2%84%AA"),
	}
	f := req(t, "http", "POST", "https://h.test/a", "Content-Type", form)
	f.Body = []byte("a=b&%5Fmethod=delete")
	cases["override form"] = f
	m := req(t, "http", "POST", "https://h.test/a", "Content-Type", "multipart/form-data; boundary=x")
	m.Body = []byte("--x\r\nContent-Disposition: form-data; name=\"_METHOD\"\r\n\r\nDELETE\r\n--x--\r\n")
	cases["override multipart"] = m
	for name, r := range cases {
		t.Run(name, func(t *testing.T) {
			if calls, err := Classify(r); err == nil {
				t.Errorf("passed as %s", show(calls))
			}
		})
	}
	// The benign twin: a form without a method in it.
	f.Body = []byte("a=b&method=delete")
	if got, err := Classify(f); err != nil || got[0].Effect != ambit.Write {
		t.Errorf("a plain form: %v, %v", got, err)
	}
	f.Body, f.BodyWhole = f.Body[:5], false
	if got, err := Classify(f); err != nil || got[0].Effect != ambit.Irreversible {
		t.Errorf("a form of which the end was not seen: %v, %v", got, err)
	}
}

func TestWebSocket(t *testing.T) {
	for _, c := range []struct{ kind, url, want string }{
		{"http", "wss://h.test/live", "http.websocket write http:h.test/live"},
		{"web", "https://h.test/live", "http.websocket write http:h.test/live"},
		{"openai", "https://api.openai.com/v1/realtime?model=m", "openai.realtime.connect read api:realtime"},
		{"openai", "https://api.openai.com/v1/responses", "openai.responses.create read api:responses"},
		{"anthropic", "https://api.anthropic.com/api/web/domain_info", "http.websocket irreversible http:api.anthropic.com/api/web/domain_info"},
		{"openai", "https://api.openai.com/v1/files", "http.websocket irreversible http:api.openai.com/v1/files"},
		{"github", "https://api.github.com/user", "http.websocket irreversible http:api.github.com/user"},
	} {
		calls, err := Classify(req(t, c.kind, "GET", c.url, "Upgrade", "WebSocket"))
		if err != nil || show(calls) != c.want {
			t.Errorf("%s: %v, %q, want %q", c.url, err, show(calls), c.want)
		}
		r := req(t, c.kind, "GET", c.url)
		r.Upgrade = "websocket"
		if calls, err := Classify(r); err != nil || show(calls) != c.want {
			t.Errorf("%s without a field: %v, %q, want %q", c.url, err, show(calls), c.want)
		}
	}
}

func TestDeclaredReads(t *testing.T) {
	p, err := ParsePattern("/*/_search")
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]ambit.Effect{
		"https://es.test/logs/_search":       ambit.Read,
		"https://es.test/logs/_search?a=b":   ambit.Read,
		"https://es.test/logs/_search/":      ambit.Write,
		"https://es.test/logs/_doc":          ambit.Write,
		"https://es.test/a/logs/_search":     ambit.Write,
		"https://es.test/_bulk":              ambit.Irreversible,
		"https://es.test/logs/_search/_bulk": ambit.Irreversible,
	} {
		r := req(t, "http", "POST", url)
		r.Service.Reads = []Pattern{p}
		if got, err := Classify(r); err != nil || got[0].Effect != want {
			t.Errorf("%s: %v, %v, want %v", url, got, err, want)
		}
		r.Kind = "web" // nobody can declare anything about anybody's pages
		if got, err := Classify(r); err != nil || got[0].Effect == ambit.Read {
			t.Errorf("web %s: %v, %v", url, got, err)
		}
	}
	d := req(t, "http", "DELETE", "https://es.test/logs/_search")
	d.Service.Reads = []Pattern{p}
	if got, err := Classify(d); err != nil || got[0].Effect != ambit.Irreversible {
		t.Errorf("a declared path makes a DELETE %v, %v", got, err)
	}
}

func TestPattern(t *testing.T) {
	for _, bad := range []string{"", "/", "a", "//", "/a//b", "/a/../b", "/a*b", "/**/a", "/a?b", "/a%20b", "/*a"} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("read %q as %q", bad, p)
		}
	}
	if (Pattern{}).Match(nil) || (Pattern{}).Match([]string{"a"}) {
		t.Error("the zero pattern matches")
	}
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/a/b", "a/b", true}, {"/a/b", "a", false}, {"/a/b", "a/b/c", false}, {"/a/b", "A/b", false},
		{"/a/*", "a/b", true}, {"/a/*", "a", false}, {"/a/x*", "a/xy", true}, {"/a/x*", "a/y", false},
		{"/a/**", "a/b/c", true}, {"/a/**", "a", false}, {"/**", "a", true},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(strings.Split(c.path, "/")); got != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.path, got)
		}
		if p.String() != c.pattern {
			t.Errorf("%s prints as %s", c.pattern, p)
		}
	}
}

func TestKinds(t *testing.T) {
	want := []string{"anthropic", "github", "goproxy", "http", "npm", "openai", "pypi", "web"}
	if diff := cmp.Diff(want, Kinds()); diff != "" {
		t.Error(diff)
	}
	for _, k := range want {
		ops := Operations(k)
		if !slices.IsSortedFunc(ops, func(a, b Operation) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%s: operations out of order", k)
		}
		for _, o := range ops {
			if o.Effect == ambit.EffectUnknown || o.Summary == "" || !Known(k, o.Name) {
				t.Errorf("%s: %+v", k, o)
			}
		}
		for _, h := range Hosts(k) {
			if !goodHost(h) {
				t.Errorf("%s: host %q", k, h)
			}
		}
	}
	if Known("github", "github.everything") || Known("nothing", "http.get") || Operations("nothing") != nil || Hosts("nothing") != nil {
		t.Error("something unknown is known")
	}
}

// Every mutation's operation is in the list that people choose from, with the
// same effect.
func TestMutationsAreListed(t *testing.T) {
	rest := make(map[string]ambit.Effect)
	for _, o := range Operations("github") {
		rest[o.Name] = o.Effect
	}
	for field, e := range githubMutations() {
		if got, ok := rest[e.op]; !ok || got != e.effect {
			t.Errorf("%s is %s %v, which the list has as %v (%v)", field, e.op, e.effect, got, ok)
		}
	}
}
