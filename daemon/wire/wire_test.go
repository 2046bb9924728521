package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
)

// echo answers "echo" with its body, "fail" with an error, and waits for
// release in "wait".
func echo(release chan struct{}) Handler {
	return func(method string, body json.RawMessage) Step {
		switch method {
		case "echo":
			return Replies(func(reply func(any, error)) { reply(body, nil) })
		case "intent":
			var in Intent
			if Strict(body, &in) != nil {
				return nil
			}
			return Replies(func(reply func(any, error)) { reply(in, nil) })
		case "strict":
			if Strict(body, &struct{}{}) != nil {
				return nil
			}
			return Replies(func(reply func(any, error)) { reply(nil, nil) })
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
	if err := c.Call(t.Context(), "intent", in, &out); err != nil || !bytes.Equal(out.Action, in.Action) || out.Why != in.Why {
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
	const number = "\x00\x00\x00\x00\x00\x00\x00\x01"
	for name, in := range map[string]string{
		"empty frame":      "\x00\x00\x00\x00",
		"over the bound":   "\x7f\xff\xff\xff",
		"text":             frame("hello, is anybody there?"),
		"no kind":          frame("\x00" + number + "\x04echo1"),
		"another kind":     frame("\x04" + number + "\x04echo1"),
		"no method":        frame("\x01" + number),
		"empty method":     frame("\x01" + number + "\x00{}"),
		"cut method":       frame("\x01" + number + "\x05echo"),
		"cut number":       frame("\x01\x00\x00"),
		"no JSON":          frame("\x01" + number + "\x06strict{"),
		"unknown field":    frame("\x01" + number + "\x06strict{\"more\":1}"),
		"trailing bytes":   frame("\x01" + number + "\x06strict{}{}"),
		"deep":             frame("\x01" + number + "\x06strict" + strings.Repeat("[", 20000)),
		"stray credential": frame("\x01" + number + "\x06strict{}\x00\x00\x00\x00\x01x"),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			s := NewConn(b, echo(nil))
			defer s.Close()
			go a.Write([]byte(in))
			select {
			case <-s.Done():
			case <-time.After(time.Minute):
				t.Fatal("the connection lives on")
			}
		})
	}
}

func FuzzReadFrame(f *testing.F) {
	ok, _ := appendFrame(nil, frame{kind: kindCall, id: 1, call: "echo", body: []byte(`{"a":1}`)})
	f.Add(ok)
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	lease, _ := appendFrame(nil, frame{kind: kindAnswer, id: 2, body: []byte(`{"id":"x"}`), behind: [][]byte{[]byte("secret"), nil}})
	f.Add(lease)
	f.Fuzz(func(t *testing.T, b []byte) {
		var head [4]byte
		r := bytes.NewReader(b)
		for {
			fr, err := readFrame(r, &head)
			if err != nil {
				return
			}
			again, err := appendFrame(nil, fr)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := readFrame(bytes.NewReader(again), &head); err != nil || !reflect.DeepEqual(got, fr) {
				t.Fatalf("a frame that was read reads as another: %+v, %v", got, err)
			}
			for _, m := range [...]unpacker{&Intent{}, &Outcome{}, &Recorded{}} {
				if m.unpack(fr.body) == nil && !bytes.Equal(repack(m), fr.body) {
					t.Fatalf("%T of %x packs as %x", m, fr.body, repack(m))
				}
			}
		}
	})
}

func repack(m unpacker) []byte {
	switch m := m.(type) {
	case *Intent:
		return m.pack(nil)
	case *Outcome:
		return m.pack(nil)
	case *Recorded:
		return m.pack(nil)
	}
	return nil
}

func TestPackedMessages(t *testing.T) {
	in := Intent{Action: []byte(`{"a":"ü"}`), Decision: ambit.Decision{Verdict: ambit.Ask, By: "f:1:2", Why: "because"}, Approval: "ann", Why: "no"}
	var out Intent
	if err := out.unpack(in.pack(nil)); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%+v, %v", out, err)
	}
	o := Outcome{Intent: 1 << 60, Outcome: ambit.Failed, Detail: "503"}
	var p Outcome
	if err := p.unpack(o.pack(nil)); err != nil || p != o {
		t.Errorf("%+v, %v", p, err)
	}
	whole := in.pack(nil)
	for n := range whole {
		if new(Intent).unpack(whole[:n]) == nil {
			t.Errorf("%d of %d bytes are an intent", n, len(whole))
		}
	}
	for name, bad := range map[string][]byte{
		"more": append(in.pack(nil), 0), "no verdict": Intent{}.pack(nil)[4:], "length": append([]byte{0xff, 0xff, 0xff, 0xff}, whole...),
		"another verdict": bytes.Replace(whole, []byte("ask"), []byte("yes"), 1), "no text": bytes.Replace(whole, []byte("ann"), []byte("a\xffn"), 1),
	} {
		if new(Intent).unpack(bad) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if new(Recorded).unpack(make([]byte, 9)) == nil || new(Outcome).unpack(append(o.pack(nil), 1)) == nil {
		t.Error("bytes behind the message were taken")
	}
}

// A call that can wait goes out with the next one, or by itself.
func TestSendLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		a, b := net.Pipe()
		s := NewConn(b, func(_ string, body json.RawMessage) Step {
			got = append(got, string(body))
			return Replies(func(reply func(any, error)) { reply(nil, nil) })
		})
		c := NewConn(a, nil)
		defer func() { c.Close(); s.Close(); synctest.Wait() }()
		sent := 0
		later := func(n int) {
			if err := c.SendLater("x", n, func(error) { sent++ }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		later(1)
		if len(got) != 0 {
			t.Fatal("it did not wait")
		}
		if err := c.Call(t.Context(), "x", 2, nil); err != nil || !slices.Equal(got, []string{"1", "2"}) {
			t.Fatalf("%v %v", got, err)
		}
		later(3)
		time.Sleep(2 * Patience)
		synctest.Wait()
		if !slices.Equal(got, []string{"1", "2", "3"}) || sent != 2 {
			t.Fatalf("%v, %d answered", got, sent)
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
