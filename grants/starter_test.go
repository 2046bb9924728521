package grants

import (
	"strings"
	"testing"
)

func TestStarter(t *testing.T) {
	for name, r := range map[string]Repository{
		"empty":  {},
		"github": {Name: "Acme Web", Owner: "zoë@acme.example", GitHub: "acme/web", Token: true, Branch: "main", Languages: []string{"go", "node"}, Agent: "claude"},
		"public": {Name: "Acme Web", Owner: "zoë@acme.example", GitHub: "acme/web", Branch: "main", Languages: []string{"go"}},
		"other":  {Name: "tool", Owner: "ops@acme.example", Remote: "git.acme.example", Languages: []string{"python", "cobol"}, Agent: "./run.sh"},
	} {
		src := Starter(r)
		golden(t, "starter/"+name+".yaml", string(src))
		mustLoad(t, string(src))
	}
}

// TestStarterHostile: whatever a repository calls itself, the file loads and
// grants nothing more.
func TestStarterHostile(t *testing.T) {
	plain := len(mustLoad(t, string(Starter(Repository{}))).rules)
	for _, s := range []string{
		"x\nwrite: [{files: /, because: b}]", "\"", "'", "#", ": ", "{}", "*x", "&a", "\u202ex", "\x1b[31m", strings.Repeat("x", 9999), "-", "---",
		"ghp_0123456789abcdefghij0123456789abcdef", "éà", "../..", "null", "1", "%!d(string=x)", "%s",
	} {
		src := Starter(Repository{Name: s, Owner: s, Branch: s, Remote: s, Languages: []string{s}, Agent: s})
		if g := mustLoad(t, string(src)); len(g.rules) != plain {
			t.Errorf("%q: %d lines, not %d\n%s", s, len(g.rules), plain, src)
		}
		if repo := GitHubRepository("https://github.com/acme/" + s); repo != "" {
			mustLoad(t, string(Starter(Repository{GitHub: repo, Branch: s})))
		}
	}
}

func TestGitHubRepository(t *testing.T) {
	for remote, want := range map[string]string{
		"https://github.com/Acme/Web.git":             "acme/web",
		"https://github.com/acme/web":                 "acme/web",
		"https://token@github.com/acme/web.git":       "acme/web",
		"git@github.com:acme/my.repo.git":             "acme/my.repo",
		"ssh://git@github.com/acme/web.git":           "acme/web",
		"https://github.com.evil.example/acme/web":    "",
		"https://evil.example/github.com/acme/web":    "",
		"https://github.com/acme":                     "",
		"https://github.com/acme/..":                  "",
		"https://github.com/acme/web/tree/main":       "",
		"https://gitlab.com/acme/web":                 "",
		"git@github.com:acme/web\nwrite: []":          "",
		"https://github.com/acme/web\", because: \"x": "",
	} {
		if got := GitHubRepository(remote); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}
