package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// event is a message or a control frame.
type event struct {
	Op      byte
	Payload string
	// After is how many messages were complete before it; of a control frame.
	After int
}

// decoded is what a reader makes of frames: messages and control frames by
// themselves, and the message that is not complete.
type decoded struct {
	Messages, Controls []event
	rest               *event
}

// all is every payload byte of messages.
func (d decoded) all() string {
	var b strings.Builder
	for _, m := range d.Messages {
		b.WriteString(m.Payload)
	}
	if d.rest != nil {
		b.WriteString(d.rest.Payload)
	}
	return b.String()
}

// decodeFrames is the simple reader with which the fast one is compared: all
// bytes are there, every frame is copied. It ends in "end", "cut" or "bad".
func decodeFrames(b []byte, agent bool) (d decoded, how string) {
	for {
		if len(b) == 0 {
			return d, "end"
		}
		if len(b) == 1 {
			return d, "cut"
		}
		fin, op, masked, n := b[0] >= 128, b[0]%16, b[1] >= 128, int(b[1]%128)
		if b[0]/16%8 != 0 || !slices.Contains([]byte{0, 1, 2, 8, 9, 10}, op) || masked != agent ||
			op >= 8 && (!fin || n > 125) || op == 8 && n == 1 {
			return d, "bad"
		}
		at, least := 2, 0
		if n == 126 {
			at, least = 4, 126
		} else if n == 127 {
			at, least = 10, 1<<16
		}
		body := at
		if masked {
			body += 4
		}
		if len(b) < body {
			return d, "cut"
		}
		if least > 0 {
			var v uint64
			for _, c := range b[2:at] {
				v = v<<8 + uint64(c)
			}
			if v < uint64(least) || v > 1<<62 {
				return d, "bad"
			}
			n = int(v)
		}
		if op < 8 && (op == 0) != (d.rest != nil) {
			return d, "bad"
		}
		whole := n <= len(b)-body
		payload := bytes.Clone(b[body:])
		if whole {
			payload = payload[:n]
		}
		for i := range payload {
			if masked {
				payload[i] ^= b[at+i%4]
			}
		}
		switch {
		case op >= 8 && whole:
			d.Controls = append(d.Controls, event{op, string(payload), len(d.Messages)})
		case op == 0:
			d.rest.Payload += string(payload)
		case op < 8:
			d.rest = &event{Op: op, Payload: string(payload)}
		}
		switch {
		case !whole:
			return d, "cut"
		case op == 8:
			return d, "end" // what follows means nothing
		case op < 8 && fin:
			d.Messages, d.rest = append(d.Messages, *d.rest), nil
		}
		b = b[body+n:]
	}
}

func howEnded(err error) string {
	if _, ok := errors.AsType[*badFrame](err); ok {
		return "bad"
	}
	switch err {
	case nil:
		return "end"
	case io.ErrUnexpectedEOF:
		return "cut"
	}
	return err.Error()
}

// FuzzFrames compares with the simple reader what is made of any bytes, before
// and behind: the same messages and control frames in the same order, and the
// same end.
func FuzzFrames(f *testing.F) {
	for _, s := range []side{ofAgent, ofService} {
		for _, bad := range badFrames(s) {
			f.Add([]byte(s.frame(text1, "hello")+s.frame(ping1, "p")+bad), uint8(3), bool(s))
		}
		good := s.frame(more1, "he") + s.frame(ping1, "p") + s.frame(middle1, "") + s.frame(middle1, "SEC") + s.frame(pong1, "") + s.frame(rest1, "RET")
		f.Add([]byte(good+s.frame(binary1, strings.Repeat("x", 70000))+s.frame(close1, "\x03\xe8bye")+"behind"), uint8(200), bool(s))
		f.Add([]byte(s.frame(binary1, strings.Repeat("y", 300))+s.frame(more1, "SE")), uint8(1), bool(s))
	}
	m := newMatcher([]byte("a pattern that is not in the corpus"), []byte("SECRE-"))
	f.Fuzz(func(t *testing.T, b []byte, step uint8, agent bool) {
		if step == 0 {
			return
		}
		fr := newFrames(&dribble{s: string(b), n: int(step)}, agent, m, make([]byte, 1024))
		fr.found, fr.parted = func([]byte, []span) error { return errPlaceholder }, errPlaceholder
		out, err := io.ReadAll(fr)
		if err == errPlaceholder {
			return
		}
		before, how := decodeFrames(b, agent)
		after, end := decodeFrames(out, agent)
		if howEnded(err) != how {
			t.Fatalf("%x ended with %v, not in %q", b, err, how)
		}
		if how == "end" && end != "end" || end == "bad" {
			t.Fatalf("%x became %x, which ends in %q", b, out, end)
		}
		if d := cmp.Diff(before.Messages, after.Messages); d != "" {
			t.Fatalf("messages of %x became those of %x:\n%s", b, out, d)
		}
		if d := cmp.Diff(before.Controls, after.Controls); d != "" {
			t.Fatalf("control frames of %x became those of %x:\n%s", b, out, d)
		}
		if !strings.HasPrefix(before.all(), after.all()) {
			t.Fatalf("payload of %x became that of %x", b, out)
		}
	})
}

// FuzzFragments checks that a pattern in a message is blanked wherever it is,
// however the message is cut into fragments, and nothing else is.
func FuzzFragments(f *testing.F) {
	f.Add([]byte("abcSECRETdefSECRESECRETSECRET"), []byte("SECRET"), []byte{1, 0, 5, 200, 1}, uint8(3), true)
	f.Add(bytes.Repeat([]byte("ab"), 900), []byte("baba"), []byte{130, 7, 255}, uint8(255), false)
	f.Fuzz(func(t *testing.T, text, pat, cuts []byte, step uint8, agent bool) {
		if len(pat) < 4 || len(pat) > 200 || len(text) > 8<<10 || step == 0 || bytes.IndexByte(pat, filler) >= 0 {
			return
		}
		m := newMatcher(pat, pat[:len(pat)/2+1])
		var wire strings.Builder
		first, left := byte(more1), string(text)
		for _, n := range cuts {
			n := min(int(n), len(left))
			wire.WriteString(side(agent).frame(first, left[:n]) + side(agent).frame(ping1, fmt.Sprint(n)))
			first, left = middle1, left[n:]
		}
		wire.WriteString(side(agent).frame(first|0x80, left))
		fr := newFrames(&dribble{s: wire.String(), n: int(step)}, agent, m, make([]byte, 1024))
		fr.found = func(b []byte, at []span) error { blank(b, at); return nil }
		out, err := io.ReadAll(fr)
		got, how := decodeFrames(out, agent)
		if err != nil || how != "end" || len(got.Messages) != 1 {
			t.Fatalf("%v, %s, %d messages", err, how, len(got.Messages))
		}
		want := bytes.Clone(text)
		m.scrub(want)
		msg := got.Messages[0].Payload
		if len(msg) != len(text) || m.hasText(msg) {
			t.Fatalf("%q became %q", text, msg)
		}
		for i := range len(msg) {
			if msg[i] != text[i] && (msg[i] != filler || want[i] != filler) {
				t.Fatalf("byte %d changed from %q to %q", i, text[i], msg[i])
			}
		}
		for i, c := range got.Controls {
			if c.Payload != fmt.Sprint(min(int(cuts[i]), len(text))) && i == 0 || c.Op != opPing {
				t.Fatalf("control frame %d is %+v", i, c)
			}
		}
		if len(got.Controls) != len(cuts) {
			t.Fatalf("%d pings of %d", len(got.Controls), len(cuts))
		}
	})
}
