package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ambit"
)

func TestRevokeCutsEverythingAtOnce(t *testing.T) {
	var in, gone sync.WaitGroup
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			if c, err := websocket.Accept(w, r, nil); err == nil {
				in.Done()
				c.Read(context.Background())
				gone.Done()
			}
			return
		}
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		in.Done()
		<-r.Context().Done()
		gone.Done()
	}))
	var cut sync.WaitGroup
	open := func(start func()) {
		in.Add(1)
		gone.Add(1)
		cut.Go(start)
	}
	for _, proto := range []string{"http/1.1", "h2"} {
		open(func() {
			resp, err := h.client(proto).Get(h.url("/stream"))
			if err != nil {
				return // cut before the head arrived
			}
			if b, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%s: %q looks whole", proto, b)
			}
		})
	}
	open(func() {
		c, _, err := websocket.Dial(context.Background(), h.url("/ws"), &websocket.DialOptions{HTTPClient: h.client()})
		if err != nil {
			return // cut before the handshake was answered
		}
		if _, _, err := c.Read(context.Background()); err == nil {
			t.Error("the socket lives")
		}
	})
	idle := h.raw()
	cut.Go(func() { io.Copy(io.Discard, idle) })
	in.Wait()
	start := time.Now()
	h.gate.Revoke()
	cut.Wait()
	gone.Wait()
	// None of the gate's own limits is so short: only Revoke can have cut them.
	if d := time.Since(start); d > 25*time.Second {
		t.Errorf("the cut took %v", d)
	}
	if c, err := net.DialTimeout("tcp", h.listener.Addr().String(), time.Second); err == nil {
		c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a new connection is served")
		}
		c.Close()
	}
	h.gate.Close()
	intents, _, ends := h.log.counts()
	if intents != 3 || ends != 3 {
		t.Errorf("%d intents, %d outcomes", intents, ends)
	}
	if _, err := h.auth.leaf("new.example.com"); err == nil {
		t.Error("the authority still signs")
	}
	if len(h.gate.open) != 0 || len(h.gate.slots) != 0 {
		t.Errorf("%d connections are left, %d places taken", len(h.gate.open), len(h.gate.slots))
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	h := newHouse(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.gate.Serve(ctx, ln) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if code, _ := get(t, h.client(), h.url("/")); code != 200 {
		t.Errorf("the other listener: %d", code)
	}
}

func TestAuthority(t *testing.T) {
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	a, err := NewAuthority(ambit.NewTaskID(), end, "a.example.com", "*.wild.example.com", "10.0.0.9")
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(a.Bundle())
	if block == nil || len(rest) > 0 {
		t.Fatal("the bundle is not one certificate")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.IsCA || ca.MaxPathLen != 0 || !ca.MaxPathLenZero || !ca.NotAfter.Equal(end) {
		t.Errorf("the certificate is %+v", ca)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	for host, ok := range map[string]bool{"a.example.com": true, "x.wild.example.com": true, "10.0.0.9": true, "evil.example": false, "10.0.0.8": false} {
		c, err := a.leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host})
		if (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
		if c.Leaf.IsCA || c.Leaf.NotAfter.After(end) {
			t.Errorf("%s: CA %v until %v", host, c.Leaf.IsCA, c.Leaf.NotAfter)
		}
	}
	for i := range 2 * maxLeaves {
		if _, err := a.leaf(fmt.Sprintf("h%d.wild.example.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.leaves) != maxLeaves || len(a.order) != maxLeaves {
		t.Errorf("%d leaves are kept", len(a.leaves))
	}
	if _, err := NewAuthority(ambit.NewTaskID(), time.Now().Add(-time.Second)); err == nil {
		t.Error("an authority of an ended task")
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	h := newHouse(t, nil)
	c := &tls.Config{RootCAs: h.agentRoots(), ServerName: testHost, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", h.listener.Addr().String(), c); err == nil {
		conn.Close()
		t.Error("TLS 1.1 towards the agent")
	}
	c.MaxVersion = tls.VersionTLS12
	if conn, err := tls.Dial("tcp", h.listener.Addr().String(), c); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}
