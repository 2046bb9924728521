package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

func TestMain(m *testing.M) { os.Exit(ambittest.Main(m)) }

// users runs a test as root and as an ordinary user, as far as the test's own
// user can.
func users(t *testing.T, f func(t *testing.T, uid int)) {
	for _, uid := range ambittest.Users() {
		t.Run(fmt.Sprintf("uid=%d", uid), func(t *testing.T) { f(t, uid) })
	}
}

func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes several seconds: left out under -short")
	}
}

// head is the start of a grants file.
const head = `agent: tester
owner: test@example.org
purpose: Show that the walls and the doors are where they should be
expires: 10m
`

// files lets the agent work in its workspace.
const files = `read:
  - files: ["."]
write:
  - files: ["."]
    because: the work is done here
`

// service is the declaration of a stand-in under the name of the real service.
func service(name, kind, host string, s *ambittest.Server, more string) string {
	h := ""
	if host != "" {
		h = "host: " + host + ", "
	}
	return fmt.Sprintf("  %s: {kind: %s, %saddress: %q, ca: %q%s}\n", name, kind, h, s.Addr, s.CA.File, more)
}

// want ends the test with the whole result unless it ended with the status.
func want(t *testing.T, r ambittest.Result, code int) {
	t.Helper()
	if r.Code != code {
		t.Fatalf("exit status %d, want %d\n%s", r.Code, code, r)
	}
}

// has complains about each text that is missing.
func has(t *testing.T, where, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%.3000s", where, p, text)
		}
	}
}

// lacks complains about each secret that is found.
func lacks(t *testing.T, where string, b []byte, cs ...ambittest.Canary) {
	t.Helper()
	for _, c := range cs {
		if form := c.In(b); form != "" {
			t.Errorf("%s holds the secret %q (%s)", where, c.Name, form)
		}
	}
}

// line is what is read of one line of `ambit log --json`.
type line struct {
	Time, Agent, Task, Operation, Effect, Verdict string
	Resource                                      json.RawMessage
	DecidedBy                                     string `json:"decided_by"`
	Outcome                                       string
}

// logged returns the log's entries of an operation ("" for all).
func logged(t *testing.T, h *ambittest.Home, operation string) (out []line) {
	t.Helper()
	r := h.Do(t, "log", "--json")
	want(t, r, 0)
	for l := range strings.Lines(r.Stdout) {
		var e line
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatalf("ambit log --json: %v in %q", err, l)
		}
		if operation == "" || e.Operation == operation {
			out = append(out, e)
		}
	}
	return out
}

// verified proves that the log is whole, and that none of the secrets is in
// Ambit's state.
func verified(t *testing.T, h *ambittest.Home, secrets ...ambittest.Canary) {
	t.Helper()
	want(t, h.Do(t, "verify"), 0)
	found, err := ambittest.FindInTree(h.State, append(h.Secrets(), secrets...)...)
	if err != nil {
		t.Error(err)
	}
	for _, f := range found {
		t.Errorf("Ambit's state holds a secret: %s", f)
	}
}
