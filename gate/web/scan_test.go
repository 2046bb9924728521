package web

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"testing"
)

// FuzzScrubber checks that, however a stream is cut into reads, every
// occurrence is blanked, nothing else is, and the length stays.
func FuzzScrubber(f *testing.F) {
	f.Add([]byte("abcSECRETdefSECRESECRETSECRET"), []byte("SECRET"), uint8(3))
	f.Add([]byte("aaaaaaaaaaaab"), []byte("aaab"), uint8(1))
	f.Add(bytes.Repeat([]byte("ab"), 9000), []byte("baba"), uint8(255))
	f.Fuzz(func(t *testing.T, text, pat []byte, step uint8) {
		if len(pat) < 2 || len(pat) > 200 || len(text) > 64<<10 || step == 0 || bytes.IndexByte(pat, filler) >= 0 {
			return
		}
		m := newMatcher(pat, pat[:len(pat)/2+1])
		want := bytes.Clone(text)
		m.scrub(want)
		s := newScanner(&dribble{s: string(text), n: int(step)}, m, make([]byte, 1024), func(b []byte, at []span) error { blank(b, at); return nil })
		got, err := io.ReadAll(s)
		if err != nil || len(got) != len(text) {
			t.Fatalf("%d bytes became %d: %v", len(text), len(got), err)
		}
		if m.has(got) {
			t.Fatalf("%q still holds %q", got, pat)
		}
		for i := range got {
			if got[i] != text[i] && (got[i] != filler || want[i] != filler) {
				t.Fatalf("byte %d changed from %q to %q", i, text[i], got[i])
			}
		}
	})
}

// FuzzPlaceholder checks that a placeholder is found in each of its forms,
// wherever it stands and however the body is cut.
func FuzzPlaceholder(f *testing.F) {
	f.Add([]byte("before"), []byte("after"), uint8(1), uint8(0))
	f.Add(bytes.Repeat([]byte("x"), 5000), []byte(""), uint8(7), uint8(3))
	forms := placeholderForms(fakeValue)
	f.Fuzz(func(t *testing.T, before, after []byte, step, form uint8) {
		if len(before) > 64<<10 || len(after) > 64<<10 || step == 0 {
			return
		}
		text := string(before) + string(forms[int(form)%len(forms)]) + string(after)
		m := newMatcher(forms...)
		s := newScanner(&dribble{s: text, n: int(step)}, m, make([]byte, 2048), func([]byte, []span) error { return errPlaceholder })
		got, err := io.ReadAll(s)
		if err != errPlaceholder {
			t.Fatalf("%q passed: %v", text, err)
		}
		if len(got) > len(before)+m.slack {
			t.Fatalf("%d bytes passed, the placeholder is at %d", len(got), len(before))
		}
	})
}

// FuzzHello checks that a stream that begins like TLS is passed on unchanged or
// not at all, and only under a name that was checked.
func FuzzHello(f *testing.F) {
	f.Add(clientHello(f, "db.example.com"), uint8(9))
	f.Add(clientHello(f, ""), uint8(200))
	f.Add([]byte{22, 3, 1, 0, 1, 1}, uint8(1))
	f.Add([]byte("SELECT 1"), uint8(2))
	f.Add([]byte{22}, uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, step uint8) {
		if len(b) > 48<<10 || step == 0 {
			return
		}
		checked := false
		g := &helloGuard{src: &dribble{s: string(b), n: int(step)}, check: func(h *tls.ClientHelloInfo) error { checked = true; return nil }}
		got, err := io.ReadAll(g)
		switch {
		case err == nil && !bytes.Equal(got, b):
			t.Fatalf("%x became %x", b, got)
		case err != nil && len(got) > 0:
			t.Fatalf("%x passed before %v", got, err)
		case err == nil && bytes.HasPrefix(b, []byte{22, 3}) && len(b) > 2 && !checked:
			t.Fatalf("%x passed unchecked", b)
		}
	})
}

// A peer that waits for an answer before it sends more must not be kept waiting
// by a byte with which some pattern begins.
func TestScannerDoesNotStall(t *testing.T) {
	m := newMatcher(secretForms([]byte(testSecret))...)
	for _, msg := range []string{"s", "s3", "ends with s3c", "%", "7", "cz"} {
		r, w := io.Pipe()
		s := newScanner(r, m, make([]byte, copySize), func(b []byte, at []span) error { blank(b, at); return nil })
		go io.WriteString(w, msg)
		got := make([]byte, len(msg))
		if _, err := io.ReadFull(s, got); err != nil || string(got) != msg {
			t.Errorf("%q: got %q, %v", msg, got, err)
		}
		// What began a secret is remembered: its rest is blanked.
		go func() { io.WriteString(w, testSecret[3:]+"."); w.Close() }()
		if rest, _ := io.ReadAll(s); msg == "ends with s3c" && string(rest) != strings.Repeat("X", len(testSecret)-3)+"." {
			t.Errorf("%q: then %q", msg, rest)
		}
	}
}

func TestFormsOfASecret(t *testing.T) {
	if f := secretForms([]byte("abc")); f != nil {
		t.Errorf("a secret too short to search for has forms %q", f)
	}
	for _, s := range []string{"four", testSecret, strings.Repeat("k", 8<<10)} {
		for _, f := range secretForms([]byte(s)) {
			if len(f) > maxForm || len(f) < minScrub {
				t.Errorf("a form of %d bytes", len(f))
			}
		}
	}
}

func BenchmarkScrub(b *testing.B) {
	m := newMatcher(secretForms([]byte(testSecret))...)
	buf := bytes.Repeat([]byte(`{"id":123,"name":"some ordinary text, as APIs send it","url":"https://api.example.com/x"},`), 360)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if m.has(buf) || m.hold(buf) > 1 {
			b.Fatal("found")
		}
	}
}
