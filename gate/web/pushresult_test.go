package web

import (
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
