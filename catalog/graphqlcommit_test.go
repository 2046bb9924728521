package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
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
		"whole name":         {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"refs/heads/agent/fix"}}`), nil, put},
		"whole name twice":   {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"refs/heads/refs/heads/agent/fix"}}`), nil, whole},
		"half a name":        {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"heads/agent/fix"}}`), nil, whole},
		"a tag":              {mutation(`{branch:{repositoryNameWithOwner:"acme/web",branchName:"refs/tags/v1"}}`), nil, whole},
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

// FuzzCommitOnBranch: where a commit by GraphQL is taken for one to a branch, another
// reader of the same document and variables finds that repository and branch in it.
func FuzzCommitOnBranch(f *testing.F) {
	const named = `{branch:{repositoryNameWithOwner:"acme/web",branchName:"agent/fix"}}`
	for _, s := range [][2]string{
		{`mutation{createCommitOnBranch(input:` + named + `){commit{oid}}}`, `{}`},
		{`mutation($i:I!){createCommitOnBranch(input:$i){clientMutationId}}`, `{"i":{"branch":{"repositoryNameWithOwner":"acme/web","branchName":"a"}}}`},
		{`mutation($b:String="a"){a:createCommitOnBranch(input:{branch:{repositoryNameWithOwner:"acme/web",branchName:$b}}){ref{name}}}`, `{"b":"b"}`},
		{`mutation{...M} fragment M on Mutation{createCommitOnBranch(input:` + named + `){commit{oid}}}`, `null`},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, query, vars string) {
		var sent map[string]any
		body, err := json.Marshal(map[string]any{"query": query, "variables": json.RawMessage(vars)})
		if err != nil || json.Unmarshal([]byte(vars), &sent) != nil {
			return
		}
		calls, err := Classify(post(t, "github", graphQLURL, string(body)))
		if err != nil {
			return
		}
		found := make(map[string]bool)
		for _, c := range calls {
			if c.Resource.Kind == "repo" && len(c.Resource.Segments) > 2 {
				found[strings.Join(c.Resource.Segments, "/")] = true
			}
		}
		doc, err := parser.ParseQuery(&ast.Source{Input: query})
		if err != nil {
			if len(found) > 0 {
				t.Fatalf("%q does not parse, and is a commit to %v", query, found)
			}
			return
		}
		for ref := range found {
			if !slices.ContainsFunc(commits(doc, sent), func(s string) bool { return s == ref }) {
				t.Fatalf("%q with %s is taken for a commit to %s, and another reader finds %v", query, vars, ref, commits(doc, sent))
			}
		}
	})
}

// commits are the branches that the library's own reading of the values finds.
func commits(doc *ast.QueryDocument, vars map[string]any) (out []string) {
	var walk func(set ast.SelectionSet, left int)
	walk = func(set ast.SelectionSet, left int) {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				for _, a := range s.Arguments {
					given := maps.Clone(vars)
					if given == nil {
						given = make(map[string]any)
					}
					for _, d := range doc.Operations[0].VariableDefinitions {
						if _, ok := given[d.Variable]; !ok && d.DefaultValue != nil {
							given[d.Variable], _ = d.DefaultValue.Value(nil)
						}
					}
					v, _ := a.Value.Value(given)
					in, _ := v.(map[string]any)
					branch, _ := in["branch"].(map[string]any)
					out = append(out, strings.ToLower(fmt.Sprint(branch["repositoryNameWithOwner"]))+"/refs/heads/"+strings.TrimPrefix(fmt.Sprint(branch["branchName"]), "refs/heads/"))
				}
			case *ast.InlineFragment:
				walk(s.SelectionSet, left)
			case *ast.FragmentSpread:
				if f := doc.Fragments.ForName(s.Name); f != nil && left > 0 {
					walk(f.SelectionSet, left-1)
				}
			}
		}
	}
	for _, op := range doc.Operations {
		walk(op.SelectionSet, 8)
	}
	return out
}

// TestMutationsOfBranches: a mutation that by its name is about a branch touches one, and
// none but the commit to a branch by its name says which.
func TestMutationsOfBranches(t *testing.T) {
	const input = `{branch:{repositoryNameWithOwner:"acme/web",branchName:"agent/fix"},repositoryId:"R_x",refId:"x",name:"refs/heads/agent/fix",base:"agent/fix",ref:"refs/heads/agent/fix"}`
	about := regexp.MustCompile(`Refs?$|Branch|Merge|Revert|enqueue`)
	touching := 0
	for field, e := range githubMutations() {
		touches := Refs(e.op).Touches
		if about.MatchString(field) && !touches {
			t.Errorf("%s is %s, which touches no branch", field, e.op)
		}
		if !touches || field == "createCommitOnBranch" {
			continue
		}
		touching++
		got := classified(post(t, "github", graphQLURL, gql(`mutation{`+field+`(input:`+input+`){clientMutationId}}`)))
		if len(got) != 1 || !strings.HasSuffix(got[0], " http:api.github.com/graphql") {
			t.Errorf("%s: %v", field, got)
		}
	}
	for _, unlisted := range []string{"createLinkedBranch", "revertPullRequest", "whatComesNext"} {
		got := classified(post(t, "github", graphQLURL, gql(`mutation{`+unlisted+`(input:`+input+`){clientMutationId}}`)))
		if len(got) != 1 || got[0] != "github.graphql.mutation irreversible http:api.github.com/graphql" || !Refs("github.graphql.mutation").Touches {
			t.Errorf("%s: %v", unlisted, got)
		}
	}
	if touching < 10 {
		t.Errorf("only %d mutations touch a branch", touching)
	}
}
