package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// gitHouse is a code host with a repository, its sibling, a tag, and a person's home.
func gitHouse(t *testing.T, uid int, filter bool) (*ambittest.Git, *ambittest.Home) {
	t.Helper()
	g := ambittest.NewGit(t, ambittest.NewCA(t), "github.com", "api.github.com")
	g.Create(t, "acme/web.git", true, map[string]string{"main.go": "package main\n", "deploy.txt": "TOKEN=" + g.Old.Value + "\n"})
	g.Create(t, "acme/other.git", true, map[string]string{"a": "b\n"})
	bare := filepath.Join(g.Root, "acme/web.git")
	ambittest.Output(t, bare, "git", "tag", "v1", "main")
	ambittest.Output(t, bare, "git", "update-ref", "refs/heads/agent/base", "main")
	ambittest.Output(t, bare, "git", "config", "receive.advertisePushOptions", "true")
	if filter {
		ambittest.Output(t, bare, "git", "config", "uploadpack.allowFilter", "true")
	}
	return g, ambittest.NewHome(t, uid)
}

func gitGrants(g *ambittest.Git, more string) string {
	return "uses: [git]\n" + head + "services:\n" + service("github", "github", "[github.com, api.github.com]", g.Server, ", credential: {env: GITHUB_TOKEN}") + `
read:
  - files: ["."]
  - github: acme/web
write:
  - files: ["."]
    because: the work is done here
  - github: acme/web
    operations: [git.push, pulls.create]
    refs: [refs/heads/agent/**]
    because: the fix is delivered on a branch of the agent's own
    lint-accept: {way-out: it goes back to where it was read from}
ask:
  - github: acme/web
    operations: [pulls.merge]
    because: a person decides what is merged
` + more
}

// TestIncidentPush: a pushed branch passes, also one that the server alone can tell
// to be no force; a force push, the deletion of a tag, a push to a sibling and the
// deletion of the repository do not; a merge asks. What counts is what the server has
// afterwards.
func TestIncidentPush(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		g, h := gitHouse(t, uid, uid == 0)
		h.Grants(t, gitGrants(g, ""))
		hold(t, h, "200ms")
		h.File(t, "work.sh", `
set -e
git clone -q git@github.com:acme/web.git clone
cd clone
echo one >>main.go; git commit -qam one
git push -q origin HEAD:refs/heads/agent/fix; echo "branch: $?"
echo two >>main.go; git commit -qam two
git push -q ssh://git@github.com/acme/web.git HEAD:refs/heads/agent/fix; echo "more: $?"
git push -q --atomic -f origin HEAD:refs/heads/agent/base; echo "known commits: $?"
git rev-parse HEAD >../tip
set +e
git checkout -q --orphan other; git commit -qm other
git push origin +HEAD:refs/heads/agent/fix; echo "own force: $?"
git push origin +HEAD:refs/heads/main; echo "main force: $?"
git push -f origin origin/main:refs/heads/agent/base; echo "back: $?"
git push origin :refs/tags/v1; echo "tag: $?"
git push -f origin HEAD:refs/tags/v1; echo "moved tag: $?"
git push origin :refs/heads/agent/fix; echo "delete: $?"
git push origin HEAD:refs/heads/agent/new HEAD:refs/heads/stolen; echo "one of two: $?"
git push origin HEAD:refs/for/main; echo "magic: $?"
git push --mirror origin; echo "mirror: $?"
git push -o ci.skip origin HEAD:refs/heads/agent/options; echo "options: $?"
git push https://github.com/acme/other.git HEAD:refs/heads/agent/x; echo "sibling: $?"
git push https://github.com/acme/web.git/../other.git HEAD:refs/heads/agent/x; echo "path: $?"
c() { curl -sS -o ../body -w '%{http_code}\n' -X "$@"; cat ../body; }
c DELETE https://api.github.com/repos/acme/web
c PUT -d '{}' https://api.github.com/repos/acme/web/pulls/1/merge
while [ ! -e ../go ]; do sleep 0.05; done
echo merged; c PUT -d '{}' https://api.github.com/repos/acme/web/pulls/1/merge
echo again; c PUT -d '{}' https://api.github.com/repos/acme/web/pulls/2/merge
`)
		before := g.Refs(t, "acme/web.git")
		c := h.Ambit("run", "--", "bash", "work.sh")
		c.Env = append(c.Env, "GITHUB_TOKEN="+g.Token.Value)
		run := start(t, c)
		run.says(t, `"code":"pending"`)
		q := asked(t, h)
		has(t, "the question", q.Operation, "pulls.merge")
		unmerged := g.Refs(t, "acme/web.git")
		want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
		h.File(t, "go", "")
		r := run.wait(t)
		want(t, r, 0)
		tip, err := os.ReadFile(filepath.Join(h.Workspace, "tip"))
		if err != nil {
			t.Fatal(err)
		}
		for _, ok := range []string{"branch", "more", "known commits"} {
			has(t, "the agent's output", r.Stdout, ok+": 0\n")
		}
		for _, no := range []string{"own force", "main force", "back", "tag", "moved tag", "delete", "one of two", "magic", "mirror", "options", "sibling", "path"} {
			if strings.Contains(r.Stdout, no+": 0\n") || !strings.Contains(r.Stdout, no+": ") {
				t.Errorf("%s was not refused", no)
			}
		}
		has(t, "what git prints", r.Stderr, "[remote rejected]", "refused by ambit:", "record ", "not pushed: another part", "remote: ambit: git.push.force acme/web/refs/heads/main")
		wantRefs(t, "before the merge", unmerged, map[string]string{"refs/heads/main": before["refs/heads/main"], "refs/tags/v1": before["refs/tags/v1"],
			"refs/heads/agent/fix": strings.TrimSpace(string(tip)), "refs/heads/agent/base": strings.TrimSpace(string(tip))})
		after := g.Refs(t, "acme/web.git")
		if _, merged, _ := strings.Cut(r.Stdout, "merged\n"); after["refs/heads/main"] != strings.TrimSpace(string(tip)) || strings.Count(merged, "200\n") != 1 {
			t.Errorf("exactly the approved merge should pass, once:\n%s", r.Stdout)
		}
		if len(g.Refs(t, "acme/other.git")) != 1 {
			t.Error("the sibling was pushed to")
		}
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h, g.Token)
	})
}

func wantRefs(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s the server has\n%v\nwant\n%v", when, got, want)
	}
}

// TestIncidentFoundCredential: the repository holds an old token that opens
// everything. Whatever the agent does with it, the server never sees it, and nothing
// is done beyond the grants. The same request without it passes.
func TestIncidentFoundCredential(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		g, h := gitHouse(t, uid, true)
		h.Grants(t, gitGrants(g, ""))
		h.File(t, "work.sh", `
git clone -q https://github.com/acme/web.git clone && cd clone
old=$(sed 's/TOKEN=//' deploy.txt)
[ -n "$old" ] && echo found
c() { curl -sS -o ../body -w "%{http_code} $1\n" "${@:2}"; }
c bearer -X DELETE -H "Authorization: Bearer $old" https://api.github.com/repos/acme/web
c sibling -H "Authorization: Bearer $old" https://api.github.com/repos/acme/other
c basic -u "x:$old" -X DELETE https://api.github.com/repos/acme/other
c query "https://api.github.com/repos/acme/web?access_token=$old"
c url -X DELETE "https://x:$old@api.github.com/repos/acme/web"
c read -H "Authorization: Bearer $old" https://api.github.com/repos/acme/web
git push -q "https://x:$old@github.com/acme/other.git" HEAD:refs/heads/x; echo "push: $?"
git clone -q "https://x:$old@github.com/acme/other.git" ../other; echo "clone: $?"
git -c "http.extraHeader=Authorization: Bearer $old" push -q origin +HEAD~0:refs/heads/main2; echo "header: $?"
c plain https://api.github.com/repos/acme/web
`)
		before := g.Refs(t, "acme/web.git")
		c := h.Ambit("run", "--", "bash", "work.sh")
		c.Env = append(c.Env, "GITHUB_TOKEN="+g.Token.Value)
		r := ambittest.Finish(t, c)
		want(t, r, 0)
		has(t, "the agent's output", r.Stdout, "found\n", "403 bearer", "403 sibling", "403 basic", "403 query", "403 url", "403 read", "200 plain")
		for _, no := range []string{"push", "clone", "header"} {
			if strings.Contains(r.Stdout, no+": 0\n") || !strings.Contains(r.Stdout, no+": ") {
				t.Errorf("%s was not refused", no)
			}
		}
		if n := g.Seen(g.Old); n != 0 {
			t.Errorf("the server saw the old token %d times", n)
		}
		if g.Seen(g.Token) == 0 {
			t.Error("the server never saw the task's token: nothing was tried")
		}
		wantRefs(t, "afterwards", g.Refs(t, "acme/web.git"), before)
		wantRefs(t, "in the sibling", g.Refs(t, "acme/other.git"), map[string]string{"refs/heads/main": g.Refs(t, "acme/other.git")["refs/heads/main"]})
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h, g.Token)
	})
}

// TestPushAsks: a person sees which commits would go where and which be lost; git, which
// packs anew for each try, gets that push through once, and no other.
func TestPushAsks(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		g, h := gitHouse(t, uid, true)
		h.Grants(t, gitGrants(g, `  - github: acme/web
    operations: [git.push.*]
    refs: [refs/heads/main]
    because: a person sees what goes to main
`))
		hold(t, h, "200ms")
		h.File(t, "work.sh", `
git clone -q https://github.com/acme/web.git clone && cd clone
head -c 3000000 /dev/urandom >big; git add big; git commit -q --amend -m "$(printf 'fix\033[2J \342\200\256evil')"
git rev-parse HEAD >../tip
git push origin +HEAD:main; echo "first: $?"
while [ ! -e ../go ]; do sleep 0.05; done
git commit -q --allow-empty -m more
git push origin +HEAD:main; echo "other commit: $?"
git push origin +HEAD~1:main HEAD:agent/x; echo "more refs: $?"
git -c pack.threads=1 -c core.compression=1 push origin +HEAD~1:main; echo "same: $?"
git push origin +HEAD:main; echo "after: $?"
`)
		c := h.Ambit("run", "--", "bash", "work.sh")
		c.Env = append(c.Env, "GITHUB_TOKEN="+g.Token.Value)
		run := start(t, c)
		run.says(t, "first: ")
		q := asked(t, h)
		before := g.Refs(t, "acme/web.git")["refs/heads/main"]
		has(t, "the question", q.Operation+" "+q.Resource+" "+q.Screen, "git.push.force", "acme/web/refs/heads/main", "FORCE", before, `fix\u{1b}[2J \u{202e}evil`)
		want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
		h.File(t, "go", "")
		r := run.wait(t)
		want(t, r, 0)
		for _, no := range []string{"first", "other commit", "more refs", "after"} {
			if strings.Contains(r.Stdout, no+": 0\n") || !strings.Contains(r.Stdout, no+": ") {
				t.Errorf("%s passed", no)
			}
		}
		has(t, "the agent's output", r.Stdout, "same: 0\n")
		has(t, "what git prints", r.Stderr, "waits for a person, ticket "+q.Ticket, "push again once it is approved")
		tip, err := os.ReadFile(filepath.Join(h.Workspace, "tip"))
		if err != nil {
			t.Fatal(err)
		}
		if refs := g.Refs(t, "acme/web.git"); refs["refs/heads/main"] != strings.TrimSpace(string(tip)) || refs["refs/heads/agent/x"] != "" {
			t.Errorf("the server has %v, want main at %s", refs, tip)
		}
		var kinds []string
		for _, l := range logged(t, h, "git.push.force") {
			kinds = append(kinds, l.Outcome)
		}
		if b, _ := json.Marshal(kinds); strings.Count(string(b), "performed") != 1 {
			t.Errorf("the log's outcomes are %s", b)
		}
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h, g.Token)
	})
}

// TestPushKinds: pushes from a shallow clone, of a SHA-256 repository, by the older
// protocol and of a merge pass like any other, and a force among them does not. Other
// spellings of a repository's path lead to no other repository, and a submodule to none
// that is not granted.
func TestPushKinds(t *testing.T) {
	slow(t)
	uid := ambittest.Users()[0]
	g, h := gitHouse(t, uid, true)
	bare := filepath.Join(g.Root, "acme/new.git")
	ambittest.Output(t, "", "git", "init", "-q", "--bare", "-b", "main", "--object-format=sha256", bare)
	ambittest.Output(t, bare, "git", "config", "http.receivepack", "true")
	h.Grants(t, strings.ReplaceAll(gitGrants(g, ""), "github: acme/web", "github: [acme/web, acme/new]"))
	h.File(t, "work.sh", `
set -e
git clone -q --depth 1 https://github.com/acme/web.git shallow && cd shallow
echo a >>main.go; git commit -qam shallow
git push -q origin HEAD:refs/heads/agent/base; echo "shallow: $?"
cd ..; git clone -q -b agent/base https://github.com/acme/web.git deep && cd deep
git checkout -q -b side; git commit -q --allow-empty -m side; git checkout -q agent/base; git commit -q --allow-empty -m mine
git merge -q -m merge side
git -c protocol.version=0 push -q origin HEAD:refs/heads/agent/base; echo "older, a merge: $?"
cd ..; git init -q -b main --object-format=sha256 new && cd new && git commit -q --allow-empty -m one
git push -q https://github.com/acme/new.git HEAD:refs/heads/agent/x; echo "SHA-256: $?"
git commit -q --allow-empty -m two
git push -q https://github.com/acme/new.git HEAD:refs/heads/agent/x; echo "SHA-256 again: $?"
set +e
git push https://github.com/acme/new.git +HEAD~1:refs/heads/agent/x; echo "SHA-256 force: $?"
cd ../deep
for u in acme//other.git acme/web.git/..%2fother.git acme/web/%2e%2e/other.git acme/other.git/ Acme/Other other.git acme/web.git/../other ; do
	git push "https://github.com/$u" HEAD:refs/heads/agent/x; echo "path $u: $?"
done
git push https://github.com/ACME/Web HEAD:refs/heads/main; echo "path capitals: $?"
git -c protocol.file.allow=never submodule add https://github.com/acme/other.git sub; echo "path submodule: $?"
`)
	c := h.Ambit("run", "--", "bash", "work.sh")
	c.Env = append(c.Env, "GITHUB_TOKEN="+g.Token.Value)
	before := g.Refs(t, "acme/other.git")
	main := g.Refs(t, "acme/web.git")["refs/heads/main"]
	r := ambittest.Finish(t, c)
	want(t, r, 0)
	has(t, "the agent's output", r.Stdout, "shallow: 0\n", "older, a merge: 0\n", "SHA-256: 0\n", "SHA-256 again: 0\n")
	for l := range strings.Lines(r.Stdout) {
		if strings.Contains(l, "path ") && strings.HasSuffix(l, ": 0\n") || l == "SHA-256 force: 0\n" {
			t.Errorf("passed: %s", l)
		}
	}
	if n := strings.Count(r.Stdout, "path "); n != 9 {
		t.Errorf("%d paths were tried", n)
	}
	wantRefs(t, "in the sibling", g.Refs(t, "acme/other.git"), before)
	log := ambittest.Output(t, filepath.Join(g.Root, "acme/web.git"), "git", "log", "--format=%s", "agent/base")
	if g.Refs(t, "acme/web.git")["refs/heads/main"] != main || strings.Count(log, "\n") != 5 {
		t.Errorf("the server has %v with\n%s", g.Refs(t, "acme/web.git"), log)
	}
	if log := ambittest.Output(t, bare, "git", "log", "--format=%s", "agent/x"); log != "two\none\n" {
		t.Errorf("the SHA-256 repository has\n%s", log)
	}
	if t.Failed() {
		t.Log(r)
	}
	verified(t, h, g.Token)
}
