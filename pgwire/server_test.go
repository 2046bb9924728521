package pgwire

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

const password = "s3cr3t of the house"

// peer is the server's side of one connection, as a test has it.
type peer struct {
	net.Conn
	heard *ear // all that the client sent
	in    io.Reader
}

// ear keeps what is heard.
type ear struct {
	mu sync.Mutex
	b  []byte
}

func (e *ear) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.b = append(e.b, b...)
	return len(b), nil
}

func (e *ear) all() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.b)
}

// host serves each connection by the next of scripts, the last again and again. What it
// must never hear in the clear is looked for when all are over.
type host struct {
	config Config
	never  string
	wg     sync.WaitGroup
}

func serve(t testing.TB, scripts ...func(*peer)) *host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{never: "s3cr3t", config: Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		},
		User: "chief", Database: "shop", Password: []byte(password),
	}}
	var heard []*ear
	h.wg.Go(func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{Conn: c, heard: &ear{}}
			p.in = io.TeeReader(c, p.heard)
			heard = append(heard, p.heard)
			h.wg.Go(func() {
				defer c.Close()
				scripts[min(n, len(scripts)-1)](p)
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, p.in)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		h.wg.Wait()
		for _, x := range heard {
			if all := x.all(); bytes.Contains(all, []byte(h.never)) {
				t.Errorf("it hears %q in %q", h.never, all)
			}
		}
	})
	return h
}

// packet reads a message without a type: a startup message or a request.
func (p *peer) packet() []byte {
	var n [4]byte
	if _, err := io.ReadFull(p.in, n[:]); err != nil {
		return nil
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:])-4)
	_, _ = io.ReadFull(p.in, b)
	return b
}

// message reads one with a type, of which 0 means that the client went.
func (p *peer) message() (kind byte, body []byte) {
	var k [1]byte
	if _, err := io.ReadFull(p.in, k[:]); err != nil {
		return 0, nil
	}
	return k[0], p.packet()
}

func (p *peer) send(b []byte) bool {
	_, err := p.Write(b)
	return err == nil
}

// frame is a message by hand.
func frame(kind byte, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

func text(kind byte, parts ...string) []byte {
	return frame(kind, []byte(strings.Join(parts, "\x00")+"\x00")...)
}

func auth(way uint32, more string) []byte {
	return frame('R', append(binary.BigEndian.AppendUint32(nil, way), more...)...)
}

func failure(severity, code, message string) []byte {
	return frame('E', []byte("S"+severity+"\x00V"+severity+"\x00C"+code+"\x00M"+message+"\x00\x00")...)
}

var (
	ready     = frame('Z', 'I')
	completed = text('C', "SELECT 1")
	keyData   = frame('K', 0, 0, 0, 7, 1, 2, 3, 4)
)

func columns(n int) []byte {
	m := pgproto3.RowDescription{}
	for i := range n {
		m.Fields = append(m.Fields, pgproto3.FieldDescription{Name: fmt.Appendf(nil, "c%d", i)})
	}
	b, err := m.Encode(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func row(values ...string) []byte {
	m := pgproto3.DataRow{}
	for _, v := range values {
		m.Values = append(m.Values, []byte(v))
	}
	b, err := m.Encode(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// scramServer is the other side of a proof, with what a hostile one does otherwise.
type scramServer struct {
	offers    string                                  // mechanisms, "" for the plain one
	first     func(nonce, salt string) string         // the challenge
	signature func([]byte) []byte                     // what is sent for it
	header    string                                  // that the client must send
	binding   []byte                                  // likewise
	between   func(*peer) bool                        // after the proof
	keys      func(salt []byte) (stored, serv []byte) // what it keeps of the password
}

func keysOf(password string) func([]byte) (stored, serv []byte) {
	return func(salt []byte) ([]byte, []byte) {
		salted, err := pbkdf2.Key(sha256.New, password, salt, 4096, 32)
		if err != nil {
			panic(err)
		}
		h := hmac.New(sha256.New, salted)
		h.Write([]byte("Client Key"))
		stored := sha256.Sum256(h.Sum(nil))
		h = hmac.New(sha256.New, salted)
		h.Write([]byte("Server Key"))
		return stored[:], h.Sum(nil)
	}
}

var errProof = errors.New("the proof is wrong")

// prove takes the startup message and has the client prove the password.
func (s scramServer) prove(p *peer) error {
	if p.packet() == nil {
		return io.EOF
	}
	return s.proveOnly(p)
}

func (s scramServer) proveOnly(p *peer) error {
	if s.offers == "" {
		s.offers = scramSHA256
	}
	p.send(auth(10, strings.ReplaceAll(s.offers, " ", "\x00")+"\x00\x00"))
	_, body := p.message()
	_, hello, ok := strings.Cut(string(body), "\x00")
	if !ok || len(hello) < 4 {
		return io.EOF
	}
	hello = hello[4:]
	if s.header == "" {
		s.header = "n,,"
	}
	bare, ok := strings.CutPrefix(hello, s.header)
	if !ok {
		return fmt.Errorf("the client begins with %q", hello)
	}
	_, nonce, _ := strings.Cut(bare, ",r=")
	salt := base64.StdEncoding.EncodeToString([]byte("some salt"))
	first := "r=" + nonce + "more,s=" + salt + ",i=4096"
	if s.first != nil {
		first = s.first(nonce, salt)
	}
	p.send(auth(11, first))
	_, body = p.message()
	if body == nil {
		return io.EOF
	}
	final, proofText, _ := strings.Cut(string(body), ",p=")
	if want := "c=" + base64.StdEncoding.EncodeToString(append([]byte(s.header), s.binding...)) + ",r=" + nonce + "more"; final != want {
		return fmt.Errorf("the client says %q, want %q", final, want)
	}
	if s.keys == nil {
		s.keys = keysOf(password)
	}
	stored, serv := s.keys([]byte("some salt"))
	said := []byte(bare + "," + first + "," + final)
	proof, err := base64.StdEncoding.DecodeString(proofText)
	if err != nil || len(proof) != 32 {
		return errProof
	}
	h := hmac.New(sha256.New, stored)
	h.Write(said)
	for i, b := range h.Sum(nil) {
		proof[i] ^= b
	}
	if key := sha256.Sum256(proof); !bytes.Equal(key[:], stored) {
		return errProof
	}
	if s.between != nil && !s.between(p) {
		return nil
	}
	h = hmac.New(sha256.New, serv)
	h.Write(said)
	sig := h.Sum(nil)
	if s.signature != nil {
		sig = s.signature(sig)
	}
	p.send(auth(12, "v="+base64.StdEncoding.EncodeToString(sig)))
	p.send(auth(0, ""))
	return nil
}

// welcome logs a client in that proves the password.
func welcome(t testing.TB) func(*peer) bool {
	return func(p *peer) bool {
		if err := (scramServer{}).prove(p); err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			return false
		}
		return p.send(keyData) && p.send(text('S', "is_superuser", "on")) && p.send(ready)
	}
}

// soon bounds what a test waits for.
func soon(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Minute)
}

// opened is a client that has logged in, and the time that it has.
func opened(t testing.TB, h *host) (context.Context, *Client) {
	t.Helper()
	ctx, stop := soon(t)
	t.Cleanup(stop)
	c, err := Open(ctx, h.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return ctx, c
}
