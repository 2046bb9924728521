package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"ambit"
	"ambit/store"
	"ambit/store/row"
)

const domain = "acme.example"

// house is an authority with its store and a clock that the test moves.
type house struct {
	*Authority
	t     *testing.T
	dir   string
	store *faulty
	mu    sync.Mutex
	now   time.Time
}

// faulty is the real store with faults.
type faulty struct {
	*store.Store
	fail error
	busy chan struct{} // the end of a task is not kept before it is closed
}

func (f *faulty) AddTask(ctx context.Context, t row.Task) error {
	if f.fail != nil {
		return f.fail
	}
	return f.Store.AddTask(ctx, t)
}

func (f *faulty) EndTask(ctx context.Context, id ambit.TaskID, e row.TaskEnd) error {
	if f.busy != nil {
		<-f.busy
	}
	if f.fail != nil {
		return f.fail
	}
	return f.Store.EndTask(ctx, id, e)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), now: time.Now().UTC().Truncate(time.Second)}
	h.open()
	return h
}

// open starts the authority, or starts it again as after a crash.
func (h *house) open() {
	h.t.Helper()
	h.store = &faulty{Store: store.New(filepath.Join(h.dir, "state.db"))}
	h.t.Cleanup(func() { h.store.Close() })
	var err error
	h.Authority, err = Open(h.t.Context(), Config{Dir: h.dir, TrustDomain: domain, Store: h.store, Clock: h.clock})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func newKey(t testing.TB) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k, csr(t, &x509.CertificateRequest{}, k)
}

func csr(t testing.TB, r *x509.CertificateRequest, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, r, k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func request(t testing.TB) (Request, *ecdsa.PrivateKey) {
	k, der := newKey(t)
	return Request{Agent: "web-fixer", Owner: "payments@acme.example", Purpose: "fix tests", OnBehalfOf: "ada", TTL: time.Hour, CSR: der,
		Command: []string{"claude"}, Workspace: "/home/ada/web", PID: 7, Grants: ambit.Digest{1},
		Audiences: []string{"vault", "https://sts.example", "a"}}, k
}

type enrolled struct {
	Enrolment
	key *ecdsa.PrivateKey
}

func (h *house) enrol(change ...func(*Request)) enrolled {
	h.t.Helper()
	q, k := request(h.t)
	for _, f := range change {
		f(&q)
	}
	e, err := h.Enrol(h.t.Context(), q)
	if err != nil {
		h.t.Fatal(err)
	}
	return enrolled{e, k}
}

func childOf(p enrolled) func(*Request) {
	return func(q *Request) { q.Parent, q.OnBehalfOf = p.Task.ID, "" }
}

func (h *house) wantLive(what string, want bool, es ...enrolled) {
	h.t.Helper()
	for _, e := range es {
		err := h.Live(e.Task.ID)
		if (err == nil) != want || err != nil && !errors.Is(err, ErrNotLive) {
			h.t.Errorf("%s: Live = %v, want live %v", what, err, want)
		}
	}
}

// bundle is the exported one, read by the reference implementation.
func (h *house) bundle() *spiffebundle.Bundle {
	h.t.Helper()
	b, err := h.Bundle()
	if err != nil {
		h.t.Fatal(err)
	}
	td := spiffeid.RequireTrustDomainFromString(domain)
	s, err := spiffebundle.Parse(td, b.JWKS)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func TestSVIDIsOneToOthers(t *testing.T) {
	h := newHouse(t)
	h.pass(700 * time.Millisecond)
	e := h.enrol()
	id, chain, err := x509svid.ParseAndVerify([][]byte{e.SVID}, h.bundle(), x509svid.WithTime(h.clock()))
	if err != nil {
		t.Fatal(err)
	}
	if want := "spiffe://acme.example/agent/web-fixer/task/" + string(e.Task.ID); id.String() != want || e.Task.SPIFFE != want {
		t.Errorf("SPIFFE ID %s and %s, want %s", id, e.Task.SPIFFE, want)
	}
	c := chain[0][0]
	if c.NotAfter.After(e.Task.Expires) || c.NotBefore.Before(e.Task.Started.Add(-time.Minute-time.Second)) || !e.Task.Expires.Equal(e.Task.Started.Add(time.Hour)) {
		t.Errorf("valid %v to %v, the task %v to %v", c.NotBefore, c.NotAfter, e.Task.Started, e.Task.Expires)
	}
	if c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.URIs) != 1 || len(c.DNSNames)+len(c.EmailAddresses)+len(c.IPAddresses) != 0 ||
		c.Subject.String() != "" || c.PublicKeyAlgorithm != x509.ECDSA || !e.key.PublicKey.Equal(c.PublicKey) {
		t.Errorf("more than an identity: %+v", c)
	}
	got, err := h.VerifyX509(e.SVID)
	if err != nil || cmp.Diff(e.Task, got) != "" {
		t.Errorf("VerifyX509: %v\n%s", err, cmp.Diff(e.Task, got))
	}
	kept, err := h.store.Task(t.Context(), e.Task.ID)
	if err != nil || cmp.Diff(e.Task, kept) != "" {
		t.Errorf("kept: %v\n%s", err, cmp.Diff(e.Task, kept))
	}
}

func TestJWTIsOneToOthers(t *testing.T) {
	h := newHouse(t)
	p := h.enrol()
	c := h.enrol(childOf(p), func(q *Request) { q.Agent = "reader" })
	token, err := h.JWT(c.Task.ID, []string{"vault", "https://sts.example"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jwtsvid.ParseAndValidate(token, h.bundle(), []string{"vault"})
	if err != nil {
		t.Fatal(err)
	}
	if s.ID.String() != c.Task.SPIFFE || s.Expiry.After(h.clock().Add(DefaultJWTLife)) {
		t.Errorf("sub %s exp %v", s.ID, s.Expiry)
	}
	claims, err := h.VerifyJWT(token, "https://sts.example")
	if err != nil || claims.Task() != c.Task.ID || len(claims.ID) != 32 {
		t.Fatalf("VerifyJWT: %+v, %v", claims, err)
	}
	want := &Actor{Subject: p.Task.SPIFFE, OnBehalf: &Actor{Subject: "ada"}}
	if d := cmp.Diff(want, claims.OnBehalf); d != "" {
		t.Errorf("act: %s", d)
	}
	h.pass(58 * time.Minute)
	token, err = h.JWT(p.Task.ID, []string{"vault"}, MaxJWTLife)
	if err != nil {
		t.Fatal(err)
	}
	if claims, err = h.VerifyJWT(token, "vault"); err != nil || claims.Expiry.Time().After(p.Task.Expires) {
		t.Errorf("a token ends %v, its task %v (%v)", claims.Expiry.Time(), p.Task.Expires, err)
	}
	for _, bad := range [][]string{nil, {""}, {"a b"}, {strings.Repeat("a", 300)}, {"a\n"}, make([]string, 9)} {
		if _, err := h.JWT(p.Task.ID, bad, 0); err == nil {
			t.Errorf("a token for %q", bad)
		}
	}
	for _, life := range []time.Duration{-1, MaxJWTLife + 1} {
		if _, err := h.JWT(p.Task.ID, []string{"a"}, life); err == nil {
			t.Errorf("a token for %v", life)
		}
	}
}

func TestEnrolRefuses(t *testing.T) {
	h := newHouse(t)
	_, good := newKey(t)
	tampered := append([]byte(nil), good...)
	tampered[len(tampered)-1] ^= 1
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*Request){
		"no name":             func(q *Request) { q.Agent = "" },
		"upper case":          func(q *Request) { q.Agent = "Web" },
		"path":                func(q *Request) { q.Agent = "a/../b" },
		"dots":                func(q *Request) { q.Agent = ".." },
		"homoglyph":           func(q *Request) { q.Agent = "wеb" },
		"65 bytes":            func(q *Request) { q.Agent = strings.Repeat("a", 65) },
		"no life":             func(q *Request) { q.TTL = 0 },
		"negative life":       func(q *Request) { q.TTL = -time.Second },
		"endless life":        func(q *Request) { q.TTL = MaxTTL + 1 },
		"escape in purpose":   func(q *Request) { q.Purpose = "x\x1b[2J" },
		"bidi in person":      func(q *Request) { q.OnBehalfOf = "ada\u202e" },
		"not UTF-8":           func(q *Request) { q.Owner = "\xff" },
		"long purpose":        func(q *Request) { q.Purpose = strings.Repeat("x", 1025) },
		"no key":              func(q *Request) { q.CSR = nil },
		"no request":          func(q *Request) { q.CSR = []byte("hello") },
		"huge":                func(q *Request) { q.CSR = make([]byte, 1<<20) },
		"another's key":       func(q *Request) { q.CSR = tampered },
		"another curve":       func(q *Request) { q.CSR = csr(t, &x509.CertificateRequest{}, p384) },
		"parent unknown":      func(q *Request) { q.Parent = ambit.NewTaskID() },
		"parent no task's id": func(q *Request) { q.Parent = "x" },
	} {
		q, _ := request(t)
		f(&q)
		if _, err := h.Enrol(t.Context(), q); err == nil || !strings.HasPrefix(err.Error(), "cannot ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l := h.Tasks(); len(l) != 0 {
		t.Errorf("and yet %d tasks live", len(l))
	}
	if l, err := h.store.RecentTasks(t.Context(), "", 10); err != nil || len(l) != 0 {
		t.Errorf("and yet %d tasks are kept (%v)", len(l), err)
	}
}

func TestStoreThatFailsGivesNoIdentity(t *testing.T) {
	h := newHouse(t)
	h.store.fail = errors.New("the disk is full")
	q, _ := request(t)
	if e, err := h.Enrol(t.Context(), q); err == nil || e.SVID != nil || len(h.Tasks()) != 0 {
		t.Errorf("enrolled without a store: %v", err)
	}
	h.store.fail = nil
	h.enrol()
}

func TestZeroAuthorityRefuses(t *testing.T) {
	for _, a := range []*Authority{nil, {}} {
		q, _ := request(t)
		_, e1 := a.Enrol(t.Context(), q)
		_, e2 := a.VerifyJWT("x", "y")
		_, e3 := a.VerifyX509(nil)
		_, e4 := a.Challenge()
		_, e5 := a.Prove(Challenge{}, nil, nil)
		_, e6 := a.JWT("x", []string{"y"}, 0)
		_, e7 := a.Bundle()
		_, e8 := a.RevokeAgent(t.Context(), "a", "b", "")
		_, e9 := a.Introduce("x", Nonce{})
		for i, err := range []error{a.Live("x"), e1, e2, e3, e4, e5, e6, e7, e8, e9, a.Revoke(t.Context(), "x", "y", ""), a.Sweep(t.Context())} {
			if err == nil {
				t.Errorf("%d: allowed", i)
			}
		}
		if _, ok := a.Task("x"); ok || a.Tasks() != nil {
			t.Error("knows tasks")
		}
	}
}

// signedBy makes a token with claims of the attacker's choice.
func signedBy(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, claims any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
	if err != nil {
		t.Fatal(err)
	}
	out, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
