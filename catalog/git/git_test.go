package git

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pkt(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

func id(digit string) string { return strings.Repeat(digit, 40) }

const caps = "\x00 report-status side-band-64k object-format=sha1 agent=git/2.39.5"

func TestReadPush(t *testing.T) {
	one := pkt(id("1") + " " + id("2") + " refs/heads/a" + caps)
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"update":              {one + "0000PACK", nil},
		"beginning of a pack": {one + "0000PA", nil},
		"no pack":             {one + "0000", nil},
		"line end":            {pkt(id("1")+" "+id("2")+" refs/heads/a"+caps+"\n") + "0000", nil},
		"no capabilities":     {pkt(id("1")+" "+id("2")+" refs/heads/a") + "0000", nil},
		"shallow":             {pkt("shallow "+id("3")) + one + "0000PACK", nil},
		"SHA-256": {pkt("shallow "+strings.Repeat("3", 64)) + pkt(strings.Repeat("1", 64)+" "+strings.Repeat("2", 64)+
			" refs/heads/a\x00object-format=sha256") + "0000", nil},
		"options":                    {pkt(id("1")+" "+id("2")+" refs/heads/a\x00push-options") + "0000" + pkt("ci.skip") + "0000PACK", nil},
		"nothing":                    {"", ErrShort},
		"cut":                        {one[:30], ErrShort},
		"no flush":                   {one, ErrShort},
		"options not there":          {pkt(id("1")+" "+id("2")+" refs/heads/a\x00push-options") + "0000", ErrShort},
		"a pack as options":          {pkt(id("1")+" "+id("2")+" refs/heads/a\x00push-options") + "0000PACK", ErrUnclear},
		"no command":                 {"0000", ErrUnclear},
		"something else than a pack": {one + "0000" + one, ErrUnclear},
		"delimiter":                  {one + "00010000", ErrUnclear},
		"empty line":                 {one + "00040000", ErrUnclear},
		"signed length":              {"+0a8" + one[4:] + "0000", ErrUnclear},
		"signed push":                {pkt("push-cert"+caps) + "0000", ErrUnclear},
		"unknown capability":         {pkt(id("1")+" "+id("2")+" refs/heads/a\x00report-status new-thing") + "0000", ErrUnclear},
		"two lists of capabilities":  {one + pkt(id("1")+" "+id("2")+" refs/heads/b"+caps) + "0000", ErrUnclear},
		"another format":             {pkt(strings.Repeat("1", 64)+" "+strings.Repeat("2", 64)+" refs/heads/a\x00report-status") + "0000", ErrUnclear},
		"two formats":                {pkt(strings.Repeat("1", 64)+" "+id("2")+" refs/heads/a\x00object-format=sha256") + "0000", ErrUnclear},
		"shallow of another format":  {pkt("shallow "+strings.Repeat("3", 64)) + one + "0000", ErrUnclear},
		"the same ref twice":         {one + pkt(id("1")+" "+id("3")+" refs/heads/a") + "0000", ErrUnclear},
		"a ref that climbs":          {pkt(id("1")+" "+id("2")+" refs/heads/../x") + "0000", ErrUnclear},
		"an odd ref":                 {pkt(id("1")+" "+id("2")+" HEAD") + "0000", ErrUnclear},
		"a ref with a wildcard":      {pkt(id("1")+" "+id("2")+" refs/heads/*") + "0000", ErrUnclear},
		"a ref with an escape":       {pkt(id("1")+" "+id("2")+" refs/heads/\x1b[2J") + "0000", ErrUnclear},
		"a ref that is a lock":       {pkt(id("1")+" "+id("2")+" refs/heads/a.lock/b") + "0000", ErrUnclear},
		"no hexadecimal":             {pkt(id("g")+" "+id("2")+" refs/heads/a") + "0000", ErrUnclear},
	} {
		p, err := ReadPush([]byte(c.body))
		if !errors.Is(err, c.want) || (err == nil) != (p != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	p, err := ReadPush([]byte(pkt(id("0")+" "+id("A")+" refs/heads/a\x00report-status push-options agent=x") + pkt(id("1")+" "+id("0")+" refs/tags/b") + "0000" + pkt("a=b") + "0000PACK123"))
	want := &Push{Commands: []Command{{id("0"), id("a"), "refs/heads/a"}, {id("1"), id("0"), "refs/tags/b"}},
		Capabilities: []string{"report-status", "push-options", "agent=x"}, Options: []string{"a=b"}, Size: 245}
	if diff := cmp.Diff(want, p); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if !p.Commands[0].Creates() || p.Commands[0].Deletes() || !p.Commands[1].Deletes() || !IsProbe([]byte("0000")) || IsProbe([]byte("00000000")) {
		t.Error("what the commands do is not read")
	}
}

// TestPlain: an approval fits the same push again, whatever git calls itself, and
// no other.
func TestPlain(t *testing.T) {
	read := func(caps, more string) string {
		p, err := ReadPush([]byte(pkt(id("1")+" "+id("2")+" refs/heads/a\x00"+caps) + more + "0000"))
		if err != nil {
			t.Fatal(err)
		}
		return string(p.Plain())
	}
	if read("atomic agent=a session-id=1", "") != read("agent=b quiet atomic session-id=2", "") {
		t.Error("a second try is another push")
	}
	if read("atomic", "") == read("", "") || read("", pkt(id("1")+" "+id("2")+" refs/heads/b")) == read("", "") || read("", pkt("shallow "+id("1"))) == read("", "") {
		t.Error("another push looks the same")
	}
}

func TestReport(t *testing.T) {
	p, err := ReadPush([]byte(pkt(id("1")+" "+id("2")+" refs/heads/a"+caps) + pkt(id("1")+" "+id("2")+" refs/heads/b") + "0000"))
	if err != nil {
		t.Fatal(err)
	}
	got := p.Report(func(ref string) string { return "no\x1b[31m\n" + ref }, []string{"  record 7\r\n\u202eevil …\n"})
	status := pkt("unpack ok\n") + pkt("ng refs/heads/a no?[31m refs/heads/a\n") + pkt("ng refs/heads/b no?[31m refs/heads/b\n") + "0000"
	if want := pkt("\x02  record 7? ?evil …\n") + pkt("\x01"+status) + "0000"; string(got) != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	p.Capabilities = []string{"report-status"}
	if got := p.Report(func(string) string { return strings.Repeat("x", 9999) }, nil); bytes.Contains(got, []byte("\x01")) || len(got) > 1000 {
		t.Errorf("without bands: %d bytes", len(got))
	}
}

// repo is a real repository for real packs.
type repo struct {
	t   testing.TB
	dir string
	f   Format
}

func newRepo(t testing.TB, f Format) *repo {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: no real packs can be made")
	}
	r := &repo{t, t.TempDir(), f}
	r.git("init", "-q", "-b", "main", "--object-format="+f.String())
	return r
}

func (r *repo) git(args ...string) string { return r.run("", args...) }

func (r *repo) run(stdin string, args ...string) string {
	r.t.Helper()
	c := exec.CommandContext(r.t.Context(), "git", args...)
	c.Dir, c.Stdin = r.dir, strings.NewReader(stdin)
	c.Env = append(os.Environ(), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x.test",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x.test")
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, errs.String())
	}
	return string(out)
}

// commit changes a file and returns the new commit.
func (r *repo) commit(subject string) string {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "file"), []byte(subject), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.git("add", "file")
	r.git("commit", "-q", "-m", subject+"\n\nThe same long words stand in each message, so that one is packed against another.\n")
	return strings.TrimSpace(r.git("rev-parse", "HEAD"))
}

// many puts commits on main, on top of one.
func (r *repo) many(on string, n int) string {
	r.t.Helper()
	var b strings.Builder
	for i := range n {
		text := fmt.Sprintf("commit number %d\n\nThe same long words stand in each message, so that one is packed against another.\n", i)
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter a <a@x.test> %d +0000\ndata %d\n%s", 1700000000+i, len(text), text)
		if i == 0 {
			b.WriteString("from " + on + "\n")
		}
		fmt.Fprintf(&b, "M 644 inline file\ndata <<E\n%d\nE\n\n", i)
	}
	r.run(b.String(), "fast-import", "--quiet")
	r.git("reset", "-q", "--hard", "main")
	return strings.TrimSpace(r.git("rev-parse", "main"))
}

// pack is what a push of what revs names would send.
func (r *repo) pack(revs string, args ...string) []byte {
	r.t.Helper()
	return []byte(r.run(revs, append([]string{"pack-objects", "--revs", "--stdout", "--thin", "-q"}, args...)...))
}

// TestRealPacks: the commits of packs that git makes, in both formats and with
// commits packed against each other, are found; what descends is told from what
// does not.
func TestRealPacks(t *testing.T) {
	for _, f := range []Format{SHA1, SHA256} {
		r := newRepo(t, f)
		base := r.commit("base")
		last := r.many(base, 200)
		r.git("tag", "-a", "-m", "a tag", "v1", "HEAD~50")
		r.git("checkout", "-q", "-b", "side", base)
		side := r.commit("side")
		r.git("checkout", "-q", "main")
		r.git("merge", "-q", "-s", "ours", "-m", "merge", "side")
		merge := strings.TrimSpace(r.git("rev-parse", "HEAD"))
		for name, args := range map[string][]string{"git's own": {"--delta-base-offset"}, "named bases": {"--window=50"}, "deep": {"--delta-base-offset", "--window=250", "--depth=50"}} {
			pack := r.pack("main\nv1\n^"+base+"\n", args...)
			c := ReadCommits(f, pack)
			if c.Len() != 202 || !c.Full {
				t.Errorf("%s, %s: %d commits, full %v", f, name, c.Len(), c.Full)
			}
			zeros := strings.Repeat("0", len(base))
			for _, x := range []struct {
				old, new string
				want     bool
			}{
				{base, last, true}, {base, merge, true}, {last, merge, true}, {side, merge, true}, {base, side, true},
				{last, side, false}, {merge, last, false}, {side, last, false}, {merge, base, false}, {zeros, last, false},
			} {
				if got, edge := c.Descends(Command{x.old, x.new, "refs/heads/x"}, nil); got != x.want {
					t.Errorf("%s, %s: from %.8s to %.8s: %v, edge %v", f, name, x.old, x.new, got, edge)
				}
			}
			if got, edge := c.Descends(Command{base, merge, "refs/heads/x"}, []string{last, side}); got || len(edge) != 0 {
				t.Errorf("%s: past what the pusher has: %v %v", f, got, edge)
			}
			list, total := c.NewCommits(Command{base, merge, "x"}, 2)
			if total != 202 || len(list) != 2 || list[0].Subject != "merge" {
				t.Errorf("%s: %d new commits, first %v", f, total, list)
			}
		}
		// Every cut of the pack shows less, and never something else.
		pack := r.pack("main\n^"+base+"\n", "--delta-base-offset")
		for n := range len(pack) {
			c := ReadCommits(f, pack[:n])
			if ok, _ := c.Descends(Command{merge, last, "x"}, nil); ok || c.Len() > 202 {
				t.Fatalf("cut at %d: %d commits", n, c.Len())
			}
			if n > 600 {
				break
			}
		}
	}
}

// TestThinEdge: where the pack ends, the walk says which commit the server is to be
// asked about.
func TestThinEdge(t *testing.T) {
	r := newRepo(t, SHA1)
	base := r.commit("base")
	mid := r.commit("mid")
	top := r.commit("top")
	c := ReadCommits(SHA1, r.pack(top+"\n^"+mid+"\n", "--delta-base-offset"))
	ok, edge := c.Descends(Command{base, top, "x"}, nil)
	if diff := cmp.Diff([]string{mid}, edge); ok || diff != "" {
		t.Errorf("%v %s", ok, diff)
	}
	ok, edge = ReadCommits(SHA1, nil).Descends(Command{base, top, "x"}, nil)
	if diff := cmp.Diff([]string{top}, edge); ok || diff != "" {
		t.Errorf("without a pack: %v %s", ok, diff)
	}
}
