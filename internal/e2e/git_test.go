package e2e

import (
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestGitCloneAndPush clones a private repository over HTTPS and pushes to it.
// The agent's git has no credential at all; the server wants one each time.
func TestGitCloneAndPush(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		g := ambittest.NewGit(t, ambittest.NewCA(t), "github.com", "api.github.com")
		g.Create(t, "acme/web.git", true, map[string]string{
			"main.go": "package main\n", ".github/workflows/ci.yml": "on: push\n", "deep/CLAUDE.md": "hello\n", ".vscode/tasks.json": "{}\n", ".github/x": "x\n"})
		g.Create(t, "acme/other.git", true, map[string]string{"a": "b\n"})
		h := ambittest.NewHome(t, uid)
		h.Grants(t, "uses: [git]\n"+head+"services:\n"+
			service("github", "github", "[github.com, api.github.com]", g.Server, ", credential: {env: GITHUB_TOKEN}")+`
read:
  - files: ["."]
  - github: acme/web
write:
  - files: ["."]
    because: the work is done here
  - github: acme/web
    operations: [git.push]
    because: the fix is delivered on a branch
    lint-accept: {way-out: it goes back to where it was read from}
`)
		h.File(t, "work.sh", `
set -e
git clone -q https://github.com/acme/web.git clone
cd clone
test -z "$(git status --porcelain)"
test -e .github/x -a ! -e .github/workflows -a ! -e deep/CLAUDE.md -a ! -e .vscode
echo 'func main() {}' >>main.go
git commit -qam 'add main'
test $(git ls-tree -r HEAD | wc -l) = 5 # what is left out is not deleted
git rev-parse HEAD
git push -q origin HEAD:refs/heads/agent/fix && echo pushed
set +e
git push origin :refs/heads/agent/fix; echo "delete: $?"
git push origin HEAD:refs/heads/x :refs/heads/main; echo "delete among others: $?"
git push https://github.com/acme/other.git HEAD:refs/heads/x; echo "elsewhere: $?"
git clone -q https://github.com/acme/other.git; echo "other: $?"
git -c http.extraHeader="Authorization: Basic $(printf 'x:%s' "$GITHUB_TOKEN" | base64)" ls-remote https://github.com/acme/other.git; echo "header: $?"
echo "token $GITHUB_TOKEN"
`)
		c := h.Ambit("run", "--", "bash", "work.sh")
		c.Env = append(c.Env, "GITHUB_TOKEN="+g.Token.Value)
		before := g.Refs(t, "acme/web.git")
		r := ambittest.Finish(t, c)
		want(t, r, 0)
		lines := strings.Split(r.Stdout, "\n")
		refs := g.Refs(t, "acme/web.git")
		if refs["refs/heads/agent/fix"] != lines[0] || lines[0] == "" {
			t.Errorf("the server's branch is at %q, want %q", refs["refs/heads/agent/fix"], lines[0])
		}
		if refs["refs/heads/main"] != before["refs/heads/main"] || len(refs) != 2 {
			t.Errorf("the server's refs are %v, were %v", refs, before)
		}
		has(t, "the agent's output", r.Stdout, "pushed\n")
		for _, what := range []string{"delete", "delete among others", "elsewhere", "other", "header"} {
			if strings.Contains(r.Stdout, what+": 0\n") {
				t.Errorf("%s was not refused", what)
			}
		}
		lacks(t, "the agent's output", []byte(r.Stdout+r.Stderr), g.Token)
		found, err := ambittest.FindInTree(h.Workspace, g.Token)
		if err != nil || len(found) > 0 {
			t.Errorf("the token is in the workspace: %v %v", found, err)
		}
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h, g.Token)
	})
}
