package grants

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ambit"
)

const api = `agent: a
services:
  api: {kind: http, host: api.example.com}
  alt: {kind: http, host: alt.example.com, port: 8443}
  old: {kind: http, host: old.example.com, scheme: http, address: "10.0.0.1:80"}
  github: {kind: github}
`

func TestSemantics(t *testing.T) {
	tests := []struct{ name, lines, action, want string }{
		{"nothing given", "", "http GET https://api.example.com/x", "deny no-grant"},
		{"a read", "read: [{api: /x}]", "http GET https://api.example.com/x", "allow ambit.yaml:7:8"},
		{"head reads", "read: [{api: /x}]", "http HEAD https://api.example.com/x", "allow ambit.yaml:7:8"},
		{"trailing slash is ignored", "read: [{api: /x}]", "http GET https://api.example.com/x/", "allow ambit.yaml:7:8"},
		{"the query is not matched", "read: [{api: /x}]", "http GET https://api.example.com/x?a=../b", "allow ambit.yaml:7:8"},
		{"a read does not write", "read: [{api: /x}]", "http POST https://api.example.com/x", "deny no-grant"},
		{"a write does not read", "write: [{api: /x, because: b}]", "http GET https://api.example.com/x", "deny no-grant"},
		{"a write does not delete", "write: [{api: /x, because: b}]", "http DELETE https://api.example.com/x", "deny no-grant"},
		{"a write", "write: [{api: /x, because: b}]", "http PUT https://api.example.com/x", "allow ambit.yaml:7:9"},
		{"only the operations named", "write: [{api: /x, operations: [post], because: b}]", "http PUT https://api.example.com/x", "deny no-grant"},
		{"a wildcard operation", "write: [{api: /x, operations: [http.*], because: b}]", "http PUT https://api.example.com/x", "allow ambit.yaml:7:9"},
		{"a wildcard under write does not delete", "write: [{api: /x, operations: [\"*\"], because: b}]", "http DELETE https://api.example.com/x", "deny no-grant"},
		{"ask", "ask: [{api: /x, because: b}]", "http DELETE https://api.example.com/x", "ask ambit.yaml:7:7"},
		{"ask leaves reads alone", "read: [{api: /x}]\nask: [{api: /x, because: b}]", "http GET https://api.example.com/x", "allow ambit.yaml:7:8"},
		{"ask for a read by name", "read: [{api: /x}]\nask: [{api: /x, operations: [get], because: b}]", "http GET https://api.example.com/x", "ask ambit.yaml:8:7"},
		{"the strictest counts", "ask: [{api: /x, because: b}]\nwrite: [{api: /**, because: b}]", "http POST https://api.example.com/x", "ask ambit.yaml:7:7"},
		{"the strictest counts, in any order", "write: [{api: /**, because: b}]\nask: [{api: /x, because: b}]", "http POST https://api.example.com/x", "ask ambit.yaml:8:7"},
		{"the first among equals", "write: [{api: /**, because: b}, {api: /x, because: c}]", "http POST https://api.example.com/x", "allow ambit.yaml:7:9"},
		{"an unknown method is irreversible", "write: [{api: /x, because: b}]", "http PURGE https://api.example.com/x", "deny no-grant"},
		{"an unknown method can be asked", "ask: [{api: /x, because: b}]", "http PURGE https://api.example.com/x", "ask ambit.yaml:7:7"},

		{"two stars are one segment or more", "read: [{api: /v1/**}]", "http GET https://api.example.com/v1", "deny no-grant"},
		{"two stars, one segment", "read: [{api: /v1/**}]", "http GET https://api.example.com/v1/x", "allow ambit.yaml:7:8"},
		{"two stars, three segments", "read: [{api: /v1/**}]", "http GET https://api.example.com/v1/x/y/z", "allow ambit.yaml:7:8"},
		{"one star is one segment", "read: [{api: /v1/*}]", "http GET https://api.example.com/v1/x/y", "deny no-grant"},
		{"one star in the middle", "read: [{api: /v1/*/y}]", "http GET https://api.example.com/v1/x/y", "allow ambit.yaml:7:8"},
		{"a prefix", "read: [{api: /v1/it*}]", "http GET https://api.example.com/v1/items", "allow ambit.yaml:7:8"},
		{"a prefix with nothing more", "read: [{api: /v1/it*}]", "http GET https://api.example.com/v1/it", "allow ambit.yaml:7:8"},
		{"a prefix that does not fit", "read: [{api: /v1/it*}]", "http GET https://api.example.com/v1/i", "deny no-grant"},
		{"the root", "read: [{api: /}]", "http GET https://api.example.com/", "allow ambit.yaml:7:8"},
		{"the root without a slash", "read: [{api: /}]", "http GET https://api.example.com", "allow ambit.yaml:7:8"},
		{"the root is not below itself", "read: [{api: /**}]", "http GET https://api.example.com/", "deny no-grant"},
		{"paths have capitals", "read: [{api: /x}]", "http GET https://api.example.com/X", "deny no-grant"},
		{"a path is decoded once", "read: [{api: /a b}]", "http GET https://api.example.com/a%20b", "allow ambit.yaml:7:8"},
		{"and not twice", "read: [{api: /a b}]", "http GET https://api.example.com/a%2520b", "deny no-grant"},

		{"except", "read: [{api: /**, except: [/x, /y/**]}]", "http GET https://api.example.com/x", "deny no-grant"},
		{"except below", "read: [{api: /**, except: [/x, /y/**]}]", "http GET https://api.example.com/y/z", "deny no-grant"},
		{"not excepted", "read: [{api: /**, except: [/x, /y/**]}]", "http GET https://api.example.com/x/z", "allow ambit.yaml:7:8"},
		{"another line gives what one excepts", "read: [{api: /**, except: /x}, {api: /x}]", "http GET https://api.example.com/x", "allow ambit.yaml:7:32"},

		{"another port", "read: [{api: /**}]", "http GET https://api.example.com:8443/x", "deny no-grant"},
		{"its own port", "read: [{alt: /x}]", "http GET https://alt.example.com:8443/x", "allow ambit.yaml:7:8"},
		{"the default port written out", "read: [{api: /x}]", "http GET https://api.example.com:443/x", "allow ambit.yaml:7:8"},
		{"plain http", "read: [{old: /x}]", "http GET http://old.example.com/x", "allow ambit.yaml:7:8"},
		{"a service is not another", "read: [{api: /x}]", "http GET https://alt.example.com:8443/x", "deny no-grant"},

		{"web", "read: [{web: docs.example}]", "http GET https://docs.example/a/b", "allow ambit.yaml:7:8"},
		{"web with the root", "read: [{web: docs.example}]", "http GET https://docs.example/", "allow ambit.yaml:7:8"},
		{"web narrowed", "read: [{web: docs.example/a/**}]", "http GET https://docs.example/b", "deny no-grant"},
		{"web only reads", "read: [{web: docs.example}]", "http POST https://docs.example/a", "deny no-grant"},
		{"web is not http", "read: [{web: docs.example}]", "http GET http://docs.example/a", "deny no-grant"},
		{"web at a port", "read: [{web: \"docs.example:8443/a\"}]", "http GET https://docs.example:8443/a", "allow ambit.yaml:7:8"},
		{"a wildcard host", "read: [{web: \"*.docs.example\"}]", "http GET https://a.docs.example/", "allow ambit.yaml:7:8"},
		{"a wildcard host is one label", "read: [{web: \"*.docs.example\"}]", "http GET https://a.b.docs.example/", "deny no-grant"},
		{"a wildcard host is not its parent", "read: [{web: \"*.docs.example\"}]", "http GET https://docs.example/", "deny no-grant"},
		{"a wildcard host has its end", "read: [{web: \"*.docs.example\"}]", "http GET https://a.docs.example.evil.org/", "deny no-grant"},
		{"a longer name", "read: [{web: docs.example}]", "http GET https://docs.example.evil.org/", "deny no-grant"},

		{"a repository", "read: [{github: acme/web}]", "http GET https://api.github.com/repos/acme/web", "allow ambit.yaml:7:8"},
		{"a repository in capitals", "read: [{github: ACME/Web}]", "http GET https://api.github.com/repos/Acme/WEB", "allow ambit.yaml:7:8"},
		{"another repository", "read: [{github: acme/web}]", "http GET https://api.github.com/repos/acme/web2", "deny no-grant"},
		{"repositories by wildcard", "read: [{github: acme/*}]", "http GET https://api.github.com/repos/acme/x", "allow ambit.yaml:7:8"},
		{"a path of the service's first host", "read: [{github: /zen}]", "http GET https://api.github.com/zen", "allow ambit.yaml:7:8"},
		{"not of its others", "read: [{github: /zen}]", "http GET https://github.com/zen", "deny no-grant"},
		{"of its others by the whole URL", "read: [{github: \"https://github.com/zen\"}]", "http GET https://github.com/zen", "allow ambit.yaml:7:8"},
		{"a repository is not a path", "read: [{github: repos/acme}]", "http GET https://api.github.com/repos/acme", "deny no-grant"},

		{"until", "write: [{api: /x, operations: [delete], without-asking: true, until: 2030-03-01T12:30:00Z, because: b}]",
			"http DELETE https://api.example.com/x", "allow ambit.yaml:7:9"},
		{"during", "write: [{api: /x, during: 11:00-13:00 UTC, because: b}]", "http POST https://api.example.com/x", "allow ambit.yaml:7:9"},
		{"not during", "write: [{api: /x, during: 11:00-13:00 +05:00, because: b}]", "http POST https://api.example.com/x", "deny no-grant"},
		{"another day", "write: [{api: /x, during: sat-thu 11:00-13:00 UTC, because: b}]", "http POST https://api.example.com/x", "deny no-grant"},
		{"a limit that nobody counts is used up", "write: [{api: /x, at-most: 1, because: b}]", "http POST https://api.example.com/x", "deny ambit.yaml:7:9"},
		{"a limit lowers what another line gives", "write: [{api: /x, at-most: 1, because: b}, {api: /x, because: b}]", "http POST https://api.example.com/x", "deny ambit.yaml:7:9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := verdict(t, mustLoad(t, api+tt.lines+"\n"), tt.action)
			if got := d.Verdict.String() + " " + d.By; got != tt.want {
				t.Errorf("%s: got %s (%s), want %s", tt.action, got, d.Why, tt.want)
			}
		})
	}
}

func TestZeroDenies(t *testing.T) {
	a := &ambit.Action{Service: "api", Operation: "http.get", Effect: ambit.Read, Resource: ambit.Resource{Kind: "http", Segments: []string{"x"}}}
	var none *Grants
	var live *Live
	for name, d := range map[string]ambit.Decision{
		"nil grants": none.Decide(a), "zero grants": (&Grants{}).Decide(a), "nil live": live.Decide(a), "zero live": (&Live{}).Decide(a),
	} {
		if d.Verdict != ambit.Deny || d.By == "" || d.Why == "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if err := (&Live{}).Spend(a); err == nil {
		t.Error("a zero Live spends")
	}
}

// TestUnknownEffect: what nobody classified counts as irreversible, also when
// its effect is out of range.
func TestUnknownEffect(t *testing.T) {
	g := mustLoad(t, api+"read: [{api: /**}]\nwrite: [{api: /**, because: b}]\n")
	asks := mustLoad(t, api+"read: [{api: /**}]\nask: [{api: /**, because: b}]\n")
	for _, e := range []ambit.Effect{ambit.EffectUnknown, ambit.Irreversible, 77} {
		a := &ambit.Action{Service: "api", Operation: "http.get", Effect: e, Resource: ambit.Resource{Kind: "http", Segments: []string{"api.example.com", "x"}}}
		if d := g.Decide(a); d.Verdict != ambit.Deny {
			t.Errorf("effect %d: %+v", e, d)
		}
		if d := asks.Decide(a); d.Verdict != ambit.Ask {
			t.Errorf("effect %d: %+v", e, d)
		}
	}
}

// TestOddResources: a resource that no gate should have made is denied even
// where everything is given.
func TestOddResources(t *testing.T) {
	g := mustLoad(t, api+"read: [{api: [/, /**]}, {github: acme/*}, {files: /}]\n")
	many := strings.Split(strings.Repeat("a ", ambit.MaxSegments)+"a", " ")
	for _, r := range []ambit.Resource{
		{}, {Kind: "http"}, {Kind: "http", Segments: []string{}}, {Kind: "", Segments: []string{"api.example.com", "x"}},
		{Kind: "http", Segments: []string{"api.example.com", ""}}, {Kind: "http", Segments: []string{"api.example.com", "."}},
		{Kind: "http", Segments: []string{"api.example.com", "a", ".."}}, {Kind: "http", Segments: []string{"api.example.com", "a\x00b"}},
		{Kind: "http", Segments: []string{"api.example.com", "a\nb"}}, {Kind: "http", Segments: []string{"api.example.com", "\xff"}},
		{Kind: "http", Segments: append([]string{"api.example.com"}, many...)}, {Kind: "file", Segments: many},
		{Kind: "http", Segments: []string{"api.example.com", strings.Repeat("a", ambit.MaxSegmentLen+1)}},
	} {
		for _, service := range []string{"api", "files"} {
			a := &ambit.Action{Service: service, Operation: "http.get", Effect: ambit.Read, Resource: r}
			if d := g.Decide(a); d.Verdict != ambit.Deny {
				t.Errorf("%s %q: %+v", service, r.Segments, d)
			}
		}
	}
	// The twin in its plain form is allowed.
	a := &ambit.Action{Service: "api", Operation: "http.get", Effect: ambit.Read, Resource: ambit.Resource{Kind: "http", Segments: []string{"api.example.com", "a"}}}
	if d := g.Decide(a); d.Verdict != ambit.Allow {
		t.Errorf("%+v", d)
	}
}

// TestCapitals: an exception for acme/vault is not passed by Acme/Vault, even
// when whoever classified forgot to lower it.
func TestCapitals(t *testing.T) {
	g := mustLoad(t, api+"read: [{github: acme/*, except: Acme/Vault}]\n")
	for name, want := range map[string]ambit.Verdict{"vault": ambit.Deny, "Vault": ambit.Deny, "VAULT": ambit.Deny, "web": ambit.Allow} {
		a := &ambit.Action{Service: "github", Operation: "git.fetch", Effect: ambit.Read, Resource: ambit.Resource{Kind: "repo", Segments: []string{"acme", name}}}
		if d := g.Decide(a); d.Verdict != want {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestIndexAgrees compares the index with the slow and obvious reading, on
// random lines and random actions from the same few words.
func TestIndexAgrees(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var seen [3]int
	for range 400 {
		g := randomGrants(t, rnd)
		for range 60 {
			a := randomAction(rnd)
			f := Facts{Now: noon(), Assume: rnd.IntN(2) == 0}
			got, want := g.DecideWith(&a, f), g.slow(&a, f)
			if got.Verdict != want.Verdict || got.By != want.By {
				t.Fatalf("%s %s %v: index %v, obvious %v\n%s", a.Operation, a.Effect, a.Resource.Segments, got, want, g.file.Canonical())
			}
			seen[got.Verdict]++
		}
	}
	for v, n := range seen {
		if n < 500 {
			t.Errorf("only %d times %s: the test shows little", n, ambit.Verdict(v))
		}
	}
}

// slow decides by looking at every line.
func (g *Grants) slow(a *ambit.Action, f Facts) ambit.Decision {
	out := ambit.Decision{Verdict: ambit.Deny, By: ByNoGrant}
	found := false
	for _, r := range g.rules {
		if !r.matches(a, &f) {
			continue
		}
		if !found || r.verdict < out.Verdict {
			out, found = ambit.Decision{Verdict: r.verdict, By: r.by}, true
		}
	}
	return out
}

func pick(rnd *rand.Rand, words ...string) string { return words[rnd.IntN(len(words))] }

func randomPath(rnd *rand.Rand, wild bool) string {
	var b strings.Builder
	for range 1 + rnd.IntN(3) {
		b.WriteString("/" + pick(rnd, "a", "ab", "abc", "b"))
		if wild && rnd.IntN(4) == 0 {
			b.WriteString("*")
		} else if wild && rnd.IntN(6) == 0 {
			b.WriteString("/*")
		}
	}
	if wild && rnd.IntN(3) == 0 {
		b.WriteString("/**")
	}
	return b.String()
}

func randomGrants(t *testing.T, rnd *rand.Rand) *Grants {
	sections := map[string][]string{}
	for range 1 + rnd.IntN(6) {
		sec := pick(rnd, "read", "write", "ask")
		line := fmt.Sprintf("{api: %q", randomPath(rnd, true))
		if rnd.IntN(3) == 0 {
			line += fmt.Sprintf(", except: %q", randomPath(rnd, true))
		}
		if rnd.IntN(3) == 0 {
			line += ", operations: [" + map[string]string{
				"read": pick(rnd, "get", "http.*", "'*'"), "write": pick(rnd, "post", "http.*", "'*'"), "ask": pick(rnd, "get", "delete", "http.*", "'*'"),
			}[sec] + "]"
		}
		if rnd.IntN(5) == 0 {
			line += ", during: " + pick(rnd, "00:00-24:00", "13:00-14:00") + " UTC"
		}
		if sec != "read" {
			line += ", because: b"
		}
		sections[sec] = append(sections[sec], line+"}")
	}
	src := api
	for _, sec := range []string{"read", "write", "ask"} {
		if l := sections[sec]; len(l) > 0 {
			src += sec + ":\n  - " + strings.Join(l, "\n  - ") + "\n"
		}
	}
	return mustLoad(t, src)
}

func randomAction(rnd *rand.Rand) ambit.Action {
	op := httpOperations()[rnd.IntN(len(httpOperations()))]
	segs := append([]string{"api.example.com"}, strings.Split(randomPath(rnd, false)[1:], "/")...)
	return ambit.Action{Service: "api", Operation: op.Name, Effect: op.Effect, Resource: ambit.Resource{Kind: "http", Segments: segs}}
}

func TestWindow(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		window, when string
		want         bool
	}{
		{"09:00-17:00 UTC", "2030-03-01T09:00:00Z", true},
		{"09:00-17:00 UTC", "2030-03-01T08:59:59Z", false},
		{"09:00-17:00 UTC", "2030-03-01T17:00:00Z", false},
		{"09:00-24:00 UTC", "2030-03-01T23:59:59Z", true},
		{"09:00-17:00 +01:00", "2030-03-01T08:00:00Z", true},
		{"09:00-17:00 -09:30", "2030-03-01T18:30:00Z", true},
		{"mon-fri 09:00-17:00 UTC", "2030-03-02T12:00:00Z", false},
		{"sat,sun 09:00-17:00 UTC", "2030-03-02T12:00:00Z", true},
		{"fri-mon 09:00-17:00 UTC", "2030-03-03T12:00:00Z", true},
		{"fri 22:00-06:00 UTC", "2030-03-02T05:59:00Z", true},
		{"fri 22:00-06:00 UTC", "2030-03-01T05:59:00Z", false},
		{"fri 22:00-06:00 UTC", "2030-03-01T22:00:00Z", true},
		{"mon 00:00-24:00 +14:00", "2030-03-03T10:00:00Z", true},
	} {
		w, ok := parseWindow(tt.window)
		if !ok {
			t.Fatalf("%s does not parse", tt.window)
		}
		if got := w.Holds(at(tt.when)); got != tt.want {
			t.Errorf("%s at %s: %v", tt.window, tt.when, got)
		}
		if w.Holds(time.Time{}) {
			t.Errorf("%s holds without a time", tt.window)
		}
	}
}

// TestShownFiles: that the walls show one file opens no other, and nothing else
// but reading; the index and the slow reading agree.
func TestShownFiles(t *testing.T) {
	g := mustLoad(t, "agent: a\nread:\n  - files: [\".\"]\n    except: hidden\nwrite:\n  - files: src\n    because: b\n")
	f := Facts{Shown: []string{"/workspace/.env", "/workspace/hidden/.env", "/elsewhere/.env"}}
	for path, want := range map[string]ambit.Verdict{
		"/workspace/.env": ambit.Allow, "/workspace/src/.env": ambit.Deny, "/workspace/.env/x": ambit.Deny, "/workspace/hidden/.env": ambit.Deny, "/elsewhere/.env": ambit.Deny,
	} {
		a := ambit.Action{Agent: "a", Service: "files", Operation: "files.read", Effect: ambit.Read, Resource: ambit.Resource{Kind: "file", Segments: strings.Split(path[1:], "/")}}
		e := g.Explain(&a, f)
		if e.Decision.Verdict != want || (len(e.Lines) > 0) != (want == ambit.Allow) {
			t.Errorf("%s: %s with %d lines, want %s", path, e.Decision.Verdict, len(e.Lines), want)
		}
		if g.DecideWith(&a, Facts{}).Verdict != ambit.Deny {
			t.Errorf("%s: allowed without the fact", path)
		}
		a.Operation, a.Effect = "files.write", ambit.Write
		if d := g.DecideWith(&a, f); d.Verdict != ambit.Deny {
			t.Errorf("%s can be written", path)
		}
	}
}
