package web

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// rawFrame writes a frame as it is asked to, right or wrong. The length is in
// its shortest form; longForm is one that is not.
func rawFrame(first byte, payload string, key ...byte) string {
	b := []byte{first, 0}
	switch n := len(payload); {
	case n <= 125:
		b[1] = byte(n)
	case n <= 0xffff:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	text := []byte(payload)
	if len(key) > 0 {
		b[1] |= 0x80
		b = append(b, key...)
		for i := range text {
			text[i] ^= key[i%4]
		}
	}
	return string(b) + string(text)
}

// First bytes of frames.
const (
	text1, binary1, more1, rest1 = 0x81, 0x82, 0x01, 0x80 // a whole text, a whole binary, the first of several texts, the last
	middle1                      = 0x00
	close1, ping1, pong1         = 0x88, 0x89, 0x8a
)

var testKey = []byte{0x37, 0xfa, 0x21, 0x3d}

// side makes frames as the agent or the service does.
type side bool

const (
	ofAgent   side = true
	ofService side = false
)

func (s side) frame(first byte, payload string) string {
	if s == ofAgent {
		return rawFrame(first, payload, testKey...)
	}
	return rawFrame(first, payload)
}

// badFrames are frames that end a connection, sent by a side that must or must
// not mask.
func badFrames(s side) map[string]string {
	f, other := s.frame, (!s).frame
	mask := byte(0)
	key := ""
	if s == ofAgent {
		mask, key = 0x80, string(testKey)
	}
	long := func(first, second byte, rest ...byte) string {
		return string([]byte{first, second | mask}) + string(rest) + key
	}
	return map[string]string{
		"RSV1":                              f(text1|0x40, "compressed"),
		"RSV2":                              f(text1|0x20, "x"),
		"RSV3":                              f(text1|0x10, "x"),
		"RSV1 of a control frame":           f(ping1|0x40, "x"),
		"opcode 3":                          f(0x83, "x"),
		"opcode 7":                          f(0x87, "x"),
		"opcode 11":                         f(0x8b, "x"),
		"opcode 15":                         f(0x8f, "x"),
		"masked as the other side's":        other(text1, "x"),
		"control masked as the other's":     other(ping1, "x"),
		"16-bit length of 125":              long(text1, 126, 0, 125) + strings.Repeat("x", 125),
		"16-bit length of 0":                long(text1, 126, 0, 0),
		"64-bit length of 65535":            long(text1, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff) + strings.Repeat("x", 65535),
		"64-bit length of 3":                long(text1, 127, 0, 0, 0, 0, 0, 0, 0, 3) + "xxx",
		"64-bit length, top bit":            long(text1, 127, 0x80, 0, 0, 0, 0, 1, 0, 0) + "xxx",
		"64-bit length of 2^63-1":           long(text1, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) + "xxx",
		"ping of 126 bytes":                 f(ping1, strings.Repeat("x", 126)),
		"close with a 64-bit length":        long(close1, 127, 0, 0, 0, 0, 0, 1, 0, 0) + "xxx",
		"fragmented ping":                   f(0x09, "x"),
		"fragmented close":                  f(0x08, "\x03\xe8"),
		"close with half a code":            f(close1, "\x03"),
		"continuation of nothing":           f(rest1, "x"),
		"continuation after a message":      f(text1, "") + f(middle1, "x"),
		"text inside a text":                f(more1, "") + f(text1, "x"),
		"binary inside a text":              f(more1, "") + f(ping1, "") + f(0x02, "x"),
		"continuation after the last":       f(more1, "") + f(rest1, "") + f(rest1, "x"),
		"HTTP instead of a frame":           "GET /smuggled HTTP/1.1\r\n\r\n",
		"end in a header":                   f(text1, "xxx")[:1],
		"end before the length is complete": long(text1, 126, 1, 0)[:3],
		"end in a payload":                  long(text1, 5) + "x",
		"end in a ping":                     long(ping1, 5) + "x",
	}
}

func TestBadFramesEndTheStream(t *testing.T) {
	for _, s := range []side{ofAgent, ofService} {
		for name, bad := range badFrames(s) {
			t.Run(fmt.Sprint(name, " agent=", s), func(t *testing.T) {
				for _, step := range []int{1, 1 << 20} {
					good := s.frame(text1, "before")
					f := newFrames(&dribble{s: good + bad + s.frame(text1, "behind"), n: step}, bool(s), new(matcher), make([]byte, 1024))
					if strings.HasPrefix(name, "end ") {
						f = newFrames(&dribble{s: good + bad, n: step}, bool(s), new(matcher), make([]byte, 1024))
					}
					out, err := io.ReadAll(f)
					_, isBad := errors.AsType[*badFrame](err)
					if !isBad && (err != io.ErrUnexpectedEOF || !strings.HasPrefix(name, "end ")) {
						t.Errorf("in steps of %d: ended with %v", step, err)
					}
					got, _ := decodeFrames(out, bool(s))
					if all := got.all(); !strings.HasPrefix(all, "before") || strings.Contains(all, "behind") {
						t.Errorf("in steps of %d: %q passed", step, all)
					}
				}
			})
		}
	}
}

func TestMask(t *testing.T) {
	src := plainText(200)
	for at := range int64(5) {
		for n := range len(src) {
			want := make([]byte, n)
			for i := range want {
				want[i] = src[i] ^ testKey[(int(at)+i)%4]
			}
			got := make([]byte, n)
			if mask(got, src[:n], [4]byte(testKey), at); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes from %d", n, at)
			}
		}
	}
}

// A message in one frame stays in one, whatever its length, and the agent does
// not choose the bytes on the wire.
func TestFramesKeepTheirShape(t *testing.T) {
	for _, s := range []side{ofAgent, ofService} {
		for _, n := range []int{0, 1, 125, 126, 0xffff, 0x10000, 1 << 20} {
			in := s.frame(binary1, string(plainText(n)))
			out, err := io.ReadAll(newFrames(strings.NewReader(in), bool(s), new(matcher), make([]byte, copySize)))
			if err != nil || len(out) != len(in) || !bytes.Equal(out[:2], []byte(in[:2])) {
				t.Fatalf("agent=%v: %d bytes became %d, %v", s, len(in), len(out), err)
			}
			if same := string(out) == in; same != (s == ofService) {
				t.Errorf("agent=%v, %d bytes: the same bytes: %v", s, n, same)
			}
		}
	}
}

// repeated is a stream that never ends.
type repeated struct {
	b  []byte
	at int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.at:])
	r.at = (r.at + n) % len(r.b)
	return n, nil
}

func TestFramesTakeNoMemory(t *testing.T) {
	m := newMatcher(placeholderForms(fakeValue)...)
	for _, s := range []side{ofAgent, ofService} {
		f := newFrames(&repeated{b: []byte(s.frame(text1, "a short message") + s.frame(more1, "a") + s.frame(ping1, "p") + s.frame(rest1, "mbit"))}, bool(s), m, make([]byte, copySize))
		buf := make([]byte, copySize)
		io.ReadFull(f, buf)
		if n := testing.AllocsPerRun(200, func() { io.ReadFull(f, buf) }); n > 0 {
			t.Errorf("agent=%v: %v allocations for about a thousand frames", s, n)
		}
		// One frame of 256 MiB.
		head := (&frame{fin: true, op: opBinary, key: [4]byte(testKey), length: 256 << 20}).append(nil, bool(s))
		f = newFrames(io.MultiReader(bytes.NewReader(head), &zeros{256 << 20}), bool(s), m, make([]byte, copySize))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, f, buf)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; n != int64(len(head))+256<<20 || err != nil || took > 1<<20 {
			t.Errorf("agent=%v: %d bytes passed and %d were allocated, %v", s, n, took, err)
		}
	}
}

func BenchmarkFrames(b *testing.B) {
	m := newMatcher(placeholderForms(fakeValue)...)
	for _, s := range []side{ofAgent, ofService} {
		for _, size := range []int{100, 1 << 20} {
			b.Run(fmt.Sprint("agent=", s, "/size=", size), func(b *testing.B) {
				wire := s.frame(binary1, string(plainText(size)))
				f := newFrames(&repeated{b: []byte(wire)}, bool(s), m, make([]byte, copySize))
				b.SetBytes(int64(len(wire)))
				b.ReportAllocs()
				n, buf := 0, make([]byte, copySize)
				for b.Loop() {
					for n < len(wire) {
						k, err := f.Read(buf)
						if err != nil {
							b.Fatal(err)
						}
						n += k
					}
					n -= len(wire)
				}
			})
		}
	}
}
