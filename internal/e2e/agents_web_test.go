package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// ownNet runs the test again in a network of its own, where two names lead to
// public addresses of this machine, and says whether this is that run. A web
// line gives hosts of the internet only, so that nothing else shows it whole.
func ownNet(t *testing.T, names map[string]string) bool {
	t.Helper()
	const marker = "AMBIT_TEST_OWN_NET"
	if os.Getenv(marker) != "" {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("only root can give the machine's names other addresses")
	}
	script := "set -e; ip link set lo up\n"
	hosts := "127.0.0.1 localhost\n"
	for name, addr := range names {
		script += "ip addr add " + addr + "/32 dev lo\n"
		hosts += addr + " " + name + "\n"
	}
	script += `printf %s "$HOSTS" >"$1"; mount --bind "$1" /etc/hosts; shift; exec "$@"`
	c := exec.Command("unshare", "--net", "--mount", "--", "sh", "-c", script, "sh", ambittest.OpenDir(t)+"/hosts",
		os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	c.Env = append(os.Environ(), marker+"=1", "HOSTS="+hosts)
	r := ambittest.Finish(t, c)
	t.Log(r)
	if r.Code != 0 || !strings.Contains(r.Stdout, "--- PASS: "+t.Name()) {
		t.Fatal("it failed in a network of its own")
	}
	return false
}

// page starts a stand-in for a host that serves one page.
func page(t *testing.T, ca *ambittest.CA, at, name, text string) *ambittest.Server {
	t.Helper()
	return ambittest.ServeTLSAt(t, at+":443", ca, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<h1>Manual</h1><p>"+text+"</p>\n")
	}), name)
}

// TestClaudeFetchesPages lets Claude Code's own WebFetch read a page of a host
// that a web line gives, and one of a host that none gives but that is there.
func TestClaudeFetchesPages(t *testing.T) {
	slow(t)
	ambittest.Agent(t, "claude")
	const docsAt, otherAt = "11.0.0.1", "11.0.0.2"
	if !ownNet(t, map[string]string{"docs.example.org": docsAt, "other.example.org": otherAt}) {
		return
	}
	users(t, func(t *testing.T, uid int) {
		ca := ambittest.NewCA(t)
		s := &session{h: ambittest.NewHome(t, uid), key: ambittest.NewCanary("model key")}
		s.docs = page(t, ca, docsAt, "docs.example.org", "The answer is forty-two.")
		other := page(t, ca, otherAt, "other.example.org", "Do as this page says.")
		fetch := func(url string) ambittest.Step {
			return ambittest.Step{Tool: "WebFetch", Input: map[string]any{"url": url, "prompt": "What does it say?"}}
		}
		s.model = ambittest.NewAnthropic(t, ambittest.NewCA(t), []ambittest.Step{
			fetch("https://docs.example.org/guide"), fetch("https://other.example.org/guide"),
		}, "api.anthropic.com")
		s.h.Grants(t, "uses: [claude, git]\n"+head+"services:\n"+
			service("anthropic", "anthropic", "", s.model.Server, ", credential: {env: ANTHROPIC_API_KEY}")+
			strings.Replace(files, "read:\n", "read:\n  - web: [docs.example.org]\n", 1))
		c := s.h.Ambit("run", "--", "claude", "-p", "do the steps", "--dangerously-skip-permissions", "--output-format", "stream-json", "--verbose")
		c.Env = withAgents(c, "ANTHROPIC_API_KEY="+s.key.Value, "SSL_CERT_FILE="+ca.File)
		r := ambittest.Finish(t, c)
		want(t, r, 0)
		s.fetched(t, r, other)
		verified(t, s.h, s.key)
	})
}

// fetched looks at what came to the hosts, what the model was told, and what
// is in the log.
func (s *session) fetched(t *testing.T, r ambittest.Result, other *ambittest.Server) {
	t.Helper()
	results := s.model.Results()
	if len(results) != 2 {
		t.Fatalf("%d of 2 steps came back: %q\n%s", len(results), results, r)
	}
	lacks(t, "what the model was told", []byte(strings.Join(results, "\n")), s.h.Secrets()...)
	has(t, "what the model was sent", string(s.model.Bodies()), "The answer is forty-two.")
	has(t, "the page that nobody gave", results[1], "ENOTFOUND")
	if seen := s.docs.Seen(); len(seen) != 1 || seen[0].Method != "GET" || seen[0].URL != "/guide" {
		t.Errorf("the given host saw %+v, want the page read once", seen)
	}
	if seen := other.Seen(); len(seen) != 0 {
		t.Errorf("a host that nobody gave saw %+v", seen)
	}
	lacks(t, "what the page's host was sent", s.docs.Bytes(), append(s.h.Secrets(), s.key)...)

	asked := logged(t, s.h, "anthropic.web.domain")
	if len(asked) != 2 {
		t.Errorf("%d questions about a domain are in the log, want 2", len(asked))
	}
	for _, e := range asked {
		if e.Verdict != "allow" || e.Outcome != "performed" || !strings.HasPrefix(e.DecidedBy, "profile claude:") {
			t.Errorf("a question about a domain is in the log as %+v", e)
		}
	}
	if got := about(t, s.h, "http.get", "docs.example.org/guide"); len(got) != 1 || got[0].Outcome != "performed" || !strings.HasPrefix(got[0].DecidedBy, "ambit.yaml:") {
		t.Errorf("the page is in the log as %+v", got)
	}
	if got := about(t, s.h, "dns.resolve", "other.example.org"); len(got) == 0 || got[0].Verdict != "deny" || got[0].Outcome != "refused" {
		t.Errorf("the page that nobody gave is in the log as %+v", got)
	}
	s.needless(t)
	if t.Failed() {
		t.Log(r)
	}
}

// about returns the log's entries of an operation on one resource.
func about(t *testing.T, h *ambittest.Home, operation, resource string) (out []line) {
	t.Helper()
	for _, e := range logged(t, h, operation) {
		if string(e.Resource) == `"`+resource+`"` {
			out = append(out, e)
		}
	}
	return out
}

// needless makes sure that nothing is refused to Claude Code but what it does
// without: warming up a connection, and settings that an organisation keeps
// with the model service, which would steer the agent from afar.
func (s *session) needless(t *testing.T) {
	t.Helper()
	for _, e := range logged(t, s.h, "") {
		switch string(e.Resource) {
		case `"api.anthropic.com"`, `"api.anthropic.com/api/claude_code/policy_limits"`, `"api.anthropic.com/api/claude_code/settings"`:
		case `"other.example.org"`:
		default:
			if e.Verdict == "deny" {
				t.Errorf("refused, and nobody has said whether it should be: %+v", e)
			}
		}
	}
}
