package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo answers "echo" with its body, "fail" with an error, and waits for
// release in "wait".
func echo(release chan struct{}) Handler {
	return func(method string, body json.RawMessage) Step {
		switch method {
		case "echo":
			return Replies(func(reply func(any, error)) { reply(body, nil) })
		case "fail":
			return Waits(func(context.Context) (any, error) { return nil, &Error{Code: "no", Msg: "not today"} })
		case "wait":
			return Waits(func(ctx context.Context) (any, error) {
				select {
				case <-release:
				case <-ctx.Done():
				}
				return 1, nil
			})
		}
		return nil
	}
}

func pair(t *testing.T, h Handler) (client, server *Conn) {
	t.Helper()
	a, b := net.Pipe()
	client, server = NewConn(a, nil), NewConn(b, h)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func TestCallsAndErrors(t *testing.T) {
	c, _ := pair(t, echo(nil))
	var out struct{ N int }
	if err := c.Call(t.Context(), "echo", map[string]int{"N": 7}, &out); err != nil || out.N != 7 {
		t.Fatalf("echo: %v, %v", out, err)
	}
	err := c.Call(t.Context(), "fail", 1, nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != "no" {
		t.Fatalf("fail: %v", err)
	}
	if err := c.Call(t.Context(), "echo", map[string]int{"other": 1}, &out); err == nil {
		t.Fatal("an answer with an unknown field was taken")
	}
}

// A digest is over an action's bytes, so that they arrive as they were sent.
func TestRawBytesStay(t *testing.T) {
	c, _ := pair(t, echo(nil))
	in := Intent{Action: json.RawMessage("{\"url\":\"https://h.test/a?x=1&y=<2>#\u2028\u2029\"}"), Why: "a & b"}
	var out Intent
	if err := c.Call(t.Context(), "echo", in, &out); err != nil || !bytes.Equal(out.Action, in.Action) || out.Why != in.Why {
		t.Fatalf("sent %s, got %s, %v", in.Action, out.Action, err)
	}
}

func TestUnknownMethodEndsTheConnection(t *testing.T) {
	c, s := pair(t, echo(nil))
	if err := c.Call(t.Context(), "nonsense", 1, nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
	<-s.Done()
}

func TestOpenCallsFailWhenTheOtherSideDies(t *testing.T) {
	c, s := pair(t, echo(make(chan struct{})))
	p, err := c.Send("wait", 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := p.Wait(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
	if _, err := c.Send("echo", 1); !errors.Is(err, ErrClosed) {
		t.Fatalf("a dead connection took a call: %v", err)
	}
}

func TestACancelledCallDoesNotDisturbOthers(t *testing.T) {
	release := make(chan struct{})
	c, _ := pair(t, echo(release))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Call(ctx, "wait", 1, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	close(release)
	if err := c.Call(t.Context(), "echo", 1, nil); err != nil {
		t.Fatal(err)
	}
}

// TestOrder shows that first steps run in the order of Send: the log relies on
// it.
func TestOrder(t *testing.T) {
	var got []int
	var mu sync.Mutex
	c, _ := pair(t, func(_ string, body json.RawMessage) Step {
		var n int
		json.Unmarshal(body, &n)
		mu.Lock()
		got = append(got, n)
		mu.Unlock()
		return Waits(func(context.Context) (any, error) { return n, nil })
	})
	var ps []*Pending
	for i := range 500 {
		p, err := c.Send("n", i)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	for i, p := range ps {
		var n int
		if err := p.Wait(t.Context(), &n); err != nil || n != i {
			t.Fatalf("call %d: answer %d, %v", i, n, err)
		}
	}
	for i, n := range got {
		if i != n {
			t.Fatalf("call %d came as number %d", n, i)
		}
	}
}

func TestHostileFramesEndTheConnection(t *testing.T) {
	frame := func(s string) string {
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	for name, in := range map[string]string{
		"empty frame":     "\x00\x00\x00\x00",
		"over the bound":  "\x7f\xff\xff\xff",
		"not JSON":        frame("hello"),
		"unknown field":   frame(`{"id":1,"call":"echo","more":1}`),
		"trailing bytes":  frame(`{"id":1,"call":"echo"}{}`),
		"call and answer": frame(`{"id":1,"call":"echo","answer":true}`),
		"neither":         frame(`{"id":1}`),
		"deep":            frame(`{"id":1,"call":"echo","body":` + strings.Repeat("[", 20000) + `}`),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			s := NewConn(b, echo(nil))
			defer s.Close()
			go a.Write([]byte(in))
			select {
			case <-s.Done():
			case <-time.After(5 * time.Second):
				t.Fatal("the connection lives on")
			}
		})
	}
}

func FuzzReadFrame(f *testing.F) {
	ok, _ := appendFrame(nil, frame{ID: 1, Call: "echo", Body: json.RawMessage(`{"a":1}`)})
	f.Add(ok)
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	lease, _ := appendFrame(nil, frame{ID: 2, Answer: true, Body: json.RawMessage(`{"id":"x"}`), behind: [][]byte{[]byte("secret"), nil}})
	f.Add(lease)
	f.Fuzz(func(t *testing.T, b []byte) {
		var head [4]byte
		r := bytes.NewReader(b)
		for {
			fr, err := readFrame(r, &head)
			if err != nil {
				return
			}
			fr.Body, _ = split(fr.Body)
			again, err := appendFrame(nil, fr)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readFrame(bytes.NewReader(again), &head); err != nil {
				t.Fatalf("a frame that was read cannot be read again: %v", err)
			}
		}
	})
}

func BenchmarkCall(b *testing.B) {
	x, y := net.Pipe()
	c, s := NewConn(x, nil), NewConn(y, echo(nil))
	defer c.Close()
	defer s.Close()
	body := map[string]string{"action": fmt.Sprintf("%0512d", 1)}
	for b.Loop() {
		if err := c.Call(b.Context(), "echo", body, nil); err != nil {
			b.Fatal(err)
		}
	}
}
