package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
)

// upstream is a server that keeps what it saw.
type upstream struct {
	addr  string
	roots *x509.CertPool
	srv   *http.Server

	mu   sync.Mutex
	seen []seen
}

type seen struct {
	method, uri, host string
	header            http.Header
	body              string
	proto             string
	cut               bool // the body did not end in order
}

func (u *upstream) requests() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

// oldUpstream is the variable under which upstreams speak HTTP/1.1 only.
const oldUpstream = "AMBIT_TEST_WEB_HTTP1"

// TestUpstreamOfHTTP1 runs the tests of this package once more, against
// upstreams that do not speak HTTP/2: the transport takes other ways then. A socket
// begins with HTTP/1.1 in any case: what passes through one is not sent twice.
func TestUpstreamOfHTTP1(t *testing.T) {
	if os.Getenv(oldUpstream) != "" {
		t.Skip("these are they")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.short", "-test.skip=Memory|Python|Node|Authority|Parse|Printable|HTTP2Trailers|SocketTraffic")
	cmd.Env = append(os.Environ(), oldUpstream+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func newUpstream(t testing.TB, handler http.Handler) *upstream {
	t.Helper()
	cert, roots := selfSigned(t, testHost, "localhost", "other.example.com", "*.wild.example.com")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{addr: ln.Addr().String(), roots: roots}
	protos := new(http.Protocols)
	protos.SetHTTP1(true)
	protos.SetHTTP2(os.Getenv(oldUpstream) == "")
	u.srv = &http.Server{Protocols: protos, Handler: u.record(handler), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: discardLog()}
	go u.srv.ServeTLS(ln, "", "")
	t.Cleanup(func() { u.srv.Close() })
	return u
}

// record keeps each request with its body, when that is short.
func (u *upstream) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), "", r.Proto, false}
		if next == nil {
			b, err := io.ReadAll(r.Body)
			s.body, s.cut = string(b), err != nil
		}
		u.mu.Lock()
		u.seen = append(u.seen, s)
		u.mu.Unlock()
		if next == nil {
			io.WriteString(w, "ok "+r.Method+" "+r.RequestURI)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func selfSigned(t testing.TB, hosts ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "upstream"}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}
