package ambittest

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// refsAPI is what of GitHub's REST API changes branches and tags. It is as easy-going as
// a reader can be: the last of two members counts, names without case, blanks around a
// name go, a branch may have its whole name, a query stands in for the body, and without
// a branch it is main.
func (g *Git) refsAPI(t testing.TB, m *http.ServeMux, bare func(*http.Request) string) {
	on := func(pattern string, status int, f func(in map[string]any, r *http.Request, dir string) string) {
		method, path, _ := strings.Cut(pattern, " ")
		m.HandleFunc(method+" /repos/{owner}/{name}"+path, func(w http.ResponseWriter, r *http.Request) {
			in := map[string]any{}
			_ = json.NewDecoder(r.Body).Decode(&in) // some have none
			for name, v := range in {
				in[strings.ToLower(name)] = v
			}
			for name := range r.URL.Query() {
				in[name] = r.URL.Query().Get(name)
			}
			writeJSON(w, status, map[string]any{"ref": f(in, r, bare(r))})
		})
	}
	commit := func(in map[string]any, r *http.Request, dir string) string {
		return g.grow(t, dir, branchOf(in["branch"]), "", r.Method+" "+r.PathValue("path"))
	}
	on("PUT /contents/{path...}", 201, commit)
	on("DELETE /contents/{path...}", 200, commit)
	on("POST /merges", 201, func(in map[string]any, _ *http.Request, dir string) string {
		return g.grow(t, dir, branchOf(in["base"]), branchOf(in["head"]), "merge")
	})
	move := func(ref, to string, dir string) string {
		Output(t, dir, "git", "update-ref", ref, to)
		return ref
	}
	on("POST /git/refs", 201, func(in map[string]any, _ *http.Request, dir string) string {
		return move(wholeRef(in["ref"]), text(in["sha"]), dir)
	})
	on("PATCH /git/refs/{ref...}", 200, func(in map[string]any, r *http.Request, dir string) string {
		return move(wholeRef(r.PathValue("ref")), text(in["sha"]), dir)
	})
	on("DELETE /git/refs/{ref...}", 204, func(_ map[string]any, r *http.Request, dir string) string {
		ref := wholeRef(r.PathValue("ref"))
		Output(t, dir, "git", "update-ref", "-d", ref)
		return ref
	})
	on("POST /releases", 201, func(in map[string]any, _ *http.Request, dir string) string {
		return move("refs/tags/"+text(in["tag_name"]), "refs/heads/main", dir)
	})
	on("POST /pulls", 201, func(in map[string]any, _ *http.Request, _ string) string { return text(in["base"]) })
}

func text(v any) string {
	s, _ := v.(string)
	return strings.TrimSpace(s)
}

// branchOf is the branch that a name stands for, in full.
func branchOf(v any) string {
	name := strings.TrimPrefix(strings.TrimPrefix(text(v), "refs/"), "heads/")
	if name == "" || name == "HEAD" {
		name = "main"
	}
	return filepath.Join("refs/heads", name)
}

// wholeRef is a ref by its whole name, or one below refs.
func wholeRef(v any) string {
	name := strings.TrimPrefix(text(v), "refs/")
	if !strings.Contains(name, "/") {
		name = "heads/" + name
	}
	return filepath.Join("refs", name)
}

// grow adds a commit to a branch, which another one is a parent of when it is given.
func (g *Git) grow(t testing.TB, dir, branch, other, subject string) string {
	args := []string{"commit-tree", "-m", subject, "-p", branch}
	if other != "" {
		args = append(args, "-p", other)
	}
	id := strings.TrimSpace(Output(t, dir, "git", append(args, branch+"^{tree}")...))
	Output(t, dir, "git", "update-ref", branch, id)
	return branch
}
