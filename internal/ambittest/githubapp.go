package ambittest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// handler serves what an App, an installation token and a person may ask.
func (g *GitHub) handler(root http.Handler) http.Handler {
	app := http.NewServeMux()
	app.HandleFunc("GET /app/installations/{id}", g.getInstallation)
	app.HandleFunc("GET /orgs/{owner}/installation", g.getInstallation)
	app.HandleFunc("GET /users/{owner}/installation", g.getInstallation)
	app.HandleFunc("POST /app/installations/{id}/access_tokens", g.makeToken)
	user := g.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		fault := g.fault
		g.mu.Unlock()
		w.Header().Set("Date", g.now().UTC().Format(http.TimeFormat))
		if fault != nil && fault(w, r) {
			return
		}
		if _, pattern := app.Handler(r); pattern != "" {
			if err := g.asApp(r); err != nil {
				complainJSON(w, 401, err.Error())
				return
			}
			app.ServeHTTP(w, r)
			return
		}
		if _, pattern := user.Handler(r); pattern == "" && root != nil {
			root.ServeHTTP(w, r)
			return
		}
		user.ServeHTTP(w, r)
	})
}

func (g *GitHub) getInstallation(w http.ResponseWriter, r *http.Request) {
	// The owner is an organisation: asked for as a user it is there as well.
	id, owner := r.PathValue("id"), r.PathValue("owner")
	if id != "" && id != strconv.FormatInt(g.Installation, 10) || owner != "" && !strings.EqualFold(owner, g.Owner) {
		complainJSON(w, 404, "Not Found")
		return
	}
	g.mu.Lock()
	perms := maps.Clone(g.granted)
	g.mu.Unlock()
	writeJSON(w, 200, map[string]any{
		"id": g.Installation, "app_id": g.App, "account": map[string]any{"login": g.Owner, "id": 1}, "permissions": perms,
		"repository_selection": "selected", "suspended_at": nil,
	})
}

// makeToken refuses repositories and permissions that the installation has not, as
// GitHub does (422).
func (g *GitHub) makeToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Repositories []string
		Permissions  map[string]string
	}
	if r.PathValue("id") != strconv.FormatInt(g.Installation, 10) || json.NewDecoder(r.Body).Decode(&in) != nil {
		complainJSON(w, 404, "Not Found")
		return
	}
	g.mu.Lock()
	perms := map[string]string{}
	bad := ""
	for name, level := range in.Permissions {
		if level == "write" && g.granted[name] == "read" || g.granted[name] == "" {
			bad = "The permissions requested are not granted to this installation."
		}
		perms[name] = level
	}
	if in.Permissions == nil {
		perms = maps.Clone(g.granted)
	}
	var repos []any
	for _, name := range in.Repositories {
		if g.repos[strings.ToLower(name)] == nil {
			bad = "There is at least one repository that does not exist or is not accessible to the parent installation."
		}
		repos = append(repos, map[string]any{"full_name": g.Owner + "/" + name, "name": name})
	}
	g.mu.Unlock()
	if bad != "" {
		complainJSON(w, 422, bad)
		return
	}
	perms["metadata"] = "read"
	out := map[string]any{
		"token": g.Issue(in.Repositories, perms), "expires_at": g.now().Add(time.Hour).UTC().Format(time.RFC3339), "permissions": perms, "repository_selection": "all",
	}
	if in.Repositories != nil {
		out["repository_selection"], out["repositories"] = "selected", repos
	}
	writeJSON(w, 201, out)
}

// may says whether a token may use a repository with a permission, and answers when
// not: 404 for what it cannot see, 403 for what it can.
func (g *GitHub) may(w http.ResponseWriter, r *http.Request, need string) (*ghToken, *ghRepo) {
	t := g.live(credential(r))
	if t == nil {
		complainJSON(w, 401, "Bad credentials")
		return nil, nil
	}
	g.mu.Lock()
	repo := g.repos[strings.ToLower(r.PathValue("repo"))]
	g.mu.Unlock()
	if repo == nil || !strings.EqualFold(r.PathValue("owner"), g.Owner) || !t.sees(r.PathValue("repo")) {
		complainJSON(w, 404, "Not Found")
		return nil, nil
	}
	if !t.can(need) {
		complainJSON(w, 403, "Resource not accessible by integration")
		return nil, nil
	}
	return t, repo
}

func (t *ghToken) sees(repo string) bool {
	return t.repos == nil || slices.ContainsFunc(t.repos, func(s string) bool { return strings.EqualFold(s, repo) })
}

// can says whether the token has a permission, "contents:write".
func (t *ghToken) can(need string) bool {
	name, level, _ := strings.Cut(need, ":")
	return t.person != "" || t.perms[name] == level || t.perms[name] == "write" && level == "read"
}

func (g *GitHub) did(t *ghToken, what string) {
	who := "app"
	if t.person != "" {
		who = t.person
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.performed = append(g.performed, who+" "+what)
}
