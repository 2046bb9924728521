package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"testing/quick"

	"ambit"
	"ambit/catalog"
)

func TestContainCommand(t *testing.T) {
	const services = "services: {g: {kind: github, credential: {env: T}}, o: {kind: http, host: o.example.com}}\n"
	dir := folder(t, map[string]string{
		"parent.yaml": "agent: p\n" + services + "read: [{g: acme/*}, {o: /v1/**}, {files: .}]\n",
		"within.yaml": "agent: c\nservices: {hub: {kind: github, credential: {env: T}}}\nread: [{hub: acme/web}, {files: src}, {web: o.example.com/v1/x}]\n",
		"out.yaml":    "agent: c\n" + services + "read:\n  - g: [acme/web, other/web]\n",
		"path.yaml":   "agent: c\n" + services + "read:\n  - o: /v2/a b\n",
		"timed.yaml":  "agent: c\n" + services + "read:\n  - o: /v2\n    during: 10:00-11:00 UTC\n",
		"admin.yaml":  "agent: c\nservices: {g: {kind: github, credential: {env: ADMIN}}}\nread: [{g: acme/web}]\n",
		"long.yaml":   "agent: c\nexpires: 2h\nread: [{files: .}]\n",
		"broken.yaml": "agent: c\nreed: []\n",
	})
	for _, c := range []struct {
		child, parent string
		code          int
		want          []string
	}{
		{"within.yaml", "parent.yaml", 0, []string{"within\n"}},
		{"parent.yaml", "parent.yaml", 0, []string{"within\n"}},
		{"out.yaml", "parent.yaml", 4, []string{"not within\n", "out.yaml:4:5", "other/web", "out.yaml: allow (out.yaml:4:5:", "parent.yaml: deny (no-grant:"}},
		{"path.yaml", "parent.yaml", 4, []string{"http GET https://o.example.com/v2/a%20b\n"}},
		{"timed.yaml", "parent.yaml", 4, []string{"  at  ", "T10:00:00Z"}},
		{"admin.yaml", "parent.yaml", 3, []string{"not shown\n", "admin.yaml:3:8", "where the credential comes from"}},
		{"long.yaml", "parent.yaml", 4, []string{"not within\n", "long.yaml:2:10", "ends after 2 hours", "files read "}},
		{"broken.yaml", "parent.yaml", 1, []string{"broken.yaml:2:1:"}},
		{"parent.yaml", "broken.yaml", 1, []string{"broken.yaml:2:1:"}},
		{"parent.yaml", "missing.yaml", 1, []string{"does not exist"}},
	} {
		out, code := command(t, "contain", filepath.Join(dir, c.child), filepath.Join(dir, c.parent))
		if code != c.code {
			t.Errorf("%s, %s: status %d, want %d\n%s", c.child, c.parent, code, c.code, out)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%s, %s: %q is missing in\n%s", c.child, c.parent, w, out)
			}
		}
	}
	if _, code := command(t, "contain", "a"); code != exitUsage {
		t.Errorf("one file: status %d", code)
	}
}

// TestContainExplains: the action of a counterexample can be given to explain,
// which says for both files what contain said.
func TestContainExplains(t *testing.T) {
	dir := folder(t, map[string]string{
		"child.yaml":  "agent: c\nservices: {o: {kind: http, host: o.example.com}}\nask: [{o: /v1/**, because: b}]\n",
		"parent.yaml": "agent: p\nservices: {o: {kind: http, host: o.example.com}}\nask: [{o: /v1/*, because: b}]\n",
	})
	child, parent := filepath.Join(dir, "child.yaml"), filepath.Join(dir, "parent.yaml")
	out, code := command(t, "contain", "--json", child, parent)
	var got contained
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitNotWithin || got.Answer != "not within" || got.Action == nil {
		t.Fatalf("status %d, %v: %s", code, err, out)
	}
	for file, want := range map[string]int{child: exitAsk, parent: exitDeny} {
		if out, code := command(t, "explain", "--grants", file, got.Explain); code != want {
			t.Errorf("%s: explain %q: status %d, want %d\n%s", file, got.Explain, code, want, out)
		}
	}
	if got.Child.Verdict != ambit.Ask || got.Parent.Verdict != ambit.Deny || got.Line != 3 {
		t.Errorf("%+v", got)
	}
}

// TestCatalogDeeds keeps what grants.Contain assumes of the catalog: a listed
// operation has its listed effect, but for methods of http that turn out
// irreversible, and POSTs that the file declares to read. What is not listed may do
// anything.
func TestCatalogDeeds(t *testing.T) {
	listed := make(map[string]map[string]ambit.Effect)
	for _, k := range []string{"http", "web", "github", "anthropic", "openai"} {
		listed[k] = make(map[string]ambit.Effect)
		for _, o := range catalog.Operations(k) {
			listed[k][o.Name] = o.Effect
		}
	}
	reads, err := catalog.ParsePattern("/q/*")
	if err != nil {
		t.Fatal(err)
	}
	pick := func(n uint8, words ...string) string { return words[int(n)%len(words)] }
	check := func(kind, host, method, a, b, c, d, query, body uint8, slash, declared bool) bool {
		k := pick(kind, "http", "web", "github", "anthropic", "openai")
		hosts := catalog.Hosts(k)
		if len(hosts) == 0 {
			hosts = []string{"x.example.com"}
		}
		words := []string{"repos", "acme", "web", "pulls", "graphql", "info", "refs", "git-receive-pack", "git-upload-pack", "q", "v1", "messages", "responses", "models", "$batch", "user", "7", "merge", "hooks", "objects"}
		r := catalog.Request{
			Kind: k, Scheme: "https", Host: pick(host, hosts...), Port: 443, TrailingSlash: slash,
			Method:   pick(method, "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"),
			Segments: []string{pick(a, words...), pick(b, words...), pick(c, words...), pick(d, words...)}[:1+int(d)%4],
			Query:    pick(query, "", "service=git-receive-pack", "service=git-upload-pack", "query={a}", "a=b"),
			Body:     []byte(pick(body, "", `{"query":"{a}"}`, `{"query":"mutation{createIssue{a}}"}`, "0000", "a=b")), BodyWhole: true,
			Header: func(name string) []string {
				if name == "Content-Type" {
					return []string{pick(body, "application/json", "application/graphql", "application/x-git-receive-pack-request", "application/x-www-form-urlencoded", "application/x-git-upload-pack-request")}
				}
				return nil
			},
		}
		if declared && k == "http" {
			r.Service = catalog.Service{Git: true, Reads: []catalog.Pattern{reads}, GraphQL: []catalog.Pattern{reads}}
		}
		calls, err := catalog.Classify(r)
		if err != nil {
			return true
		}
		for _, c := range calls {
			want, known := listed[k][c.Operation]
			raised := strings.HasPrefix(c.Operation, "http.") && c.Effect == ambit.Irreversible
			reading := declared && c.Operation == "http.post" && c.Effect == ambit.Read
			if known && c.Effect != want && !raised && !reading {
				t.Errorf("%s %v %s: %s is %s, listed as %v (%v)", r.Method, r.Segments, k, c.Operation, c.Effect, want, known)
				return false
			}
		}
		return true
	}
	if err := quick.Check(check, &quick.Config{MaxCount: 20_000}); err != nil {
		t.Error(err)
	}
}
