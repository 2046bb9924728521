package e2e

import (
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestBranchesByAPI: what a line gives of branches it gives by the API too, and no more.
// Files are committed, refs made and branches merged below agent/; whatever would reach
// main, a tag or a branch that nobody can tell is refused, in every spelling, and a
// person who is asked sees which branch it is. What counts is what the server has.
func TestBranchesByAPI(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		g, h := gitHouse(t, uid, true)
		h.Grants(t, "uses: [git]\n"+head+"services:\n"+service("github", "github", "[github.com, api.github.com]", g.Server, ", credential: {env: GITHUB_TOKEN}, env: [GH_TOKEN]")+`
read:
  - files: ["."]
  - github: acme/web
write:
  - files: ["."]
    because: the work is done here
  - github: acme/web
    operations: [git.push, contents.put, git.refs.create, git.refs.update, pulls.create]
    refs: [refs/heads/agent/**]
    because: the fix is delivered on a branch of the agent's own
    lint-accept: {way-out: it goes back to where it was read from}
ask:
  - github: acme/web
    operations: [git.refs.delete, branches.merge, releases.create, contents.delete]
    refs: [refs/heads/agent/**, refs/tags/v9*]
    because: a person sees what goes
`)
		hold(t, h, "200ms")
		h.File(t, "work.sh", `
u=https://api.github.com/repos/acme/web; json='Content-Type: application/json'
try() { echo "$1 $(shift; curl -sS --path-as-is -o answer -w '%{http_code}' "$@") $(grep -o '"code":"[a-z-]*"' answer)"; }
put() { n=$1; shift; try "$n" -X PUT -H "$json" "$u/contents/a" -d "$@"; }
put ok '{"message":"m","content":"aGk=","branch":"agent/base"}'
put main '{"message":"m","content":"aGk=","branch":"main"}'
put none '{"message":"m","content":"aGk="}'
put empty '{"branch":""}'
put twice '{"branch":"agent/base","branch":"main"}'
put folded '{"branch":"agent/base","Branch":"main"}'
put escaped '{"branch":"agent/base","\u0062ranch":"main"}'
put blank '{"branch":" main"}'
put whole '{"branch":"refs/heads/main"}'
put half '{"branch":"heads/main"}'
put climbs '{"branch":"agent/../main"}'
put head '{"branch":"HEAD"}'
put number '{"branch":7}'
put trailing '{"branch":"agent/base"}{"branch":"main"}'
try query -X PUT -H "$json" "$u/contents/a?branch=main" -d '{"branch":"agent/base"}'
try form -X PUT "$u/contents/a" -d '{"branch":"agent/base","m":"&branch=main"}'
try gzip -X PUT -H "$json" -H 'Content-Encoding: gzip' "$u/contents/a" --data-binary @<(printf '{"branch":"agent/base"}' | gzip)
(printf '{"branch":"main","content":"'; head -c 1200000 /dev/zero | tr '\0' a; printf '"}') >large
try large -X PUT -H "$json" "$u/contents/a" --data-binary @large
try delete-main -X DELETE -H "$json" "$u/contents/a" -d '{"branch":"main"}'
tip=$(git ls-remote https://github.com/acme/web.git refs/heads/main | cut -f1)
ref() { n=$1; shift; try "$n" -X POST -H "$json" "$u/git/refs" -d "{\"sha\":\"$tip\",\"ref\":\"$1\"}"; }
ref ref-ok refs/heads/agent/api
ref ref-other refs/heads/stolen
ref ref-short agent/short
ref ref-tag refs/tags/v2
ref ref-climbs refs/heads/agent/../stolen
ref ref-nested refs/heads/refs/heads/agent/x
try move-ok -X PATCH -H "$json" "$u/git/refs/heads/agent/api" -d '{"sha":"agent/base"}'
try move-force -X PATCH -H "$json" "$u/git/refs/heads/agent/api" -d "{\"sha\":\"$tip\",\"force\":true}"
try move-twice -X PATCH -H "$json" "$u/git/refs/heads/agent/api" -d "{\"sha\":\"$tip\",\"force\":true,\"force\":false}"
try move-plain -X PATCH -H "$json" "$u/git/refs/heads/main" -d '{"sha":"agent/base"}'
try move-main -X PATCH -H "$json" "$u/git/refs/heads/main" -d '{"sha":"agent/base","force":true}'
try move-climbs -X PATCH -H "$json" "$u/git/refs/heads/agent/../main" -d '{"sha":"agent/base","force":true}'
try move-encoded -X PATCH -H "$json" "$u/git/refs/heads/agent%2f..%2fmain" -d '{"sha":"agent/base","force":true}'
try move-whole -X PATCH -H "$json" "$u/git/refs/refs/heads/main" -d '{"sha":"agent/base","force":true}'
try drop-tag -X DELETE "$u/git/refs/tags/v1"
try merge-main -X POST -H "$json" "$u/merges" -d '{"base":"main","head":"agent/base"}'
try merge-none -X POST -H "$json" "$u/merges" -d '{"Base":"agent/base","head":"agent/base"}'
try release -X POST -H "$json" "$u/releases" -d '{"tag_name":"v2"}'
try pull -X POST -H "$json" "$u/pulls" -d '{"title":"Fix","base":"main","head":"agent/base"}'
export GH_PROMPT_DISABLED=1 GH_NO_UPDATE_NOTIFIER=1 NO_COLOR=1
if command -v gh >/dev/null; then
  gh api -X PUT repos/acme/web/contents/b -f message=m -f content=aGk= -f branch=agent/base >/dev/null; echo "gh-ok $?"
  gh api -X PUT repos/acme/web/contents/b -f message=m -f content=aGk= -f branch=main >/dev/null 2>&1; echo "gh-main $?"
  gh api -X PUT repos/acme/web/contents/b -f message=m -f content=aGk= >/dev/null 2>&1; echo "gh-none $?"
  gh api -X DELETE repos/acme/web/git/refs/heads/main >/dev/null 2>&1; echo "gh-delete $?"
fi
try ask -X DELETE "$u/git/refs/heads/agent/api"
while [ ! -e go ]; do sleep 0.05; done
try approved -X DELETE "$u/git/refs/heads/agent/api"
try again -X DELETE "$u/git/refs/heads/agent/base"
`)
		before := g.Refs(t, "acme/web.git")
		c := h.Ambit("run", "--", "bash", "work.sh")
		c.Env = append(c.Env, "GITHUB_TOKEN="+g.Token.Value)
		run := start(t, c)
		run.says(t, "ask 403 ")
		q := asked(t, h)
		has(t, "the question", q.Operation+" "+q.Resource, "git.refs.delete acme/web/refs/heads/agent/api")
		made := g.Refs(t, "acme/web.git")
		want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
		h.File(t, "go", "")
		r := run.wait(t)
		want(t, r, 0)
		has(t, "the agent's output", r.Stdout, "ok 201 ", "ref-ok 201 ", "move-ok 200 ", "pull 201 ", "ask 403 \"code\":\"pending\"", "approved 204 ", "again 403 \"code\":\"pending\"")
		for _, no := range []string{"main", "none", "empty", "twice", "folded", "escaped", "blank", "whole", "half", "climbs", "head", "number", "trailing", "query", "form", "gzip", "large", "delete-main",
			"ref-other", "ref-short", "ref-tag", "ref-climbs", "ref-nested", "move-force", "move-twice", "move-plain", "move-main", "move-climbs", "move-encoded", "move-whole", "drop-tag", "merge-main", "merge-none", "release"} {
			if !strings.Contains("\n"+r.Stdout, "\n"+no+" 403 ") || strings.Contains("\n"+r.Stdout, "\n"+no+" 403 \"code\":\"pending\"") {
				t.Errorf("%s was not refused", no)
			}
		}
		if strings.Contains(r.Stdout, "gh-ok") {
			has(t, "gh's output", r.Stdout, "gh-ok 0\n", "gh-main 1\n", "gh-none 1\n", "gh-delete 1\n")
		}
		after := g.Refs(t, "acme/web.git")
		wantRefs(t, "before the answer", made, map[string]string{"refs/heads/main": before["refs/heads/main"], "refs/tags/v1": before["refs/tags/v1"],
			"refs/heads/agent/base": made["refs/heads/agent/base"], "refs/heads/agent/api": made["refs/heads/agent/api"]})
		if made["refs/heads/agent/base"] == before["refs/heads/agent/base"] {
			t.Error("nothing was committed to the agent's own branch")
		}
		if made["refs/heads/agent/api"] == before["refs/heads/main"] {
			t.Error("the branch that was moved by force is where it was before it was moved forward")
		}
		wantRefs(t, "afterwards", after, map[string]string{"refs/heads/main": before["refs/heads/main"], "refs/tags/v1": before["refs/tags/v1"],
			"refs/heads/agent/base": made["refs/heads/agent/base"]})
		if t.Failed() {
			t.Log(r)
		}
		verified(t, h, g.Token)
	})
}

// TestCommitsByGraphQL: a commit by GraphQL reaches the branches that the line names, and
// nothing else that GraphQL can do to a branch, in any spelling.
func TestCommitsByGraphQL(t *testing.T) {
	slow(t)
	uid := ambittest.Users()[0]
	g, h := codeHost(t, uid)
	h.Grants(t, head+"services:\n"+service("github", "github", "[api.github.com, github.com]", g.Server, ", credential: {app: 4711, key: {file: ~/app.pem}}, env: [GH_TOKEN]")+`
read:
  - files: ["."]
write:
  - files: ["."]
    because: the work is done here
  - github: [acme/web, /graphql]
    operations: [contents.put, git.refs.create, pulls.create]
    refs: [refs/heads/agent/**]
    because: the fix is delivered on a branch of the agent's own
    lint-accept: {way-out: it goes back to where it came from}
`)
	h.File(t, "work.sh", `
gql() { n=$1; shift; echo "$n $(curl -sS -o answer -w '%{http_code}' -H 'Content-Type: application/json' https://api.github.com/graphql -d "$@")"; }
at() { printf 'branch:{repositoryNameWithOwner:\\"%s\\",branchName:\\"%s\\"}' "$1" "$2"; }
c() { printf 'createCommitOnBranch(input:{%s,message:{headline:\\"m\\"},expectedHeadOid:\\"1\\"%s}){commit{oid}}' "$1" "$2"; }
one() { n=$1; shift; gql "$n" "{\"query\":\"mutation{$(c "$@")}\"}"; }
one ok "$(at acme/web agent/fix)"
gql ok-variable '{"query":"mutation($i:CreateCommitOnBranchInput!){createCommitOnBranch(input:$i){commit{oid}}}","variables":{"i":{"branch":{"repositoryNameWithOwner":"acme/web","branchName":"agent/two"},"fileChanges":{"additions":[{"path":"a","contents":"aGk="}]}}}}'
one main "$(at acme/web main)"
one other "$(at acme/other agent/fix)"
one whole "$(at acme/web refs/heads/main)"
one blank "$(at acme/web ' main')"
one number 'branch:{id:\"REF_main\"}'
one both 'branch:{id:\"REF_main\",repositoryNameWithOwner:\"acme/web\",branchName:\"agent/fix\"}'
one again "$(at acme/web agent/fix),$(at acme/web main)"
one deletes "$(at acme/web agent/fix)" ',fileChanges:{deletions:[{path:\"a\"}]}'
gql two "{\"query\":\"mutation{a:$(c "$(at acme/web agent/fix)") b:$(c "$(at acme/web main)")}\"}"
gql twice '{"query":"mutation($b:String=\"agent/fix\",$b:String=\"main\"){createCommitOnBranch(input:{branch:{repositoryNameWithOwner:\"acme/web\",branchName:$b}}){commit{oid}}}"}'
gql variables '{"query":"mutation($b:String){createCommitOnBranch(input:{branch:{repositoryNameWithOwner:\"acme/web\",branchName:$b}}){commit{oid}}}","variables":{"b":"agent/fix"},"variables":{"b":"main"}}'
gql operations '{"query":"mutation A{'"$(c "$(at acme/web agent/fix)")"'} mutation B{'"$(c "$(at acme/web main)")"'}"}'
gql create '{"query":"mutation{createRef(input:{repositoryId:\"R_web\",name:\"refs/heads/agent/x\",oid:\"1\"}){clientMutationId}}"}'
gql update '{"query":"mutation{updateRefs(input:{repositoryId:\"R_web\",refUpdates:[{name:\"refs/heads/agent/x\",afterOid:\"1\"}]}){clientMutationId}}"}'
gql delete '{"query":"mutation{deleteRef(input:{refId:\"REF_main\"}){clientMutationId}}"}'
gql merge '{"query":"mutation{mergeBranch(input:{repositoryId:\"R_web\",base:\"agent/x\",head:\"main\"}){clientMutationId}}"}'
gql reads "{\"query\":\"mutation{createCommitOnBranch(input:{$(at acme/web agent/fix)}){commit{repository{owner{repositories(first:9){nodes{name}}}}}}}\"}"
if command -v gh >/dev/null; then
  export GH_PROMPT_DISABLED=1 GH_NO_UPDATE_NOTIFIER=1
  gh api graphql -f query='mutation($b:String!){createCommitOnBranch(input:{branch:{repositoryNameWithOwner:"acme/web",branchName:$b}}){commit{oid}}}' -f b=agent/gh >/dev/null; echo "gh-ok $?"
  gh api graphql -f query='mutation($b:String!){createCommitOnBranch(input:{branch:{repositoryNameWithOwner:"acme/web",branchName:$b}}){commit{oid}}}' -f b=main >/dev/null 2>&1; echo "gh-main $?"
fi
`)
	r := h.Do(t, "run", "--", "bash", "work.sh")
	want(t, r, 0)
	has(t, "the agent's output", r.Stdout, "ok 200\n", "ok-variable 200\n")
	for _, no := range []string{"main", "other", "whole", "blank", "number", "both", "again", "deletes", "two", "twice", "variables", "operations", "create", "update", "delete", "merge", "reads"} {
		if !strings.Contains("\n"+r.Stdout, "\n"+no+" 403\n") {
			t.Errorf("%s was not refused", no)
		}
	}
	done := "app commit acme/web agent/fix, app commit acme/web agent/two"
	if strings.Contains(r.Stdout, "gh-ok") {
		has(t, "gh's output", r.Stdout, "gh-ok 0\n", "gh-main 1\n")
		done += ", app commit acme/web agent/gh"
	}
	if got := strings.Join(g.Performed(), ", "); got != done {
		t.Errorf("what was done: %s, want %s", got, done)
	}
	if t.Failed() {
		t.Log(r)
	}
	verified(t, h)
}
