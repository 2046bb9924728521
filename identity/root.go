package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	rootFile   = "authority.json"
	rootLife   = 365 * 24 * time.Hour
	rollBefore = 2 * MaxTTL // so that no task outlives its root
	backdate   = time.Minute
)

// root is the authority's keys: the first generation signs, the others are
// trusted until they expire and have no private keys any more.
type root struct {
	sequence uint64
	gens     []generation
}

type generation struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey // nil when retired
	jwt    *ecdsa.PublicKey
	jwtKey *ecdsa.PrivateKey // nil when retired
	kid    string            // of jwt: RFC 7638 thumbprint
}

// rootJSON is the file. Keys are PKCS #8 and public keys PKIX, in DER.
type rootJSON struct {
	TrustDomain string           `json:"trust_domain"`
	Sequence    uint64           `json:"sequence"`
	Generations []generationJSON `json:"generations"`
}

type generationJSON struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key,omitempty"`
	JWTPublic   []byte `json:"jwt_public"`
	JWTKey      []byte `json:"jwt_key,omitempty"`
}

// openRoot loads the root, making one when there is none and a new generation
// when the current one ends soon.
func openRoot(dir string, td spiffeid.TrustDomain, now time.Time) (root, error) {
	path := filepath.Join(dir, rootFile)
	r, err := loadRoot(path, td)
	if errors.Is(err, fs.ErrNotExist) {
		var fresh root
		if fresh, err = r.roll(td, now); err != nil {
			return root{}, err
		}
		err = fresh.save(path, td, true)
		if err == nil || errors.Is(err, fs.ErrExist) {
			r, err = loadRoot(path, td) // another daemon may have been first
		}
	}
	if err != nil {
		return root{}, fmt.Errorf("cannot open the authority's root %s: %w", path, err)
	}
	return r.fresh(path, td, now)
}

// fresh rolls r over when its current generation ends soon.
func (r root) fresh(path string, td spiffeid.TrustDomain, now time.Time) (root, error) {
	if now.Add(rollBefore).Before(r.gens[0].cert.NotAfter) {
		return r, nil
	}
	next, err := r.roll(td, now)
	if err == nil {
		err = next.save(path, td, false)
	}
	if err != nil {
		return root{}, fmt.Errorf("cannot roll the authority's root %s over: %w", path, err)
	}
	return next, nil
}

// roll returns r with a new generation in front and the private keys of the
// others gone.
func (r root) roll(td spiffeid.TrustDomain, now time.Time) (root, error) {
	g, err := newGeneration(td, now)
	if err != nil {
		return root{}, err
	}
	next := root{sequence: r.sequence + 1, gens: []generation{g}}
	for _, old := range r.gens {
		if now.Before(old.cert.NotAfter) {
			old.key, old.jwtKey = nil, nil
			next.gens = append(next.gens, old)
		}
	}
	return next, nil
}

func newGeneration(td spiffeid.TrustDomain, now time.Time) (g generation, err error) {
	if g.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return g, err
	}
	if g.jwtKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return g, err
	}
	// X.509-SVID section 4: a signing certificate has no path, a CA's basic
	// constraints and only the usages of signing.
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Ambit authority", Organization: []string{td.Name()}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(rootLife),
		URIs:     []*url.URL{td.ID().URL()},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, g.key.Public(), g.key)
	if err != nil {
		return g, err
	}
	if g.cert, err = x509.ParseCertificate(der); err != nil {
		return g, err
	}
	g.jwt = &g.jwtKey.PublicKey
	g.kid, err = keyID(g.jwt)
	return g, err
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])         // never fails
	b[0] = b[0]&0x7f | 0x40 // positive, and never short (RFC 5280 section 4.1.2.2)
	return new(big.Int).SetBytes(b[:])
}

// keyID is the JWK thumbprint (RFC 7638).
func keyID(k *ecdsa.PublicKey) (string, error) {
	jwk := jose.JSONWebKey{Key: k}
	b, err := jwk.Thumbprint(crypto.SHA256)
	return fmt.Sprintf("%x", b), err
}

func loadRoot(path string, td spiffeid.TrustDomain) (root, error) {
	b, err := readOwn(path)
	if err != nil {
		return root{}, err
	}
	r, err := parseRoot(b, td)
	if err != nil {
		return root{}, fmt.Errorf("%w: move it away to begin a new one; live tasks then end", err)
	}
	return r, nil
}

func parseRoot(b []byte, td spiffeid.TrustDomain) (root, error) {
	var f rootJSON
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return root{}, fmt.Errorf("the file is damaged: %w", err)
	}
	if f.TrustDomain != td.Name() {
		return root{}, fmt.Errorf("it is of trust domain %q, not %q", f.TrustDomain, td.Name())
	}
	if len(f.Generations) == 0 || len(f.Generations) > 16 {
		return root{}, fmt.Errorf("the file is damaged: %d generations", len(f.Generations))
	}
	r := root{sequence: f.Sequence}
	for i, j := range f.Generations {
		g, err := j.parse(td, i == 0)
		if err != nil {
			return root{}, fmt.Errorf("the file is damaged: generation %d: %w", i+1, err)
		}
		r.gens = append(r.gens, g)
	}
	return r, nil
}

func (j generationJSON) parse(td spiffeid.TrustDomain, current bool) (g generation, err error) {
	if g.cert, err = x509.ParseCertificate(j.Certificate); err != nil {
		return g, err
	}
	if !g.cert.IsCA || len(g.cert.URIs) != 1 || g.cert.URIs[0].String() != td.IDString() {
		return g, errors.New("its certificate is not this trust domain's")
	}
	if g.jwt, err = parsePublic(j.JWTPublic); err != nil {
		return g, err
	}
	if g.kid, err = keyID(g.jwt); err != nil {
		return g, err
	}
	if !current {
		return g, nil
	}
	if g.key, err = parseKey(j.Key, g.cert.PublicKey); err != nil {
		return g, err
	}
	g.jwtKey, err = parseKey(j.JWTKey, g.jwt)
	return g, err
}

func parseKey(der []byte, public crypto.PublicKey) (*ecdsa.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	e, ok := k.(*ecdsa.PrivateKey)
	if !ok || e.Curve != elliptic.P256() || !e.PublicKey.Equal(public) {
		return nil, errors.New("a private key does not belong to its public key")
	}
	return e, nil
}

// parsePublic reads a P-256 public key (PKIX, DER).
func parsePublic(der []byte) (*ecdsa.PublicKey, error) {
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	e, ok := k.(*ecdsa.PublicKey)
	if !ok || e.Curve != elliptic.P256() {
		return nil, errors.New("a public key is not ECDSA P-256")
	}
	return e, nil
}
