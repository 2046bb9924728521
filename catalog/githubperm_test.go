package catalog

import (
	"slices"
	"strings"
	"testing"

	"ambit"
)

// TestGitHubPermissions reads the table: each of its lines is about an operation that
// there is, what reads needs no more than reading, and what is granted most often has
// exactly what GitHub's documentation says.
func TestGitHubPermissions(t *testing.T) {
	p, err := parsePermissions(githubPermissionsData)
	if err != nil {
		t.Fatal(err)
	}
	ops := Operations("github")
	used := map[string]bool{}
	for _, o := range ops {
		need := p.of(o.Name)
		for line := range p {
			if line == o.Name || strings.HasSuffix(line, "*") && strings.HasPrefix(o.Name, line[:len(line)-1]) {
				used[line] = true
			}
		}
		for _, n := range need {
			// A line that only reads must never be worth a token that writes.
			if o.Effect == ambit.Read && strings.HasSuffix(n, ":write") {
				t.Errorf("%s reads and needs %s", o.Name, n)
			}
		}
	}
	for line := range p {
		if !used[line] && !slices.Contains([]string{"github.issues.transfer", "github.issues.delete", "github.web.get"}, line) {
			t.Errorf("no operation is called %s", line)
		}
	}
	for op, want := range map[string]string{
		"git.fetch": "contents:read", "git.push.update": "contents:write", "git.push.delete": "contents:write", "git.lfs.write": "contents:write",
		"github.pulls.create": "pull_requests:write", "github.pulls.get": "pull_requests:read", "github.pulls.merge": "contents:write pull_requests:write",
		"github.issues.create": "issues:write", "github.issues.get": "issues:read", "github.comments.create": "issues:write pull_requests:write",
		"github.contents.get": "contents:read", "github.contents.put": "contents:write", "github.repos.get": "metadata:read",
		"github.repos.delete": "administration:write", "github.secrets.put": "secrets:write", "github.hooks.create": "repository_hooks:write",
		"github.actions.dispatch": "actions:write", "github.actions.delete-environment-secret": "environments:write", "github.actions.delete": "actions:write",
		// Of nobody's App: what a person alone does, what is not of a repository, what nobody knows.
		"github.graphql.mutation": "", "github.gists.create": "", "github.unheard.of": "", "": "",
	} {
		if got := strings.Join(GitHubPermissions(op), " "); got != want {
			t.Errorf("%q needs %q, want %q", op, got, want)
		}
	}
	for _, bad := range []string{"a", "a contents", "a contents:admin", "a :read", "a contents:read\na contents:read"} {
		if _, err := parsePermissions(bad); err == nil {
			t.Errorf("%q: read", bad)
		}
	}
}
