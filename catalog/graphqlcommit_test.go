package catalog

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestCommitOnBranch: a commit by GraphQL is one to the branch that it names, and of the
// whole API when GitHub could read another repository, branch or more than that in it.
func TestCommitOnBranch(t *testing.T) {
	const (
		put    = "github.contents.put write repo:acme/web/refs/heads/agent/fix"
		whole  = "github.contents.put write http:api.github.com/graphql"
		remove = ", github.contents.delete irreversible repo:acme/web/refs/heads/agent/fix"
		inline = `{branch:{repositoryNameWithOwner:"Acme/Web",branchName:"agent/fix"},message:{headline:"m"},expectedHeadOid:"1"}`
		usual  = `mutation($input:CreateCommitOnBranchInput!){createCommitOnBranch(input:$input){commit{oid url} clientMutationId}}`
	)
	mutation := func(input string) string {
		return `mutation{createCommitOnBranch(input:` + input + `){commit{oid}}}`
	}
	branch := func(more string) map[string]any {
		m := map[string]any{"branch": map[string]any{"repositoryNameWithOwner": "acme/web", "branchName": "agent/fix"}}
		if more != "" {
			m["fileChanges"] = json.RawMessage(more)
		}
		return map[string]any{"input": m}
	}
	for name, c := range map[string]struct {
		query string
		vars  any
		want  string
	}{
		"inline":         {mutation(inline), nil, put},
		"variable":       {usual, branch(""), put},
		"additions":      {usual, branch(`{"additions":[{"path":"a","contents":"aGk="}],"deletions":[]}`), put},
		"null":           {usual, branch(`null`), put},
		"deletions":      {usual, branch(`{"deletions":[{"path":"a"}]}`), put + remove},
		"one deleted":    {usual, branch(`{"deletions":{"path":"a"}}`), put + remove},
		"inline deleted": {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"agent/fix"},fileChanges:{deletions:[{path:"a"}]}}`), nil, put + remove},
		"parts":          {`mutation($r:String!,$b:String="agent/fix"){createCommitOnBranch(input:{branch:{repositoryNameWithOwner:$r,branchName:$b}}){ref{name}}}`, map[string]any{"r": "acme/web"}, put},
		"default":        {`mutation($i:CreateCommitOnBranchInput=` + inline + `){createCommitOnBranch(input:$i){clientMutationId}}`, nil, put},
		"fragment":       {`mutation{...M} fragment M on Mutation{x:createCommitOnBranch(input:` + inline + `){...P}} fragment P on CreateCommitOnBranchPayload{commit{...on Commit{oid}}}`, nil, put},
		"two":            {`mutation{a:createCommitOnBranch(input:` + inline + `){commit{oid}} b:createCommitOnBranch(input:` + strings.Replace(inline, "fix", "b", 1) + `){commit{oid}}}`, nil, put + ", github.contents.put write repo:acme/web/refs/heads/agent/b"},

		"by a number":        {mutation(`{branch:{id:"REF_x"}}`), nil, whole},
		"by both":            {mutation(`{branch:{id:"REF_x",repositoryNameWithOwner:"acme/web",branchName:"agent/fix"}}`), nil, whole},
		"no branch":          {mutation(`{branch:{repositoryNameWithOwner:"acme/web"}}`), nil, whole},
		"whole name":         {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"refs/heads/agent/fix"}}`), nil, whole},
		"no owner":           {mutation(`{branch:{repositoryNameWithOwner:"web",branchName:"agent/fix"}}`), nil, whole},
		"three words":        {mutation(`{branch:{repositoryNameWithOwner:"acme/web/x",branchName:"agent/fix"}}`), nil, whole},
		"branch twice":       {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"agent/fix"},branch:{repositoryNameWithOwner:"acme/web",branchName:"main"}}`), nil, whole},
		"name twice":         {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"agent/fix",branchName:"main"}}`), nil, whole},
		"input twice":        {`mutation{createCommitOnBranch(input:` + inline + `,input:` + inline + `){commit{oid}}}`, nil, whole},
		"variable twice":     {`mutation($b:String="agent/fix",$b:String="main"){createCommitOnBranch(input:{branch:{repositoryNameWithOwner:"acme/web",branchName:$b}}){commit{oid}}}`, nil, whole},
		"undefined variable": {`mutation{createCommitOnBranch(input:$input){commit{oid}}}`, branch(""), whole},
		"block string":       {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"""agent/fix"""}}`), nil, whole},
		"enum":               {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:main}}`), nil, whole},
		"half a character":   {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"a\ud800"}}`), nil, whole},
		"null variable":      {`mutation($b:String="agent/fix"){createCommitOnBranch(input:{branch:{repositoryNameWithOwner:"acme/web",branchName:$b}}){commit{oid}}}`, map[string]any{"b": nil}, whole},
		"odd variables":      {usual, `{"input":{}}`, whole},
		"odd changes":        {usual, branch(`[{"deletions":[{"path":"a"}]}]`), whole},
		"reads on":           {`mutation{createCommitOnBranch(input:` + inline + `){commit{repository{owner{repositories(first:9){nodes{name}}}}}}}`, nil, whole},
		"reads the history":  {`mutation{createCommitOnBranch(input:` + inline + `){commit{history(first:9){nodes{message}}}}}`, nil, whole},
		"reads by a name":    {`mutation{createCommitOnBranch(input:` + inline + `){ref{name:target{... on Commit{tree{entries{object{... on Blob{text}}}}}}}}}`, nil, whole},
		"another":            {`mutation{createRef(input:{repositoryId:"R_x",name:"refs/heads/agent/fix",oid:"1"}){ref{name}}}`, nil, "github.git.refs.create write http:api.github.com/graphql"},
	} {
		body, err := json.Marshal(map[string]any{"query": c.query, "variables": c.vars})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(classified(post(t, "github", graphQLURL, string(body))), ", "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
