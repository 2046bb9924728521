package web

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ambit"
)

// TestPushOutcome: the log says of each ref of a push what the server said that became of
// it, and never that one was moved which the server refused; nor does it hold the
// credential when the server's words do. The agent gets the answer as it is.
func TestPushOutcome(t *testing.T) {
	band := func(n string, s ...string) string {
		var b strings.Builder
		for _, x := range s {
			b.WriteString(pktLine(n + x))
		}
		return b.String()
	}
	mixed := pktLine("unpack ok\n") + pktLine("ok refs/heads/a\n") + pktLine("ng refs/heads/b pre-receive hook declined\x1b[2J\n") + "0000"
	secret := pktLine("unpack ok\n") + pktLine("ok refs/heads/a\n") + pktLine("ng refs/heads/b not with "+testSecret+"\n") + "0000"
	for name, c := range map[string]struct {
		caps, answer string
		status       int
		a, b         ambit.Outcome
		detail       string // of b
	}{
		"both":              {"report-status", pktLine("unpack ok\n") + pktLine("ok refs/heads/a\n") + pktLine("ok refs/heads/b\n") + "0000", 200, ambit.Performed, ambit.Performed, "200"},
		"one":               {"report-status", mixed, 200, ambit.Performed, ambit.Failed, `200, the server refused it: pre-receive hook declined\u{1b}[2J`},
		"in bands":          {"report-status side-band-64k", band("\x02", "words\n") + band("\x01", mixed[:30], mixed[30:]) + "0000", 200, ambit.Performed, ambit.Failed, `200, the server refused it: pre-receive hook declined\u{1b}[2J`},
		"none":              {"report-status", pktLine("unpack index-pack failed\n") + pktLine("ng refs/heads/a unpacker error\n") + pktLine("ng refs/heads/b unpacker error\n") + "0000", 200, ambit.Failed, ambit.Failed, "200, the server refused it: unpacker error"},
		"nothing unpacked":  {"report-status", pktLine("unpack disk full\n") + "0000", 200, ambit.Failed, ambit.Failed, "200, the server did nothing: disk full"},
		"its credential":    {"report-status", secret, 200, ambit.Performed, ambit.Failed, "200, the server refused it: not with " + strings.Repeat("X", len(testSecret))},
		"in pieces":         {"report-status side-band-64k", band("\x01", secret[:len(secret)-20], secret[len(secret)-20:]) + "0000", 200, ambit.Performed, ambit.Failed, "200, the server refused it: not with " + strings.Repeat("X", len(testSecret))},
		"no report":         {"report-status", "hello", 200, ambit.Performed, ambit.Performed, "200"},
		"cut":               {"report-status", mixed[:50], 200, ambit.Performed, ambit.Performed, "200"},
		"none was asked":    {"quiet", mixed, 200, ambit.Performed, ambit.Performed, "200"},
		"a refusal of HTTP": {"report-status", mixed, 403, ambit.Failed, ambit.Failed, "403"},
	} {
		h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
			w.WriteHeader(c.status)
			io.WriteString(w, c.answer)
		}), withCredential, withGit)
		_, got := h.push(t, "http/1.1", pushOf(c.caps, zeroID+" "+someID+" refs/heads/a", zeroID+" "+someID+" refs/heads/b")+"PACK")
		if got != c.answer && !strings.Contains(c.answer, testSecret[:8]) {
			t.Errorf("%s: the agent gets %q", name, got)
		}
		eventually(t, "two outcomes", func() bool { _, _, n := h.log.counts(); return n == 2 })
		intended := h.log.intended()
		h.log.mu.Lock()
		ends := slices.Clone(h.log.ends)
		h.log.mu.Unlock()
		for _, e := range ends {
			ref := intended[e.Intent-1].Resource.String()
			want, detail := c.a, ""
			if strings.HasSuffix(ref, "/b") {
				want, detail = c.b, c.detail
			}
			if e.Outcome != want || detail != "" && e.Detail != detail || strings.Contains(e.Detail, testSecret) {
				t.Errorf("%s: %s: %v %q, want %v %q", name, ref, e.Outcome, e.Detail, want, detail)
			}
		}
	}
}

// TestLargeFilesAreRefusedInWords: git-lfs is told why in the member that it prints. What
// is allowed passes.
func TestLargeFilesAreRefusedInWords(t *testing.T) {
	h := newHouse(t, nil, withCredential, withGit)
	h.decide = func(a *ambit.Action) ambit.Verdict {
		if a.Operation == "git.lfs.write" {
			return ambit.Deny
		}
		return ambit.Allow
	}
	send := func(operation string) (int, string, map[string]any) {
		resp, err := h.client("http/1.1").Post(h.url("/acme/web.git/info/lfs/objects/batch"), "application/vnd.git-lfs+json", strings.NewReader(`{"operation":"`+operation+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		m := map[string]any{}
		if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 && json.Unmarshal(b, &m) != nil {
			t.Errorf("%v %q", err, b)
		}
		return resp.StatusCode, resp.Header.Get("Content-Type"), m
	}
	code, kind, m := send("upload")
	if e, ok := m["error"].(map[string]any); code != 403 || kind != "application/vnd.git-lfs+json" || !ok || e["code"] != "denied" || !strings.HasPrefix(m["message"].(string), "ambit: git.lfs.write ") || !strings.HasSuffix(m["message"].(string), "(denied, record r1)") {
		t.Errorf("%d %s %v", code, kind, m)
	}
	if code, _, _ := send("download"); code != 200 {
		t.Errorf("a download: %d", code)
	}
}
