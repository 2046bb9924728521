package web

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ambit"
	"ambit/catalog"
	"ambit/pipeline"
)

// gitCatalog is the catalog, as the keeper gives it to the gate.
type gitCatalog struct{}

func (gitCatalog) request(r Request) catalog.Request {
	return catalog.Request{Kind: "http", Scheme: r.Scheme, Host: r.Host, Port: int(r.Port), Method: r.Method, Segments: r.Segments, Query: r.Query,
		Header: r.Header.Values, Body: r.Body, BodyWhole: r.BodyWhole, Proven: r.Proven, Service: catalog.Service{Git: true}}
}

func (c gitCatalog) BodyLimit(r Request) int64 { return int64(catalog.BodyLimit(c.request(r))) }

func (c gitCatalog) Classify(r Request) (out []Call, err error) {
	calls, err := catalog.Classify(c.request(r))
	for _, x := range calls {
		out = append(out, Call(x))
	}
	return out, err
}

// withGit makes the house's service serve git, with verdicts that the gate foresees.
func withGit(h *house, c *Config) {
	c.Classifier = gitCatalog{}
	c.Foresee = func(a *ambit.Action) ambit.Verdict { return h.Decide(a).Verdict }
}

const (
	zeroID = "0000000000000000000000000000000000000000"
	someID = "1111111111111111111111111111111111111111"
)

func pktLine(s string) string { return fmt.Sprintf("%04x%s", len(s)+4, s) }

// pushOf is a push's body up to its pack: "old new ref" each.
func pushOf(caps string, commands ...string) string {
	var b strings.Builder
	for i, c := range commands {
		if i == 0 {
			c += "\x00" + caps
		}
		b.WriteString(pktLine(c))
	}
	return b.String() + "0000"
}

func (h *house) push(t *testing.T, proto, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", h.url("/acme/web.git/git-receive-pack"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	resp, err := h.client(proto).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// denyRefs denies what is about main, asks about what is about ask.
func denyRefs(a *ambit.Action) ambit.Verdict {
	switch r := a.Resource.String(); {
	case strings.HasSuffix(r, "/main"):
		return ambit.Deny
	case strings.HasSuffix(r, "/ask"):
		return ambit.Ask
	}
	return ambit.Allow
}

// TestPushReport: of a push with a ref that is refused nothing is sent; git is told
// of each ref in its own words; each that is denied is recorded; nobody is asked
// about a push that cannot go. A push without it passes.
func TestPushReport(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		h := newHouse(t, nil, withCredential, withGit)
		h.decide = denyRefs
		asked := 0
		h.ask = func(pipeline.Question) (pipeline.Answer, error) {
			asked++
			return pipeline.Answer{Approved: true, By: "p"}, nil
		}
		pack := "PACK" + strings.Repeat("x", 300<<10)
		body := pushOf("report-status side-band-64k", zeroID+" "+someID+" refs/heads/a", zeroID+" "+someID+" refs/heads/ask", zeroID+" "+someID+" refs/heads/main",
			someID+" "+zeroID+" refs/tags/main") + pack
		resp, got := h.push(t, proto, body)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-git-receive-pack-result" || resp.Header.Get("Ambit-Record") == "" {
			t.Errorf("%s: %d %v", proto, resp.StatusCode, resp.Header)
		}
		for _, line := range []string{"unpack ok\n", "ng refs/heads/a not pushed: another part of this push was refused\n", "ng refs/heads/ask not pushed",
			"ng refs/heads/main refused by ambit: the test says so (record r1)\n", "ng refs/tags/main refused by ambit: the test says so (record r2)\n", "\x02ambit: git.push.create "} {
			if !strings.Contains(got, line) {
				t.Errorf("%s: the report lacks %q:\n%q", proto, line, got)
			}
		}
		if n, r, _ := h.log.counts(); n != 0 || r != 2 || asked != 0 || len(h.up.requests()) != 0 {
			t.Errorf("%s: %d intents, %d refusals, %d questions, %d requests", proto, n, r, asked, len(h.up.requests()))
		}
		if resp, _ := h.push(t, proto, pushOf("report-status", zeroID+" "+someID+" refs/heads/ask", zeroID+" "+someID+" refs/heads/a")+pack); resp.Header.Get("Ambit-Record") != "" || asked != 1 || len(h.up.requests()) != 1 {
			t.Errorf("%s: what is allowed and approved does not pass: %d questions, %d requests", proto, asked, len(h.up.requests()))
		}
		// Who did not ask for a report gets the usual answer.
		if resp, got := h.push(t, proto, pushOf("quiet", zeroID+" "+someID+" refs/heads/main")); resp.StatusCode != 403 || !strings.Contains(got, `"code":"denied"`) {
			t.Errorf("%s: %d %s", proto, resp.StatusCode, got)
		}
		resp, err := h.client(proto).Get(h.url("/acme/main/info/refs?service=git-receive-pack"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: a look-up: %d", proto, resp.StatusCode)
		}
	}
}

// TestPushIsBound: the approval of a push is for its commands, also with another pack,
// and for no others.
func TestPushIsBound(t *testing.T) {
	h := newHouse(t, nil, withCredential, withGit)
	h.decide = denyRefs
	var digests []ambit.Digest
	var shown string
	h.ask = func(q pipeline.Question) (pipeline.Answer, error) {
		digests, shown = append(digests, q.Digest), q.Preview
		return pipeline.Answer{Pending: true, Ticket: "t1", Until: time.Now().Add(time.Minute)}, nil
	}
	cmd := zeroID + " " + someID + " refs/heads/ask"
	_, got := h.push(t, "http/1.1", pushOf("report-status agent=a", cmd)+"PACK1"+strings.Repeat("x", 2<<20))
	h.push(t, "http/1.1", pushOf("report-status agent=b", cmd)+"PACK2"+strings.Repeat("y", 3<<20))
	h.push(t, "http/1.1", pushOf("report-status", cmd, zeroID+" "+someID+" refs/heads/b")+"PACK1")
	h.push(t, "http/1.1", pushOf("report-status", zeroID+" 2"+someID[1:]+" refs/heads/ask")+"PACK1")
	if len(digests) != 4 || digests[0] != digests[1] || digests[0] == digests[2] || digests[0] == digests[3] || digests[2] == digests[3] {
		t.Errorf("the digests are %x", digests)
	}
	if !strings.Contains(got, "ticket t1: push again once it is approved") || !strings.Contains(shown, "refs/heads/ask: new, at 2") || len(h.up.requests()) != 0 {
		t.Errorf("%q\n%s", got, shown)
	}
	// A body that the catalog does not take apart is bound by its bytes.
	var unread []ambit.Digest
	h.decide = func(*ambit.Action) ambit.Verdict { return ambit.Ask }
	h.ask = func(q pipeline.Question) (pipeline.Answer, error) {
		unread = append(unread, q.Digest)
		return pipeline.Answer{}, nil
	}
	h.push(t, "http/1.1", pushOf("report-status strange", cmd)+"PACK1")
	h.push(t, "http/1.1", pushOf("report-status strange", cmd)+"PACK2")
	if len(unread) != 2 || unread[0] == unread[1] {
		t.Errorf("the digests of what cannot be read are %x", unread)
	}
}

// commit makes a commit's pack entry and its name.
func commit(parents ...string) (entry []byte, id string) {
	s := "tree " + someID + "\n"
	for _, p := range parents {
		s += "parent " + p + "\n"
	}
	s += "author a <a@x.test> 1 +0000\ncommitter a <a@x.test> 1 +0000\n\nhello\n"
	sum := sha1.Sum([]byte(fmt.Sprintf("commit %d\x00%s", len(s), s)))
	var b bytes.Buffer
	b.Write([]byte{0x90 | byte(len(s)&15), byte(len(s) >> 4)})
	w := zlib.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.Bytes(), hex.EncodeToString(sum[:])
}

func packed(entries ...[]byte) string {
	b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(entries)))
	return string(append(b, bytes.Join(entries, nil)...))
}

// TestPushAsksTheServer: where the pack does not show what a push is, the server is
// asked, with the task's credential, when reading is allowed without a question; and
// whatever it answers but the way from the old commit, the push is a force.
func TestPushAsksTheServer(t *testing.T) {
	old := someID
	middle, middleID := commit(old)
	top, topID := commit(middleID)
	advert := pktLine("version 2\n") + pktLine("fetch=shallow filter\n") + pktLine("object-format=sha1\n") + "0000"
	answer := func(pack string) string {
		return pktLine("packfile\n") + pktLine("\x02words\n") + pktLine("\x01"+pack) + "0000"
	}
	for name, c := range map[string]struct {
		advert, answer string
		status         int
		mediaType      string
		deny           ambit.Verdict
		pack           string
		want           string
		asked          int
	}{
		"shown by the server":    {advert: advert, answer: answer(packed(middle)), pack: packed(top), want: "git.push.update", asked: 2},
		"nothing new":            {advert: advert, answer: answer(packed(top, middle)), pack: "", want: "git.push.update", asked: 2},
		"by a server that names": {advert: pktLine("# service=git-upload-pack\n") + "0000" + advert, answer: answer(packed(middle)), pack: packed(top), want: "git.push.update", asked: 2},
		"shown by the pack":      {advert: advert, answer: answer(""), pack: packed(top, middle), want: "git.push.update", asked: 0},
		"another history":        {advert: advert, answer: answer(packed(top)), pack: packed(top), want: "git.push.force", asked: 2},
		"an empty pack":          {advert: advert, answer: answer(packed()), pack: packed(top), want: "git.push.force", asked: 2},
		"an error":               {advert: advert, answer: pktLine("ERR not our ref"), pack: packed(top), want: "git.push.force", asked: 2},
		"a part of the history":  {advert: advert, answer: pktLine("shallow-info\n") + answer(packed(middle)), pack: packed(top), want: "git.push.force", asked: 2},
		"cut off":                {advert: advert, answer: answer(packed(middle))[:60], pack: packed(top), want: "git.push.force", asked: 2},
		"version 1":              {advert: pktLine(someID + " HEAD\x00report-status\n"), pack: packed(top), want: "git.push.force", asked: 1},
		"no answer":              {status: 500, advert: advert, pack: packed(top), want: "git.push.force", asked: 1},
		"a page":                 {mediaType: "text/html", advert: advert, answer: answer(packed(middle)), pack: packed(top), want: "git.push.force", asked: 1},
		"another format":         {advert: pktLine("version 2\n") + pktLine("fetch=filter\n") + pktLine("object-format=sha256\n") + "0000", pack: packed(top), want: "git.push.force", asked: 1},
		"reading is asked about": {deny: ambit.Ask, advert: advert, answer: answer(packed(middle)), pack: packed(top), want: "git.push.force", asked: 0},
	} {
		var requests atomic.Int32
		upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				return
			}
			requests.Add(1)
			body, err := io.ReadAll(r.Body)
			if err != nil || r.Header.Get("Authorization") != "Bearer "+testSecret || r.Header.Get("Git-Protocol") != "version=2" || !strings.HasPrefix(r.URL.Path, "/acme/web.git/") {
				t.Errorf("%s: %v %v %s", name, err, r.Header, r.URL)
			}
			text, kind := c.advert, "application/x-git-upload-pack-advertisement"
			if r.Method == "POST" {
				text, kind = c.answer, "application/x-git-upload-pack-result"
				if !strings.Contains(string(body), "filter tree:0") || !strings.Contains(string(body), "have "+old) {
					t.Errorf("%s: asked %q", name, body)
				}
			}
			if c.mediaType != "" {
				kind = c.mediaType
			}
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(max(c.status, 200))
			io.WriteString(w, text)
		})
		h := newHouse(t, upstream, withCredential, withGit)
		h.decide = func(a *ambit.Action) ambit.Verdict {
			if a.Operation == "git.fetch" && c.deny != 0 {
				return c.deny
			}
			return ambit.Allow
		}
		h.push(t, "http/1.1", pushOf("report-status", old+" "+topID+" refs/heads/a")+c.pack)
		var ops []string
		for _, a := range h.log.intended() {
			ops = append(ops, a.Operation)
		}
		if len(ops) == 0 || ops[len(ops)-1] != c.want || slices.Contains(ops, "git.fetch") != (c.asked > 0) || int(requests.Load()) != c.asked {
			t.Errorf("%s: %v, the server was asked %d times", name, ops, requests.Load())
		}
	}
}

// streamed is the size of the pack of TestPushStreams, in bytes.
const streamed = 96 << 20

// TestPushStreams: a large pack that git made passes whole, and takes little memory,
// also when the push is refused and git is told so.
func TestPushStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds: left out under -short")
	}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: no real pack can be made")
	}
	var got atomic.Value
	sink := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		io.Copy(sum, r.Body)
		got.Store(hex.EncodeToString(sum.Sum(nil)))
	})
	h := newHouse(t, sink, withCredential, withGit)
	head := pushOf("report-status", zeroID+" "+someID+" refs/heads/a")
	repo := bigRepo(t, git)
	send := func(ref string) (*http.Response, string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		pack := exec.CommandContext(ctx, git, "-C", repo, "pack-objects", "--all", "--stdout", "-q", "--compression=0")
		out, err := pack.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := pack.Start(); err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		req, err := http.NewRequestWithContext(ctx, "POST", h.url("/acme/web.git/git-receive-pack"), io.TeeReader(io.MultiReader(strings.NewReader(strings.Replace(head, "refs/heads/a", ref, 1)), out), sum))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
		resp, err := h.client("http/1.1").Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if err := pack.Wait(); err != nil {
			t.Fatal(err)
		}
		return resp, hex.EncodeToString(sum.Sum(nil))
	}
	peak := watchLive(t)
	resp, sum := send("refs/heads/a")
	if resp.StatusCode != 200 || got.Load() != sum {
		t.Errorf("%d: what arrived is not what was sent", resp.StatusCode)
	}
	h.change(func() { h.decide = func(*ambit.Action) ambit.Verdict { return ambit.Deny } })
	if resp, _ := send("refs/heads/b"); resp.StatusCode != 200 || resp.Header.Get("Ambit-Record") == "" || got.Load() != sum {
		t.Errorf("refused: %d %v", resp.StatusCode, resp.Header)
	}
	if most := peak(); most > 8<<20 {
		t.Errorf("%d MiB were held", most>>20)
	}
}

// bigRepo is a repository with one commit and one file of random bytes.
func bigRepo(t *testing.T, git string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf(`cd "$1" && "$2" init -q && head -c %d /dev/urandom >big && "$2" add big && "$2" -c user.name=a -c user.email=a@x.test commit -q -m big && rm big`, streamed)
	c := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", dir, git)
	c.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=core.compression", "GIT_CONFIG_VALUE_0=0", "GIT_CONFIG_KEY_1=core.bigFileThreshold", "GIT_CONFIG_VALUE_1=1m"}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}
