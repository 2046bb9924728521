package catalog

import (
	"crypto/sha1"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ambit/catalog/git"
)

func gitOutput(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "git", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	out, err := c.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// TestShallowPushCutsHistory: a server that takes shallow pushes makes of a commit that it
// has, but no ref reaches, one without parents when the pusher says so: the branch loses
// all that was there, although the commit's own bytes name it. Such a push is never asked
// about, and counts as a force.
func TestShallowPushCutsHistory(t *testing.T) {
	g := startGit(t)
	dir := filepath.Join(t.TempDir(), "w")
	run(t, "", "git", "clone", "-q", g.url+"/web.git", dir)
	run(t, dir, "git", "checkout", "-q", "-b", "main")
	for _, m := range []string{"one", "two"} {
		run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", m)
	}
	run(t, dir, "git", "push", "-q", "origin", "main")
	old := gitOutput(t, dir, "rev-parse", "HEAD")
	run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "three")
	now := gitOutput(t, dir, "rev-parse", "HEAD")
	bare := filepath.Join(g.root, "web.git")
	run(t, bare, "git", "config", "receive.shallowUpdate", "true")
	// It comes to the server beside another push.
	run(t, dir, "sh", "-c", "git cat-file commit HEAD | git -C '"+bare+"' hash-object -t commit -w --stdin")

	pack := append([]byte("PACK"), 0, 0, 0, 2, 0, 0, 0, 0)
	sum := sha1.Sum(pack)
	body := pkt("shallow "+now) + pkt(old+" "+now+" refs/heads/main\x00report-status") + "0000" + string(append(pack, sum[:]...))
	p, err := git.ReadPush([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if shown, edge := git.ReadCommits(p.Format, []byte(body)[p.Size:]).Descends(p.Commands[0], p.Shallow); shown || len(edge) > 0 {
		t.Errorf("shown %v, and the server would be asked about %v", shown, edge)
	}
	g.take()
	resp, err := http.Post(g.url+"/web.git/git-receive-pack", "application/x-git-receive-pack-request", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), "ok refs/heads/main") {
		t.Fatalf("%v %q", err, b)
	}
	if log := gitOutput(t, bare, "log", "--format=%s", "main"); log != "three" {
		t.Errorf("the server has %q: what this test is about did not happen", log)
	}
	if ops := g.take(); len(ops) != 1 || ops[0] != "git.push.force irreversible" {
		t.Errorf("it counts as %v", ops)
	}
}
