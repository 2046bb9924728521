package ambittest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// routes are the parts of the API that the tests use.
func (g *GitHub) routes() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("DELETE /installation/token", g.dropToken)
	m.HandleFunc("GET /installation/repositories", g.listRepos)
	m.HandleFunc("GET /user", g.getUser)
	m.HandleFunc("POST /graphql", g.graphQL)
	// on serves one operation of a repository and remembers it when it is named.
	on := func(pattern, need, did string, f func(http.ResponseWriter, *http.Request, *ghRepo)) {
		m.HandleFunc(strings.Replace(pattern, " ", " /repos/{owner}/{repo}", 1), func(w http.ResponseWriter, r *http.Request) {
			t, repo := g.may(w, r, need)
			if t == nil {
				return
			}
			if did != "" {
				g.did(t, did+" "+strings.ToLower(r.PathValue("repo")))
			}
			f(w, r, repo)
		})
	}
	on("GET ", "metadata:read", "", func(w http.ResponseWriter, r *http.Request, repo *ghRepo) {
		writeJSON(w, 200, g.restRepo(r.PathValue("repo"), repo))
	})
	on("DELETE ", "administration:write", "repos.delete", g.deleteRepo)
	on("GET /contents/{path...}", "contents:read", "", g.getFile)
	on("PUT /contents/{path...}", "contents:write", "contents.put", g.putFile)
	on("DELETE /contents/{path...}", "contents:write", "contents.delete", g.putFile)
	on("GET /issues", "issues:read", "", func(w http.ResponseWriter, _ *http.Request, repo *ghRepo) { writeJSON(w, 200, g.list(&repo.issues)) })
	on("GET /issues/{n}", "issues:read", "", func(w http.ResponseWriter, r *http.Request, repo *ghRepo) { g.one(w, r, &repo.issues) })
	on("POST /issues", "issues:write", "issues.create", func(w http.ResponseWriter, r *http.Request, repo *ghRepo) { g.create(w, r, &repo.issues) })
	on("GET /pulls", "pull_requests:read", "", func(w http.ResponseWriter, _ *http.Request, repo *ghRepo) { writeJSON(w, 200, g.list(&repo.pulls)) })
	on("GET /pulls/{n}", "pull_requests:read", "", func(w http.ResponseWriter, r *http.Request, repo *ghRepo) { g.one(w, r, &repo.pulls) })
	on("POST /pulls", "pull_requests:write", "pulls.create", func(w http.ResponseWriter, r *http.Request, repo *ghRepo) { g.create(w, r, &repo.pulls) })
	on("PUT /pulls/{n}/merge", "contents:write", "pulls.merge", g.merge)
	on("DELETE /git/refs/{ref...}", "contents:write", "git.refs.delete", func(w http.ResponseWriter, _ *http.Request, _ *ghRepo) { w.WriteHeader(204) })
	on("GET /actions/secrets/public-key", "secrets:read", "", func(w http.ResponseWriter, _ *http.Request, _ *ghRepo) {
		writeJSON(w, 200, map[string]any{"key_id": "1", "key": base64.StdEncoding.EncodeToString(make([]byte, 32))})
	})
	on("PUT /actions/secrets/{name}", "secrets:write", "secrets.put", func(w http.ResponseWriter, _ *http.Request, _ *ghRepo) { w.WriteHeader(201) })
	on("POST /actions/workflows/{w}/dispatches", "actions:write", "actions.dispatch", func(w http.ResponseWriter, _ *http.Request, _ *ghRepo) { w.WriteHeader(204) })
	// A GET that starts work, and posts that only list.
	on("GET /dependency-graph/sbom/generate-report", "contents:read", "sbom.generate", func(w http.ResponseWriter, _ *http.Request, _ *ghRepo) {
		writeJSON(w, 201, map[string]any{"sbom_url": "x"})
	})
	m.HandleFunc("POST /orgs/{owner}/attestations/bulk-list", func(w http.ResponseWriter, r *http.Request) {
		if g.live(credential(r)) == nil {
			complainJSON(w, 401, "Bad credentials")
			return
		}
		writeJSON(w, 200, map[string]any{"attestations_subject_digests": []any{}})
	})
	return m
}

func (g *GitHub) dropToken(w http.ResponseWriter, r *http.Request) {
	c := credential(r)
	if t := g.live(c); t == nil || t.person != "" {
		complainJSON(w, 401, "Bad credentials")
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tokens, c)
	w.WriteHeader(204)
}

func (g *GitHub) listRepos(w http.ResponseWriter, r *http.Request) {
	t := g.live(credential(r))
	if t == nil {
		complainJSON(w, 401, "Bad credentials")
		return
	}
	writeJSON(w, 200, map[string]any{"total_count": len(t.repos), "repositories": []any{}})
}

// getUser answers people; a token of an App is nobody's.
func (g *GitHub) getUser(w http.ResponseWriter, r *http.Request) {
	switch t := g.live(credential(r)); {
	case t == nil:
		complainJSON(w, 401, "Bad credentials")
	case t.person == "":
		complainJSON(w, 403, "Resource not accessible by integration")
	default:
		w.Header().Set("X-OAuth-Scopes", "repo, read:org, delete_repo")
		writeJSON(w, 200, map[string]any{"login": t.person})
	}
}

func (g *GitHub) restRepo(name string, repo *ghRepo) map[string]any {
	return map[string]any{
		"node_id": repo.node, "name": name, "full_name": g.Owner + "/" + name, "private": true, "default_branch": "main", "owner": map[string]any{"login": g.Owner},
	}
}

func (g *GitHub) deleteRepo(w http.ResponseWriter, r *http.Request, _ *ghRepo) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.repos, strings.ToLower(r.PathValue("repo")))
	w.WriteHeader(204)
}

func (g *GitHub) getFile(w http.ResponseWriter, r *http.Request, repo *ghRepo) {
	g.mu.Lock()
	text, ok := repo.files[r.PathValue("path")]
	g.mu.Unlock()
	if !ok {
		complainJSON(w, 404, "Not Found")
		return
	}
	writeJSON(w, 200, map[string]any{"type": "file", "encoding": "base64", "content": base64.StdEncoding.EncodeToString([]byte(text)), "path": r.PathValue("path"), "sha": "1"})
}

func (g *GitHub) putFile(w http.ResponseWriter, r *http.Request, repo *ghRepo) {
	var in struct{ Content []byte }
	json.NewDecoder(r.Body).Decode(&in) // a deletion may have none
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.Method == "DELETE" {
		delete(repo.files, r.PathValue("path"))
	} else {
		repo.files[r.PathValue("path")] = string(in.Content)
	}
	writeJSON(w, 200, map[string]any{"content": map[string]any{"path": r.PathValue("path")}})
}

func (g *GitHub) list(from *[]map[string]any) []map[string]any {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]map[string]any{}, *from...)
}

func (g *GitHub) one(w http.ResponseWriter, r *http.Request, from *[]map[string]any) {
	n, _ := strconv.Atoi(r.PathValue("n"))
	if i := slices.IndexFunc(g.list(from), func(m map[string]any) bool { return m["number"] == n }); i >= 0 {
		writeJSON(w, 200, g.list(from)[i])
		return
	}
	complainJSON(w, 404, "Not Found")
}

func (g *GitHub) create(w http.ResponseWriter, r *http.Request, into *[]map[string]any) {
	var in map[string]any
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		complainJSON(w, 422, "Validation Failed")
		return
	}
	writeJSON(w, 201, g.add(in, into))
}

// add files an issue or a pull request under the next number.
func (g *GitHub) add(in map[string]any, into *[]map[string]any) map[string]any {
	g.mu.Lock()
	defer g.mu.Unlock()
	in["number"], in["state"] = len(*into)+1, "open"
	in["html_url"] = fmt.Sprintf("https://github.com/%s/pull/%d", g.Owner, in["number"])
	*into = append(*into, in)
	return in
}

func (g *GitHub) merge(w http.ResponseWriter, _ *http.Request, _ *ghRepo) {
	writeJSON(w, 200, map[string]any{"merged": true, "message": "Pull Request successfully merged"})
}

// Pulls lists the titles of a repository's pull requests.
func (g *GitHub) Pulls(repo string) (titles []string) {
	for _, p := range g.list(&g.repos[repo].pulls) {
		titles = append(titles, fmt.Sprint(p["title"]))
	}
	return titles
}

// Has says whether a repository is still there.
func (g *GitHub) Has(repo string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.repos[repo] != nil
}
