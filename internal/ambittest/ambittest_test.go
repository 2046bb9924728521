package ambittest

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestCanaryIsFoundInEveryForm(t *testing.T) {
	c := NewCanary("x")
	v := c.Value
	back := []byte(v)
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	for name, text := range map[string]string{
		"plain": "a" + v + "b", "hex": hex.EncodeToString([]byte(v)), "half": v[:20], "other half": "zz" + v[20:],
		"reversed": string(back), "base64": base64.StdEncoding.EncodeToString([]byte(v)),
		"base64 shifted": base64.URLEncoding.EncodeToString([]byte("u:" + v + "tail")),
		"base64 basic":   base64.StdEncoding.EncodeToString([]byte("x-access-token:" + v)),
	} {
		if c.In([]byte(text)) == "" {
			t.Errorf("%s: not found in %q", name, text)
		}
	}
	if form := c.In([]byte(NewCanary("y").Value + strings.Repeat("cn", 40))); form != "" {
		t.Errorf("found in another secret as %s", form)
	}
}

func TestCanaryIsFoundInAProcess(t *testing.T) {
	c, other := NewCanary("x"), NewCanary("y")
	cmd := exec.Command("sh", "-c", "read line; echo ready; read line")
	cmd.Env = append(Plain(), "SECRET="+c.Value)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	// The kernel shows a program's environment a moment after it has begun.
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if got := FindInProcess(cmd.Process.Pid, c, other); len(got) == 0 || !strings.Contains(got[0], "environ: x, plain") {
		t.Errorf("found %q", got)
	}
	if got := FindInProcess(cmd.Process.Pid, other); len(got) != 0 {
		t.Errorf("found what is not there: %q", got)
	}
}

// as resolves a name to a stand-in for git.
func as(s *Server, name string) []string {
	return []string{"-c", "http.sslCAInfo=" + s.CA.File, "-c", fmt.Sprintf("http.curloptResolve=%s:%d:127.0.0.1", name, s.Port)}
}

func TestGitClonesFreelyAndPushesWithTheToken(t *testing.T) {
	g := NewGit(t, NewCA(t), "git.example.org")
	g.Create(t, "acme/web.git", false, map[string]string{"a.txt": "one\n"})
	g.Create(t, "acme/secret.git", true, map[string]string{"a.txt": "two\n"})
	dir := OpenDir(t)
	url := fmt.Sprintf("https://git.example.org:%d/acme/", g.Port)
	Output(t, dir, "git", append(as(g.Server, "git.example.org"), "clone", "-q", url+"web.git")...)
	if b, err := os.ReadFile(filepath.Join(dir, "web", "a.txt")); string(b) != "one\n" {
		t.Fatalf("clone holds %q, %v", b, err)
	}
	c := exec.Command("git", append(as(g.Server, "git.example.org"), "clone", "-q", url+"secret.git")...)
	c.Dir, c.Env = dir, append(Plain(), "GIT_TERMINAL_PROMPT=0")
	if b, err := c.CombinedOutput(); err == nil {
		t.Errorf("a private repository was cloned without the token: %s", b)
	}
	big := strings.Repeat("0123456789abcdef\n", 200_000) // over http.postBuffer when it does not compress: chunked
	work := filepath.Join(dir, "web")
	if err := os.WriteFile(filepath.Join(work, "big"), []byte(big), 0o644); err != nil {
		t.Fatal(err)
	}
	Output(t, work, "git", "add", "-A")
	Output(t, work, "git", "commit", "-q", "-m", "second")
	push := append(as(g.Server, "git.example.org"), "-c", "http.postBuffer=1024", "push", "-q",
		strings.Replace(url, "https://", "https://agent:"+g.Token.Value+"@", 1)+"web.git", "main:agent/fix")
	Output(t, work, "git", push...)
	head := strings.TrimSpace(Output(t, work, "git", "rev-parse", "HEAD"))
	if got := g.Refs(t, "acme/web.git")["refs/heads/agent/fix"]; got != head {
		t.Errorf("the server's ref is %q, want %q", got, head)
	}
}

func TestAPIWantsTheToken(t *testing.T) {
	a := NewAPI(t, NewCA(t), "api.example.org")
	curl := func(args ...string) string {
		return Output(t, "", "curl", append([]string{"-sS", "--cacert", a.CA.File}, args...)...)
	}
	if got := curl(a.URL + "/items"); !strings.Contains(got, "token is needed") {
		t.Errorf("without a token: %s", got)
	}
	auth := "Authorization: Bearer " + a.Token.Value
	if got := curl("-H", auth, "-d", `{"x":1}`, a.URL+"/items"); !strings.Contains(got, "new1") {
		t.Errorf("create: %s", got)
	}
	curl("-H", auth, "-X", "DELETE", a.URL+"/items/none")
	if got := a.Items(); len(got) != 1 || got["new1"] != `{"x":1}` {
		t.Errorf("items: %v", got)
	}
	if got := curl("-H", auth, a.URL+"/reflect"); a.Token.In([]byte(got)) == "" {
		t.Errorf("reflect does not reflect: %s", got)
	}
	if got := curl("-H", auth, "--data-binary", "@/etc/hostname", a.URL+"/upload"); !strings.Contains(got, "sha256") {
		t.Errorf("upload: %s", got)
	}
	if n := len(a.Find("POST", "/items")); n != 1 {
		t.Errorf("%d POSTs to /items are remembered, want 1", n)
	}
}

func TestRegistryInstalls(t *testing.T) {
	ca := NewCA(t)
	r := NewNPM(t, ca, "127.0.0.1", map[string]string{"left-pad": "module.exports = s => ' ' + s\n"})
	dir := OpenDir(t)
	c := exec.Command("npm", "view", "left-pad", "dist.integrity", "--registry", r.URL, "--cache", dir, "--cafile", ca.File)
	c.Dir, c.Env = dir, append(Plain(), "HOME="+dir)
	if b, err := c.CombinedOutput(); err != nil || !strings.Contains(string(b), "sha512-") {
		t.Errorf("npm view: %v\n%s", err, b)
	}
	p := NewGoProxy(t, ca, "proxy.example.org", "example.org/greet", map[string]string{
		"go.mod": "module example.org/greet\n\ngo 1.22\n", "greet.go": "package greet\n\nconst Hello = \"hello\"\n",
	})
	env := append(Plain(), "HOME="+dir, "GOPROXY="+p.URL, "GONOSUMDB=*", "GONOSUMCHECK=1", "GOFLAGS=-mod=mod -modcacherw", "SSL_CERT_FILE="+ca.File, "GOTOOLCHAIN=local")
	d := exec.Command("go", "mod", "download", "-json", "example.org/greet@v1.0.0")
	d.Dir, d.Env = dir, env
	if b, err := d.CombinedOutput(); err != nil || !strings.Contains(string(b), "@v/v1.0.0.zip") {
		t.Errorf("go mod download: %v\n%s", err, b)
	}
}

func TestHomeSeesItsProcesses(t *testing.T) {
	for _, uid := range Users() {
		h := NewHomeNamed(t, uid, "räum mit lücke")
		c := h.Command("sh", "-c", "id -u; echo $AMBIT_HOME; read line")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		c.Stdout = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		seen := h.Processes()
		for i := 0; i < 200 && (len(seen) != 1 || seen[0].PID != c.Process.Pid); i++ {
			time.Sleep(10 * time.Millisecond) // `id` is still at work
			seen = h.Processes()
		}
		in.Close()
		c.Wait()
		if len(seen) != 1 || seen[0].PID != c.Process.Pid {
			t.Errorf("uid %d: processes %v, want %d", uid, seen, c.Process.Pid)
		}
		if want := fmt.Sprintf("%d\n%s\n", uid, h.State); out.String() != want {
			t.Errorf("uid %d: said %q, want %q", uid, out.String(), want)
		}
	}
}

// TestPostgres starts a server with TLS and sees that it wants the password,
// keeps what it is told, and leaves nothing behind.
func TestPostgres(t *testing.T) {
	var pid string
	var dir string
	t.Run("server", func(t *testing.T) {
		p := NewPostgres(t, PostgresConfig{CA: NewCA(t), Names: []string{"db.example"}, Settings: map[string]string{"application_name": "it's"}})
		dir = p.Dir
		got := p.Query(t, "postgres", "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT sum(a), current_setting('application_name'), current_setting('ssl') FROM t")
		if got != "3|it's|on" && got != "3|psql|on" { // psql names itself
			t.Errorf("got %q", got)
		}
		c := exec.Command("psql", "-XAtqc", "SELECT 1", p.URL(Superuser, "wrong", "postgres"))
		if b, err := c.CombinedOutput(); err == nil || !strings.Contains(string(b), "password authentication failed") {
			t.Errorf("with a wrong password: %v %s", err, b)
		}
		b, err := os.ReadFile(filepath.Join(p.Dir, "postmaster.pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, _, _ = strings.Cut(string(b), "\n")
	})
	if n, err := strconv.Atoi(pid); err == nil && Alive(n) {
		t.Errorf("the server %d outlived the test", n)
	}
	if _, err := os.Stat(dir); dir != "" && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there", dir)
	}
}
