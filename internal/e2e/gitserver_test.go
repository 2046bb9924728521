package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ambit/internal/ambittest"
)

// packVar says how large the pack of TestPacksStream is, in bytes.
const packVar = "AMBIT_TEST_PACK"

// maxKeeper is what a gatekeeper may ever have been resident while a pack streamed, in
// bytes: its program, its buffers, and what the collector leaves lying for a while.
const maxKeeper = 128 << 20

// TestPacksStream pushes a large pack and fetches it again: all of it arrives, and the
// gatekeeper never holds more than a small part of it. A push that is refused,
// after it was read to the end, takes no more.
func TestPacksStream(t *testing.T) {
	slow(t)
	size := int64(64 << 20)
	if v := os.Getenv(packVar); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1<<20 {
			t.Fatalf("%s is %q: it is a number of bytes, at least 1048576", packVar, v)
		}
		size = n
	}
	g, h := gitHouse(t, ambittest.Users()[len(ambittest.Users())-1], true)
	ambittest.Output(t, filepath.Join(g.Root, "acme/web.git"), "git", "config", "receive.unpackLimit", "1") // it keeps packs as they come
	h.Grants(t, gitGrants(g, ""))
	h.File(t, "work.sh", fmt.Sprintf(`
set -e
git clone -q https://github.com/acme/web.git clone
cd clone
for c in core.bigFileThreshold=1m core.compression=0 pack.compression=0 fastimport.unpackLimit=1 gc.auto=0; do git config "${c%%=*}" "${c#*=}"; done
large() { # branch, bytes: a commit with four large files that nothing makes smaller, in a pack
	for i in 1 2 3 4; do
		printf 'blob\nmark :%%s\ndata %%s\n%%s' $i $(($2/4)) "$1$i"; head -c $(($2/4-2)) /dev/zero; echo
	done
	printf 'commit refs/heads/%%s\ncommitter A <a@example.org> 1700000000 +0000\ndata 1\nx\nfrom refs/remotes/origin/agent/base^0\n' "$1"
	for i in 1 2 3 4; do printf 'M 644 :%%s large%%s\n' $i $i; done
}
large b %[2]d | git fast-import --quiet
git push -q origin b:refs/heads/main && echo passed || echo refused
large a %[1]d | git fast-import --quiet
git push -q origin a:refs/heads/agent/base; echo "push: $?"
git rev-parse a >../tip
git clone -q --bare https://github.com/acme/web.git ../fetched
git -C ../fetched rev-parse agent/base >../fetched-tip
echo all done
while [ ! -e ../go ]; do sleep 0.05; done
`, size, size/8))
	c := h.Ambit("run", "--", "bash", "work.sh")
	c.Env = append(c.Env, "GITHUB_TOKEN="+g.Token.Value)
	run := start(t, c)
	before := g.Refs(t, "acme/web.git")
	if !ambittest.Eventually(9*time.Minute, func() bool { return strings.Contains(run.out.String(), "all done\n") || run.done() }) {
		t.Fatalf("it takes too long:\n%s%s", run.out, run.errs)
	}
	most := peakResident(t, run.Process.Pid)
	h.File(t, "go", "")
	r := run.wait(t)
	want(t, r, 0)
	has(t, "the agent's output", r.Stdout, "refused\npush: 0\n")
	tip := strings.TrimSpace(h.Read(t, "tip"))
	before["refs/heads/agent/base"] = tip
	wantRefs(t, "afterwards", g.Refs(t, "acme/web.git"), before)
	if got := strings.TrimSpace(h.Read(t, "fetched-tip")); got != tip || tip == "" {
		t.Errorf("%q was fetched, and %q pushed", got, tip)
	}
	for _, repo := range []string{filepath.Join(g.Root, "acme/web.git"), filepath.Join(h.Workspace, "fetched")} {
		if n := packed(t, repo); n < size {
			t.Errorf("%s holds %d bytes in packs, want at least %d", repo, n, size)
		}
	}
	t.Logf("%d MiB: the gatekeeper was never more than %d MiB resident; %v", size>>20, most>>20, r.Took)
	if most > maxKeeper {
		t.Errorf("the gatekeeper was %d MiB resident, with a pack of %d MiB", most>>20, size>>20)
	}
	if t.Failed() {
		t.Log(r)
	}
	verified(t, h, g.Token)
}

// peakResident is the most that a live process ever was resident, in bytes (VmHWM of
// proc(5)).
func peakResident(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(b, []byte("VmHWM:"))
	var n int64
	if _, err := fmt.Sscanf(string(rest), "%d kB", &n); err != nil || n == 0 {
		t.Fatalf("the kernel does not say how much process %d held: %v", pid, err)
	}
	return n << 10
}

// packed is the size of a bare repository's packs.
func packed(t *testing.T, repo string) (n int64) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(repo, "objects/pack/*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		i, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		n += i.Size()
	}
	return n
}

// TestRealServer does with a real web server what git does not do each day: an older
// protocol, requests that git compresses, that come in chunks, or that wait for the
// server's word; and a server that takes no more than so much, whose refusal reaches git
// and the log.
func TestRealServer(t *testing.T) {
	slow(t)
	g, h := gitHouse(t, ambittest.Users()[len(ambittest.Users())-1], true)
	g.Create(t, "acme/small.git", true, map[string]string{"a": "b\n"})
	h.Grants(t, strings.ReplaceAll(gitGrants(g, ""), "github: acme/web", "github: [acme/web, acme/small]"))
	h.File(t, "work.sh", `
set -e
url=https://github.com/acme/web.git
for v in 0 1 2; do
	GIT_TRACE_PACKET=$PWD/trace$v git -c protocol.version=$v clone -q $url v$v
	grep -q '< version 2' trace$v && echo "protocol $v: two" || echo "protocol $v: older"
done
cd v2
for i in $(seq 20); do git commit -q --allow-empty -m "mine $i"; done
git push -q origin HEAD:refs/heads/agent/base; echo "many: $?"
cd ../v0
for i in $(seq 100); do echo "$i $RANDOM$RANDOM"; git commit -q --allow-empty -m "other $i"; done >/dev/null
# The older protocol compresses the names of so many commits that the server may have.
GIT_TRACE_CURL=$PWD/curl git -c protocol.version=0 fetch -q $url +agent/base:refs/heads/got0
grep -qi 'content-encoding: gzip' curl && echo "fetch: compressed"
git fetch -q $url +agent/base:refs/heads/got2
git rev-parse got0 got2
git -C ../v2 rev-parse HEAD
head -c 3000000 /dev/urandom >large; git add large; git commit -qm large
git -c http.postBuffer=65536 push -q origin HEAD:refs/heads/agent/streamed; echo "streamed: $?"
GIT_TRACE_CURL=$PWD/chunked git -c http.version=HTTP/1.1 -c http.postBuffer=65536 push -q origin HEAD:refs/heads/agent/chunked; echo "chunked: $?"
grep -qi 'transfer-encoding: chunked' chunked && echo "it was chunked"
git -c http.version=HTTP/1.1 -c http.postBuffer=65536 -c http.extraHeader='Expect: 100-continue' push -q origin HEAD:refs/heads/agent/waited; echo "waited: $?"
git -c http.version=HTTP/1.1 -c http.postBuffer=10000000 push -q origin HEAD:refs/heads/agent/whole; echo "whole: $?"
git rev-parse HEAD >../tip
cd ..; git clone -q https://github.com/acme/small.git small; cd small
echo x >>a; git commit -qam x; git push -q origin HEAD:refs/heads/agent/fits; echo "fits: $?"
head -c 3000000 /dev/urandom >large; git add large; git commit -qm large
set +e
git -c http.postBuffer=65536 push origin HEAD:refs/heads/agent/chunked; echo "too large, chunked: $?"
git -c http.version=HTTP/1.1 -c http.postBuffer=10000000 push origin HEAD:refs/heads/agent/whole; echo "too large, whole: $?"
git ls-remote -q origin >/dev/null; echo "afterwards: $?"
`)
	c := h.Ambit("run", "--", "bash", "work.sh")
	c.Env = append(c.Env, "GITHUB_TOKEN="+g.Token.Value)
	r := ambittest.Finish(t, c)
	want(t, r, 0)
	has(t, "the agent's output", r.Stdout, "protocol 0: older\n", "protocol 1: older\n", "protocol 2: two\n", "many: 0\n", "streamed: 0\nchunked: 0\nit was chunked\nwaited: 0\nwhole: 0\n", "fits: 0\n",
		"fetch: compressed\n", "too large, chunked: 1\ntoo large, whole: 1\nafterwards: 0\n")
	has(t, "what git prints", r.Stderr, "413")
	refs := g.Refs(t, "acme/web.git")
	for _, b := range []string{"streamed", "chunked", "waited", "whole"} {
		if tip := strings.TrimSpace(h.Read(t, "tip")); refs["refs/heads/agent/"+b] != tip || tip == "" {
			t.Errorf("%s is at %q, want %q", b, refs["refs/heads/agent/"+b], tip)
		}
	}
	if n := strings.Count(r.Stdout, refs["refs/heads/agent/base"]); n != 3 {
		t.Errorf("what was pushed was fetched %d times, want 2", n-1)
	}
	if refs := g.Refs(t, "acme/small.git"); len(refs) != 2 || refs["refs/heads/agent/fits"] == "" {
		t.Errorf("the small repository has %v", refs)
	}
	for _, l := range logged(t, h, "git.push.create") {
		if strings.Contains(string(l.Resource), "small") && !strings.Contains(string(l.Resource), "fits") && l.Outcome == "performed" {
			t.Errorf("the log says that %s was performed", l.Resource)
		}
	}
	if t.Failed() {
		t.Log(r)
	}
	verified(t, h, g.Token)
}
