package catalog

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ambit"
)

// peek reads at most n bytes of a request's body and puts them back.
func peek(t testing.TB, q *http.Request, n int) ([]byte, bool) {
	b, err := io.ReadAll(io.LimitReader(q.Body, int64(n)+1))
	if err != nil {
		t.Error(err)
	}
	q.Body = io.NopCloser(io.MultiReader(bytes.NewReader(b), q.Body))
	return b[:min(len(b), n)], len(b) <= n
}

// mayRead is what a person would say of a request by its outside: only these
// may ever be called a read.
func mayRead(r Request) bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS":
		return true
	case "POST":
	default:
		return false
	}
	last := ""
	if n := len(r.Segments); n > 0 {
		last = r.Segments[n-1]
	}
	switch r.Kind {
	case "http":
		return slices.Contains([]string{"_search", "git-upload-pack", "git-upload-archive", "batch", "verify", "gql"}, last)
	case "github":
		return slices.Contains([]string{"graphql", "git-upload-pack", "git-upload-archive", "batch", "verify", "markdown", "raw", "generate-notes"}, last)
	case "web", "pypi", "goproxy":
		return false
	}
	return true
}

var mutating = regexp.MustCompile(`(?m)^\s*mutation\b`)

func FuzzClassify(f *testing.F) {
	for _, s := range [][6]string{
		{"github", "POST", "api.github.com", "graphql", "application/json", `{"query":"mutation{deleteRef{x}}"}`},
		{"github", "POST", "api.github.com", "markdown", "", "x"},
		{"github", "POST", "github.com", "a/b.git/git-upload-pack", "application/x-git-upload-pack-request", "0000"},
		{"http", "POST", "h.test", "a/_search", "application/json", `{}`},
		{"http", "POST", "h.test", "gql", "application/json", `[{"query":"{a}"}]`},
		{"http", "POST", "h.test", "a/info/lfs/objects/batch", "application/vnd.git-lfs+json", `{"operation":"download"}`},
		{"web", "POST", "h.test", "a", "application/x-www-form-urlencoded", "_method=delete"},
		{"http", "POST", "h.test", "a", "application/x-www-form-urlencoded;;", "_method=delete"},
		{"http", "POST", "h.test", "a", "", "_method=delete"},
		{"github", "POST", "api.github.com", "graphql", "application/json", `{"query":"#\ud800\u000a query {a} fragment\n mutation #\ud800\u000a on Mutation\n {b}"}`},
		{"github", "POST", "api.github.com", "graphql", "application/json", `{"query":"query($o:String=\"a\",$o:String=\"b\"){repository(owner:$o,name:\"c\"){name}}"}`},
		{"anthropic", "POST", "api.anthropic.com", "v1/messages", "application/json", `{}`},
		{"anthropic", "GET", "api.anthropic.com", "api/web/domain_info", "", ""},
		{"openai", "DELETE", "api.openai.com", "v1/files/x", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3], "", s[4], []byte(s[5]), true)
	}
	search, err := ParsePattern("/**")
	if err != nil {
		f.Fatal(err)
	}
	if search, err = ParsePattern("/*/_search"); err != nil {
		f.Fatal(err)
	}
	graph, err := ParsePattern("/gql")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind, method, host, path, query, ctype string, body []byte, whole bool) {
		r := Request{Kind: kind, Scheme: "https", Host: host, Method: method, Query: query, Body: body, BodyWhole: whole,
			Header:  http.Header{"Content-Type": {ctype}}.Values,
			Service: Service{Git: true, Reads: []Pattern{search}, GraphQL: []Pattern{graph}}}
		if path != "" {
			r.Segments = strings.Split(path, "/")
		}
		r.Body = r.Body[:min(len(r.Body), BodyLimit(r))]
		start := time.Now()
		calls, err := Classify(r)
		if d := time.Since(start); d > 30*time.Second {
			t.Fatalf("took %v", d)
		}
		if err != nil {
			if calls != nil {
				t.Fatal("an error and an answer")
			}
			return
		}
		if len(calls) == 0 {
			t.Fatal("neither an answer nor an error")
		}
		for _, c := range calls {
			checkCall(t, r, c, len(calls))
		}
	})
}

func checkCall(t *testing.T, r Request, c Call, calls int) {
	t.Helper()
	if !Known(r.Kind, c.Operation) {
		t.Fatalf("%s has no operation %s", r.Kind, c.Operation)
	}
	if err := c.Resource.Check(); err != nil {
		t.Fatal(err)
	}
	if c.Effect != ambit.Read {
		return
	}
	if !mayRead(r) {
		t.Fatalf("%s %s %v is called a read: %s", r.Kind, r.Method, r.Segments, show([]Call{c}))
	}
	if calls == 1 && strings.Contains(c.Operation, "graphql") && mutating.Match(r.Body) {
		t.Fatalf("a mutation is called a read: %q", r.Body)
	}
}

func FuzzGraphQL(f *testing.F) {
	f.Add("{a}", "")
	f.Add("query Q{a} mutation M{deleteRef{x}}", "M")
	f.Add("mutation{...F} fragment F on M{...F deleteRef{x}}", "")
	f.Add("query Q{a} #\rmutation M{b}", "Q")
	f.Fuzz(func(t *testing.T, query, name string) {
		calls, err := Classify(post(t, "github", graphQLURL, gql(query, "operationName", name)))
		if err != nil {
			t.Fatal(err)
		}
		// Without the word there is nothing to hide.
		if calls[0].Effect == ambit.Read && name == "" && strings.HasPrefix(strings.TrimSpace(query), "mutation") {
			t.Fatalf("read: %q", query)
		}
	})
}

func FuzzStrictJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}]}`))
	f.Add([]byte(`{"a":1,"A":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := strictJSON(b); err != nil && v != nil {
			t.Fatal("an error and a value")
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	for name, r := range map[string]Request{
		"http":    req(b, "http", "GET", "https://h.test/a/b/c?q=1"),
		"github":  req(b, "github", "POST", "https://api.github.com/repos/acme/web/pulls"),
		"graphql": post(b, "github", graphQLURL, gql(`query($n:Int!){repository(owner:"a",name:"b"){issues(first:$n){nodes{title body}}}}`)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Classify(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The tables are read when a task starts: that must not be felt.
func BenchmarkReadTables(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for _, data := range []string{githubData, anthropicData, openAIData} {
			if _, err := parseTable(data); err != nil {
				b.Fatal(err)
			}
		}
	}
}
