package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ambit"
)

// Address, SNI and Host must agree (domain fronting), and only granted places
// are reached.

// moved is a listener whose connections seem to go elsewhere, as they do in the
// task's namespace.
type moved struct {
	net.Listener
	to netip.AddrPort
}

type movedConn struct {
	net.Conn
	to netip.AddrPort
}

func (m *moved) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &movedConn{c, m.to}, nil
}

func (m *movedConn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(m.to) }

// at starts another listener of the house for an address of the namespace.
func (h *house) at(to string) string {
	h.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	go h.gate.Serve(context.Background(), &moved{ln, netip.MustParseAddrPort(to)})
	return ln.Addr().String()
}

func (h *house) dialTLS(addr, sni string) (*tls.Conn, error) {
	c := &tls.Config{RootCAs: h.agentRoots(), ServerName: sni, NextProtos: []string{"http/1.1"}}
	if sni == "" {
		c.InsecureSkipVerify = true // an agent without SNI; the gate must refuse it anyway
	}
	return tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, c)
}

func TestHandshakesThatNameAnotherHost(t *testing.T) {
	for name, sni := range map[string]string{"another": "evil.example", "none": "", "sibling": "b.example.com", "trailing": "api.example.com.evil"} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			if c, err := h.dialTLS(h.listener.Addr().String(), sni); err == nil {
				c.Close()
				t.Error("the handshake went through")
			}
			eventually(t, "refusal", func() bool { return strings.Contains(h.log.lastRefusal(), CodeNames) })
			if !h.alerts.has(AlertFronting) {
				t.Error("nobody was alerted")
			}
			if n := len(h.up.requests()); n != 0 {
				t.Errorf("the upstream saw %d requests", n)
			}
			if code, _ := get(t, h.client(), h.url("/")); code != 200 {
				t.Errorf("the honest twin got %d", code)
			}
		})
	}
}

func TestEncryptedClientHelloIsRefused(t *testing.T) {
	h := newHouse(t, nil)
	raw, err := net.Dial("tcp", h.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	raw.Write(withExtension(t, clientHello(t, testHost), echExtension))
	io.Copy(io.Discard, raw)
	eventually(t, "refusal", func() bool { return strings.Contains(h.log.lastRefusal(), "encrypted") })
}

// clientHello is the first flight of a client that names host.
func clientHello(t testing.TB, host string) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		defer a.Close()
		tls.Client(a, &tls.Config{ServerName: host, InsecureSkipVerify: host == ""}).Handshake()
	}()
	b.SetDeadline(time.Now().Add(patience))
	head := make([]byte, 5)
	if _, err := io.ReadFull(b, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(b, rest); err != nil {
		t.Fatal(err)
	}
	return append(head, rest...)
}

// withExtension adds an extension to a ClientHello in one record, and corrects
// the lengths around it.
func withExtension(t testing.TB, hello []byte, id uint16) []byte {
	t.Helper()
	b := bytes.Clone(hello)
	// The outer form: type, KDF, AEAD, config id, encapsulated key, payload.
	data := append([]byte{0, 0, 1, 0, 1, 7, 0, 32}, append(make([]byte, 32), 0, 16)...)
	data = append(data, make([]byte, 16)...)
	ext := append([]byte{byte(id >> 8), byte(id), 0, byte(len(data))}, data...)
	at := 5 + 4 + 2 + 32                     // record, handshake, version, random
	at += 1 + int(b[at])                     // session id
	at += 2 + (int(b[at])<<8 | int(b[at+1])) // cipher suites
	at += 1 + int(b[at])                     // compression
	grow16(b[at:], len(ext))                 // extensions
	grow16(b[7:], len(ext))                  // handshake, low bytes
	grow16(b[3:], len(ext))                  // record
	return append(b[:at+2:at+2], append(ext, b[at+2:]...)...)
}

func grow16(b []byte, n int) {
	v := int(b[0])<<8 | int(b[1])
	b[0], b[1] = byte((v+n)>>8), byte(v+n)
}

func TestSecondRequestForAnotherHost(t *testing.T) {
	h := newHouse(t, nil)
	ok := "GET /a HTTP/1.1\r\nHost: " + h.authority() + "\r\n\r\n"
	front := "GET /b HTTP/1.1\r\nHost: evil.example\r\n\r\n"
	got := h.exchange(ok + front + ok)
	if strings.Count(got, "HTTP/1.1 200") != 1 || strings.Count(got, "HTTP/1.1 403") != 1 {
		t.Errorf("answered %q", got)
	}
	if reqs := h.up.requests(); len(reqs) != 1 || reqs[0].uri != "/a" {
		t.Errorf("the upstream saw %v", reqs)
	}
	if !h.alerts.has(AlertFronting) {
		t.Error("nobody was alerted")
	}
}

func TestPlacesWithoutARoute(t *testing.T) {
	h := newHouse(t, nil, func(_ *house, c *Config) {
		c.Names = nameTable{"127.0.0.1": testHost, "198.18.0.9": "other.example.com", "198.18.0.1": testHost}
	})
	plain := "GET /x HTTP/1.1\r\nHost: anything\r\n\r\n"
	t.Run("plain HTTP to an address", func(t *testing.T) {
		got := rawTCP(t, h.at("169.254.169.254:80"), plain)
		if !strings.HasPrefix(got, "HTTP/1.1 403 ") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("something else", func(t *testing.T) {
		if got := rawTCP(t, h.at("93.184.216.34:22"), "\x00\x01\x02"); got != "" {
			t.Errorf("answered %q", got)
		}
		if !strings.Contains(h.log.lastRefusal(), CodeNoRoute) {
			t.Errorf("recorded %q", h.log.lastRefusal())
		}
	})
	for name, to := range map[string]string{"TLS to an address": "93.184.216.34:443", "TLS to another port": "198.18.0.1:8443", "TLS to a name without a route": "198.18.0.9:443"} {
		t.Run(name, func(t *testing.T) {
			sni := map[string]string{"198.18.0.1:8443": testHost, "198.18.0.9:443": "other.example.com"}[to]
			addr := h.at(to)
			host, _, _ := net.SplitHostPort(to)
			c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: h.agentRoots(), ServerName: orElse(sni, host)})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, "GET /x HTTP/1.1\r\nHost: "+orElse(sni, to)+"\r\n\r\n")
			b, _ := io.ReadAll(c)
			if !strings.HasPrefix(string(b), "HTTP/1.1 403 ") || !strings.Contains(string(b), CodeNoRoute) ||
				!strings.Contains(string(b), "a line for ") {
				t.Errorf("answered %q", b)
			}
		})
	}
	if n := len(h.up.requests()); n != 0 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

func rawTCP(t testing.TB, addr, bytes string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, bytes)
	b, _ := io.ReadAll(c)
	return string(b)
}

func TestWildcardIsOneLabel(t *testing.T) {
	h := newHouse(t, nil, func(h *house, c *Config) {
		c.Routes[0].Host = "*.wild.example.com"
		c.Names = nameTable{"127.0.0.1": "a.wild.example.com", "198.18.0.2": "a.b.wild.example.com", "198.18.0.3": "wild.example.com"}
	})
	try := func(addr, name string, port uint16) string {
		c, err := h.dialTLS(addr, name)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n", name, port)
		b, _ := io.ReadAll(c)
		return string(b)
	}
	if got := try(h.listener.Addr().String(), "a.wild.example.com", h.port()); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("one label: %q", got)
	}
	for addr, name := range map[string]string{"198.18.0.2": "a.b.wild.example.com", "198.18.0.3": "wild.example.com"} {
		if got := try(h.at(fmt.Sprintf("%s:%d", addr, h.port())), name, h.port()); !strings.HasPrefix(got, "HTTP/1.1 403") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestPlainHTTPRoute(t *testing.T) {
	seenHost := make(chan string, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seenHost <- r.Host })}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	h := newHouse(t, nil, func(h *house, c *Config) {
		c.Names = nameTable{"198.18.0.1": testHost}
		c.Routes = []Route{{Host: testHost, Scheme: HTTP, Service: "plain", Kind: "http", Dial: ln.Addr().String()}}
	})
	got := rawTCP(t, h.at("198.18.0.1:80"), "GET /a HTTP/1.1\r\nHost: "+testHost+":80\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200") || <-seenHost != testHost {
		t.Errorf("got %q", got)
	}
	if got := rawTCP(t, h.at("198.18.0.1:80"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 403") {
		t.Errorf("HTTP/2 without TLS: %q", got)
	}
	if h.log.intended()[0].Resource.String() != testHost+"/a" {
		t.Errorf("recorded %v", h.log.intended()[0].Resource)
	}
}

func TestRoutesAreChecked(t *testing.T) {
	good := Route{Host: "a.example", Scheme: HTTPS, Service: "a"}
	bad := map[string]func(*Route){
		"upper case":             func(r *Route) { r.Host = "A.example" },
		"trailing dot":           func(r *Route) { r.Host = "a.example." },
		"inner wildcard":         func(r *Route) { r.Host = "a.*.example" },
		"odd address":            func(r *Route) { r.Host = "::ffff:1.2.3.4" },
		"scheme":                 func(r *Route) { r.Scheme = "ftp" },
		"tcp without a port":     func(r *Route) { r.Scheme = TCP },
		"no service":             func(r *Route) { r.Service = "" },
		"credential in the open": func(r *Route) { r.Scheme, r.HasCredential, r.Inject.Header = HTTP, true, "X" },
		"injects nothing":        func(r *Route) { r.HasCredential = true },
		"injects twice":          func(r *Route) { r.HasCredential, r.Inject.Header, r.Inject.Basic = true, "X", "u" },
		"bad format":             func(r *Route) { r.HasCredential, r.Inject = true, Inject{Header: "X", Format: "{}{}"} },
		"framing header":         func(r *Route) { r.HasCredential, r.Inject = true, Inject{Header: "content-length"} },
		"bad header":             func(r *Route) { r.HasCredential, r.Inject = true, Inject{Header: "X:\r\nY"} },
		"address without a port": func(r *Route) { r.Dial = "127.0.0.1" },
	}
	if _, err := makeRoutes([]Route{good}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range bad {
		r := good
		spoil(&r)
		if _, err := makeRoutes([]Route{r}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	other := good
	other.Dial = "10.0.0.1:443"
	if _, err := makeRoutes([]Route{good, other}); err == nil {
		t.Error("two addresses for one place: accepted")
	}
}

func TestServicesShareAPlace(t *testing.T) {
	h := newHouse(t, nil, withCredential, func(h *house, c *Config) {
		web := c.Routes[0]
		web.Service, web.HasCredential, web.Inject = "web", false, Inject{}
		c.Routes = append(c.Routes, web)
		c.Foresee = func(a *ambit.Action) ambit.Verdict { return h.decide(a) }
	})
	h.decide = func(a *ambit.Action) ambit.Verdict {
		if strings.HasPrefix(a.Resource.String(), h.authority()+"/"+a.Service) {
			return ambit.Allow
		}
		return ambit.Deny
	}
	c := h.client()
	for _, tt := range []struct {
		path, auth string
		code       int
	}{{"/api/x", "Bearer " + testSecret, 200}, {"/web/x", "", 200}, {"/none", "", 403}} {
		if code, _ := get(t, c, h.url(tt.path)); code != tt.code {
			t.Errorf("%s: %d", tt.path, code)
		}
		if reqs := h.up.requests(); tt.code == 200 && reqs[len(reqs)-1].header.Get("Authorization") != tt.auth {
			t.Errorf("%s: the upstream saw %v", tt.path, reqs[len(reqs)-1].header)
		}
	}
}
