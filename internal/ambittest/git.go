package ambittest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Git serves bare repositories over HTTPS by git's own http-backend
// (git-http-backend(1)). Reading is free for public repositories; pushing,
// and reading what is private, wants basic authentication with the token.
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
	backend := filepath.Join(strings.TrimSpace(Output(t, "", "git", "--exec-path")), "git-http-backend")
	h := &cgi.Handler{
		Path: backend,
		Env:  []string{"GIT_PROJECT_ROOT=" + g.Root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=" + g.Root},
	}
	m := http.NewServeMux()
	m.Handle("/", g.authorized(whole(h)))
	m.Handle("/repos/", g.api(t))
	g.Server = ServeTLS(t, ca, m, names...)
	return g
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

// authorized wants the token for pushes and for private repositories, as git
// hosting services do.
func (g *Git) authorized(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		push := strings.HasSuffix(r.URL.Path, "/git-receive-pack") || r.URL.Query().Get("service") == "git-receive-pack"
		repo, _, _ := strings.Cut(r.URL.Path, ".git/")
		_, pass, ok := r.BasicAuth()
		switch {
		case ok && g.accepts(pass):
			r.Header.Set("X-Remote-User", "agent")
		case push || g.isPrivate(repo+".git") || ok:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "authentication needed", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// whole gives the CGI program bodies of known length: it cannot take others.
func whole(h *cgi.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < 0 {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
		}
		c := *h
		c.Env = append([]string{"GIT_PROTOCOL=" + r.Header.Get("Git-Protocol"), "REMOTE_USER=" + r.Header.Get("X-Remote-User")}, h.Env...)
		c.ServeHTTP(w, r)
	})
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
