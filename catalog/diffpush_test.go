package catalog

import (
	"bytes"
	"crypto/sha1"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ambit/catalog/git"
)

// mutate spoils a push where readers of it could differ.
func mutate(r *rand.Rand, body []byte) []byte {
	b := bytes.Clone(body)
	for range 1 + r.IntN(3) {
		at := r.IntN(len(b))
		piece := [][]byte{{0}, {'\n'}, {' '}, {'\r'}, {'A'}, []byte("0000"), []byte("0001"), []byte("0002"), []byte("0003"), []byte("0004"), []byte("0005\n"), {'/'}, {'.'}, {0xff}, []byte("\x00push-options"),
			[]byte("\x00object-format=sha256"), []byte("\x00atomic"), []byte("shallow "), []byte("push-cert"), {byte(r.IntN(256))}}[r.IntN(20)]
		switch r.IntN(4) {
		case 0:
			b[at] = piece[0]
		case 1:
			b = append(b[:at:at], append(bytes.Clone(piece), b[at:]...)...)
		case 2:
			b = append(b[:at:at], b[min(len(b), at+1+r.IntN(4)):]...)
		case 3: // within a line, whose length stays right
			i := bytes.Index(b, []byte("refs/"))
			if i < 0 {
				continue
			}
			at = i + r.IntN(20)
			if at < len(b) {
				b[at] = piece[0]
			}
		}
		if len(b) == 0 {
			b = []byte{'0'}
		}
	}
	return b
}

// lines makes the body of a push of some commands; the pkt-lines' lengths are right, their
// contents odd.
func lines(r *rand.Rand, commands []string, tail []byte) []byte {
	var b []byte
	odd := []string{"", "\n", "\x00", "\x00 ", "\x00report-status\x00push-options", "\x00\x00", "\n\x00report-status", "\x00report-status\n", "\n\n", " ", "\x00report-status push-options", "\x00agent=a\u00a0push-options", "\x00object-format=sha1 object-format=sha256", "\x00report-status atomic", "\x00push-options=1", "\r\n"}
	for i, c := range commands {
		s := c + odd[r.IntN(len(odd))]
		if i == 0 && r.IntN(2) == 0 {
			s = c + "\x00report-status delete-refs"
		}
		if r.IntN(6) == 0 {
			s = strings.ToUpper(s[:81]) + s[81:]
		}
		if r.IntN(8) == 0 {
			s = strings.Replace(s, " ", "\x00", 1)
		}
		b = append(b, pkt(s)...)
	}
	if r.IntN(8) > 0 {
		b = append(b, []string{"0000", "0000", "0000", "0001", "0002", "00000000"}[r.IntN(6)]...)
	}
	if r.IntN(4) == 0 {
		b = append(b, pkt("an option")+"0000"...)
	}
	return append(b, tail...)
}

// TestNoOtherPush sends spoiled pushes to git's own server. Each ref that it changes is
// one of the commands that were read, with what it was and is, unless the push counts as
// one that cannot be read.
func TestNoOtherPush(t *testing.T) {
	exe, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: there is no other reader")
	}
	g := startGit(t)
	dir := filepath.Join(t.TempDir(), "w")
	run(t, "", "git", "clone", "-q", g.url+"/web.git", dir)
	run(t, dir, "git", "checkout", "-q", "-b", "main")
	run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "one")
	run(t, dir, "git", "commit", "-q", "--allow-empty", "-m", "two")
	run(t, dir, "git", "push", "-q", "origin", "main", "main:a", "main:b")
	one, two := gitOutput(t, dir, "rev-parse", "HEAD~1"), gitOutput(t, dir, "rev-parse", "HEAD")
	bare := filepath.Join(g.root, "web.git")
	run(t, bare, "git", "config", "receive.advertisePushOptions", "true")
	run(t, bare, "git", "config", "receive.autogc", "false")
	zero := strings.Repeat("0", 40)
	empty := append([]byte("PACK"), 0, 0, 0, 2, 0, 0, 0, 0)
	sum := sha1.Sum(empty)
	empty = append(empty, sum[:]...)
	refs := func() map[string]string {
		m := map[string]string{}
		for l := range strings.Lines(gitOutput(t, bare, "for-each-ref", "--format=%(refname) %(objectname)")) {
			name, id, _ := strings.Cut(strings.TrimSpace(l), " ")
			m[name] = id
		}
		return m
	}
	r := rand.New(rand.NewPCG(1, 2))
	before, taken, read := refs(), 0, 0
	const n = 40 // thousands, at times, showed no more; each starts a program
	for i := range n {
		a, b := before["refs/heads/a"], before["refs/heads/b"]
		if a == "" {
			a = zero
		}
		if b == "" {
			b = zero
		}
		pick := []string{one, two, zero}
		commands := []string{a + " " + pick[r.IntN(3)] + " refs/heads/a"}
		if r.IntN(2) == 0 {
			commands = append(commands, b+" "+pick[r.IntN(3)]+" refs/heads/b")
		}
		body := lines(r, commands, empty)
		if r.IntN(2) == 0 {
			body = mutate(r, body)
		}
		c := exec.CommandContext(t.Context(), exe, "receive-pack", "--stateless-rpc", bare)
		c.Stdin = bytes.NewReader(body)
		out, _ := c.CombinedOutput() // that it fails is its right
		after := refs()
		p, err := git.ReadPush(body)
		if err == nil {
			read++
		}
		if maps.Equal(before, after) {
			continue
		}
		taken++
		for _, ref := range []string{"refs/heads/main", "refs/heads/a", "refs/heads/b"} {
			if before[ref] == after[ref] || err != nil {
				continue
			}
			ok := false
			for _, x := range p.Commands {
				ok = ok || x.Ref == ref && strings.TrimPrefix(x.Old, zero) == before[ref] && strings.TrimPrefix(x.New, zero) == after[ref]
			}
			if !ok {
				t.Errorf("%d: %q made %s of %q %q, and is read as %v (%s)", i, body, ref, before[ref], after[ref], p.Commands, out)
			}
		}
		for ref := range after {
			if _, ok := before[ref]; !ok && ref != "refs/heads/a" && ref != "refs/heads/b" && err == nil {
				found := false
				for _, x := range p.Commands {
					found = found || x.Ref == ref
				}
				if !found {
					t.Errorf("%d: %q made %s, and is read as %v", i, body, ref, p.Commands)
				}
				run(t, bare, "git", "update-ref", "-d", ref)
			}
		}
		before = refs()
	}
	if taken < n/20 || read < n/20 {
		t.Errorf("of %d pushes git took %d, and %d were read", n, taken, read)
	}
}
