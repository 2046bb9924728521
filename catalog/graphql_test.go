package catalog

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"ambit"
)

const graphQLURL = "https://api.github.com/graphql"

func post(t testing.TB, kind, rawURL, body string) Request {
	t.Helper()
	r := req(t, kind, "POST", rawURL, "Content-Type", "application/json; charset=utf-8")
	r.Body = []byte(body)
	return r
}

func gql(query string, more ...string) string {
	m := map[string]any{"query": query}
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// operations are what the calls do, without the resource that all share.
func operations(calls []Call) string {
	var s []string
	for _, c := range calls {
		s = append(s, c.Operation+" "+c.Effect.String())
	}
	return strings.Join(s, ", ")
}

func TestGraphQL(t *testing.T) {
	const (
		query = "github.graphql.query read"
		other = "graphql.other irreversible"
	)
	for name, c := range map[string]struct{ body, want string }{
		"query":               {gql(`{viewer{login}}`), query},
		"named":               {gql(`query Q($n:Int!){viewer{repositories(first:$n){totalCount}}}`), query},
		"variables":           {`{"query":"query($a:Int){a}","variables":{"a":1}}`, query},
		"null members":        {`{"query":"{a}","operationName":null,"variables":null,"extensions":null}`, query},
		"selected query":      {gql(`query Q{a} mutation M{createIssue{x}}`, "operationName", "Q"), query},
		"selected mutation":   {gql(`query Q{a} mutation M{createIssue{x}}`, "operationName", "M"), "github.issues.create write"},
		"not selected":        {gql(`query Q{a} mutation M{createIssue{x}}`), other},
		"selects none":        {gql(`query Q{a}`, "operationName", "X"), other},
		"same name twice":     {gql(`query Q{a} mutation Q{createIssue{x}}`, "operationName", "Q"), other},
		"mutation":            {gql(`mutation{createPullRequest(input:{}){x}}`), "github.pulls.create write"},
		"merge":               {gql(`mutation{mergePullRequest(input:{}){x}}`), "github.pulls.merge irreversible"},
		"alias":               {gql(`mutation{createIssue:mergePullRequest(input:{}){x}}`), "github.pulls.merge irreversible"},
		"two":                 {gql(`mutation{createIssue{x} deleteRef{x}}`), "github.issues.create write, github.git.refs.delete irreversible"},
		"fragment":            {gql(`mutation{...F} fragment F on Mutation{deleteRef{x}}`), "github.git.refs.delete irreversible"},
		"fragment cycle":      {gql(`mutation{...F} fragment F on Mutation{...G} fragment G on Mutation{...F deleteRef{x}}`), "github.git.refs.delete irreversible"},
		"inline fragment":     {gql(`mutation{... on Mutation{deleteRef{x}}}`), "github.git.refs.delete irreversible"},
		"skipped":             {gql(`mutation{deleteRef @skip(if:true){x}}`), "github.git.refs.delete irreversible"},
		"missing fragment":    {gql(`mutation{...F}`), other},
		"fragment twice":      {gql(`mutation{...F} fragment F on M{createIssue{x}} fragment F on M{deleteRef{x}}`), other},
		"only typename":       {gql(`mutation{__typename}`), "github.graphql.mutation irreversible"},
		"unheard of":          {gql(`mutation{grantEnterpriseAdmin{x}}`), "github.graphql.mutation irreversible"},
		"subscription":        {gql(`subscription{a}`), other},
		"empty":               {``, other},
		"no query":            {`{}`, other},
		"persisted":           {`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}`, other},
		"persisted with text": {`{"query":"{a}","extensions":{"persistedQuery":{"sha256Hash":"ab"}}}`, other},
		"document id":         {`{"query":"{a}","documentId":"x"}`, other},
		"duplicate key":       {`{"query":"{a}","query":"mutation{deleteRef{x}}"}`, other},
		"duplicate by case":   {`{"query":"{a}","Query":"mutation{deleteRef{x}}"}`, other},
		"duplicate variable":  {`{"query":"{a}","variables":{"a":1,"a":2}}`, other},
		"escaped duplicate":   {`{"query":"{a}","qu\u0065ry":"mutation{deleteRef{x}}"}`, other},
		"trailing":            {`{"query":"{a}"} {"query":"mutation{deleteRef{x}}"}`, other},
		"byte order mark":     {"\ufeff" + `{"query":"{a}"}`, other},
		"not UTF-8":           {`{"query":"{a}","variables":{"x":"` + "\xff" + `"}}`, other},
		"lone CR":             {gql("query Q{a} #\rmutation M{deleteRef{x}}"), other},
		"line separator":      {gql("query Q{a} #\u2028mutation M{deleteRef{x}}"), other},
		"CRLF":                {gql("query Q{a} # why\r\n"), query},
		"hidden in a string":  {gql(`{a(x:"mutation{deleteRef}")}`), query},
		"batch":               {`[` + gql(`{a}`) + `,` + gql(`mutation{deleteRef{x}}`) + `]`, query + ", github.git.refs.delete irreversible"},
		"empty batch":         {`[]`, other},
		"long batch":          {`[` + strings.Repeat(gql(`{a}`)+`,`, maxGraphQLBatch) + gql(`{a}`) + `]`, other},
		"nested batch":        {`[[` + gql(`{a}`) + `]]`, other},
		"deep JSON":           {`{"query":"{a}","variables":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, other},
		"deep query":          {gql(strings.Repeat("{a", 5000) + strings.Repeat("}", 5000)), other},
		"many tokens":         {gql(`{a(x:[` + strings.Repeat("1 ", maxGraphQLTokens) + `])}`), other},
		"many fields":         {gql(`mutation{` + strings.Repeat("createIssue{x} ", maxGraphQLFields+1) + `}`), other},
		"schema":              {gql(`type Query{a:Int}`), other},
	} {
		t.Run(name, func(t *testing.T) {
			calls, err := Classify(post(t, "github", graphQLURL, c.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := operations(calls); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			for _, call := range calls {
				if got := call.Resource.String(); got != "api.github.com/graphql" {
					t.Errorf("resource %s", got)
				}
			}
		})
	}
}

func TestGraphQLBodies(t *testing.T) {
	query := gql(`{a}`)
	change := func(r Request, f func(*Request)) Request { f(&r); return r }
	base := post(t, "github", graphQLURL, query)
	for name, c := range map[string]struct {
		r    Request
		want ambit.Effect
	}{
		"plain":        {base, ambit.Read},
		"cut off":      {change(base, func(r *Request) { r.BodyWhole = false }), ambit.Irreversible},
		"query in URL": {change(base, func(r *Request) { r.Query = "query=mutation{deleteRef}" }), ambit.Irreversible},
		"enterprise":   {change(base, func(r *Request) { r.Host, r.Segments = "ghe.test", []string{"api", "graphql"} }), ambit.Read},
		"no type":      {change(base, func(r *Request) { r.Header = nil }), ambit.Read},
		"PUT":          {change(base, func(r *Request) { r.Method = "PUT" }), ambit.Irreversible},
		"upper case":   {change(base, func(r *Request) { r.Segments = []string{"GraphQL"} }), ambit.Irreversible},
	} {
		if calls, err := Classify(c.r); err != nil || calls[0].Effect != c.want {
			t.Errorf("%s: %v, %s", name, err, operations(calls))
		}
	}
	for header, want := range map[string]ambit.Effect{
		"Content-Type: application/x-www-form-urlencoded":        ambit.Read, // curl's default; GitHub reads JSON
		"Content-Type: text/plain":                               ambit.Irreversible,
		"Content-Type: application/json; charset=utf-7":          ambit.Irreversible,
		"Content-Type: multipart/form-data; boundary=x":          ambit.Irreversible,
		"Content-Encoding: gzip\nContent-Type: application/json": ambit.Irreversible,
	} {
		var pairs []string
		for line := range strings.SplitSeq(header, "\n") {
			k, v, _ := strings.Cut(line, ": ")
			pairs = append(pairs, k, v)
		}
		r := req(t, "github", "POST", graphQLURL, pairs...)
		r.Body = []byte(query)
		if calls, err := Classify(r); err != nil || calls[0].Effect != want {
			t.Errorf("%q: %v, %s", header, err, operations(calls))
		}
	}
	// A form that a second reader takes apart at "&".
	r := req(t, "github", "POST", graphQLURL, "Content-Type", "application/x-www-form-urlencoded")
	r.Body = []byte(`{"query":"{a}","variables":{"x":"&query=mutation{deleteRef{x}}&"}}`)
	if calls, err := Classify(r); err != nil || calls[0].Effect != ambit.Irreversible {
		t.Errorf("two readings: %v, %s", err, operations(calls))
	}
}

// On a host of which nobody said that it speaks GraphQL, nothing gets easier
// and a mutation gets harder.
func TestGraphQLElsewhere(t *testing.T) {
	p, err := ParsePattern("/api/query")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ kind, url, body, want string }{
		{"http", "https://h.test/graphql", gql(`{a}`), "http.post write"},
		{"web", "https://h.test/graphql", gql(`{a}`), "http.post write"},
		{"http", "https://h.test/v1/GraphQL", gql(`mutation{a}`), "graphql.mutation irreversible"},
		{"web", "https://h.test/graphql", gql(`mutation{a}`), "graphql.mutation irreversible"},
		{"http", "https://h.test/graphql", `nonsense`, "graphql.other irreversible"},
		{"http", "https://h.test/api/query", gql(`{a}`), "graphql.query read"},
		{"http", "https://h.test/api/query", gql(`mutation{a b}`), "graphql.mutation irreversible, graphql.mutation irreversible"},
		{"web", "https://h.test/api/query", gql(`{a}`), "http.post write"},
	} {
		r := post(t, c.kind, c.url, c.body)
		r.Service.GraphQL = []Pattern{p}
		if calls, err := Classify(r); err != nil || operations(calls) != c.want {
			t.Errorf("%s %s: %v, %s, want %s", c.kind, c.url, err, operations(calls), c.want)
		}
	}
}

func TestGraphQLByGet(t *testing.T) {
	for query, want := range map[string]string{
		"query=" + url.QueryEscape(`{a}`):                                                      "github.graphql.query read",
		"query=" + url.QueryEscape(`mutation{deleteRef{x}}`):                                   "graphql.other irreversible",
		"query=" + url.QueryEscape(`{a}`) + "&query=" + url.QueryEscape(`mutation{deleteRef}`): "graphql.other irreversible",
		"extensions={}": "graphql.other irreversible",
		"":              "http.get irreversible",
	} {
		calls, err := Classify(req(t, "github", "GET", graphQLURL+"?"+query))
		if err != nil || operations(calls) != want {
			t.Errorf("%s: %v, %s, want %s", query, err, operations(calls), want)
		}
	}
}
