package ambittest

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Seen is one request as a stand-in received it.
type Seen struct {
	Time   time.Time
	Method string
	Host   string // the Host header or :authority
	SNI    string // the name in the TLS handshake, "" without TLS
	URL    string // path and query as they were on the wire
	Proto  string // "HTTP/1.1", "HTTP/2.0"
	Header http.Header
	Body   []byte // the first MaxSeenBody bytes
	Size   int64  // of the whole body
}

// MaxSeenBody bounds what is remembered of a body, in bytes.
const MaxSeenBody = 4 << 20

// Server is a stand-in, on a port of 127.0.0.1 when nothing else is said. It remembers all it saw.
type Server struct {
	Addr string // host:port
	Port int
	CA   *CA    // nil for plain HTTP
	URL  string // https://host:port

	mu   sync.Mutex
	seen []Seen
}

// ServeTLS starts a stand-in whose certificate is for names (and for
// 127.0.0.1). It ends with the test.
func ServeTLS(t testing.TB, ca *CA, h http.Handler, names ...string) *Server {
	t.Helper()
	return ServeTLSAt(t, "127.0.0.1:0", ca, h, names...)
}

// ServeTLSAt is ServeTLS at a host:port of the machine.
func ServeTLSAt(t testing.TB, at string, ca *CA, h http.Handler, names ...string) *Server {
	t.Helper()
	s := &Server{CA: ca}
	cert := ca.Issue(t, append(slices.Clone(names), "127.0.0.1", "localhost")...)
	s.start(t, at, h, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	return s
}

// ServePlain starts a stand-in without TLS. It ends with the test.
func ServePlain(t testing.TB, h http.Handler) *Server {
	t.Helper()
	s := &Server{}
	s.start(t, "127.0.0.1:0", h, nil)
	return s
}

func (s *Server) start(t testing.TB, at string, h http.Handler, c *tls.Config) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s.Addr, s.Port = l.Addr().String(), l.Addr().(*net.TCPAddr).Port
	s.URL = "http://" + s.Addr
	if c != nil {
		s.URL = "https://" + s.Addr
	}
	s.serve(t, l, h, c)
}

// startUnix serves on a Unix socket.
func (s *Server) startUnix(t testing.TB, path string, h http.Handler) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s.serve(t, l, h, nil)
}

func (s *Server) serve(t testing.TB, l net.Listener, h http.Handler, c *tls.Config) {
	srv := &http.Server{Handler: s.remember(h), TLSConfig: c, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c != nil {
			srv.ServeTLS(l, "", "")
		} else {
			srv.Serve(l)
		}
	}()
	t.Cleanup(func() { srv.Close(); <-done })
}

// remember keeps a copy of each request, with the body as far as the handler
// or the net/http server read it.
func (s *Server) remember(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := &tee{rc: r.Body}
		r.Body = b
		seen := Seen{
			Time: time.Now(), Method: r.Method, Host: r.Host, URL: r.RequestURI,
			Proto: r.Proto, Header: r.Header.Clone(),
		}
		if r.TLS != nil {
			seen.SNI = r.TLS.ServerName
		}
		s.mu.Lock()
		n := len(s.seen)
		s.seen = append(s.seen, seen)
		s.mu.Unlock()
		defer func() {
			io.Copy(io.Discard, io.LimitReader(b, MaxSeenBody))
			s.mu.Lock()
			defer s.mu.Unlock()
			s.seen[n].Body, s.seen[n].Size = b.kept.Bytes(), b.n
		}()
		h.ServeHTTP(w, r)
	})
}

// Seen returns all requests so far, in the order of their arrival.
func (s *Server) Seen() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Find returns the requests of a method on a path (without its query).
func (s *Server) Find(method, path string) (found []Seen) {
	for _, r := range s.Seen() {
		p, _, _ := bytes.Cut([]byte(r.URL), []byte("?"))
		if r.Method == method && string(p) == path {
			found = append(found, r)
		}
	}
	return found
}

// Bytes returns all that the requests held, for a search after secrets.
func (s *Server) Bytes() []byte {
	var b bytes.Buffer
	for _, r := range s.Seen() {
		b.WriteString(r.Method + " " + r.Host + r.URL + "\n")
		r.Header.Write(&b)
		b.Write(r.Body)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Bodies returns all that the requests said, without the headers: where the
// credential may not be that a header rightly carries.
func (s *Server) Bodies() []byte {
	var b bytes.Buffer
	for _, r := range s.Seen() {
		b.WriteString(r.URL + "\n")
		b.Write(r.Body)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// tee keeps the start of what is read.
type tee struct {
	rc   io.ReadCloser
	kept bytes.Buffer
	n    int64
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.rc.Read(p)
	t.n += int64(n)
	if room := MaxSeenBody - t.kept.Len(); room > 0 {
		t.kept.Write(p[:min(n, room)])
	}
	return n, err
}

func (t *tee) Close() error { return t.rc.Close() }
