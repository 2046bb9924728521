package sql

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// server is a small database: it proves and checks passwords by SCRAM, and hands
// every statement that is executed to a function that answers with rows.
type server struct {
	t        *testing.T
	ln       net.Listener
	password func() string
	run      func(ctx context.Context, user, text string) (rows []string, err *pgproto3.ErrorResponse)
	startup  chan map[string]string
	wg       sync.WaitGroup
}

func newServer(t *testing.T, password func() string, run func(ctx context.Context, user, text string) ([]string, *pgproto3.ErrorResponse)) *server {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, ln: ln, password: password, run: run, startup: make(chan map[string]string, 64)}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { defer c.Close(); s.serve(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); s.wg.Wait() })
	return s
}

func (s *server) serve(c net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b := pgproto3.NewBackend(c, c)
	m, err := b.ReceiveStartupMessage()
	st, ok := m.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	params := st.Parameters
	select {
	case s.startup <- params:
	default:
	}
	if !s.authenticate(b) {
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "password authentication failed"})
		b.Flush()
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	for k, v := range map[string]string{"client_encoding": "UTF8", "standard_conforming_strings": "on", "server_version": "17.0"} {
		b.Send(&pgproto3.ParameterStatus{Name: k, Value: v})
	}
	b.Send(&pgproto3.BackendKeyData{ProcessID: 4711, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	s.statements(ctx, cancel, c, b, params["user"])
}

// statements serves simple and extended queries. What was read before the client
// hung up is read on another goroutine, so that the context ends with it.
func (s *server) statements(ctx context.Context, cancel context.CancelFunc, c net.Conn, b *pgproto3.Backend, user string) {
	type msg struct {
		kind byte
		text string
	}
	in := make(chan msg, 1024)
	go func() {
		defer cancel()
		defer close(in)
		for {
			m, err := b.Receive()
			if err != nil {
				return
			}
			switch m := m.(type) {
			case *pgproto3.Query:
				in <- msg{'Q', m.String}
			case *pgproto3.Parse:
				in <- msg{'P', m.Query}
			case *pgproto3.Bind:
				in <- msg{'B', string(bytes.Join(m.Parameters, []byte(",")))}
			case *pgproto3.Execute:
				in <- msg{'E', ""}
			case *pgproto3.Sync:
				in <- msg{'S', ""}
			case *pgproto3.Terminate:
				return
			}
		}
	}()
	text, params, failed := "", "", false
	out := pgproto3.NewBackend(strings.NewReader(""), c)
	send := func(ms ...pgproto3.BackendMessage) {
		for _, m := range ms {
			out.Send(m)
		}
		out.Flush()
	}
	execute := func(text string) bool {
		rows, err := s.run(ctx, user, text)
		if err != nil {
			send(err)
			return false
		}
		out.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("x"), DataTypeOID: 25}}})
		for _, r := range rows {
			out.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(r)}})
		}
		send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		return true
	}
	for m := range in {
		switch {
		case m.kind == 'S':
			failed = false
			send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		case failed:
		case m.kind == 'Q':
			execute(m.text)
			send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		case m.kind == 'P':
			if text = m.text; text == brokenStatement {
				failed = true
				send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "42601", Message: "syntax error"})
				continue
			}
			send(&pgproto3.ParseComplete{})
		case m.kind == 'B':
			params = m.text
			send(&pgproto3.BindComplete{})
		case m.kind == 'E':
			failed = !execute(strings.ReplaceAll(text, "$1", "'"+params+"'"))
		}
	}
}

// authenticate is the server's side of SCRAM-SHA-256.
func (s *server) authenticate(b *pgproto3.Backend) bool {
	b.Send(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}})
	b.SetAuthType(pgproto3.AuthTypeSASL)
	if b.Flush() != nil {
		return false
	}
	m, err := b.Receive()
	first, ok := m.(*pgproto3.SASLInitialResponse)
	if err != nil || !ok {
		return false
	}
	bare := strings.TrimPrefix(string(first.Data), "n,,")
	nonce := strings.TrimPrefix(bare, "n=,r=") + rand.Text()
	salt := []byte("some salt of the role")
	challenge := "r=" + nonce + ",s=" + base64.StdEncoding.EncodeToString(salt) + ",i=4096"
	b.Send(&pgproto3.AuthenticationSASLContinue{Data: []byte(challenge)})
	b.SetAuthType(pgproto3.AuthTypeSASLContinue)
	if b.Flush() != nil {
		return false
	}
	m, err = b.Receive()
	final, ok := m.(*pgproto3.SASLResponse)
	if err != nil || !ok {
		return false
	}
	without, proofText, _ := strings.Cut(string(final.Data), ",p=")
	salted, _ := pbkdf2.Key(sha256.New, s.password(), salt, 4096, 32)
	sign := func(key, text []byte) []byte { h := hmac.New(sha256.New, key); h.Write(text); return h.Sum(nil) }
	auth := []byte(bare + "," + challenge + "," + without)
	key := sign(salted, []byte("Client Key"))
	stored := sha256.Sum256(key)
	proof, _ := base64.StdEncoding.DecodeString(proofText)
	want := sign(stored[:], auth)
	for i := range want {
		want[i] ^= key[i]
	}
	if !hmac.Equal(proof, want) {
		return false
	}
	b.Send(&pgproto3.AuthenticationSASLFinal{Data: []byte("v=" + base64.StdEncoding.EncodeToString(sign(sign(salted, []byte("Server Key")), auth)))})
	return b.Flush() == nil
}

// wire is a client that writes its own messages and keeps every byte it receives.
type wire struct {
	c   net.Conn
	f   *pgproto3.Frontend
	got *bytes.Buffer
}

func dialWire(ctx context.Context, addr string) (*wire, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{c: c, got: &bytes.Buffer{}}
	w.f = pgproto3.NewFrontend(io.TeeReader(c, w.got), c)
	return w, nil
}

func (w *wire) send(ms ...pgproto3.FrontendMessage) error {
	for _, m := range ms {
		w.f.Send(m)
	}
	return w.f.Flush()
}

// until reads up to a message that says that the server is ready, and returns the
// kinds of what came and the first error. A fatal error ends it too.
func (w *wire) until() (kinds string, failed *pgproto3.ErrorResponse, err error) {
	for {
		m, err := w.f.Receive()
		if err != nil {
			return kinds, failed, err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			if failed == nil {
				failed = m
				x := *m
				failed = &x
			}
			kinds += "E"
		case *pgproto3.ReadyForQuery:
			return kinds + "Z" + string(m.TxStatus), failed, nil
		case *pgproto3.DataRow:
			kinds += "D"
		case *pgproto3.CommandComplete:
			kinds += "C"
		case *pgproto3.ParseComplete:
			kinds += "1"
		case *pgproto3.BindComplete:
			kinds += "2"
		case *pgproto3.RowDescription:
			kinds += "T"
		}
	}
}

// start opens a session.
func (w *wire) start(settings map[string]string) (*pgproto3.ErrorResponse, error) {
	params := map[string]string{"user": "anybody", "database": "shop"}
	for k, v := range settings {
		params[k] = v
	}
	if err := w.send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: params}); err != nil {
		return nil, err
	}
	_, failed, err := w.until()
	return failed, err
}
