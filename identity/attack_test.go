package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// A request can ask for names, for a CA and for usages; only its key is taken.
func TestRequestCannotNameItself(t *testing.T) {
	h := newHouse(t)
	k, _ := newKey(t)
	ca, err := asn1.Marshal(struct {
		CA bool `asn1:"optional"`
	}{true})
	if err != nil {
		t.Fatal(err)
	}
	victim := h.enrol()
	u, _ := url.Parse(victim.Task.SPIFFE)
	e := h.enrol(func(q *Request) {
		q.CSR = csr(t, &x509.CertificateRequest{
			Subject: pkix.Name{CommonName: "root"}, DNSNames: []string{"github.com"}, IPAddresses: []net.IP{{127, 0, 0, 1}}, URIs: []*url.URL{u},
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: ca}},
		}, k)
	})
	c, err := x509.ParseCertificate(e.SVID)
	if err != nil {
		t.Fatal(err)
	}
	if c.IsCA || len(c.DNSNames)+len(c.IPAddresses) != 0 || c.Subject.CommonName != "" || len(c.URIs) != 1 || c.URIs[0].String() != e.Task.SPIFFE {
		t.Errorf("the request named itself: %v %v %v", c.Subject, c.DNSNames, c.URIs)
	}
	_, pub, _ := ed25519.GenerateKey(rand.Reader)
	q, _ := request(t)
	q.CSR = csr(t, &x509.CertificateRequest{}, pub)
	if _, err := h.Enrol(t.Context(), q); err == nil {
		t.Error("an Ed25519 key was enrolled")
	}
}

func TestTokenOutsideItsBounds(t *testing.T) {
	h := newHouse(t)
	e, other := h.enrol(), h.enrol()
	token := func() string {
		t.Helper()
		s, err := h.JWT(e.Task.ID, []string{"vault"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := token()
	refused := func(what, tok, aud string) {
		t.Helper()
		if c, err := h.VerifyJWT(tok, aud); err == nil || c.Task() != "" {
			t.Errorf("%s: accepted as %s", what, c.Subject)
		}
	}
	if _, err := h.VerifyJWT(good, "vault"); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	refused("another audience", good, "github")
	refused("no audience", good, "")
	refused("audience by prefix", good, "vaul")
	parts := strings.Split(good, ".")
	refused("no signature", parts[0]+"."+parts[1]+".", "vault")
	refused("two parts", parts[0]+"."+parts[1], "vault")
	refused("padded", good+strings.Repeat("A", maxJWT), "vault")
	refused("twice", good+good, "vault")

	g := h.root.gens[0]
	now := h.Now()
	claims := Claims{Subject: e.Task.SPIFFE, Audience: jwt.Audience{"vault"}, Expiry: jwt.NewNumericDate(now.Add(time.Minute)), IssuedAt: jwt.NewNumericDate(now)}
	with := func(f func(*Claims)) Claims { c := claims; f(&c); return c }
	mine, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	spki, err := x509.MarshalPKIXPublicKey(g.jwt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.VerifyJWT(signedBy(t, jose.ES256, g.jwtKey, g.kid, claims), "vault"); err != nil {
		t.Fatalf("the attacks below would fail for another reason: %v", err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"` + g.kid + `"}`))
	for name, tok := range map[string]string{
		"another key, our kid":        signedBy(t, jose.ES256, mine, g.kid, claims),
		"another key, its own kid":    signedBy(t, jose.ES256, mine, "mine", claims),
		"our key, no kid":             signedBy(t, jose.ES256, g.jwtKey, "", claims),
		"public key as HMAC secret":   signedBy(t, jose.HS256, spki, g.kid, claims),
		"the root's key":              signedBy(t, jose.ES256, g.key, g.kid, claims),
		"the task's own key":          signedBy(t, jose.ES256, e.key, g.kid, claims),
		"alg none":                    none + "." + parts[1] + ".",
		"no expiry":                   signedBy(t, jose.ES256, g.jwtKey, g.kid, with(func(c *Claims) { c.Expiry = nil })),
		"expired":                     signedBy(t, jose.ES256, g.jwtKey, g.kid, with(func(c *Claims) { c.Expiry = jwt.NewNumericDate(now) })),
		"from tomorrow":               signedBy(t, jose.ES256, g.jwtKey, g.kid, with(func(c *Claims) { c.IssuedAt = jwt.NewNumericDate(now.Add(24 * time.Hour)) })),
		"another trust domain":        signedBy(t, jose.ES256, g.jwtKey, g.kid, with(func(c *Claims) { c.Subject = strings.Replace(c.Subject, domain, "evil.example", 1) })),
		"another agent, our task":     signedBy(t, jose.ES256, g.jwtKey, g.kid, with(func(c *Claims) { c.Subject = strings.Replace(c.Subject, "web-fixer", "admin", 1) })),
		"the trust domain itself":     signedBy(t, jose.ES256, g.jwtKey, g.kid, with(func(c *Claims) { c.Subject = "spiffe://" + domain })),
		"a path behind":               signedBy(t, jose.ES256, g.jwtKey, g.kid, with(func(c *Claims) { c.Subject += "/x" })),
		"signature of another's text": parts[0] + "." + strings.Split(signedBy(t, jose.ES256, mine, g.kid, with(func(c *Claims) { c.Subject = other.Task.SPIFFE })), ".")[1] + "." + parts[2],
	} {
		refused(name, tok, "vault")
	}
	h.pass(DefaultJWTLife)
	refused("used late", good, "vault")
	good = token()
	if err := h.Revoke(t.Context(), e.Task.ID, "ada", ""); err != nil {
		t.Fatal(err)
	}
	refused("after revocation", good, "vault")
	if _, err := h.JWT(e.Task.ID, []string{"vault"}, 0); err == nil {
		t.Error("a revoked task got a token")
	}
	tok, err := h.JWT(other.Task.ID, []string{"vault"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.VerifyJWT(tok, "vault"); err != nil {
		t.Errorf("the other task's token: %v", err)
	}
}

func TestForgedCertificates(t *testing.T) {
	h, evil := newHouse(t), newHouse(t)
	e := h.enrol()
	foreign := evil.enrol()
	u, _ := url.Parse(e.Task.SPIFFE)
	mine, _ := newKey(t)
	g := h.root.gens[0]
	leaf := func(f func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: h.Now().Add(-time.Minute), NotAfter: h.Now().Add(time.Hour), URIs: []*url.URL{u},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true}
		if f != nil {
			f(c)
		}
		return c
	}
	sign := func(c, parent *x509.Certificate, pub any, key any) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	svid, err := x509.ParseCertificate(e.SVID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.VerifyX509(sign(leaf(nil), g.cert, e.key.Public(), g.key)); err != nil {
		t.Fatalf("the attacks below would fail for another reason: %v", err)
	}
	for name, der := range map[string][]byte{
		"another authority's": foreign.SVID,
		"signed by itself":    sign(leaf(nil), leaf(nil), mine.Public(), mine),
		"signed by a task":    sign(leaf(nil), svid, mine.Public(), e.key),
		"another key":         sign(leaf(nil), g.cert, mine.Public(), g.key),
		"two names": sign(leaf(func(c *x509.Certificate) {
			c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: domain, Path: "/agent/admin/task/" + string(e.Task.ID)})
		}), g.cert, e.key.Public(), g.key),
		"a CA": sign(leaf(func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		}), g.cert, e.key.Public(), g.key),
		"a CA that says it signs nothing": sign(leaf(func(c *x509.Certificate) { c.IsCA = true }), g.cert, e.key.Public(), g.key),
		"expired": sign(leaf(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = h.Now().Add(-time.Hour), h.Now().Add(-time.Minute)
		}), g.cert, e.key.Public(), g.key),
		"the root": g.cert.Raw, "nothing": nil, "huge": make([]byte, 1<<20), "text": []byte("hello"),
	} {
		if task, err := h.VerifyX509(der); err == nil {
			t.Errorf("%s: accepted as %s", name, task.SPIFFE)
		}
	}
	if err := h.End(t.Context(), e.Task.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := h.VerifyX509(e.SVID); err == nil {
		t.Error("accepted after the task")
	}
}

func TestProofOfPossession(t *testing.T) {
	h := newHouse(t)
	e, other := h.enrol(), h.enrol()
	h.open() // the daemon was started again
	challenge := func() Challenge {
		t.Helper()
		c, err := h.Challenge()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	answer := func(k crypto.Signer, td string, c Challenge) []byte {
		t.Helper()
		s, err := Answer(k, td, c)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	c := challenge()
	good := answer(e.key, domain, c)
	if task, err := h.Prove(c, e.SVID, good); err != nil || task.ID != e.Task.ID {
		t.Fatalf("the honest one: %v", err)
	}
	refused := func(what string, c Challenge, svid, sig []byte) {
		t.Helper()
		if task, err := h.Prove(c, svid, sig); err == nil {
			t.Errorf("%s: accepted as %s", what, task.SPIFFE)
		}
	}
	refused("the same answer again", c, e.SVID, good)
	refused("a challenge of its own", Challenge{1}, e.SVID, answer(e.key, domain, Challenge{1}))
	c = challenge()
	refused("a stolen certificate without its key", c, e.SVID, answer(other.key, domain, c))
	refused("a second attempt at one challenge", c, e.SVID, answer(e.key, domain, c))
	c = challenge()
	refused("another trust domain's answer", c, e.SVID, answer(e.key, "evil.example", c))
	c = challenge()
	raw := sha256.Sum256(c[:])
	bare, err := e.key.Sign(rand.Reader, raw[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	refused("a signature made for something else", c, e.SVID, bare)
	for _, sig := range [][]byte{nil, {0}, make([]byte, 1<<16)} {
		refused("no signature", challenge(), e.SVID, sig)
	}
	c = challenge()
	h.pass(challengeLife)
	refused("a late answer", c, e.SVID, answer(e.key, domain, c))
	c = challenge()
	if err := h.Revoke(t.Context(), e.Task.ID, "ada", ""); err != nil {
		t.Fatal(err)
	}
	refused("after revocation", c, e.SVID, answer(e.key, domain, c))
	c = challenge()
	if _, err := h.Prove(c, other.SVID, answer(other.key, domain, c)); err != nil {
		t.Errorf("the other task: %v", err)
	}
}

func TestChallengesAreBound(t *testing.T) {
	h := newHouse(t)
	n := 0
	for ; n <= maxChallenges; n++ {
		if _, err := h.Challenge(); err != nil {
			break
		}
	}
	if n != maxChallenges {
		t.Errorf("%d challenges were open at once", n)
	}
	h.pass(challengeLife)
	if _, err := h.Challenge(); err != nil {
		t.Errorf("after they ran out: %v", err)
	}
}

// A gatekeeper that was taken over asks for tokens with which it would speak
// for its task elsewhere.
func TestTokensForOtherAudiences(t *testing.T) {
	h := newHouse(t)
	e := h.enrol(func(q *Request) { q.Audiences = []string{"vault"} })
	none := h.enrol(func(q *Request) { q.Audiences = nil })
	again := func() {
		for _, aud := range [][]string{{"https://sts.example"}, {"vault", "https://sts.example"}, {"Vault"}, {"vault/"}} {
			if tok, err := h.JWT(e.Task.ID, aud, 0); err == nil {
				t.Errorf("a token for %q: %s", aud, tok)
			}
		}
		if _, err := h.JWT(none.Task.ID, []string{"vault"}, 0); err == nil {
			t.Error("a token for a task that was granted none")
		}
		if _, err := h.JWT(e.Task.ID, []string{"vault"}, 0); err != nil {
			t.Error(err)
		}
	}
	again()
	h.open()
	again()
	q, _ := request(t)
	childOf(e)(&q)
	q.Audiences = []string{"vault", "https://sts.example"}
	if _, err := h.Enrol(t.Context(), q); err == nil || !strings.Contains(err.Error(), "sts.example") {
		t.Errorf("a child got an audience that its parent has not: %v", err)
	}
	q.Audiences = []string{"vault"}
	if _, err := h.Enrol(t.Context(), q); err != nil {
		t.Error(err)
	}
	q, _ = request(t)
	q.Audiences = []string{"a b"}
	if _, err := h.Enrol(t.Context(), q); err == nil {
		t.Error("an audience that is no audience")
	}
}
