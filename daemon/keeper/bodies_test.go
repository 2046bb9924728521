package keeper

import (
	"fmt"
	"strings"
	"testing"

	"ambit/grants"
)

// said is what a request does, and what it does by its body.
func said(t *testing.T, r grants.Request) string {
	t.Helper()
	line := func(calls []grants.Call) string {
		var out []string
		for _, c := range calls {
			out = append(out, fmt.Sprintf("%s %s", c.Operation, c.Effect))
		}
		return strings.Join(out, ", ")
	}
	calls, err := classify(r)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{line(calls)}
	for _, b := range bodies(r) {
		out = append(out, b.Body+": "+line(b.Calls))
	}
	return strings.Join(out, "; ")
}

// TestBodies: a request that somebody wrote down is what the real tool's would
// be, and says when its body decides.
func TestBodies(t *testing.T) {
	graph := &grants.Service{GraphQL: []grants.Text{{Value: "/api/query"}}}
	git := &grants.Service{Git: true}
	for _, c := range []struct {
		name, kind, host, method, path string
		service                        *grants.Service
		want                           string
	}{
		{"fetch", "github", "github.com", "POST", "o/r.git/git-upload-pack", nil, "git.fetch read"},
		{"push", "github", "github.com", "POST", "o/r.git/git-receive-pack", nil,
			"git.push.other irreversible; a push of a new branch: git.push.create write; a push on top of a branch's commits: git.push.update write; a push that deletes a branch: git.push.delete irreversible"},
		{"push elsewhere", "http", "git.example.com", "POST", "a/b/git-receive-pack", git,
			"git.push.other irreversible; a push of a new branch: git.push.create write; a push on top of a branch's commits: git.push.update write; a push that deletes a branch: git.push.delete irreversible"},
		{"no git there", "http", "x.example.com", "POST", "a/git-receive-pack", nil, "http.post write"},
		{"fetch by the wrong method", "github", "github.com", "PUT", "o/r.git/git-upload-pack", nil, "http.put irreversible"},
		{"large files", "github", "github.com", "POST", "o/r.git/info/lfs/objects/batch", nil,
			"git.lfs.other irreversible; a download: git.fetch read; an upload: git.lfs.write write"},
		{"a lock", "github", "github.com", "POST", "o/r.git/info/lfs/locks", nil, "git.lfs.write write"},
		{"GraphQL of github", "github", "api.github.com", "POST", "graphql", nil,
			"graphql.other irreversible; a query: github.graphql.query read; a mutation that the catalog does not list: github.graphql.mutation irreversible"},
		{"declared GraphQL", "http", "x.example.com", "POST", "api/query", graph,
			"graphql.other irreversible; a query: graphql.query read; a mutation: graphql.mutation irreversible"},
		{"another path of the service", "http", "x.example.com", "POST", "api/post", graph, "http.post write"},
		{"read by GET", "http", "x.example.com", "GET", "api/query", graph, "http.get read"},
		{"the root", "http", "x.example.com", "POST", "", nil, "http.post write"},
		{"pull request", "github", "api.github.com", "POST", "repos/o/r/pulls", nil, "github.pulls.create write"},
	} {
		r := grants.Request{Service: c.service, Kind: c.kind, Method: c.method, Scheme: "https", Host: c.host, Port: 443}
		if c.path != "" {
			r.Segments = strings.Split(c.path, "/")
		}
		if got := said(t, r); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	broken := grants.Request{Service: &grants.Service{Reads: []grants.Text{{Value: "x"}}}, Kind: "http", Method: "POST", Scheme: "https", Host: "x.example.com", Port: 443, Segments: []string{"x"}}
	if calls, err := classify(broken); err == nil || bodies(broken) != nil {
		t.Errorf("a path that cannot be read declares nothing: %v", calls)
	}
}
