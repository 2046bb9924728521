package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// spy remembers what passes, and where each side put it.
type spy struct {
	net.Conn
	mu     sync.Mutex
	sent   bytes.Buffer
	places [][]byte
}

func (s *spy) Read(p []byte) (int, error) {
	s.mu.Lock()
	s.places = append(s.places, p)
	s.mu.Unlock()
	return s.Conn.Read(p)
}

func (s *spy) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.places = append(s.places, p)
	s.sent.Write(p)
	s.mu.Unlock()
	return s.Conn.Write(p)
}

// A task's credentials come to the daemon and go back as a lease. Afterwards
// only who they were given to holds them.
func TestCredentialsLeaveNoCopies(t *testing.T) { synctest.Test(t, testCopies) }

func testCopies(t *testing.T) {
	const one, two = "canary-one-aGVsbG8gd29ybGQ", "canary-two-c2VjcmV0"
	a, b := net.Pipe()
	here, there := &spy{Conn: a}, &spy{Conn: b}
	var got Enrol
	var bodies [][]byte
	kept := []byte(two)
	server := NewConn(there, func(method string, body json.RawMessage) Step {
		bodies = append(bodies, body)
		if method == MethodEnrol {
			if err := Strict(body, &got); err != nil {
				t.Error(err)
			}
			return Replies(func(reply func(any, error)) { reply(Enrolled{}, nil) })
		}
		return Waits(func(context.Context) (any, error) { return Leased{ID: "x", Secret: kept}, nil })
	})
	client := NewConn(here, nil)
	given := []byte(one)
	// Long enough to fill the buffers more than once.
	e := Enrol{Grants: []byte(strings.Repeat("#", 100<<10)), Secrets: map[string]Secret{"a": {Kind: "http", Value: given}, "b": {File: "/x"}, "c": {Value: []byte("other")}}}
	if err := client.Call(t.Context(), MethodEnrol, e, nil); err != nil {
		t.Fatal(err)
	}
	var l Leased
	if err := client.Call(t.Context(), MethodLease, Lease{Service: "a"}, &l); err != nil {
		t.Fatal(err)
	}
	if s := got.Secrets; string(s["a"].Value) != one || s["a"].Kind != "http" || s["b"].File != "/x" || len(s["b"].Value) != 0 || string(s["c"].Value) != "other" {
		t.Errorf("the credentials came as %+v", s)
	}
	if string(l.Secret) != two || l.ID != "x" {
		t.Errorf("the lease came as %q", l.Secret)
	}
	client.Close()
	server.Close()
	synctest.Wait() // both sides have come to rest
	if !bytes.Contains(here.sent.Bytes(), []byte(one)) || !bytes.Contains(there.sent.Bytes(), []byte(two)) {
		t.Error("the credentials did not pass as they are: the test would not find copies")
	}
	places := append(append(append(bodies, here.places...), there.places...), given, kept)
	for _, p := range places {
		if all := p[:cap(p)]; bytes.Contains(all, []byte("canary")) {
			t.Errorf("a copy is left in %d bytes", len(all))
		}
	}
}

func TestCredentialsThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		into any
	}{
		"none for one":        {`{"id":"x","expires":"2026-01-01T00:00:00Z"}`, &Leased{}},
		"one for none":        {"{\"service\":\"x\"}\x00\x00\x00\x00\x01a", &Lease{}},
		"two for one":         {"{\"id\":\"x\",\"expires\":\"2026-01-01T00:00:00Z\"}\x00\x00\x00\x00\x01a\x00\x00\x00\x01b", &Leased{}},
		"longer than it is":   {"{\"id\":\"x\",\"expires\":\"2026-01-01T00:00:00Z\"}\x00\x00\x00\x00\x09a", &Leased{}},
		"half a length":       {"{\"id\":\"x\",\"expires\":\"2026-01-01T00:00:00Z\"}\x00\x00\x00", &Leased{}},
		"a zero byte alone":   {"{\"service\":\"x\"}\x00", &Lease{}},
		"in the JSON instead": {`{"id":"x","secret":"YQ==","expires":"2026-01-01T00:00:00Z"}`, &Leased{}},
		"for a file":          {"{\"secrets\":{\"s\":{\"file\":\"/x\"}}}\x00\x00\x00\x00\x01a", &Enrol{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := []byte(c.in)
			if err := Strict(b, c.into); err == nil {
				t.Error("taken")
			}
		})
	}
}

func TestTooManyBytesOfCredentials(t *testing.T) {
	c, _ := pair(t, echo(nil))
	e := Enrol{Secrets: map[string]Secret{"a": {Value: make([]byte, MaxFrame)}}}
	if err := c.Call(t.Context(), MethodEnrol, e, nil); err == nil || errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want a refusal to send", err)
	}
	if err := c.Call(t.Context(), "echo", 1, nil); err != nil {
		t.Fatalf("the connection is spoiled: %v", err)
	}
}

func TestReaderHandsOnWhatCame(t *testing.T) {
	want := []byte(strings.Repeat("0123456789", 10000))
	for _, size := range []int{1, 3, 4096, 1 << 20} {
		r := &reader{from: bytes.NewReader(want), buf: make([]byte, 100)}
		var got []byte
		p := make([]byte, size)
		deadline := time.Now().Add(10 * time.Second)
		for time.Now().Before(deadline) {
			n, err := r.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("reads of %d bytes gave %d bytes of %d", size, len(got), len(want))
		}
		if i := bytes.IndexFunc(r.buf, func(c rune) bool { return c != 0 }); i >= 0 {
			t.Errorf("reads of %d bytes left something at %d", size, i)
		}
	}
}
