package ambittest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// graphQL answers queries of repositories and the mutations that the tests use: it
// walks the query over plain maps. What a map has not is null; a function is called
// with the field's arguments.
func (g *GitHub) graphQL(w http.ResponseWriter, r *http.Request) {
	t := g.live(credential(r))
	if t == nil {
		complainJSON(w, 401, "Bad credentials")
		return
	}
	var in struct {
		Query     string
		Variables map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		complainJSON(w, 400, "Problems parsing JSON")
		return
	}
	doc, err := parser.ParseQuery(&ast.Source{Input: in.Query})
	if err != nil || len(doc.Operations) != 1 {
		writeJSON(w, 200, map[string]any{"errors": []any{map[string]any{"message": "A query attribute must be specified and must be a string."}}})
		return
	}
	q := &graphWalk{doc: doc, vars: in.Variables}
	op := doc.Operations[0]
	root := map[string]any{"repository": func(a args) (any, error) { return g.graphRepo(t, a) }, "viewer": map[string]any{"login": g.who(t)}}
	if op.Operation == ast.Mutation {
		root = g.mutations(t)
	}
	data := q.object(root, op.SelectionSet)
	out := map[string]any{"data": data}
	if len(q.errs) > 0 {
		out["errors"] = q.errs
	}
	writeJSON(w, 200, out)
}

func (g *GitHub) who(t *ghToken) string {
	if t.person == "" {
		return "web-fixer[bot]"
	}
	return t.person
}

type (
	args      map[string]any
	graphWalk struct {
		doc  *ast.QueryDocument
		vars map[string]any
		errs []any
	}
)

func (q *graphWalk) object(from map[string]any, set ast.SelectionSet) map[string]any {
	out := map[string]any{}
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			out[s.Alias] = q.field(from[s.Name], s)
		case *ast.InlineFragment:
			q.merge(out, from, s.SelectionSet)
		case *ast.FragmentSpread:
			q.merge(out, from, q.doc.Fragments.ForName(s.Name).SelectionSet)
		}
	}
	return out
}

func (q *graphWalk) merge(out, from map[string]any, set ast.SelectionSet) {
	for k, v := range q.object(from, set) {
		out[k] = v
	}
}

func (q *graphWalk) field(v any, f *ast.Field) any {
	if call, ok := v.(func(args) (any, error)); ok {
		a := args{}
		for _, x := range f.Arguments {
			a[x.Name] = q.value(x.Value)
		}
		var err error
		if v, err = call(a); err != nil {
			kind, text, _ := strings.Cut(err.Error(), ": ")
			q.errs = append(q.errs, map[string]any{"type": kind, "message": text, "path": []any{f.Alias}})
			return nil
		}
	}
	switch v := v.(type) {
	case map[string]any:
		return q.object(v, f.SelectionSet)
	case []map[string]any:
		out := []any{}
		for _, m := range v {
			out = append(out, q.object(m, f.SelectionSet))
		}
		return out
	}
	return v
}

func (q *graphWalk) value(v *ast.Value) any {
	out, err := v.Value(q.vars)
	if err != nil {
		return nil
	}
	return out
}

var (
	errNotFound  = errors.New("NOT_FOUND: Could not resolve to a Repository with that name")
	errForbidden = errors.New("FORBIDDEN: Resource not accessible by integration")
)

func (g *GitHub) graphRepo(t *ghToken, a args) (any, error) {
	name := strings.ToLower(fmt.Sprint(a["name"]))
	g.mu.Lock()
	repo := g.repos[name]
	g.mu.Unlock()
	if repo == nil || !strings.EqualFold(fmt.Sprint(a["owner"]), g.Owner) || !t.sees(name) {
		return nil, errNotFound
	}
	need := func(perm string, v func(args) any) func(args) (any, error) {
		return func(a args) (any, error) {
			if !t.can(perm) {
				return nil, errForbidden
			}
			return v(a), nil
		}
	}
	branch := map[string]any{"name": "main", "prefix": "refs/heads/", "target": map[string]any{"oid": strings.Repeat("1", 40)}}
	pulls := func(args) any { return connectionOf(g.nodes("PR_"+name+"_", &repo.pulls)) }
	issues := func(args) any { return connectionOf(g.nodes("I_"+name+"_", &repo.issues)) }
	return map[string]any{
		"id": repo.node, "name": name, "nameWithOwner": g.Owner + "/" + name, "owner": map[string]any{"id": "O_1", "login": g.Owner},
		"url": "https://github.com/" + g.Owner + "/" + name, "isPrivate": true, "viewerPermission": "WRITE", "hasIssuesEnabled": true, "defaultBranchRef": branch,
		"mergeCommitAllowed": true, "squashMergeAllowed": true, "rebaseMergeAllowed": true, "isEmpty": false, "description": "",
		"pullRequests": need("pull_requests:read", pulls), "issues": need("issues:read", issues),
		"pullRequest":        need("pull_requests:read", func(a args) any { return pick(g.nodes("PR_"+name+"_", &repo.pulls), a["number"]) }),
		"issue":              need("issues:read", func(a args) any { return pick(g.nodes("I_"+name+"_", &repo.issues), a["number"]) }),
		"issueOrPullRequest": need("issues:read", func(a args) any { return pick(g.nodes("I_"+name+"_", &repo.issues), a["number"]) }),
		"ref":                func(args) (any, error) { return branch, nil },
	}, nil
}

func connectionOf(nodes []map[string]any) map[string]any {
	return map[string]any{"totalCount": len(nodes), "nodes": nodes, "pageInfo": map[string]any{"hasNextPage": false, "endCursor": ""}}
}

func pick(nodes []map[string]any, number any) any {
	for _, n := range nodes {
		if fmt.Sprint(n["number"]) == fmt.Sprint(number) {
			return n
		}
	}
	return nil
}

// nodes are issues or pull requests as GraphQL has them.
func (g *GitHub) nodes(prefix string, from *[]map[string]any) (out []map[string]any) {
	out = []map[string]any{}
	for _, m := range g.list(from) {
		n := map[string]any{
			"id": prefix + fmt.Sprint(m["number"]), "number": m["number"], "title": m["title"], "body": m["body"], "state": strings.ToUpper(fmt.Sprint(m["state"])),
			"url": m["html_url"], "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z", "author": map[string]any{"login": "alice"},
			"headRefName": m["head"], "baseRefName": m["base"], "isDraft": false, "isCrossRepository": false, "headRepositoryOwner": map[string]any{"id": "O_1", "login": g.Owner},
			"mergeable": "MERGEABLE", "mergeStateStatus": "CLEAN", "headRefOid": strings.Repeat("1", 40), "maintainerCanModify": false,
			"__typename": map[bool]string{true: "PullRequest", false: "Issue"}[strings.HasPrefix(prefix, "PR_")],
		}
		for _, list := range []string{"comments", "labels", "assignees", "projectCards", "reviewRequests", "commits", "statusCheckRollup"} {
			n[list] = connectionOf([]map[string]any{})
		}
		n["reactionGroups"] = []map[string]any{}
		out = append(out, n)
	}
	return out
}

// mutations are the ones that gh uses here.
func (g *GitHub) mutations(t *ghToken) map[string]any {
	return map[string]any{
		"createPullRequest": func(a args) (any, error) {
			in, _ := a["input"].(map[string]any)
			name, repo := g.byNode(fmt.Sprint(in["repositoryId"]))
			if repo == nil || !t.sees(name) || !t.can("pull_requests:write") {
				return nil, errForbidden
			}
			g.did(t, "pulls.create "+name)
			made := g.add(map[string]any{"title": in["title"], "body": in["body"], "head": in["headRefName"], "base": in["baseRefName"]}, &repo.pulls)
			return map[string]any{"pullRequest": map[string]any{"id": "PR_" + name + "_" + fmt.Sprint(made["number"]), "url": made["html_url"]}}, nil
		},
		"mergePullRequest": func(a args) (any, error) {
			in, _ := a["input"].(map[string]any)
			name, _, ok := strings.Cut(strings.TrimPrefix(fmt.Sprint(in["pullRequestId"]), "PR_"), "_")
			if !ok || !t.sees(name) || !t.can("contents:write") {
				return nil, errForbidden
			}
			g.did(t, "pulls.merge "+name)
			return map[string]any{"clientMutationId": nil}, nil
		},
		"createCommitOnBranch": func(a args) (any, error) {
			in, _ := a["input"].(map[string]any)
			branch, _ := in["branch"].(map[string]any)
			where := fmt.Sprint(branch["repositoryNameWithOwner"], " ", branch["branchName"])
			if branch["id"] != nil { // it goes before the names here
				where = fmt.Sprint(branch["id"])
			}
			g.did(t, "commit "+where)
			return map[string]any{"commit": map[string]any{"oid": "1"}}, nil
		},
		"createRef": g.moves(t), "updateRef": g.moves(t), "updateRefs": g.moves(t), "deleteRef": g.moves(t), "mergeBranch": g.moves(t),
	}
}

// moves is a mutation that changes a branch or tag, whichever its input names.
func (g *GitHub) moves(t *ghToken) func(args) (any, error) {
	return func(a args) (any, error) {
		g.did(t, fmt.Sprint("moved ", a["input"]))
		return map[string]any{"clientMutationId": nil}, nil
	}
}

func (g *GitHub) byNode(id string) (string, *ghRepo) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, r := range g.repos {
		if r.node == id {
			return name, r
		}
	}
	return "", nil
}
