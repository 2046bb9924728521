package catalog

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ambit"
)

func pkt(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

// pushed classifies a push with a body.
func pushed(t *testing.T, body string, fields ...string) []Call {
	t.Helper()
	r := req(t, "github", "POST", "https://github.com/acme/web.git/git-receive-pack", append([]string{"Content-Type", "application/x-git-receive-pack-request"}, fields...)...)
	r.Body, r.BodyWhole = []byte(body), false
	calls, err := Classify(r)
	if err != nil {
		t.Fatal(err)
	}
	if BodyLimit(r) == 0 {
		t.Error("the commands are not asked for")
	}
	return calls
}

func TestPushCommands(t *testing.T) {
	zero, one, two := strings.Repeat("0", 40), strings.Repeat("1", 40), strings.Repeat("2", 40)
	caps := "\x00report-status side-band-64k"
	cmd := func(old, new, ref string) string { return pkt(old + " " + new + " " + ref + caps) }
	const unread = "git.push.other irreversible repo:acme/web"
	for name, c := range map[string]struct {
		body string
		want string
	}{
		"create":          {cmd(zero, two, "refs/heads/a") + "0000PACK", "git.push.create write repo:acme/web/refs/heads/a"},
		"capitals":        {cmd(zero, two, "refs/heads/JIRA-1/x") + "0000PACK", "git.push.create write repo:acme/web/refs/heads/JIRA-1/x"},
		"a tag":           {cmd(zero, two, "refs/tags/v1") + "0000PACK", "git.push.create write repo:acme/web/refs/tags/v1"},
		"a note":          {cmd(zero, two, "refs/notes/x") + "0000PACK", "git.push.create write repo:acme/web/refs/notes/x"},
		"nothing shown":   {cmd(one, two, "refs/heads/a") + "0000PACK", "git.push.force irreversible repo:acme/web/refs/heads/a"},
		"a moved tag":     {cmd(one, two, "refs/tags/v1") + "0000PACK", "git.push.force irreversible repo:acme/web/refs/tags/v1"},
		"delete":          {cmd(one, zero, "refs/heads/a") + "0000", "git.push.delete irreversible repo:acme/web/refs/heads/a"},
		"delete nothing":  {cmd(zero, zero, "refs/heads/a") + "0000", "git.push.delete irreversible repo:acme/web/refs/heads/a"},
		"Gerrit's review": {cmd(zero, two, "refs/for/main%submit") + "0000PACK", "git.push.other irreversible repo:acme/web/refs/for/main%submit"},
		"replaced":        {cmd(zero, two, "refs/replace/"+one) + "0000PACK", "git.push.other irreversible repo:acme/web/refs/replace/" + one},
		"an option":       {cmd(zero, two, "refs/heads/--upload-pack=x") + "0000PACK", "git.push.other irreversible repo:acme/web/refs/heads/--upload-pack=x"},
		"another's name":  {cmd(zero, two, "refs/heads/HEAD") + "0000PACK", "git.push.other irreversible repo:acme/web/refs/heads/HEAD"},
		"a ref's name":    {cmd(one, two, "refs/tags/refs/heads/main") + "0000PACK", "git.push.other irreversible repo:acme/web/refs/tags/refs/heads/main"},
		"a dash inside":   {cmd(zero, two, "refs/heads/a/-b") + "0000PACK", "git.push.create write repo:acme/web/refs/heads/a/-b"},
		"two": {cmd(zero, two, "refs/heads/a") + pkt(one+" "+zero+" refs/heads/b") + "0000PACK",
			"git.push.create write repo:acme/web/refs/heads/a\ngit.push.delete irreversible repo:acme/web/refs/heads/b"},
		"options": {pkt(zero+" "+two+" refs/heads/a\x00push-options") + "0000" + pkt("merge_request.create") + "0000PACK",
			"git.push.create write repo:acme/web/refs/heads/a\ngit.push.options irreversible repo:acme/web"},
		"SHA-256":        {pkt(strings.Repeat("0", 64)+" "+strings.Repeat("a", 64)+" refs/heads/a\x00object-format=sha256") + "0000", "git.push.create write repo:acme/web/refs/heads/a"},
		"signed":         {pkt("push-cert"+caps) + "0000", unread},
		"no flush":       {cmd(one, two, "refs/heads/a"), unread},
		"empty":          {"", unread},
		"bad length":     {"zzzz" + one, unread},
		"no ref":         {pkt(one+" "+two) + "0000", unread},
		"probe, not all": {"0000", unread},
	} {
		if got := show(pushed(t, c.body)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	create := cmd(zero, two, "refs/heads/a") + "0000PACK"
	for _, fields := range [][]string{{"Content-Encoding", "gzip"}, {"Content-Encoding", "identity"}, {"Git-Protocol", "version=2"}, {"Git-Protocol", "version=1:x"}} {
		if got := show(pushed(t, create, fields...)); got != unread {
			t.Errorf("%v: %s", fields, got)
		}
	}
	if got := show(pushed(t, create, "Git-Protocol", "version=1")); got == unread {
		t.Error("an older version is not read")
	}
}

// TestPushProbe: what git asks before a large push changes nothing.
func TestPushProbe(t *testing.T) {
	r := req(t, "http", "POST", "https://git.test/acme/web.git/git-receive-pack", "Content-Type", "application/x-git-receive-pack-request")
	r.Service.Git, r.Body, r.BodyWhole = true, []byte("0000"), true
	calls, err := Classify(r)
	if err != nil || show(calls) != "git.fetch read http:git.test/acme/web.git/git-receive-pack" {
		t.Errorf("%v %s", err, show(calls))
	}
	r.Body = []byte(pkt(strings.Repeat("0", 40)+" "+strings.Repeat("1", 40)+" refs/heads/a/b") + "0000")
	calls, err = Classify(r)
	if err != nil || show(calls) != "git.push.create write http:git.test/acme/web.git/refs/heads/a/b" {
		t.Errorf("%v %s", err, show(calls))
	}
}

// TestPushProven: what is shown elsewhere is an update, of a branch and never of a
// tag.
func TestPushProven(t *testing.T) {
	one, two := strings.Repeat("1", 40), strings.Repeat("2", 40)
	r := req(t, "github", "POST", "https://github.com/acme/web.git/git-receive-pack", "Content-Type", "application/x-git-receive-pack-request")
	r.Body = []byte(pkt(one+" "+two+" refs/heads/a") + pkt(one+" "+two+" refs/tags/a") + pkt(two+" "+one+" refs/heads/b") + "0000")
	r.Proven = func(old, new string) bool { return old == one && new == two }
	calls, err := Classify(r)
	if want := "git.push.update write, git.push.force irreversible, git.push.force irreversible"; err != nil || operations(calls) != want {
		t.Errorf("%v %s", err, operations(calls))
	}
}

func TestGitShapes(t *testing.T) {
	up := "application/x-git-upload-pack-request"
	lfs := "application/vnd.git-lfs+json"
	for _, c := range []struct{ method, path, ctype, body, want string }{
		{"GET", "/info/refs?service=git-upload-pack", "", "", "git.fetch read"},
		{"GET", "/info/refs", "", "", "git.fetch read"},
		{"GET", "/info/refs?service=git-receive-pack", "", "", "git.fetch read"},
		{"GET", "/info/refs?service=git-upload-pack&service=git-receive-pack", "", "", "git.push.other irreversible"},
		{"GET", "/info/refs?service=git%2dreceive-pack", "", "", "git.push.other irreversible"},
		{"POST", "/git-upload-pack", up, "0000", "git.fetch read"},
		{"POST", "/git-upload-archive", "application/x-git-upload-archive-request", "", "git.fetch read"},
		{"POST", "/git-upload-pack", "text/plain", "", "http.post other"},
		{"POST", "/git-upload-pack/", up, "", "http.post other"},
		{"POST", "/git-upload-pack?x=y", up, "", "http.post other"},
		{"POST", "/GIT-upload-pack", up, "", "http.post other"},
		{"PUT", "/git-upload-pack", up, "", "http.put other"},
		{"POST", "/info/refs?service=git-upload-pack", up, "", "http.post other"},
		{"GET", "/objects/info/packs", "", "", "git.fetch read"},
		{"GET", "/objects/ab/" + strings.Repeat("c", 38), "", "", "git.fetch read"},
		{"GET", "/objects/pack/pack-x.idx", "", "", "git.fetch read"},
		{"POST", "/info/lfs/objects/batch", lfs, `{"operation":"download","objects":[]}`, "git.fetch read"},
		{"POST", "/info/lfs/objects/batch", lfs + "; charset=utf-8", `{"operation":"upload"}`, "git.lfs.write write"},
		{"POST", "/info/lfs/objects/batch", lfs, `{"operation":"download","operation":"upload"}`, "git.lfs.other irreversible"},
		{"POST", "/info/lfs/objects/batch", lfs, `{"operation":"erase"}`, "git.lfs.other irreversible"},
		{"POST", "/info/lfs/objects/batch", "application/json", `{"operation":"download"}`, "http.batch irreversible"},
		{"GET", "/info/lfs/locks", "", "", "git.fetch read"},
		{"POST", "/info/lfs/locks/verify", lfs, "{}", "git.fetch read"},
		{"POST", "/info/lfs/locks", lfs, "{}", "git.lfs.write write"},
		{"PUT", "/info/lfs/objects/" + strings.Repeat("a", 64) + "/12", "application/octet-stream", "x", "git.lfs.write write"},
		{"PUT", "/info/lfs/objects/" + strings.Repeat("a", 64), "", "x", "git.lfs.write write"},
		{"GET", "/info/lfs/objects/" + strings.Repeat("a", 64), "", "", "git.fetch read"},
		{"POST", "/info/lfs/verify", lfs, "{}", "git.fetch read"},
		{"PUT", "/info/lfs/objects/" + strings.Repeat("a", 64) + "/12?x=1", "", "x", "http.put files"},
		{"PUT", "/info/lfs/objects/" + strings.Repeat("a", 64) + "/-1", "", "x", "http.put files"},
		{"PUT", "/info/lfs/objects/" + strings.Repeat("a", 40) + "/1", "", "x", "http.put files"},
		{"PUT", "/info/lfs/objects/batch/1", "", "x", "http.put files"},
		{"DELETE", "/info/lfs/objects/" + strings.Repeat("a", 64), "", "", "http.delete files"},
		{"POST", "/info/lfs/locks/7/unlock", lfs, "{}", "http.post other"},
	} {
		for kind, base := range map[string]string{"github": "https://github.com/acme/web", "http": "https://h.test/g/acme/web.git"} {
			r := req(t, kind, c.method, base+c.path, "Content-Type", c.ctype)
			r.Body = []byte(c.body)
			r.Service.Git = kind == "http"
			other := map[string]string{"github": "irreversible", "http": "write"}[kind]
			want := strings.Replace(c.want, " other", " "+other, 1)
			if op, ok := strings.CutSuffix(want, " files"); ok { // of the repository, by WebDAV
				want = map[string]string{"github": op, "http": "git.push.other"}[kind] + " irreversible"
			}
			if kind == "github" {
				want = strings.Replace(want, "http.batch", "http.post", 1)
			}
			calls, err := Classify(r)
			if err != nil || operations(calls) != want {
				t.Errorf("%s %s %s: %v, %s, want %s", kind, c.method, c.path, err, operations(calls), want)
			}
		}
	}
}

// A server that takes files by WebDAV takes a push by them.
func TestGitByFiles(t *testing.T) {
	for _, c := range [][2]string{{"PUT", "/refs/heads/main"}, {"MOVE", "/objects/ab/" + strings.Repeat("c", 38)}, {"PUT", "/HEAD"}, {"PATCH", "/packed-refs"}, {"DELETE", "/refs/tags/v1"}} {
		r := req(t, "http", c[0], "https://h.test/g/acme/web.git"+c[1])
		r.Service.Git = true
		if calls, err := Classify(r); err != nil || operations(calls) != "git.push.other irreversible" {
			t.Errorf("%v: %v, %s", c, err, operations(calls))
		}
	}
	r := req(t, "http", "PUT", "https://h.test/g/acme/config/x")
	r.Service.Git = true
	if calls, err := Classify(r); err != nil || operations(calls) != "http.put write" {
		t.Errorf("a benign file: %v, %s", err, operations(calls))
	}
}

// A repository path on github.com is owner/name and nothing else.
func TestGitElsewhereOnGitHub(t *testing.T) {
	for _, path := range []string{"/git-upload-pack", "/a/git-upload-pack", "/a/b/c/git-upload-pack"} {
		r := req(t, "github", "POST", "https://github.com"+path, "Content-Type", "application/x-git-upload-pack-request")
		if calls, err := Classify(r); err != nil || calls[0].Effect != ambit.Irreversible {
			t.Errorf("%s: %v, %s", path, err, show(calls))
		}
	}
}

// gitServer is git's own HTTP server over a bare repository, with what each
// request was classified as.
type gitServer struct {
	url, root string
	mu        sync.Mutex
	ops       []string
}

func (g *gitServer) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ops := slices.Compact(g.ops)
	g.ops = nil
	return ops
}

func startGit(t *testing.T) *gitServer {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: its real traffic cannot be seen")
	}
	root := t.TempDir()
	run(t, "", "git", "init", "-q", "--bare", filepath.Join(root, "web.git"))
	run(t, filepath.Join(root, "web.git"), "git", "config", "http.receivepack", "true")
	h := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=t"}}
	g := &gitServer{root: root}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		g.see(t, q)
		// CGI wants a length, which a large push does not give.
		whole, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		q.Body, q.ContentLength, q.TransferEncoding = io.NopCloser(bytes.NewReader(whole)), int64(len(whole)), nil
		h.ServeHTTP(w, q)
	}))
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

func (g *gitServer) see(t *testing.T, q *http.Request) {
	r := Request{Kind: "http", Scheme: "http", Host: "127.0.0.1", Method: q.Method, Query: q.URL.RawQuery, TrailingSlash: strings.HasSuffix(q.URL.Path, "/"),
		Segments: strings.Split(strings.Trim(q.URL.Path, "/"), "/"), Header: q.Header.Values, Service: Service{Git: true}}
	for n := BodyLimit(r); n > len(r.Body) && !r.BodyWhole; n = BodyLimit(r) {
		r.Body, r.BodyWhole = peek(t, q, n)
	}
	calls, err := Classify(r)
	if err != nil {
		t.Errorf("%s %s: %v", q.Method, q.URL, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ops = append(g.ops, operations(calls))
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x.test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x.test")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// The real program's traffic: a clone only reads, a push writes, and a push
// that deletes, or throws commits away, is irreversible.
func TestRealGit(t *testing.T) {
	g := startGit(t)
	dir := filepath.Join(t.TempDir(), "w")
	run(t, "", "git", "clone", "-q", g.url+"/web.git", dir)
	if got := g.take(); !slices.Equal(got, []string{"git.fetch read"}) {
		t.Errorf("clone: %v", got)
	}
	run(t, dir, "git", "checkout", "-q", "-b", "main")
	run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "one")
	run(t, dir, "git", "push", "-q", "origin", "main", "main:other")
	if got := g.take(); !slices.Equal(got, []string{"git.fetch read", "git.push.create write, git.push.create write"}) {
		t.Errorf("push: %v", got)
	}
	big := make([]byte, 3<<20) // over git's http.postBuffer: sent in chunks, after a probe
	for i := range big {
		big[i] = byte(i * i >> 7)
	}
	if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "git", "add", "big")
	run(t, dir, "git", "commit", "-q", "-m", "two")
	run(t, dir, "git", "-c", "http.postBuffer=1000", "-c", "core.compression=0", "push", "-q", "origin", "main")
	if got := g.take(); !slices.Equal(got, []string{"git.fetch read", "git.push.update write"}) {
		t.Errorf("large push: %v", got)
	}
	run(t, dir, "git", "commit", "-q", "--amend", "-m", "three")
	run(t, dir, "git", "push", "-q", "origin", "+main")
	if got := g.take(); !slices.Equal(got, []string{"git.fetch read", "git.push.force irreversible"}) {
		t.Errorf("force: %v", got)
	}
	// The flag changes nothing of what is done.
	run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "four")
	run(t, dir, "git", "push", "-q", "--force", "--atomic", "origin", "main")
	if got := g.take(); !slices.Equal(got, []string{"git.fetch read", "git.push.update write"}) {
		t.Errorf("a flag alone: %v", got)
	}
	run(t, dir, "git", "push", "-q", "origin", ":other")
	if got := g.take(); !slices.Equal(got, []string{"git.fetch read", "git.push.delete irreversible"}) {
		t.Errorf("deletion: %v", got)
	}
	run(t, dir, "git", "fetch", "-q", "origin")
	if got := g.take(); !slices.Equal(got, []string{"git.fetch read"}) {
		t.Errorf("fetch: %v", got)
	}
}
