package names

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// refusals collects what a resolver reports.
type refusals struct {
	mu    sync.Mutex
	names []string
}

func (r *refusals) add(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names = append(r.names, name)
}

func (r *refusals) sorted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := slices.Clone(r.names)
	slices.Sort(s)
	return s
}

// serve starts a resolver on loopback and returns its UDP and TCP addresses,
// which have the same port number or not.
func serve(t testing.TB, r *Resolver) (udp, tcp string) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := r.ServeUDP(ctx, c); err != nil {
			t.Errorf("UDP: %v", err)
		}
	})
	served.Go(func() {
		if err := r.ServeTCP(ctx, l); err != nil {
			t.Errorf("TCP: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); served.Wait(); c.Close() })
	return c.LocalAddr().String(), l.Addr().String()
}

func ask(t testing.TB, r *Resolver, name string, typ dnsmessage.Type) (dnsmessage.RCode, []netip.Addr) {
	t.Helper()
	out := r.answer(packet(t, name, typ))
	var m dnsmessage.Message
	if err := m.Unpack(out); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !m.Response || m.ID != 7 || len(m.Questions) != 1 || m.Questions[0].Name.String() != name {
		t.Errorf("%s: the reply is to another question: %+v", name, m)
	}
	var addrs []netip.Addr
	for _, a := range m.Answers {
		switch b := a.Body.(type) {
		case *dnsmessage.AResource:
			addrs = append(addrs, netip.AddrFrom4(b.A))
		case *dnsmessage.AAAAResource:
			addrs = append(addrs, netip.AddrFrom16(b.AAAA))
		default:
			t.Errorf("%s: answered %T", name, b)
		}
	}
	return m.RCode, addrs
}

func packet(t testing.TB, name string, typ dnsmessage.Type) []byte {
	t.Helper()
	n, err := dnsmessage.NewName(name)
	if err != nil {
		t.Fatal(err)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: typ, Class: dnsmessage.ClassINET}},
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGrantedNames(t *testing.T) {
	r := New([]string{"b.test", "a.test", "*.w.test", "a.test"}, nil)
	v4, v6, ok := r.Addrs("a.test")
	if !ok || v4.String() != "198.18.1.0" || v6.String() != "fd61:6d62:6974::100" {
		t.Fatalf("a.test is %v, %v, %v", v4, v6, ok)
	}
	for _, name := range []string{"a.test.", "A.tEsT."} {
		if code, addrs := ask(t, r, name, dnsmessage.TypeA); code != 0 || !slices.Equal(addrs, []netip.Addr{v4}) {
			t.Errorf("%s A: %v %v", name, code, addrs)
		}
		if code, addrs := ask(t, r, name, dnsmessage.TypeAAAA); code != 0 || !slices.Equal(addrs, []netip.Addr{v6}) {
			t.Errorf("%s AAAA: %v %v", name, code, addrs)
		}
	}
	// A name below a wildcard gets an address of its own, and keeps it.
	_, first := ask(t, r, "one.w.test.", dnsmessage.TypeA)
	_, second := ask(t, r, "two.w.test.", dnsmessage.TypeA)
	_, again := ask(t, r, "ONE.w.test.", dnsmessage.TypeA)
	if len(first) != 1 || len(second) != 1 || first[0] == second[0] || !slices.Equal(first, again) {
		t.Errorf("wildcard: %v, %v, %v", first, second, again)
	}
	for addr, want := range map[netip.Addr]string{
		v4: "a.test", v6: "a.test", first[0]: "one.w.test", netip.AddrFrom16(v4.As16()): "a.test",
	} {
		if host, ok := r.Lookup(addr); !ok || host != want {
			t.Errorf("%v is %q, %v", addr, host, ok)
		}
	}
	for _, a := range []string{"198.18.0.0", "198.18.0.255", "198.18.200.1", "198.20.0.0", "127.0.0.1", "fd61:6d62:6974::ff", "fd61:6d62:6974:1::100", "fd61:6d62:6974::100%x", "::1"} {
		if host, ok := r.Lookup(netip.MustParseAddr(a)); ok {
			t.Errorf("%s is %q", a, host)
		}
	}
	// The same names give the same addresses in any order.
	if same, _, _ := New([]string{"a.test", "b.test"}, nil).Addrs("a.test"); same != v4 {
		t.Errorf("a.test is now %v", same)
	}
}

// Encrypted client hello is announced in HTTPS records; a name's other records
// would be another channel.
func TestOtherTypesAreEmpty(t *testing.T) {
	r := New([]string{"a.test"}, nil)
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeHTTPS, dnsmessage.TypeSVCB, dnsmessage.TypeTXT, dnsmessage.TypeMX, dnsmessage.TypeCNAME, dnsmessage.TypeNS, dnsmessage.TypeALL, 257} {
		if code, addrs := ask(t, r, "a.test.", typ); code != dnsmessage.RCodeSuccess || len(addrs) != 0 {
			t.Errorf("%v: %v %v", typ, code, addrs)
		}
	}
}

func TestRefusedNames(t *testing.T) {
	var got refusals
	r := New([]string{"a.test", "*.w.test", "10.0.0.1", "Upper.test", "dot.test.", "", "*.", "*"}, got.add)
	for _, name := range []string{
		"b.test.", "test.", "x.a.test.", "a.test.evil.test.", "w.test.", "two.one.w.test.", ".", "10.0.0.1.",
		"secret-data-in-a-label.evil.test.", "a\u0000b.test.", "\u043ea.test.", "upper.test.", "dot.test.test.", "b.test.", "B.TEST.",
	} {
		for _, typ := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeTXT} {
			if code, addrs := ask(t, r, name, typ); code != dnsmessage.RCodeNameError || len(addrs) != 0 {
				t.Errorf("%q: %v %v", name, code, addrs)
			}
		}
	}
	// What a synthetic address is called is refused, but no news.
	ask(t, r, "0.1.18.198.in-addr.arpa.", dnsmessage.TypePTR)
	ctx, cancel := context.WithCancel(t.Context())
	stop := r.deliver(ctx)
	cancel()
	stop()
	want := []string{
		".", "10.0.0.1", `\208\190a.test`, `a\000b.test`, "a.test.evil.test", "b.test", "dot.test.test",
		"secret-data-in-a-label.evil.test", "test", "two.one.w.test", "upper.test", "w.test", "x.a.test",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got.sorted()); diff != "" {
		t.Error(diff)
	}
}

func TestZeroValueRefuses(t *testing.T) {
	var r Resolver
	if code, addrs := ask(t, &r, "a.test.", dnsmessage.TypeA); code != dnsmessage.RCodeNameError || addrs != nil {
		t.Errorf("%v %v", code, addrs)
	}
	if _, ok := r.Lookup(netip.MustParseAddr("198.18.1.0")); ok {
		t.Error("found an address")
	}
	if _, ok := (*Resolver)(nil).Lookup(netip.MustParseAddr("198.18.1.0")); ok {
		t.Error("found an address")
	}
}

// An agent that invents names without end fills neither memory nor the log.
func TestBounds(t *testing.T) {
	var got refusals
	r := New([]string{"*.w.test"}, got.add)
	for i := range maxWildcard + 100 {
		code, _ := ask(t, r, fmt.Sprintf("x%d.w.test.", i), dnsmessage.TypeA)
		if want := i < maxWildcard; (code == dnsmessage.RCodeSuccess) != want {
			t.Fatalf("label %d: %v", i, code)
		}
	}
	if code, _ := ask(t, r, "x0.w.test.", dnsmessage.TypeA); code != dnsmessage.RCodeSuccess {
		t.Errorf("a known name: %v", code)
	}
	for i := range maxReports + 100 {
		ask(t, r, fmt.Sprintf("x%d.evil.test.", i), dnsmessage.TypeA)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := r.deliver(ctx)
	cancel()
	stop()
	if n := len(got.sorted()); n != maxReports {
		t.Errorf("%d names reported", n)
	}
	if n := r.Unreported(); n != 200 {
		t.Errorf("%d names counted beside", n)
	}
}

func TestEDNSAndOddQueries(t *testing.T) {
	r := New([]string{"a.test"}, nil)
	edit := func(f func(*dnsmessage.Message)) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(packet(t, "a.test.", dnsmessage.TypeA)); err != nil {
			t.Fatal(err)
		}
		f(&m)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	opt := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeOPT, Class: 1232}, Body: &dnsmessage.OPTResource{
		Options: []dnsmessage.Option{{Code: 10, Data: []byte("12345678")}},
	}}
	other := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("a.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: [4]byte{1, 2, 3, 4}}}
	for name, c := range map[string]struct {
		packet []byte
		want   string
	}{
		"EDNS":          {edit(func(m *dnsmessage.Message) { m.Additionals = append(m.Additionals, opt) }), "RCodeSuccess 1 1"},
		"EDNS twice":    {edit(func(m *dnsmessage.Message) { m.Additionals = append(m.Additionals, opt, opt) }), "RCodeFormatError 0 1"},
		"an answer":     {edit(func(m *dnsmessage.Message) { m.Answers = append(m.Answers, other) }), "RCodeFormatError 0 0"},
		"an authority":  {edit(func(m *dnsmessage.Message) { m.Authorities = append(m.Authorities, other) }), "RCodeFormatError 0 0"},
		"two questions": {edit(func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), "RCodeFormatError 0 0"},
		"no question":   {edit(func(m *dnsmessage.Message) { m.Questions = nil }), "RCodeFormatError 0 0"},
		"an update":     {edit(func(m *dnsmessage.Message) { m.OpCode = 5 }), "RCodeNotImplemented 0 0"},
		"class CHAOS":   {edit(func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }), "RCodeRefused 0 0"},
		"a response":    {edit(func(m *dnsmessage.Message) { m.Response = true }), "nothing"},
		"empty":         {nil, "nothing"},
		"a header":      {make([]byte, 11), "nothing"},
		"too long":      {append(packet(t, "a.test.", dnsmessage.TypeA), make([]byte, maxMessage)...), "nothing"},
		"a loop":        {append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 0xc0, 12, 0, 1, 0, 1), "RCodeFormatError 0 0"},
	} {
		out := r.answer(c.packet)
		got := "nothing"
		if out != nil {
			var m dnsmessage.Message
			if err := m.Unpack(out); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = fmt.Sprintf("%v %d %d", m.RCode, len(m.Answers), len(m.Additionals))
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if len(out) > 512 {
			t.Errorf("%s: %d bytes", name, len(out))
		}
	}
}

// Go's own resolver over both transports, at the same time.
func TestServe(t *testing.T) {
	var got refusals
	r := New([]string{"a.test", "*.w.test"}, got.add)
	udp, tcp := serve(t, r)
	for network, addr := range map[string]string{"udp": udp, "tcp": tcp} {
		client := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				host := []string{"a.test", "x.w.test", "no.test", fmt.Sprintf("y%d.w.test", i)}[i%4]
				addrs, err := client.LookupNetIP(t.Context(), "ip", host+".")
				if refused := host == "no.test"; refused != (err != nil) || !refused && len(addrs) != 2 {
					t.Errorf("%s %s: %v, %v", network, host, addrs, err)
				}
				for _, a := range addrs {
					if back, ok := r.Lookup(a); !ok || back != host {
						t.Errorf("%v is %q, not %q", a, back, host)
					}
				}
			})
		}
		wg.Wait()
	}
	deadline := time.Now().Add(time.Minute)
	for len(got.sorted()) == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if diff := cmp.Diff([]string{"no.test"}, got.sorted()); diff != "" {
		t.Error(diff)
	}
}

// Connections that say nothing, too much or nonsense hold nobody up.
func TestHostileConnections(t *testing.T) {
	r := New([]string{"a.test"}, nil)
	udp, tcp := serve(t, r)
	for _, bytes := range []string{"", "\x00", "\x00\x05abc", "\xff\xff" + strings.Repeat("a", 4000), "\x00\x04abcd", "GET / HTTP/1.1\r\n\r\n"} {
		c, err := net.Dial("tcp", tcp)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
		u, err := net.Dial("udp", udp)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { u.Close() })
		if _, err := u.Write([]byte(bytes)); err != nil {
			t.Fatal(err)
		}
	}
	client := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", udp)
	}}
	if addrs, err := client.LookupNetIP(t.Context(), "ip4", "a.test."); err != nil || len(addrs) != 1 {
		t.Errorf("the benign twin: %v, %v", addrs, err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(packet(f, "a.test.", dnsmessage.TypeA))
	f.Add(packet(f, "x.w.test.", dnsmessage.TypeHTTPS))
	f.Add(packet(f, "no.test.", dnsmessage.TypeTXT))
	f.Add([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := New([]string{"a.test", "*.w.test"}, func(string) {})
		out := r.answer(b)
		if out == nil {
			return
		}
		if len(out) > 512 {
			t.Fatalf("%d bytes", len(out))
		}
		var m dnsmessage.Message
		if err := m.Unpack(out); err != nil {
			t.Fatal(err)
		}
		if !m.Response || len(m.Answers) > 1 || len(m.Authorities) > 0 {
			t.Fatalf("%+v", m)
		}
		if len(m.Answers) == 0 {
			return
		}
		host := strings.TrimSuffix(lower(m.Questions[0].Name.String()), ".")
		if rest, ok := strings.CutSuffix(host, ".w.test"); host != "a.test" && (!ok || !goodHost(rest) || strings.Contains(rest, ".")) {
			t.Fatalf("%q was answered", host)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	r := New([]string{"a.test"}, nil)
	p := packet(b, "a.test.", dnsmessage.TypeA)
	b.ReportAllocs()
	for b.Loop() {
		r.answer(p)
	}
}
