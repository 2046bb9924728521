package ambittest

import (
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Outside is a place that no agent may reach: listeners on the machine's own
// addresses that remember whoever connects.
type Outside struct {
	Addrs []string // host:port, IPv4 loopback first

	mu   sync.Mutex
	hits []string
}

// NewOutside listens on 127.0.0.1, on ::1 and on every other address of the
// machine. It ends with the test.
func NewOutside(t testing.TB) *Outside {
	t.Helper()
	o := &Outside{}
	ips := []net.IP{net.IPv4(127, 0, 0, 1)}
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() && !n.IP.Equal(ips[0]) {
			ips = append(ips, n.IP)
		}
	}
	for _, ip := range ips {
		l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		o.Addrs = append(o.Addrs, l.Addr().String())
		go o.accept(l)
	}
	return o
}

func (o *Outside) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		n := len(o.hits)
		o.hits = append(o.hits, l.Addr().String()+" got ") // who only connects has come too
		o.mu.Unlock()
		go o.answer(c, n)
	}
}

func (o *Outside) answer(c net.Conn, hit int) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(Patience))
	b := make([]byte, 4096)
	n, _ := c.Read(b)
	o.mu.Lock()
	o.hits[hit] += string(b[:n])
	o.mu.Unlock()
	io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\noutside")
}

// Hits lists who came.
func (o *Outside) Hits() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.hits)
}

// NewDocs starts a stand-in for a host with pages, whose certificate is for
// names. It takes posts too, as a careless host would.
func NewDocs(t testing.TB, ca *CA, names ...string) *Server {
	t.Helper()
	return ServeTLS(t, ca, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "<h1>Manual</h1><p>A page of ready-made answers.</p>\n")
	}), names...)
}
