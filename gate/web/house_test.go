package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ambit"
	"ambit/gate"
	"ambit/pipeline"
)

// The house in memory: a real pipeline with small stages, a real upstream over
// TLS on loopback, and the gate between them and the test's client.

const (
	testHost   = "api.example.com"
	testSecret = "s3cr3t/canary+0123456789"
	fakeValue  = "ambit-placeholder-7Jq2xW9"
	otherFake  = "ambit-placeholder-other-1Kd8"
)

type house struct {
	t        testing.TB
	mu       sync.Mutex // guards decide, live and log.fail between requests
	gate     *Gate
	auth     *Authority
	up       *upstream
	log      *memLog
	alerts   *alertList
	decide   func(a *ambit.Action) ambit.Verdict
	ask      func(q pipeline.Question) (pipeline.Answer, error)
	secret   []byte
	live     error
	resolve  func(ctx context.Context, host string) ([]netip.Addr, error)
	listener net.Listener
}

// memLog is the log: intents, refusals and outcomes.
type memLog struct {
	mu       sync.Mutex
	next     ambit.RecordID
	intents  []pipeline.Intent
	refusals []string
	refused  []ambit.Action
	ends     []pipeline.End
	fail     error
	forget   bool // keep nothing
}

func (l *memLog) Intent(_ context.Context, i pipeline.Intent) (ambit.RecordID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	l.next++
	if !l.forget {
		l.intents = append(l.intents, i)
	}
	return l.next, nil
}

func (l *memLog) Refusal(_ context.Context, i pipeline.Intent, why string) (ambit.RecordID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	l.refusals = append(l.refusals, why+" "+i.Action.Args["refused"])
	l.refused = append(l.refused, i.Action)
	return l.next, nil
}

func (l *memLog) Outcome(_ context.Context, e pipeline.End) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.forget {
		l.ends = append(l.ends, e)
	}
	return nil
}

func (l *memLog) counts() (intents, refusals, ends int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.intents), len(l.refusals), len(l.ends)
}

// intended returns the actions of the intents.
func (l *memLog) intended() []ambit.Action {
	l.mu.Lock()
	defer l.mu.Unlock()
	var as []ambit.Action
	for _, i := range l.intents {
		as = append(as, i.Action)
	}
	return as
}

// text is all that the log holds.
func (l *memLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprint(l.intents, l.refusals, l.refused, l.ends)
}

func (l *memLog) lastRefusal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.refusals) == 0 {
		return ""
	}
	return l.refusals[len(l.refusals)-1]
}

func (l *memLog) lastEnd(t testing.TB) pipeline.End {
	t.Helper()
	var e pipeline.End
	eventually(t, "an outcome", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.ends) == 0 {
			return false
		}
		e = l.ends[len(l.ends)-1]
		return true
	})
	return e
}

type alertList struct {
	mu    sync.Mutex
	kinds []string
}

func (a *alertList) add(_ context.Context, kind string, _ ambit.Action, _ string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kinds = append(a.kinds, kind)
}

func (a *alertList) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kinds = nil
}

func (a *alertList) count(kind string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.kinds {
		if k == kind {
			n++
		}
	}
	return n
}

func (a *alertList) has(kind string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.kinds, kind)
}

// Live is the pipeline's Identity.
func (h *house) Live() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.live
}

// change alters what the house does, between two requests.
func (h *house) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	f()
}

// Decide denies what names no service, and else asks the test.
func (h *house) Decide(a *ambit.Action) ambit.Decision {
	if a.Service == "" {
		return ambit.Decision{By: "no-service", Why: "nothing has this name"}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return ambit.Decision{Verdict: h.decide(a), By: "test.yaml:1:1", Why: "the test says so"}
}

// Remedy names a line.
func (h *house) Remedy(a *ambit.Action) string { return "a line for " + a.Resource.String() }

// Ask puts the question to the test.
func (h *house) Ask(_ context.Context, q pipeline.Question) (pipeline.Answer, error) {
	if h.ask == nil {
		return pipeline.Answer{}, errors.New("nobody is there")
	}
	return h.ask(q)
}

// Mint gives the secret to the service that has one.
func (h *house) Mint(_ context.Context, a *ambit.Action) (ambit.SecretValue, error) {
	if a.Service != "api" {
		return ambit.SecretValue{}, nil
	}
	return ambit.NewSecret(slices.Clone(h.secret)), nil
}

// byMethod classifies by the method alone.
type byMethod struct{ limit int64 }

func (b byMethod) BodyLimit(Request) int64 { return b.limit }

func (b byMethod) Classify(r Request) ([]Call, error) {
	segs := append([]string{place{r.Host, r.Port}.authority(r.Scheme)}, r.Segments...)
	return []Call{{operationOf(r.Method), effectOf(r.Method), ambit.Resource{Kind: "http", Segments: segs}}}, nil
}

type nameTable map[string]string

func (n nameTable) Lookup(a netip.Addr) (string, bool) {
	h, ok := n[a.String()]
	return h, ok
}

type option func(h *house, c *Config)

// newHouse starts an upstream and a gate with one route to it: service "api",
// host api.example.com, on the listener's own port.
func newHouse(t testing.TB, handler http.Handler, opts ...option) *house {
	t.Helper()
	h := &house{t: t, log: &memLog{}, alerts: &alertList{}, secret: []byte(testSecret)}
	h.decide = func(*ambit.Action) ambit.Verdict { return ambit.Allow }
	h.up = newUpstream(t, handler)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.listener = ln
	task := gate.Task{ID: ambit.NewTaskID(), Agent: "tester"}
	pipe, err := pipeline.New(pipeline.Config{Task: task.ID, Agent: task.Agent, Identity: h, Decider: h, Asker: h,
		Recorder: h.log, Minter: h, Freeze: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	if h.auth, err = NewAuthority(task.ID, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	c := Config{Task: task, Do: pipe, Classifier: byMethod{}, Names: nameTable{"127.0.0.1": testHost},
		Resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			if h.resolve == nil {
				return nil, fmt.Errorf("no such host")
			}
			return h.resolve(ctx, host)
		},
		Alert: h.alerts.add, Authority: h.auth,
		// 64 clients at once on a busy machine, with the race detector, take long.
		Limits: Limits{Handshake: patience, HeadTime: patience, DialTime: patience},
		Routes: []Route{{Host: testHost, Port: h.port(), Scheme: HTTPS, Service: "api", Kind: "http", Dial: h.up.addr, Roots: h.up.roots}},
	}
	for _, o := range opts {
		o(h, &c)
	}
	if h.gate, err = New(c); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.gate.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		h.gate.Close()
		if err := <-done; !errors.Is(err, errClosed) {
			t.Errorf("Serve ended with %v", err)
		}
	})
	return h
}

func withCredential(h *house, c *Config) {
	c.Routes[0].HasCredential = true
	c.Routes[0].Inject = Inject{Header: "Authorization", Format: "Bearer {}"}
	c.Placeholders = []Placeholder{{fakeValue, "api"}, {otherFake, "other"}}
}

func (h *house) port() uint16 { return h.listener.Addr().(*net.TCPAddr).AddrPort().Port() }

func (h *house) authority() string { return place{testHost, h.port()}.authority(HTTPS) }

func (h *house) url(path string) string { return "https://" + h.authority() + path }

func (h *house) agentRoots() *x509.CertPool {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(h.auth.Bundle()) {
		h.t.Fatal("the bundle holds no certificate")
	}
	return p
}

// client is an agent's HTTP client, which resolves every name to the gate.
func (h *house) client(protos ...string) *http.Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", h.listener.Addr().String())
		},
		TLSClientConfig:    &tls.Config{RootCAs: h.agentRoots()},
		DisableCompression: true,
		Protocols:          new(http.Protocols),
	}
	if slices.Contains(protos, "h2") {
		tr.Protocols.SetHTTP2(true)
	} else {
		tr.Protocols.SetHTTP1(true)
	}
	h.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// raw opens a TLS connection to the gate as an agent that writes its own bytes.
func (h *house) raw() *tls.Conn {
	h.t.Helper()
	c, err := tls.Dial("tcp", h.listener.Addr().String(), &tls.Config{RootCAs: h.agentRoots(), ServerName: testHost, NextProtos: []string{"http/1.1"}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// patience is how long a test waits for what has to come. A test that passes
// does not wait: it is long, so that a busy machine makes none fail.
const patience = time.Minute

// eventually waits for what happens in another goroutine.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("there was no %s", what)
}

func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}
