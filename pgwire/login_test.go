package pgwire

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A server in the way, or in the place of the right one, gets nothing of the password,
// and the login ends with what is wrong.
func TestHostileLogins(t *testing.T) {
	asks := func(b []byte) func(*peer) {
		return func(p *peer) { p.packet(); p.send(b); p.message() }
	}
	challenges := func(first func(nonce, salt string) string) func(*peer) {
		return func(p *peer) {
			if err := (scramServer{first: first}).prove(p); err != io.EOF {
				t.Errorf("the client answered: %v", err)
			}
		}
	}
	for name, x := range map[string]struct {
		script func(*peer)
		want   string
	}{
		"in the clear":        {asks(auth(3, "")), "give it away; set its pg_hba.conf to scram-sha-256"},
		"as MD5":              {asks(auth(5, "salt")), "give it away"},
		"by GSS":              {asks(auth(7, "")), "give it away"},
		"by SSPI":             {asks(auth(9, "")), "give it away"},
		"by Kerberos":         {asks(auth(2, "")), "give it away"},
		"by something new":    {asks(auth(99, "")), "give it away"},
		"half a question":     {asks(frame('R', 0, 0)), "unexpected message 'R'"},
		"by another SASL":     {asks(auth(10, "SCRAM-SHA-1\x00OAUTHBEARER\x00\x00")), "offers no SCRAM-SHA-256"},
		"by SASL without end": {asks(auth(10, "SCRAM-SHA-256")), "cannot be read"},
		"bound without TLS":   {asks(auth(10, "SCRAM-SHA-256-PLUS\x00\x00")), "offers no SCRAM-SHA-256"},
		"a challenge at once": {asks(auth(11, "r=x,s=eA==,i=4096")), "unexpected message 'R'"},
		"a proof at once":     {asks(auth(12, "v=eA==")), "unexpected message 'R'"},
		"without a question":  {asks(several(auth(0, ""), keyData, ready)), "asks for no password"},
		"ready at once":       {asks(ready), "unexpected message 'Z'"},
		"rows at once":        {asks(row("x")), "unexpected message 'D'"},
		"it hangs up":         {func(p *peer) { p.packet() }, "ended the connection"},
		"half a message":      {func(p *peer) { p.packet(); p.send([]byte{'R', 0, 0}) }, "ended the connection"},
		"half a body":         {func(p *peer) { p.packet(); p.send([]byte{'R', 0, 0, 0, 100, 1, 2}) }, "ended the connection"},
		"a huge message":      {asks([]byte{'R', 0x7f, 0xff, 0xff, 0xff}), "of 2147483643 bytes, at most"},
		"less than nothing":   {asks([]byte{'R', 0, 0, 0, 3}), "no possible length"},
		"below zero":          {asks([]byte{'R', 0xff, 0xff, 0xff, 0xff}), "no possible length"},
		"let in without the signature": {func(p *peer) {
			_ = scramServer{between: func(p *peer) bool { return !p.send(auth(0, "")) }}.prove(p)
			p.message()
		}, "did not prove"},
		"let in without the proof": {func(p *peer) {
			p.packet()
			p.send(auth(10, "SCRAM-SHA-256\x00\x00"))
			p.send(auth(0, ""))
			p.message()
		}, "did not prove"},
		"another's signature": {func(p *peer) {
			_ = scramServer{signature: func(b []byte) []byte { return bytes.Repeat([]byte{1}, len(b)) }}.prove(p)
			p.message()
		}, "did not prove"},
		"no signature": {func(p *peer) {
			_ = scramServer{signature: func([]byte) []byte { return nil }}.prove(p)
			p.message()
		}, "did not prove"},
		"a signature before the challenge": {func(p *peer) {
			p.packet()
			p.send(auth(10, "SCRAM-SHA-256\x00\x00"))
			p.send(auth(12, "v="))
			p.message()
		}, "did not prove"},
		"another nonce":     {challenges(func(_, salt string) string { return "r=other,s=" + salt + ",i=4096" }), "answers another question"},
		"the nonce alone":   {challenges(func(nonce, salt string) string { return "r=" + nonce + ",s=" + salt + ",i=4096" }), "answers another question"},
		"one round":         {challenges(func(nonce, salt string) string { return "r=" + nonce + "more,s=" + salt + ",i=1" }), "asks for 1 rounds"},
		"too few rounds":    {challenges(func(nonce, salt string) string { return "r=" + nonce + "more,s=" + salt + ",i=4095" }), "asks for 4095 rounds"},
		"rounds for ever":   {challenges(func(nonce, salt string) string { return "r=" + nonce + "more,s=" + salt + ",i=2000000000" }), "too few or too many"},
		"rounds below zero": {challenges(func(nonce, salt string) string { return "r=" + nonce + "more,s=" + salt + ",i=-4096" }), "too few or too many"},
		"no salt":           {challenges(func(nonce, salt string) string { return "r=" + nonce + "more,s=,i=4096" }), "not in order"},
		"a salt of a megabyte": {challenges(func(nonce, salt string) string {
			return "r=" + nonce + "more,s=" + strings.Repeat("AAAA", 200_000) + ",i=4096"
		}), "not in order"},
		"an extension":   {challenges(func(nonce, salt string) string { return "m=x,r=" + nonce + "more,s=" + salt + ",i=4096" }), "not in order"},
		"commas":         {challenges(func(nonce, salt string) string { return strings.Repeat(",", 900_000) }), "not in order"},
		"nothing at all": {challenges(func(nonce, salt string) string { return "" }), "not in order"},
		"a second challenge": {func(p *peer) {
			_ = scramServer{between: func(p *peer) bool { return !p.send(auth(11, "r=x,s=eA==,i=4096")) }}.prove(p)
			p.message()
		}, "second proof"},
		"the whole once more": {func(p *peer) {
			_ = scramServer{between: func(p *peer) bool { return !p.send(auth(10, "SCRAM-SHA-256\x00\x00")) }}.prove(p)
			p.message()
		}, "unexpected message 'R'"},
		"an error": {asks(failure("FATAL", "28P01", "no\x1b[2J\nway")), "FATAL: no\ufffd[2J way (SQLSTATE 28P01)"},
		"a key without end": {func(p *peer) {
			p.packet()
			p.send(several(auth(0, ""), frame('K', make([]byte, 100_000)...), ready))
			p.message()
		}, "cannot be read"},
		"an error without an end": {asks(frame('E', 'S', 'x')), "unexpected message 'E'"},
		"notices for ever": {func(p *peer) {
			p.packet()
			for p.send(text('N', strings.Repeat("x", 1000))) {
			}
		}, "more than an answer may hold"},
		"empty notices for ever": {func(p *peer) {
			p.packet()
			for p.send(bytes.Repeat(frame('N'), 1000)) {
			}
		}, "more than an answer may hold"},
		"settings for ever": {func(p *peer) {
			p.packet()
			p.send(auth(0, ""))
			for n := 0; p.send(text('S', fmt.Sprint("name", n), strings.Repeat("v", 100))); n++ {
			}
		}, "more than an answer may hold"},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, x.script)
			h.config.Unproved = name == "settings for ever" || name == "a key without end"
			ctx, stop := soon(t)
			defer stop()
			c, err := Open(ctx, h.config)
			if err == nil {
				c.Close()
				t.Fatal("it logged in")
			}
			if strings.HasPrefix(x.want, "offers no") && !errors.Is(err, ErrGivesAway) {
				t.Errorf("%v is not of a server that asks in another way", err)
			}
			if !strings.Contains(err.Error(), x.want) || ctx.Err() != nil {
				t.Errorf("%v, want %q", err, x.want)
			}
			if strings.Contains(err.Error(), h.never) {
				t.Error("the password is shown")
			}
		})
	}
}

// The benign twins: who proves the password to a server that knows it is let in, and who
// is trusted too.
func TestLogins(t *testing.T) {
	raw := "pä\u00a0ss\x7f wörd, r=x"
	for name, x := range map[string]struct {
		password string
		script   func(*peer) error
	}{
		"SCRAM":                   {password, scramServer{}.prove},
		"beyond ASCII":            {raw, scramServer{keys: keysOf(raw)}.prove},
		"both mechanisms":         {password, scramServer{offers: "SCRAM-SHA-256-PLUS SCRAM-SHA-256"}.prove},
		"trust":                   {"", func(p *peer) error { p.packet(); p.send(auth(0, "")); return nil }},
		"trust beside a password": {password, func(p *peer) error { p.packet(); p.send(auth(0, "")); return nil }},
		"after notices": {password, func(p *peer) error {
			p.packet()
			p.send(text('N', "SNOTICE", "Mhello", ""))
			return scramServer{}.proveOnly(p)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(p *peer) {
				if err := x.script(p); err != nil {
					t.Error(err)
					return
				}
				p.send(text('S', "server_version", "15.1"))
				p.send(keyData)
				p.send(ready)
				if kind, _ := p.message(); kind != 'X' {
					t.Errorf("it went with %q", kind)
				}
			})
			h.config.Unproved = name == "trust beside a password"
			h.config.Password, h.config.Settings = []byte(x.password), map[string]string{"search_path": "pg_catalog"}
			ctx, stop := soon(t)
			defer stop()
			c, err := Open(ctx, h.config)
			if err != nil {
				t.Fatal(err)
			}
			if c.Closed() || c.Status() != 'I' || c.Parameter("server_version") != "15.1" || c.conn.PID != 7 || string(c.conn.Key) != "\x01\x02\x03\x04" {
				t.Errorf("it has %+v", c.conn)
			}
			c.Close()
			c.Close()
			if _, err := c.Query(ctx, "SELECT 1"); err == nil || !c.Closed() {
				t.Error("it goes on after its end")
			}
			if len(h.config.Settings) != 1 || string(h.config.Password) != x.password {
				t.Error("the settings were changed")
			}
		})
	}
}

// Without a password none is proved: an empty one would be proved to nobody's profit.
func TestNoPassword(t *testing.T) {
	h := serve(t, func(p *peer) { _ = scramServer{}.prove(p) })
	h.config.Password = nil
	if _, err := Open(t.Context(), h.config); err == nil || !strings.Contains(err.Error(), "asks for a password, and there is none") {
		t.Error(err)
	}
}

// The wrong password ends as the server says.
func TestWrongPassword(t *testing.T) {
	h := serve(t, func(p *peer) {
		if err := (scramServer{}).prove(p); err != errProof {
			t.Errorf("its proof: %v", err)
		}
		p.send(failure("FATAL", "28P01", "password authentication failed"))
	})
	h.config.Password = []byte("another")
	_, err := Open(t.Context(), h.config)
	if bad, ok := errors.AsType[*Error](err); !ok || bad.Code != "28P01" {
		t.Error(err)
	}
}

// A login ends when its context does, however far it is.
func TestLoginEndsWithItsContext(t *testing.T) {
	for name, before := range map[string]func(*peer){
		"at once":       func(*peer) {},
		"at the proof":  func(p *peer) { p.packet(); p.send(auth(10, "SCRAM-SHA-256\x00\x00")); p.message() },
		"in a message":  func(p *peer) { p.packet(); p.send([]byte{'R', 0, 0, 0, 8, 0}) },
		"after it":      func(p *peer) { p.packet(); p.send(auth(0, "")) },
		"in a big body": func(p *peer) { p.packet(); p.send([]byte{'N', 0, 0x0f, 0, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			gone := make(chan struct{})
			h := serve(t, func(p *peer) { before(p); stop(); <-gone })
			h.config.Unproved = true
			defer close(gone)
			c, err := Open(ctx, h.config)
			if !errors.Is(err, context.Canceled) || c != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestVector is the example of RFC 7677 section 3, and a verifier that a server keeps lets
// in who knows the password and nobody else.
func TestVector(t *testing.T) {
	const nonce = "rOprNGfwEbeRWgbNEkqO"
	s := &scram{password: []byte("pencil"), header: "n,,", nonce: nonce, first: "n=user,r=" + nonce}
	got, err := s.answer([]byte("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))
	if want := "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="; err != nil || string(got) != want {
		t.Fatalf("%s, %v", got, err)
	}
	if err := s.verify([]byte("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")); err != nil {
		t.Error(err)
	}
	if err := s.verify([]byte("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")); err == nil {
		t.Error("another signature is taken")
	}
	a, err := Verifier([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := Verifier([]byte(password))
	if a == b {
		t.Error("two verifiers have one salt")
	}
	rest, ok := strings.CutPrefix(a, "SCRAM-SHA-256$4096:")
	saltText, keys, ok2 := strings.Cut(rest, "$")
	storedText, serverText, ok3 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 {
		t.Fatal(a)
	}
	salt, err1 := base64.StdEncoding.DecodeString(saltText)
	wantStored, wantServer := keysOf(password)(salt)
	stored, err2 := base64.StdEncoding.DecodeString(storedText)
	server, err3 := base64.StdEncoding.DecodeString(serverText)
	if errors.Join(err1, err2, err3) != nil || len(salt) != 16 || !bytes.Equal(stored, wantStored) || !bytes.Equal(server, wantServer) {
		t.Errorf("the verifier %s is of another password", a)
	}
}
