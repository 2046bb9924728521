package github

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ambit/broker"
)

// Times of an App's token: GitHub takes none that ends more than ten minutes from
// its own clock's now, and asks for a minute of room for clocks that differ.
const (
	jwtBack = time.Minute
	jwtLife = 9 * time.Minute // from now
	maxSkew = time.Hour       // of clocks; beyond it somebody must set one
	maxKey  = 16 << 10        // bytes of PEM
	minBits = 2048
)

// key reads the App's private key. The caller wipes it.
func (p *Provider) key(ctx context.Context) (*rsa.PrivateKey, error) {
	b, err := p.c.Key.Read(ctx)
	defer clear(b)
	if err == nil {
		var k *rsa.PrivateKey
		if k, err = parseKey(b); err == nil {
			return k, nil
		}
	}
	return nil, fmt.Errorf("its key, %v: %w", p.c.Key, err)
}

// parseKey reads an RSA key in PEM, as GitHub hands it out (PKCS #1) or in PKCS #8.
// No error holds any of it.
func parseKey(b []byte) (*rsa.PrivateKey, error) {
	if len(b) > maxKey {
		return nil, fmt.Errorf("it has more than %d bytes", maxKey)
	}
	block, rest := pem.Decode(b)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it is not one private key in PEM: use the file that GitHub gave when the key was made")
	}
	defer clear(block.Bytes)
	k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		other, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		var ok bool
		if k, ok = other.(*rsa.PrivateKey); err != nil || !ok {
			return nil, errors.New("it is not an RSA private key: use the file that GitHub gave when the key was made")
		}
	}
	if k.N.BitLen() < minBits {
		return nil, fmt.Errorf("it has %d bits: make a new one at GitHub", k.N.BitLen())
	}
	return k, nil
}

// wipeKey overwrites the secret numbers, as far as the library lets one.
func wipeKey(k *rsa.PrivateKey) {
	clear(k.D.Bits())
	for _, q := range k.Primes {
		clear(q.Bits())
	}
}

// jwt signs the App's own token for GitHub's time now.
func (p *Provider) jwt(k *rsa.PrivateKey) (string, error) {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("its key cannot sign: %w", err)
	}
	now := p.now().Add(p.ahead())
	return jwt.Signed(s).Claims(jwt.Claims{
		Issuer: strconv.FormatInt(p.c.App, 10), IssuedAt: jwt.NewNumericDate(now.Add(-jwtBack)), Expiry: jwt.NewNumericDate(now.Add(jwtLife)),
	}).Serialize()
}

// ahead is how far GitHub's clock was found to be ahead of this one.
func (p *Provider) ahead() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.skew
}

// adjust takes over GitHub's clock from an answer, and says whether that changes
// what is signed.
func (p *Provider) adjust(a answer) (bool, error) {
	if a.date.IsZero() {
		return false, nil
	}
	skew := a.date.Sub(p.now()).Round(time.Second)
	if skew.Abs() > maxSkew {
		return false, fmt.Errorf("this machine's clock and GitHub's differ by %v: set the clock", skew.Abs())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := (skew - p.skew).Abs() > jwtBack/2
	if changed {
		p.skew = skew
	}
	return changed, nil
}

// KeyValue is a private key that came over with the task; name says from where.
type KeyValue struct {
	name string
	mu   sync.Mutex
	b    []byte
}

// Key returns a private key itself, which it takes over and wipes when the task
// ends. What is no key is an error at once, so that the task does not start with
// it.
func Key(name string, pem []byte) (*KeyValue, error) {
	k, err := parseKey(pem)
	if err != nil {
		clear(pem)
		return nil, fmt.Errorf("cannot use the key of a GitHub App from %.64q: %w", name, err)
	}
	wipeKey(k)
	return &KeyValue{name: name, b: pem}, nil
}

var _ broker.Source = (*KeyValue)(nil)

// Read implements [broker.Source].
func (v *KeyValue) Read(context.Context) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.b == nil {
		return nil, errors.New("it was wiped")
	}
	return bytes.Clone(v.b), nil
}

// String implements [broker.Source].
func (v *KeyValue) String() string { return fmt.Sprintf("what %.64q gave", v.name) }

// Wipe implements [broker.Source].
func (v *KeyValue) Wipe() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.b)
	v.b = nil
}

// Format keeps the key out of every verb.
func (v *KeyValue) Format(f fmt.State, _ rune) { fmt.Fprint(f, v.String()) }
