package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"ambit"
)

// Authority is a task's own certificate authority. Its key exists only in
// memory and only for the task; nothing outside the sandbox trusts it.
type Authority struct {
	cert    *x509.Certificate
	expires time.Time
	leafKey *ecdsa.PrivateKey

	mu     sync.Mutex
	key    *ecdsa.PrivateKey
	leaves map[string]*tls.Certificate
	order  []string // of leaves, oldest first
}

// maxLeaves bounds the certificates that are kept.
const maxLeaves = 256

// NewAuthority makes an authority that ends at expires. With hosts it can name
// these hosts only (RFC 5280 section 4.2.1.10), so that its certificate is worth
// nothing elsewhere; "*.x" stands for what is below x.
func NewAuthority(task ambit.TaskID, expires time.Time, hosts ...string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make the task's authority: %w", err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make the task's authority: %w", err)
	}
	now := time.Now()
	if !expires.After(now) {
		return nil, errors.New("cannot make the task's authority: the task has ended")
	}
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Ambit task " + string(task)},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              expires,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	constrain(t, hosts)
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("cannot make the task's authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot make the task's authority: %w", err)
	}
	return &Authority{cert: cert, expires: expires, key: key, leafKey: leafKey, leaves: make(map[string]*tls.Certificate)}, nil
}

// constrain limits t to the hosts: names to these names, and addresses to these
// addresses when names or addresses are given at all.
func constrain(t *x509.Certificate, hosts []string) {
	for _, h := range hosts {
		if a, err := netip.ParseAddr(h); err == nil {
			bits := a.BitLen()
			t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, bits)})
			continue
		}
		t.PermittedDNSDomains = append(t.PermittedDNSDomains, strings.TrimPrefix(h, "*."))
	}
	slices.Sort(t.PermittedDNSDomains)
	t.PermittedDNSDomains = slices.Compact(t.PermittedDNSDomains)
	t.PermittedDNSDomainsCritical = len(hosts) > 0
}

// Bundle is the authority's certificate in PEM, to be trusted inside the sandbox.
func (a *Authority) Bundle() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Forget drops the key: nothing more is signed.
func (a *Authority) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.key, a.leaves, a.order = nil, nil, nil
}

// Certificate returns a certificate for a host: a name, or an address.
func (a *Authority) Certificate(host string) (*tls.Certificate, error) { return a.leaf(host) }

// leaf returns a certificate for a host: a name, or an address.
func (a *Authority) leaf(host string) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.leaves[host]; c != nil {
		return c, nil
	}
	if a.key == nil {
		return nil, errClosed
	}
	c, err := a.sign(host)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate for %s: %w", host, err)
	}
	if len(a.order) == maxLeaves {
		delete(a.leaves, a.order[0])
		a.order = append(a.order[:0], a.order[1:]...)
	}
	a.leaves[host] = c
	a.order = append(a.order, host)
	return c, nil
}

func (a *Authority) sign(host string) (*tls.Certificate, error) {
	t := &x509.Certificate{
		SerialNumber: serial(),
		NotBefore:    a.cert.NotBefore,
		NotAfter:     a.expires,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		t.IPAddresses = []net.IP{ip.AsSlice()}
	} else {
		t.DNSNames = []string{host}
	}
	if len(host) <= 64 { // the bound of a common name
		t.Subject.CommonName = host
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, a.leafKey.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leafKey, Leaf: leaf}, nil
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	b[0] &= 0x7f
	b[0] |= 0x40
	return new(big.Int).SetBytes(b[:])
}

// isTLS says whether a stream begins like a TLS handshake (RFC 8446 section 5.1).
func isTLS(b []byte) bool { return bytes.HasPrefix(b, []byte{22, 3}) }
