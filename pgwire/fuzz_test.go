package pgwire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/iotest"
	"time"
)

// scripted is a connection whose other side has said everything already.
type scripted struct{ io.Reader }

func (scripted) Write(b []byte) (int, error)      { return len(b), nil }
func (scripted) Close() error                     { return nil }
func (scripted) LocalAddr() net.Addr              { return nil }
func (scripted) RemoteAddr() net.Addr             { return nil }
func (scripted) SetDeadline(time.Time) error      { return nil }
func (scripted) SetReadDeadline(time.Time) error  { return nil }
func (scripted) SetWriteDeadline(time.Time) error { return nil }

// FuzzServer reads what a server sends at a login and as two answers.
func FuzzServer(f *testing.F) {
	trusts := several(auth(0, ""), text('S', "server_version", "15.1"), keyData, ready)
	for _, b := range [][]byte{
		trusts,
		several(trusts, columns(2), row("a", "b"), completed, ready, columns(1), row("c"), completed, ready),
		several(trusts, text('N', "Mx", ""), columns(1), failure("ERROR", "42501", "denied"), frame('Z', 'E'), text('C', "ROLLBACK"), ready),
		several(trusts, failure("FATAL", "57P01", "terminated")),
		several(trusts, text('S', "a", "b"), frame('I'), frame('A', 0, 0, 0, 1, 'c', 0, 'p', 0), ready),
		several(trusts, columns(1), []byte{'D', 0x7f, 0xff, 0xff, 0xff}),
		several(trusts, columns(1), frame('D', 0xff, 0xff)),
		several(auth(10, "SCRAM-SHA-256\x00SCRAM-SHA-256-PLUS\x00\x00"), auth(11, "r=x,s=eA==,i=4096"), auth(12, "v=eA==")),
		auth(3, ""), auth(5, "salt"), failure("FATAL", "28P01", "no"), {'R', 0xff, 0xff, 0xff, 0xff},
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		dialled := false
		c, err := Open(t.Context(), Config{User: "u", Database: "d", Password: []byte("p"), Unproved: true, Dial: func(context.Context) (net.Conn, error) {
			if dialled {
				return nil, errors.New("once")
			}
			dialled = true
			return scripted{iotest.OneByteReader(bytes.NewReader(stream))}, nil // nothing is there before it is asked for
		}})
		if err != nil {
			return
		}
		for range 2 {
			rows, err := c.Query(t.Context(), "SELECT 1")
			said, ok := errors.AsType[*Error](err)
			switch {
			case err != nil && rows != nil:
				t.Fatal("rows of a statement that failed")
			case err != nil && c.Closed() == (ok && !said.fatal):
				t.Fatalf("closed: %v, with %v", c.Closed(), err)
			case err == nil && (c.Status() == 0 || bytes.IndexByte([]byte("ITE"), c.Status()) < 0):
				t.Fatalf("the status is %q", c.Status())
			}
			size := 0
			for _, r := range rows {
				if len(r) != len(rows[0]) {
					t.Fatal("rows of different columns")
				}
				for _, v := range r {
					size += len(v)
				}
			}
			if size > len(stream) || len(rows) > len(stream) || len(c.conn.Params) > len(stream) {
				t.Fatal("more came out than went in")
			}
			if c.Closed() {
				return
			}
		}
	})
}

// FuzzChallenge makes the final message of whatever a server has for a first.
func FuzzChallenge(f *testing.F) {
	const nonce = "rOprNGfwEbeRWgbNEkqO"
	for _, s := range []string{"r=" + nonce + "more,s=eA==,i=4096", "r=" + nonce + ",s=eA==,i=4096", "m=x,r=,s=,i=", "", ",,,", "r=" + nonce + "x,s=eA==,i=4096,x=y"} {
		f.Add([]byte(s), []byte("v=eA=="))
	}
	f.Fuzz(func(t *testing.T, challenge, final []byte) {
		s := &scram{password: []byte("pencil"), header: "n,,", nonce: nonce, first: "n=,r=" + nonce}
		got, err := s.answer(challenge)
		if err == nil && !bytes.HasPrefix(got, []byte("c=biws,r="+nonce)) || err != nil && s.signature != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if s.verify(final) == nil {
			t.Fatal("a server that does not know the password proved it")
		}
	})
}

// A message that promises much and brings little costs little.
func TestBodyGrowsAsItComes(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ReadBody(bytes.NewReader(make([]byte, 100)), 1<<30); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("100 bytes of 1 GiB cost %d", n)
	}
	whole := bytes.Repeat([]byte("0123456789"), 50_000)
	if got, err := ReadBody(iotest.OneByteReader(bytes.NewReader(whole)), len(whole)); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
