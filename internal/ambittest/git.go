package ambittest

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Git serves bare repositories over HTTPS by git's own http-backend
// (git-http-backend(1)) behind nginx and fcgiwrap, as code hosts do. Reading is free for
// public repositories; pushing, and reading what is private, wants basic authentication
// with the token. A repository "small.git" takes requests of up to 100 KiB.
type Git struct {
	*Server
	Token Canary
	Root  string // the folder of the bare repositories

	// Old is another token, which the server takes too and which may do everything.
	Old Canary

	mu      sync.Mutex
	private map[string]bool // by path
	seen    map[string]int  // by the secret that came with requests
}

// NewGit starts one. Its certificate is for names.
func NewGit(t testing.TB, ca *CA, names ...string) *Git {
	t.Helper()
	g := &Git{Token: NewCanary("git token"), Old: NewCanary("old git token"), Root: OpenDir(t), private: map[string]bool{}, seen: map[string]int{}}
	m := http.NewServeMux()
	m.HandleFunc("GET "+authPath, g.authorize)
	m.Handle("/repos/", g.api(t))
	g.Server = serveNginx(t, ca, m, names, g.locations(t))
	return g
}

// authPath is where nginx asks whether a request may pass.
const authPath = "/-/auth"

// locations is what nginx serves: the API by the handler, all else by git.
func (g *Git) locations(t testing.TB) string {
	backend := filepath.Join(strings.TrimSpace(Output(t, "", "git", "--exec-path")), "git-http-backend")
	return `
		location /repos/ { proxy_pass http://handler; proxy_set_header Host $host; }
		location = ` + authPath + ` {
			internal;
			proxy_pass http://handler;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
			proxy_set_header X-Original-URI $request_uri;
		}
		location / {
			auth_request ` + authPath + `;
			auth_request_set $person $upstream_http_x_remote_user;
			fastcgi_pass cgi;
			fastcgi_max_temp_file_size 0;
			fastcgi_param SCRIPT_FILENAME ` + backend + `;
			fastcgi_param GIT_PROJECT_ROOT ` + g.Root + `;
			fastcgi_param GIT_HTTP_EXPORT_ALL 1;
			fastcgi_param GIT_CONFIG_NOSYSTEM 1;
			fastcgi_param GIT_PROTOCOL $http_git_protocol;
			fastcgi_param HOME ` + g.Root + `;
			fastcgi_param PATH_INFO $uri;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param CONTENT_TYPE $content_type;
			fastcgi_param CONTENT_LENGTH $content_length;
			fastcgi_param REMOTE_ADDR $remote_addr;
			fastcgi_param REMOTE_USER $person;
			location ~ /small\.git/ { client_max_body_size 100k; fastcgi_pass cgi; }
		}`
}

// Create makes a bare repository "owner/name.git" with one commit on main that
// holds files (path to content).
func (g *Git) Create(t testing.TB, repo string, private bool, files map[string]string) {
	t.Helper()
	bare := filepath.Join(g.Root, repo)
	Output(t, "", "git", "init", "-q", "--bare", "-b", "main", bare)
	Output(t, bare, "git", "config", "http.receivepack", "true")
	work := OpenDir(t)
	Output(t, work, "git", "init", "-q", "-b", "main")
	for name, text := range files {
		p := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	Output(t, work, "git", "add", "-A")
	Output(t, work, "git", "commit", "-q", "-m", "first")
	Output(t, work, "git", "push", "-q", bare, "main")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.private["/"+repo] = private
}

func (g *Git) isPrivate(path string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.private[path]
}

// Refs returns the repository's refs: name to commit.
func (g *Git) Refs(t testing.TB, repo string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(Output(t, filepath.Join(g.Root, repo), "git", "for-each-ref", "--format=%(refname) %(objectname)")) {
		name, sha, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = sha
	}
	return out
}

// authorize wants the token for pushes and for private repositories, as git hosting
// services do.
func (g *Git) authorize(w http.ResponseWriter, r *http.Request) {
	u, err := url.ParseRequestURI(r.Header.Get("X-Original-URI"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	at := path.Clean(u.Path)
	push := strings.HasSuffix(at, "/git-receive-pack") || u.Query().Get("service") == "git-receive-pack"
	repo, _, _ := strings.Cut(at, ".git/")
	_, pass, ok := r.BasicAuth()
	switch {
	case ok && g.accepts(pass):
		w.Header().Set("X-Remote-User", "agent")
	case push || g.isPrivate(repo+".git") || ok:
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Output runs a program to its end with an environment of its own and returns
// what it wrote; a failure ends the test.
func Output(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	c.Env = append(Plain(), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.org", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.org",
		// What another user owns is the test's own.
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	b, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, b)
	}
	return string(b)
}

// Plain is an environment with nothing of the machine in it: no certificates,
// no proxies, no credentials, and only the system's programs and Go's.
func Plain() []string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if g, err := exec.LookPath("go"); err == nil {
		path += ":" + filepath.Dir(g)
	}
	return []string{"PATH=" + path, "LANG=C.UTF-8", "TERM=xterm"}
}
