package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// maxSVID bounds a certificate, in bytes; one of ours has some 500.
const maxSVID = 16 << 10

// VerifyX509 accepts the X.509-SVID (DER) of a task that is live now and
// returns the task. It says nothing of who holds the key: that is TLS's part,
// or [Authority.Prove]'s.
func (a *Authority) VerifyX509(der []byte) (Task, error) {
	if err := a.usable(); err != nil {
		return Task{}, err
	}
	t, _, err := a.verifyX509(der)
	if err != nil {
		return Task{}, fmt.Errorf("cannot accept certificate: %w", err)
	}
	return t, nil
}

func (a *Authority) verifyX509(der []byte) (Task, *ecdsa.PublicKey, error) {
	if len(der) > maxSVID {
		return Task{}, nil, fmt.Errorf("%d bytes, at most %d", len(der), maxSVID)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Task{}, nil, err
	}
	roots := x509.NewCertPool()
	a.mu.RLock()
	for _, g := range a.root.gens {
		roots.AddCert(g.cert)
	}
	a.mu.RUnlock()
	_, err = c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: a.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return Task{}, nil, err
	}
	// X.509-SVID section 2: exactly one URI, and the certificate can sign nothing.
	if len(c.URIs) != 1 || c.IsCA || c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return Task{}, nil, errors.New("it is not a task's")
	}
	id, err := a.liveID(c.URIs[0].String())
	if err != nil {
		return Task{}, nil, err
	}
	t, _ := a.Task(id)
	k, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || keyDigest(k) != t.Key {
		return Task{}, nil, errors.New("its key is not the one that the task enrolled")
	}
	return t, k, nil
}

// Bundle is what others need to check this trust domain's identities.
type Bundle struct {
	// PEM holds the X.509 roots.
	PEM []byte
	// JWKS is the SPIFFE bundle (SPIFFE Trust Domain and Bundle section 4): the
	// X.509 roots and the keys of JWT-SVIDs.
	JWKS []byte
}

// Bundle exports the public half of the root.
func (a *Authority) Bundle() (Bundle, error) {
	if err := a.usable(); err != nil {
		return Bundle{}, err
	}
	a.mu.RLock()
	r := a.root
	a.mu.RUnlock()
	var b bytes.Buffer
	set := struct {
		Keys     []jose.JSONWebKey `json:"keys"`
		Sequence uint64            `json:"spiffe_sequence"`
		Hint     int               `json:"spiffe_refresh_hint"` // seconds
	}{Sequence: r.sequence, Hint: 300}
	for _, g := range r.gens {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: g.cert.Raw}); err != nil {
			return Bundle{}, fmt.Errorf("cannot export bundle: %w", err)
		}
		set.Keys = append(set.Keys,
			jose.JSONWebKey{Key: g.cert.PublicKey, Certificates: []*x509.Certificate{g.cert}, Use: "x509-svid"},
			jose.JSONWebKey{Key: g.jwt, KeyID: g.kid, Use: "jwt-svid"})
	}
	j, err := json.Marshal(set)
	if err != nil {
		return Bundle{}, fmt.Errorf("cannot export bundle: %w", err)
	}
	return Bundle{PEM: b.Bytes(), JWKS: j}, nil
}
