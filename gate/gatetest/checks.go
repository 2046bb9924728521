package gatetest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"ambit"
)

// mustBeStopped sees that an action did not happen and that the agent was not
// told that it had.
func (h *house) mustBeStopped(r Result, m string) {
	h.t.Helper()
	if n := h.times(m); n != 0 {
		h.t.Errorf("%q reached the upstream %d times", m, n)
	}
	if r.Done {
		h.t.Errorf("the agent was told that %q is done", m)
	}
}

// mustBeRefused is mustBeStopped, with the refusal on the wire.
func (h *house) mustBeRefused(r Result, m string, codes ...string) {
	h.t.Helper()
	h.mustBeStopped(r, m)
	if h.b.h.Mute {
		return
	}
	if r.Code == "" || len(codes) > 0 && !strings.Contains(" "+strings.Join(codes, " ")+" ", " "+r.Code+" ") {
		h.t.Errorf("%q was refused with code %q, not %v (%v)", m, r.Code, codes, r.Err)
	}
	if !h.recorded(r.Record) {
		h.t.Errorf("the refusal of %q names the record %q, which is none", m, r.Record)
	}
}

// recorded says whether a refusal, or an intent that came to nothing, has the id.
func (h *house) recorded(record string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range h.records {
		if id.String() == record {
			return true
		}
	}
	for _, e := range slices.Concat(h.ends, h.opened) {
		if e.Intent.String() == record && e.Outcome == ambit.Refused {
			return true
		}
	}
	return false
}

// mustWork is the benign twin: the same gate does what it may.
func (h *house) mustWork(e ambit.Effect, m string) {
	h.t.Helper()
	r := h.attempt(h.t.Context(), e, m)
	if n := h.times(m); !r.Done || n != 1 {
		h.t.Errorf("the benign %v %q: done %v, reached the upstream %d times, code %q, %v", e, m, r.Done, n, r.Code, r.Err)
	}
}

// eventually waits for what other goroutines do.
func (h *house) eventually(what string, ok func() bool) {
	h.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	h.t.Errorf("there was no %s", what)
}

// settled waits until every intent has its outcome.
func (h *house) settled() {
	h.t.Helper()
	h.eventually("outcome for every intent", func() bool {
		i, _, e := h.counts()
		return i == e
	})
}

// searchForSecret looks everywhere that an agent or a reader of the log can look.
func (h *house) searchForSecret() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.results {
		h.clean("what the agent received", r.Received)
		h.clean("what the agent was told", fmt.Appendf(nil, "%s %s %v", r.Code, r.Record, r.Err))
	}
	for what, v := range map[string]any{
		"the intents": h.intents, "the refusals": h.refusals, "the reasons": h.whys, "the outcomes": slices.Concat(h.ends, h.opened),
		"the questions": h.asked, "the alerts": h.alerts, "the errors": fmt.Sprint(h.errs),
	} {
		b, err := json.Marshal(v)
		if err != nil {
			h.t.Errorf("cannot look through %s: %v", what, err)
		}
		h.clean(what, b)
	}
}

func (h *house) clean(where string, b []byte) {
	for form, s := range map[string]string{
		"itself": canary, "JSON": strings.Trim(string(must(json.Marshal(canary))), `"`),
		"URL-encoded": url.QueryEscape(canary), "path-encoded": url.PathEscape(canary),
		"base64": base64.StdEncoding.EncodeToString([]byte(canary))[:40], "hex": hex.EncodeToString([]byte(canary)),
	} {
		if bytes.Contains(b, []byte(s)) {
			h.t.Errorf("%s hold the secret (%s)", where, form)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err) // a string can always be written
	}
	return b
}
