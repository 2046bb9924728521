package ambittest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// accepts notes a secret that came with a request and says whether it is one of the
// server's tokens.
func (g *Git) accepts(secret string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[secret]++
	return secret == g.Token.Value || secret == g.Old.Value
}

// Seen is how often a secret came with a request.
func (g *Git) Seen(c Canary) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[c.Value]
}

// api is the little of GitHub's REST API that changes repositories: a repository is
// read and deleted, a pull request's merge brings main to the branch agent/fix, and
// branches and tags are changed.
func (g *Git) api(t testing.TB) http.Handler {
	m := http.NewServeMux()
	bare := func(r *http.Request) string {
		return filepath.Join(g.Root, filepath.Base(r.PathValue("owner")), filepath.Base(r.PathValue("name"))+".git")
	}
	m.HandleFunc("GET /repos/{owner}/{name}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, 200, map[string]any{"full_name": r.PathValue("owner") + "/" + r.PathValue("name")})
	})
	m.HandleFunc("DELETE /repos/{owner}/{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := os.RemoveAll(bare(r)); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	m.HandleFunc("PUT /repos/{owner}/{name}/pulls/{number}/merge", func(w http.ResponseWriter, r *http.Request) {
		Output(t, bare(r), "git", "update-ref", "refs/heads/main", "refs/heads/agent/fix")
		writeJSON(w, 200, map[string]any{"merged": true})
	})
	g.refsAPI(t, m, bare)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || !g.accepts(token) {
			writeJSON(w, 401, map[string]any{"message": "Bad credentials"})
			return
		}
		m.ServeHTTP(w, r)
	})
}
