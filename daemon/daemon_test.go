package daemon

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ambit"
	"ambit/audit"
	"ambit/config"
	"ambit/console"
	"ambit/daemon/wire"
	"ambit/grants"
	"ambit/identity"
	"ambit/pipeline"
)

// grantsOf is what every agent of these tests may do.
func grantsOf(agent string) string {
	return "agent: " + agent + `
services: {api: {kind: http, host: api.test, credential: {env: X}}}
read:
  - api: /items
write:
  - api: /items
    because: it is the work
ask:
  - api: /items
    operations: [delete]
    because: a person looks first
`
}

func compile(name string, src []byte, workspace, home string, now time.Time) (*grants.Grants, error) {
	k := grants.DefaultKinds()
	k.Workspace, k.Home = workspace, home
	return grants.Load(name, src, k, now)
}

const canary = "canary-7f3a9b-credential"

// patience is how long a test waits for what has to come. A test that passes
// does not wait: it is long, so that a busy machine makes none fail.
const patience = time.Minute

// house is a daemon in this process.
type house struct {
	t    testing.TB
	home config.Home
	stop context.CancelFunc
	done chan error
}

func start(t testing.TB, h config.Home) *house {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	x := &house{t: t, home: h, stop: stop, done: make(chan error, 1)}
	go func() { x.done <- Run(ctx, h, "test", compile) }()
	t.Cleanup(x.end)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if c, err := dial(t.Context(), h.Run(), personSocket); err == nil {
			c.Close()
			return x
		}
		select {
		case err := <-x.done:
			t.Fatalf("the daemon ended: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatal("the daemon does not answer")
	return nil
}

func (x *house) end() {
	x.stop()
	select {
	case err := <-x.done:
		x.done <- err
	case <-time.After(patience):
		x.t.Error("the daemon does not end")
	}
}

func (x *house) desk() *console.Client {
	c, err := LiveDesk(x.t.Context(), x.home)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(c.Close)
	return c
}

// agent is a gatekeeper's side.
type agent struct {
	*Link
	key     *ecdsa.PrivateKey
	got     wire.Enrolled
	revoked chan wire.Revoke
}

func (x *house) enrol(name string) *agent {
	x.t.Helper()
	a, err := x.tryEnrol(name, func(*wire.Enrol) {})
	if err != nil {
		x.t.Fatal(err)
	}
	return a
}

func (x *house) tryEnrol(name string, change func(*wire.Enrol)) (*agent, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	a := &agent{key: key, revoked: make(chan wire.Revoke, 8)}
	e := wire.Enrol{
		Build: "test", Agent: name, OnBehalfOf: "tester", TTL: time.Hour, Command: []string{"true"}, Workspace: "/", CSR: csr,
		Secrets: map[string]wire.Secret{"api": {Kind: "http", Value: []byte(canary)}},
	}
	e.File, e.Grants = "f", []byte(grantsOf(name))
	if f, err := grants.Parse(e.File, e.Grants); err == nil {
		e.Digest = f.Digest()
	}
	change(&e)
	conn, err := dial(x.t.Context(), x.home.Run(), gateSocket)
	if err != nil {
		return nil, err
	}
	sign := func(nonce []byte) ([]byte, error) {
		return identity.Answer(a.key, a.got.TrustDomain, identity.Challenge(nonce))
	}
	p, err := Apply(conn, sign, func(r wire.Revoke) {
		a.revoked <- r
		go a.Close() // as a gatekeeper that ends does
	})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	id, err := p.Task(x.t.Context())
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(x.home.Tasks(), string(id))
	if err := errors.Join(os.Mkdir(folder, 0o700), p.Listen(folder)); err != nil {
		return nil, err
	}
	if err := p.Send(e); err != nil {
		return nil, err
	}
	if a.Link, a.got, err = p.Enrolled(x.t.Context()); err == nil {
		x.t.Cleanup(a.Close)
	}
	return a, err
}

func (a *agent) intent(op string) pipeline.Intent {
	act := ambit.Action{
		Task: a.got.Task, Agent: a.name(), Service: "api", Operation: op, Effect: ambit.Write,
		Resource: ambit.Resource{Kind: "http", Segments: []string{"api.test", "items"}}, Args: map[string]string{"method": "POST"},
	}
	g, _ := act.Digest()
	return pipeline.Intent{Action: act, Digest: g, Decision: ambit.Decision{Verdict: ambit.Allow, By: "f:6:5", Why: "it is the work"}}
}

// name is the agent's, from its identity.
func (a *agent) name() string {
	_, rest, _ := strings.Cut(a.got.SPIFFEID, "/agent/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func newHome(t *testing.T) config.Home {
	t.Helper()
	return config.Home{Dir: filepath.Join(t.TempDir(), "home with spaces and ü")}
}

func TestATaskFromItsEnrolmentToItsEnd(t *testing.T) {
	x := start(t, newHome(t))
	a := x.enrol("worker")
	if !strings.HasPrefix(a.got.SPIFFEID, "spiffe://ambit.local/agent/worker/task/") {
		t.Errorf("identity is %q", a.got.SPIFFEID)
	}
	if p := a.got.Placeholders["api"]; p == "" || strings.Contains(p, canary) {
		t.Errorf("placeholder is %q", p)
	}
	start, err := a.Start(t.Context(), wire.Start{Walls: []byte(`{"x":1}`)})
	if err != nil || start == 0 {
		t.Fatalf("start: %v, %v", start, err)
	}
	id, err := a.Intent(t.Context(), a.intent("http.post"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Mint(t.Context(), &ambit.Action{Service: "api"})
	if err != nil || string(s.Reveal()) != canary {
		t.Fatalf("the lease is %q, %v", s.Reveal(), err)
	}
	if err := a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed, Detail: "200"}); err != nil {
		t.Fatal(err)
	}
	if err := a.End(t.Context(), wire.End{Detail: "the command ended"}); err != nil {
		t.Fatal(err)
	}
	x.end()
	want := []string{"daemon.start", "task.start", "intent", "lease", "outcome", "lease", "task.end"}
	if got := types(t, x.home); !subsequence(want, got) {
		t.Errorf("records are %v, want in this order %v", got, want)
	}
	if _, err := audit.Verify(x.home.Log(), publicKey(t, x.home), audit.VerifyOptions{}); err != nil {
		t.Errorf("verify: %v", err)
	}
	noCanary(t, x.home.Dir)
}

func types(t testing.TB, h config.Home) (out []string) {
	t.Helper()
	for r, err := range audit.Read(h.Log(), 0, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.Type)
	}
	return out
}

func subsequence(want, got []string) bool {
	for _, g := range got {
		if len(want) > 0 && g == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}

func publicKey(t *testing.T, h config.Home) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Log(), "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// noCanary looks for the credential in every file.
func noCanary(t *testing.T, dir string) {
	t.Helper()
	filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte(canary)) {
			t.Errorf("the credential stands in %s", p)
		}
		return nil
	})
}

func TestASecondDaemonIsRefused(t *testing.T) {
	x := start(t, newHome(t))
	if err := Run(t.Context(), x.home, "test", compile); !errors.Is(err, ErrSecond) {
		t.Errorf("got %v, want ErrSecond", err)
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	h := newHome(t)
	if err := h.Make(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{gateSocket, personSocket} {
		if err := os.WriteFile(filepath.Join(h.Run(), s), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start(t, h).enrol("worker")
}

func TestAnotherBuildIsToldSo(t *testing.T) {
	x := start(t, newHome(t))
	_, err := x.tryEnrol("worker", func(e *wire.Enrol) { e.Build = "older" })
	if err == nil || !strings.Contains(err.Error(), "ambit daemon stop") {
		t.Errorf("got %v, want a way out", err)
	}
}

// TestHostileGatekeeper tries what a gatekeeper that was taken over could send.
func TestHostileGatekeeper(t *testing.T) {
	x := start(t, newHome(t))
	a, other := x.enrol("worker"), x.enrol("other")
	forged := a.intent("http.post")
	forged.Action.Task = other.got.Task
	if _, err := a.Intent(t.Context(), forged); err == nil {
		t.Error("an intent in another task's name was recorded")
	}
	forged = a.intent("http.post")
	forged.Action.Agent = "other"
	if _, err := a.Refusal(t.Context(), forged, "x"); err == nil {
		t.Error("a refusal in another agent's name was recorded")
	}
	c := a.conn
	for name, raw := range map[string]string{
		"not canonical": `{"task":"` + string(a.got.Task) + `", "agent":"worker"}`,
		"not an action": `[1,2,3]`,
		"unknown field": `{"agent":"worker","more":1,"task":"` + string(a.got.Task) + `"}`,
	} {
		var r wire.Recorded
		if err := c.Call(t.Context(), wire.MethodIntent, wire.Intent{Action: []byte(raw)}, &r); err == nil {
			t.Errorf("%s: recorded as %v", name, r.Record)
		}
	}
	if err := c.Call(t.Context(), wire.MethodLease, wire.Lease{Service: "not mine"}, nil); err == nil {
		t.Error("a lease for a service of nobody's was given")
	}
	if err := c.Call(t.Context(), wire.MethodEnrol, wire.Enrol{Build: "test", Agent: "x", TTL: time.Hour}, nil); err == nil {
		t.Error("one connection has two tasks")
	}
}

func TestRevokeEndsOneTaskAndNoOther(t *testing.T) {
	x := start(t, newHome(t))
	a, b := x.enrol("worker"), x.enrol("other")
	r, err := x.desk().Revoke(t.Context(), console.Revoke{Target: string(a.got.Task)[:8], Why: "enough"})
	if err != nil || len(r.Tasks) != 1 || r.Tasks[0] != a.got.Task {
		t.Fatalf("revoked %v, %v", r.Tasks, err)
	}
	if got := <-a.revoked; got.Why != "enough" {
		t.Errorf("told %+v", got)
	}
	if a.Live() == nil {
		t.Error("the revoked task is live")
	}
	if _, err := a.Intent(t.Context(), a.intent("http.post")); err == nil {
		t.Error("a revoked task recorded an intent")
	}
	if err := b.Live(); err != nil {
		t.Errorf("the other task: %v", err)
	}
	if _, err := b.Intent(t.Context(), b.intent("http.post")); err != nil {
		t.Errorf("the other task: %v", err)
	}
	if _, err := x.desk().Revoke(t.Context(), console.Revoke{Target: "nobody"}); err == nil {
		t.Error("nobody was revoked without a word")
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// TestNothingPassesThatIsNotRecorded deletes the log under a live daemon.
func TestNothingPassesThatIsNotRecorded(t *testing.T) {
	x := start(t, newHome(t))
	a := x.enrol("worker")
	if _, err := a.Intent(t.Context(), a.intent("http.post")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(x.home.Log()); err != nil {
		t.Fatal(err)
	}
	if id, err := a.Intent(t.Context(), a.intent("http.post")); err == nil {
		t.Errorf("intent %v was acknowledged after the log was deleted", id)
	}
	s, err := x.desk().Status(t.Context())
	if err != nil || s.Trouble == "" {
		t.Errorf("status says %+v, %v: want the trouble", s, err)
	}
	if _, err := x.tryEnrol("late", func(*wire.Enrol) {}); err == nil {
		t.Error("a task began without a log")
	}
}

func TestAQuestionAndItsAnswer(t *testing.T) {
	x := start(t, newHome(t))
	a := x.enrol("worker")
	in := a.intent("http.delete")
	q := pipeline.Question{Action: in.Action, Digest: in.Digest, Decision: ambit.Decision{Verdict: ambit.Ask, By: "f:1:1", Why: "why"}, Preview: "DELETE \x1b[31m/items"}
	answers := make(chan pipeline.Answer, 1)
	go func() {
		ans, err := a.Ask(context.Background(), q)
		if err != nil {
			t.Errorf("ask: %v", err)
		}
		answers <- ans
	}()
	d := x.desk()
	var open []console.Question
	eventually(t, "the question is open", func() bool {
		open, _ = d.Questions(t.Context(), false)
		return len(open) == 1
	})
	if strings.Contains(open[0].Screen, "\x1b") {
		t.Error("the screen carries an escape sequence of the agent's")
	}
	wrong := open[0].Digest
	wrong[0] ^= 1
	if _, err := d.Resolve(t.Context(), console.Resolve{Ticket: open[0].Ticket, Approve: true, Digest: wrong}); err == nil {
		t.Fatal("another digest was approved")
	}
	if _, err := d.Resolve(t.Context(), console.Resolve{Ticket: open[0].Ticket, Approve: true, Digest: open[0].Digest}); err != nil {
		t.Fatal(err)
	}
	if ans := <-answers; !ans.Approved || ans.By == "" {
		t.Errorf("the answer is %+v", ans)
	}
	if _, err := d.Resolve(t.Context(), console.Resolve{Ticket: open[0].Ticket, Approve: true, Digest: open[0].Digest}); err == nil {
		t.Error("a spent question was answered again")
	}
	if got := types(t, x.home); !subsequence([]string{"question", "answer"}, got) {
		t.Errorf("records are %v", got)
	}
}

// The end is recorded while the last answers still go out: what was performed
// must be in the log all the same.
func TestAnOutcomeAfterTheEndIsRecorded(t *testing.T) {
	x := start(t, newHome(t))
	a := x.enrol("worker")
	id, err := a.Intent(t.Context(), a.intent("http.post"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.End(t.Context(), wire.End{Detail: "the command ended"}); err != nil {
		t.Fatal(err)
	}
	if err := a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed, Detail: "200"}); err != nil {
		t.Fatal(err)
	}
	a.Settle(t.Context())
	a.Close()
	x.end()
	r, err := audit.Verify(x.home.Log(), publicKey(t, x.home), audit.VerifyOptions{})
	if err != nil || r.OpenN != 0 {
		t.Errorf("%d intents are open, %v", r.OpenN, err)
	}
}

// An agent that does the worst as its last act leaves an alert behind.
func TestAnAlertBeforeTheEndIsRecorded(t *testing.T) {
	x := start(t, newHome(t))
	for range 20 {
		a := x.enrol("worker")
		a.Alert(t.Context(), wire.Alert{Kind: "placeholder-leak", Detail: string(a.got.Task)})
		if err := a.End(t.Context(), wire.End{Detail: "the command ended"}); err != nil {
			t.Fatal(err)
		}
		a.Close()
	}
	x.end()
	n := 0
	for _, typ := range types(t, x.home) {
		if typ == audit.Alert {
			n++
		}
	}
	if n != 20 {
		t.Errorf("%d of 20 alerts are in the log", n)
	}
}
