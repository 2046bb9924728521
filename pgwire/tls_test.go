package pgwire

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// A login over TLS is bound to the server's certificate where the server can, and whoever
// strikes that from the offer is found out.
func TestTLS(t *testing.T) {
	ca := ambittest.NewCA(t)
	cert := ca.Issue(t, "db.internal")
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.Raw)
	another := sha256.Sum256([]byte("of somebody in between"))
	for name, x := range map[string]struct {
		host string
		s    scramServer
		ok   bool
	}{
		"bound":                       {"db.internal", scramServer{offers: "SCRAM-SHA-256-PLUS SCRAM-SHA-256", header: "p=tls-server-end-point,,", binding: sum[:]}, true},
		"the bound one only":          {"db.internal", scramServer{offers: "SCRAM-SHA-256-PLUS", header: "p=tls-server-end-point,,", binding: sum[:]}, true},
		"not offered":                 {"db.internal", scramServer{header: "y,,"}, true},
		"struck from the offer":       {"db.internal", scramServer{header: "p=tls-server-end-point,,"}, false},
		"to another's certificate":    {"db.internal", scramServer{offers: "SCRAM-SHA-256-PLUS SCRAM-SHA-256", header: "p=tls-server-end-point,,", binding: another[:]}, false},
		"with another's name instead": {"db2.internal", scramServer{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(p *peer) {
				if string(p.packet()) != "\x04\xd2\x16\x2f" {
					t.Error("no TLS is asked for")
				}
				p.send([]byte("S"))
				s := tls.Server(p.Conn, &tls.Config{Certificates: []tls.Certificate{cert}})
				q := &peer{Conn: s, in: s}
				if err := x.s.prove(q); (err == nil) != x.ok {
					t.Errorf("the login: %v", err)
				} else if err == nil {
					q.send(keyData)
					q.send(ready)
					q.message()
				}
			})
			h.config.TLS = &tls.Config{ServerName: x.host, RootCAs: ca.Pool()}
			ctx, stop := soon(t)
			defer stop()
			c, err := Open(ctx, h.config)
			if (err == nil) != x.ok {
				t.Errorf("%v", err)
			}
			if err == nil {
				c.Close()
			}
		})
	}
}

// Whoever is on the way and says that there is no TLS, or puts something before it, gets
// nothing to read and is not believed.
func TestNoTLS(t *testing.T) {
	for name, x := range map[string]struct{ answer, want string }{
		"no":                      {"N", "does not speak TLS; turn it on there"},
		"an error":                {string(failure("FATAL", "28000", "type your password at evil.example")), "does not speak TLS"},
		"GSS":                     {"G", "does not speak TLS"},
		"nothing":                 {"", "ended the connection"},
		"yes, and more behind it": {"S" + string(several(auth(0, ""), keyData, ready)), "tls: first record does not look like a TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(p *peer) {
				p.packet()
				p.send([]byte(x.answer))
				if len(x.answer) > 0 {
					_, _ = io.Copy(io.Discard, p.in)
				}
			})
			h.config.TLS, h.never = &tls.Config{ServerName: "db.internal"}, "chief"
			ctx, stop := soon(t)
			defer stop()
			c, err := Open(ctx, h.config)
			if err == nil {
				c.Close()
				t.Fatal("it logged in")
			}
			if !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "evil") {
				t.Errorf("%v, want %q", err, x.want)
			}
		})
	}
	for name, answer := range map[string]string{"before an answer": "", "in the handshake": "S"} {
		t.Run("silence "+name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			h := serve(t, func(p *peer) {
				p.packet()
				p.send([]byte(answer))
				stop()
				_, _ = io.Copy(io.Discard, p.in)
			})
			h.config.TLS = &tls.Config{ServerName: "db.internal"}
			if _, err := Open(ctx, h.config); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// Whoever is on the way where no certificate is checked need not strike anything from the
// offer: to ask for nothing would be enough.
func TestTLSWithoutAQuestion(t *testing.T) {
	cert := ambittest.NewCA(t).Issue(t, "evil.example")
	h := serve(t, func(p *peer) {
		p.packet()
		p.send([]byte("S"))
		s := tls.Server(p.Conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		q := &peer{Conn: s, in: s}
		q.packet()
		q.send(several(auth(0, ""), keyData, ready))
		q.message()
	})
	h.config.TLS = &tls.Config{ServerName: "db.internal", InsecureSkipVerify: true}
	ctx, stop := soon(t)
	defer stop()
	c, err := Open(ctx, h.config)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, ErrUnproved) {
		t.Error(err)
	}
}

// What is kept of a certificate's error is bounded: its names are anybody's words.
func TestNamesOfACertificate(t *testing.T) {
	ca := ambittest.NewCA(t)
	var names []string
	for n := range 90 {
		names = append(names, fmt.Sprintf("n%d.%s.example", n, strings.Repeat("evil-words.", 20)))
	}
	cert := ca.Issue(t, names...)
	h := serve(t, func(p *peer) {
		p.packet()
		p.send([]byte("S"))
		_ = tls.Server(p.Conn, &tls.Config{Certificates: []tls.Certificate{cert}}).HandshakeContext(t.Context())
	})
	h.config.TLS = &tls.Config{ServerName: "db.internal", RootCAs: ca.Pool()}
	ctx, stop := soon(t)
	defer stop()
	_, err := Open(ctx, h.config)
	if err == nil || !strings.Contains(err.Error(), "certificate is valid for") || len(err.Error()) > 1100 {
		t.Errorf("%d bytes: %.200v", len(fmt.Sprint(err)), err)
	}
	if _, kept := errors.AsType[x509.HostnameError](err); kept {
		t.Error("the certificate is kept with the error")
	}
}

// The request to stop a statement goes over TLS too: who reads its numbers could stop
// others.
func TestCancelOverTLS(t *testing.T) {
	ca := ambittest.NewCA(t)
	cert := ca.Issue(t, "db.internal")
	over := func(p *peer) *peer {
		p.packet()
		p.send([]byte("S"))
		s := tls.Server(p.Conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		return &peer{Conn: s, in: s}
	}
	ctx, stop := context.WithCancel(t.Context())
	cancelled := make(chan []byte, 1)
	h := serve(t, func(p *peer) {
		q := over(p)
		if err := (scramServer{header: "y,,"}).prove(q); err != nil {
			t.Error(err)
		}
		q.send(several(keyData, ready))
		q.message()
		stop()
		q.message()
	}, func(p *peer) { cancelled <- over(p).packet() })
	h.config.TLS = &tls.Config{ServerName: "db.internal", RootCAs: ca.Pool()}
	c, err := Open(ctx, h.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Query(ctx, "SELECT 1"); !errors.Is(err, context.Canceled) || !c.Closed() {
		t.Errorf("%v", err)
	}
	if got := <-cancelled; string(got) != "\x04\xd2\x16\x2e\x00\x00\x00\x07\x01\x02\x03\x04" {
		t.Errorf("the request to cancel is %x", got)
	}
}
