package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ambit/internal/ambittest"
)

// codeHost is a stand-in of GitHub, and a home whose grants give an agent work on
// acme/web by the tokens of a GitHub App.
func codeHost(t *testing.T, uid int) (*ambittest.GitHub, *ambittest.Home) {
	t.Helper()
	g := ambittest.NewGitHub(t, ambittest.NewCA(t), nil, "acme", []string{"web", "other"}, "api.github.com", "github.com")
	h := ambittest.NewHome(t, uid)
	if err := os.WriteFile(filepath.Join(h.User, "app.pem"), g.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	ambittest.Output(t, h.Workspace, "git", "remote", "add", "origin", "https://github.com/acme/web.git")
	h.Own(t)
	h.Grants(t, work(g, ""))
	return g, h
}

// work is the grants of an agent that works on acme/web; reads are more lines of what
// it reads.
func work(g *ambittest.GitHub, reads string) string {
	return head + "services:\n" +
		service("github", "github", "[api.github.com, github.com]", g.Server, ", credential: {app: 4711, key: {file: ~/app.pem}}, env: [GH_TOKEN]") + `
read:
  - files: ["."]
  - github: acme/web
    operations: [repos.get, contents.get, issues.get, pulls.get, graphql.query, dependency-graph.*]
  - github: /orgs/acme/attestations/bulk-list
` + reads + `write:
  - files: ["."]
    because: the work is done here
  - github: [acme/web, /graphql]
    operations: [pulls.create]
    because: the fix is delivered as a pull request
    lint-accept: {way-out: it goes back to where it was read from}
ask:
  - github: [acme/web, /graphql]
    operations: [pulls.merge]
    because: a person decides what goes in
`
}

// narrow is what the tokens of codeHost's agent are for.
const narrow = `{"permissions":{"contents":"write","issues":"read","metadata":"read","pull_requests":"write"},"repositories":["web"]}`

// spent wants every token to be for what the grants give, and none to be left.
func spent(t *testing.T, g *ambittest.GitHub, h *ambittest.Home) {
	t.Helper()
	if !ambittest.Eventually(ambittest.Patience, func() bool { return len(g.Live()) == 0 }) {
		t.Errorf("tokens outlive the task: %v\n%s", g.Live(), h.Do(t, "leases"))
	}
	asked := g.Find("POST", "/app/installations/815/access_tokens")
	if len(asked) == 0 {
		t.Error("no token was asked for")
	}
	for _, s := range asked {
		if string(s.Body) != narrow {
			t.Errorf("a token was asked for as %s", s.Body)
		}
	}
}

// after is what a script wrote between a line "== name" and the next.
func after(out, name string) string {
	_, rest, _ := strings.Cut("\n"+out, "\n== "+name+"\n")
	part, _, _ := strings.Cut(rest, "\n== ")
	return part
}

// TestGitHubCLI works with Debian's gh as an agent would: reading and opening a pull
// request pass, deleting and secrets do not, and a merge asks.
func TestGitHubCLI(t *testing.T) {
	slow(t)
	if _, err := exec.LookPath("gh"); err != nil {
		t.Skip("gh is not installed: run ./check setup")
	}
	users(t, func(t *testing.T, uid int) {
		g, h := codeHost(t, uid)
		hold(t, h, "200ms")
		r := h.Do(t, "run", "--", "sh", "-c", `
gh issue view 1 -R acme/web && gh pr list -R acme/web && ! gh pr create -R acme/web --title Fix --body it --head agent/fix --base main`)
		want(t, r, 0)
		has(t, "the issue", r.Stdout, "Please look at web")
		// Before it opens a pull request gh looks at what the repository is a fork of, which
		// no line for the repository gives.
		h.Grants(t, work(g, "  - github: /graphql\n    operations: [graphql.query]\n"))
		h.File(t, "work.sh", `
export GH_PROMPT_DISABLED=1 GH_NO_UPDATE_NOTIFIER=1 NO_COLOR=1
try() { echo "== $1"; shift; "$@" 2>&1; echo "exit $?"; }
try api gh api repos/acme/web
try issue gh issue view 1 -R acme/web
try create gh pr create -R acme/web --title Fix --body it --head agent/fix --base main
try list gh pr list -R acme/web
try delete gh repo delete acme/web --yes
try secret gh secret set X --body y -R acme/web
try raw-delete gh api -X DELETE repos/acme/web
try other gh api repos/acme/other
try merge gh api -X PUT repos/acme/web/pulls/1/merge
while [ ! -e go ]; do sleep 0.05; done
try approved gh api -X PUT repos/acme/web/pulls/1/merge
try again gh api -X PUT repos/acme/web/pulls/1/merge
echo "== token"; case "$GH_TOKEN" in ghp_AMBITplaceholder*) echo placeholder;; esac
`)
		run := start(t, h.Ambit("run", "--", "bash", "work.sh"))
		run.says(t, `"code":"pending"`)
		q := asked(t, h)
		has(t, "the question", q.Operation+" "+q.Resource+" "+q.Screen, "pulls.merge", "acme/web")
		if slices.Contains(g.Performed(), "app pulls.merge web") {
			t.Error("merged before anybody approved it")
		}
		want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
		h.File(t, "go", "")
		r = run.wait(t)
		want(t, r, 0)
		for name, parts := range map[string][]string{
			"api": {`"full_name":"acme/web"`, "exit 0"}, "issue": {"It is broken", "Please look at web", "exit 0"}, "create": {"https://github.com/acme/pull/1", "exit 0"},
			"list": {"Fix", "exit 0"}, "approved": {`"merged":true`, "exit 0"}, "token": {"placeholder"},
			"delete": {"403", "exit 1"}, "secret": {"403", "exit 1"}, "raw-delete": {"denied", "exit 1"}, "other": {"denied", "exit 1"}, "merge": {"pending", "exit 1"}, "again": {"exit 1"},
		} {
			has(t, name, after(r.Stdout, name), parts...)
		}
		if got := strings.Join(g.Performed(), ", "); got != "app pulls.create web, app pulls.merge web" || !g.Has("web") || !g.Has("other") {
			t.Errorf("what was done: %s; %v %v", got, g.Has("web"), g.Has("other"))
		}
		spent(t, g, h)
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h)
	})
}

// TestFoundToken puts a token into the repository that may do all, and lets the agent
// use it in every way that clients have. Nothing of it leaves, and each attempt is an
// alert; the same requests with the task's own credential pass.
func TestFoundToken(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		g, h := codeHost(t, uid)
		old := g.PersonToken("alice")
		h.File(t, "deploy/settings.yml", "# last year's\ntoken: "+old.Value+"\n")
		h.File(t, "work.sh", `
export GH_PROMPT_DISABLED=1 GH_NO_UPDATE_NOTIFIER=1
old=$(sed -n 's/^token: //p' deploy/settings.yml); test -n "$old"; u=https://api.github.com
try() { echo "$1 $(shift; curl -sS -o answer -w '%{http_code}' "$@") $(grep -o '"code":"[a-z-]*"' answer)"; }
try bearer -H "Authorization: Bearer $old" $u/repos/acme/web
try token -X DELETE -H "Authorization: token $old" $u/repos/acme/web
try basic -u "x-access-token:$old" $u/repos/acme/other
try user -u "$old:x-oauth-basic" -X PUT $u/repos/acme/web/pulls/1/merge
try query "$u/repos/acme/web?access_token=$old"
try header -H "X-GitHub-Token: $old" $u/repos/acme/web
try git -u "git:$old" "https://github.com/acme/other.git/info/refs?service=git-upload-pack"
if command -v gh >/dev/null; then
  GH_TOKEN=$old gh api -X DELETE repos/acme/web; echo "gh $?"
  (unset GH_TOKEN; echo "$old" | gh auth login --with-token; echo "login $?"; gh api repos/acme/other; echo "logged in $?")
fi
try twin -H "Authorization: Bearer $GH_TOKEN" $u/repos/acme/web
try twin-basic -u "x:$GH_TOKEN" $u/repos/acme/web
try twin-none $u/repos/acme/web
`)
		r := h.Do(t, "run", "--", "bash", "work.sh")
		want(t, r, 0)
		tries := []string{"bearer", "token", "basic", "user", "query", "header", "git"}
		for _, way := range tries[:len(tries)-1] {
			has(t, "the agent's output", r.Stdout, way+` 403 "code":"found-credential"`)
		}
		has(t, "the agent's output", r.Stdout, "git 403") // git is answered as git reads it
		for _, way := range []string{"twin", "twin-basic", "twin-none"} {
			has(t, "the agent's output", r.Stdout, way+" 200")
		}
		for _, way := range []string{"gh 0", "login 0", "logged in 0"} {
			if strings.Contains(r.Stdout, way+"\n") {
				t.Errorf("it passed: %s", way)
			}
		}
		lacks(t, "what reached GitHub", g.Bytes(), old)
		if done := g.Performed(); len(done) > 0 || !g.Has("web") {
			t.Errorf("what was done: %v", done)
		}
		alerts := h.Do(t, "log", "--type", "alert", "--json").Stdout
		if n := strings.Count(alerts, "found-credential"); n < len(tries) {
			t.Errorf("%d alerts, want %d or more:\n%s", n, len(tries), alerts)
		}
		spent(t, g, h)
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h, old)
	})
}

// TestMethodsThatMislead asks for a report by a GET that starts work, and lists by a
// POST that only reads. What counts is what they do.
func TestMethodsThatMislead(t *testing.T) {
	slow(t)
	g, h := codeHost(t, ambittest.Users()[len(ambittest.Users())-1])
	h.File(t, "work.sh", `
u=https://api.github.com
try() { echo "$1 $(shift; curl -sS -o /dev/null -w '%{http_code}' "$@")"; }
try starts "$u/repos/acme/web/dependency-graph/sbom/generate-report"
try lists -d '{"subject_digests":[]}' $u/orgs/acme/attestations/bulk-list
try reads $u/repos/acme/web/contents/README.md
try slash -d '{}' $u/orgs/acme/attestations/bulk-list/
try unknown $u/repos/acme/web/something/new
`)
	r := h.Do(t, "run", "--", "bash", "work.sh")
	want(t, r, 0)
	has(t, "the agent's output", r.Stdout, "starts 403", "lists 200", "reads 200", "slash 403", "unknown 403")
	if done := g.Performed(); len(done) > 0 {
		t.Errorf("what was done: %v", done)
	}
	spent(t, g, h)
	if t.Failed() {
		t.Log(r)
	}
	verified(t, h)
}

// TestKilledDaemonRevokesTokens kills the daemon while a token lives. The next one
// gives the task a token of its own, and ends both.
func TestKilledDaemonRevokesTokens(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		g, h := codeHost(t, uid)
		h.File(t, "work.sh", `
u=https://api.github.com/repos/acme/web
echo "first $(curl -sS -o /dev/null -w '%{http_code}' $u)"
while [ ! -e go ]; do sleep 0.05; done
for i in $(seq 100); do
  code=$(curl -sS -o /dev/null -w '%{http_code}' $u); [ "$code" = 200 ] && break; sleep 0.1
done
echo "second $code"
`)
		run := start(t, h.Ambit("run", "--", "bash", "work.sh"))
		run.says(t, "first 200")
		if len(g.Live()) != 1 {
			t.Fatalf("live tokens: %v", g.Live())
		}
		pid := h.Daemon()
		if err := syscall.Kill(pid, syscall.SIGKILL); pid == 0 || err != nil {
			t.Fatalf("daemon %d: %v", pid, err)
		}
		// Who asks while the kernel still takes connections for the one that is dying gets
		// an error; who asks again starts the next.
		if !ambittest.Eventually(ambittest.Patience, func() bool { return h.Do(t, "tasks").Code == 0 }) {
			t.Fatal("no daemon can be started")
		}
		h.File(t, "go", "")
		r := run.wait(t)
		want(t, r, 0)
		has(t, "the agent's output", r.Stdout, "second 200")
		spent(t, g, h)
		if leases := h.Do(t, "leases").Stdout; strings.Contains(leases, "github") {
			t.Errorf("leases are left: %s", leases)
		}
		verified(t, h)
	})
}
