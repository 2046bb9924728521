package web

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// keeping is a service that keeps the bytes of each WebSocket until its end.
func keeping(got chan<- []byte) http.Handler {
	return rawSocket(func(_ io.Writer, r io.Reader) error {
		b, err := io.ReadAll(r)
		got <- b
		return err
	})
}

// saying is a service that sends the bytes it is given, and then waits for the
// agent to end.
func saying(say <-chan string) http.Handler {
	return rawSocket(func(w io.Writer, r io.Reader) error {
		if _, err := io.WriteString(w, <-say); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, r)
		return err
	})
}

func asConversation(_ *house, c *Config) { c.Routes[0].Conversation = true }

func TestBadFramesOfTheAgentCutTheSocket(t *testing.T) {
	got := make(chan []byte, 1)
	h := newHouse(t, keeping(got))
	for name, bad := range badFrames(ofAgent) {
		t.Run(name, func(t *testing.T) {
			h.alerts.clear()
			c, r := h.rawHandshake()
			io.WriteString(c, ofAgent.frame(text1, "before")+bad)
			broken := strings.HasPrefix(name, "end ")
			if broken {
				c.CloseWrite()
			} else {
				io.WriteString(c, ofAgent.frame(text1, "behind")) // may be cut
			}
			c.SetReadDeadline(time.Now().Add(patience))
			if b, err := io.ReadAll(r); isTimeout(err) || len(b) > 0 {
				t.Errorf("the socket lives: %q %v", b, err)
			}
			d, _ := decodeFrames(<-got, true)
			if all := d.all(); !strings.HasPrefix(all, "before") || strings.Contains(all, "behind") || len(d.Messages) > 2 {
				t.Errorf("the service got %q", all)
			}
			if broken {
				return
			}
			eventually(t, "alert", func() bool { return h.alerts.has(AlertSmuggling) })
			eventually(t, "outcome", func() bool { return strings.Contains(h.log.lastEnd(t).Detail, "cut: cannot pass the agent's frame") })
		})
	}
	t.Run("good frames still pass", func(t *testing.T) {
		c, _ := h.rawHandshake()
		io.WriteString(c, ofAgent.frame(more1, "be")+ofAgent.frame(ping1, "p")+ofAgent.frame(rest1, "fore")+ofAgent.frame(text1, "behind"))
		c.CloseWrite()
		if d, how := decodeFrames(<-got, true); how != "end" || d.all() != "beforebehind" || len(d.Controls) != 1 {
			t.Errorf("the service got %+v", d)
		}
	})
}

func TestBadFramesOfTheServiceCutTheSocket(t *testing.T) {
	say := make(chan string, 1)
	h := newHouse(t, saying(say))
	for name, bad := range badFrames(ofService) {
		if strings.HasPrefix(name, "end ") {
			continue // the service waits; that a broken frame ends the stream is shown without it
		}
		t.Run(name, func(t *testing.T) {
			h.alerts.clear()
			say <- ofService.frame(text1, "before") + bad + ofService.frame(text1, "behind")
			c, r := h.rawHandshake()
			c.SetReadDeadline(time.Now().Add(patience))
			b, err := io.ReadAll(r)
			d, _ := decodeFrames(b, false)
			if all := d.all(); isTimeout(err) || !strings.HasPrefix(all, "before") || strings.Contains(all, "behind") {
				t.Errorf("the agent got %q, %v", all, err)
			}
			eventually(t, "outcome", func() bool { return strings.Contains(h.log.lastEnd(t).Detail, "cut: cannot pass the service's frame") })
			if h.alerts.has(AlertSmuggling) {
				t.Error("the agent is blamed")
			}
		})
	}
}

// leaks are ways in which text can leave over a socket.
func leaks(s side, text string) map[string]string {
	f, half := s.frame, len(text)/2
	var bytewise strings.Builder
	for i := range len(text) {
		bytewise.WriteString(f(middle1, text[i:i+1]))
		bytewise.WriteString(f(ping1, ""))
	}
	return map[string]string{
		"text":                    f(text1, "a "+text+" z"),
		"binary":                  f(binary1, text),
		"two fragments":           f(more1, "a "+text[:half]) + f(rest1, text[half:]+" z"),
		"two fragments, a ping":   f(more1, text[:half]) + f(ping1, "p") + f(rest1, text[half:]),
		"empty fragments":         f(more1, "") + f(middle1, text[:half]) + f(middle1, "") + f(middle1, text[half:]) + f(rest1, ""),
		"a fragment for a byte":   f(more1, "") + bytewise.String() + f(rest1, ""),
		"behind other messages":   f(text1, "one") + f(binary1, "two") + f(text1, text),
		"in a long message":       f(text1, string(plainText(1<<20))+text+string(plainText(100))),
		"over the buffer's edge":  f(text1, string(plainText(copySize-half))+text),
		"over the reader's edge":  f(text1, string(plainText(readSize-half))+text),
		"long fragments":          f(more1, string(plainText(100_000))+text[:half]) + f(rest1, text[half:]+string(plainText(100_000))),
		"ping":                    f(ping1, text),
		"pong":                    f(pong1, "a "+text),
		"ping inside a message":   f(more1, "a") + f(ping1, text) + f(rest1, "b"),
		"the reason of a closing": f(close1, "\x03\xe8"+text),
		"base64":                  f(text1, base64.StdEncoding.EncodeToString([]byte("x"+text))),
	}
}

// inPieces are ways that cannot be blanked whole any more.
func inPieces(s side, text string) map[string]string {
	var bytewise strings.Builder
	for i := range len(text) {
		bytewise.WriteString(s.frame(text1, text[i:i+1]))
	}
	return map[string]string{
		"two messages":         s.frame(text1, text[:9]) + s.frame(text1, text[9:]),
		"two binary messages":  s.frame(binary1, text[:9]) + s.frame(ping1, "p") + s.frame(binary1, text[9:]),
		"a message for a byte": bytewise.String(),
	}
}

// holds looks for the middle of text, and of its base64, in all that was sent.
func holds(d decoded, text string) bool {
	all := d.all()
	for _, c := range d.Controls {
		all += " " + c.Payload
	}
	return strings.Contains(all, coreOf(text)) || strings.Contains(all, coreOf(base64.StdEncoding.EncodeToString([]byte("x"+text))))
}

func TestPlaceholderOverASocketIsCut(t *testing.T) {
	got := make(chan []byte, 1)
	h := newHouse(t, keeping(got), withCredential)
	ways := leaks(ofAgent, otherFake)
	for name, wire := range inPieces(ofAgent, otherFake) {
		ways[name] = wire
	}
	ways["own placeholder"] = ofAgent.frame(text1, fakeValue)
	for name, wire := range ways {
		t.Run(name, func(t *testing.T) {
			h.alerts.clear()
			c, r := h.rawHandshake()
			go io.WriteString(c, wire+ofAgent.frame(text1, "behind"))
			c.SetReadDeadline(time.Now().Add(patience))
			if b, err := io.ReadAll(r); isTimeout(err) || len(b) > 0 {
				t.Errorf("the socket lives: %q %v", b, err)
			}
			d, _ := decodeFrames(<-got, true)
			if strings.Contains(d.all(), otherFake) || strings.Contains(d.all(), "behind") || strings.Contains(d.all(), fakeValue) {
				t.Errorf("the service got %+.200v", d)
			}
			if _, split := inPieces(ofAgent, otherFake)[name]; !split && holds(d, otherFake) {
				t.Errorf("the service got %+.200v", d)
			}
			eventually(t, "alert", func() bool { return h.alerts.count(AlertPlaceholder) == 1 })
			eventually(t, "outcome", func() bool { return strings.Contains(h.log.lastEnd(t).Detail, "cut: a placeholder was sent") })
		})
	}
}

// To a model the same is blanked, at its length, and the conversation goes on.
func TestPlaceholderInAConversationIsBlanked(t *testing.T) {
	got := make(chan []byte, 1)
	for name, wire := range leaks(ofAgent, otherFake) {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, keeping(got), withCredential, asConversation)
			for range 2 { // told of once
				c, _ := h.rawHandshake()
				io.WriteString(c, wire)
				if name != "the reason of a closing" {
					io.WriteString(c, ofAgent.frame(text1, "behind"))
				}
				c.CloseWrite()
				d, how := decodeFrames(<-got, true)
				sent, _ := decodeFrames([]byte(wire), true)
				if how != "end" || holds(d, otherFake) || !strings.HasSuffix(d.all(), "behind") && len(d.Messages) > 0 {
					t.Fatalf("%s: the service got %+.200v", how, d)
				}
				if len(d.all()) != len(sent.all())+len("behind") && name != "the reason of a closing" || len(d.Controls) != len(sent.Controls) {
					t.Errorf("%d bytes became %d, %d control frames %d", len(sent.all()), len(d.all()), len(sent.Controls), len(d.Controls))
				}
				for i, c := range sent.Controls {
					if len(c.Payload) != len(d.Controls[i].Payload) || c.Op != d.Controls[i].Op || c.After != d.Controls[i].After {
						t.Errorf("control frame %+v became %+v", c, d.Controls[i])
					}
				}
			}
			eventually(t, "outcomes", func() bool { _, _, ends := h.log.counts(); return ends == 2 })
			if n := h.alerts.count(AlertPlaceholder); n != 1 {
				t.Errorf("%d alerts", n)
			}
		})
	}
}

// What has left in part cannot be blanked: the socket is cut, each time with an
// alert, to a model too.
func TestPlaceholderInPiecesIsCutInAConversation(t *testing.T) {
	got := make(chan []byte, 1)
	h := newHouse(t, keeping(got), withCredential, asConversation)
	n := 0
	for name, wire := range inPieces(ofAgent, otherFake) {
		c, r := h.rawHandshake()
		go io.WriteString(c, wire+ofAgent.frame(text1, "behind"))
		c.SetReadDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(r); isTimeout(err) || len(b) > 0 {
			t.Errorf("%s: the socket lives: %q %v", name, b, err)
		}
		if d, _ := decodeFrames(<-got, true); strings.Contains(d.all(), otherFake) || strings.Contains(d.all(), "behind") {
			t.Errorf("%s: the service got %+v", name, d)
		}
		n++
		eventually(t, "alert", func() bool { return h.alerts.count(AlertPlaceholder) == n })
	}
}

func TestBlankedPlaceholderIsToldOfOnce(t *testing.T) {
	post := func(h *house, body string, known bool) int {
		t.Helper()
		req, _ := http.NewRequest("POST", h.url("/a"), nil)
		setBody(req, body, known)
		resp, err := h.client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	h := newHouse(t, nil, withCredential, asConversation)
	for i := range 6 {
		body := fmt.Sprint(strings.Repeat("x", i%2*100_000), otherFake, i)
		if code := post(h, body, i%3 > 0); code != 200 {
			t.Fatalf("got %d", code)
		}
		if s := h.up.requests()[i].body; len(s) != len(body) || strings.Contains(s, otherFake) {
			t.Errorf("the upstream saw %.50q", s)
		}
	}
	if n := h.alerts.count(AlertPlaceholder); n != 1 {
		t.Errorf("%d alerts of what was blanked", n)
	}
	h = newHouse(t, nil, withCredential)
	for range 3 {
		if code := post(h, otherFake, true); code != 403 {
			t.Fatalf("got %d", code)
		}
	}
	if n := h.alerts.count(AlertPlaceholder); n != 3 {
		t.Errorf("%d alerts of what was refused", n)
	}
}

func TestCredentialOverASocketIsBlanked(t *testing.T) {
	say := make(chan string, 1)
	h := newHouse(t, saying(say), withCredential)
	for name, wire := range leaks(ofService, testSecret) {
		t.Run(name, func(t *testing.T) {
			h.alerts.clear()
			say <- wire + ofService.frame(close1, "\x03\xe8")
			c, r := h.rawHandshake()
			defer c.Close()
			c.SetReadDeadline(time.Now().Add(patience))
			sent, _ := decodeFrames([]byte(wire), false)
			d := readSocket(t, r)
			if holds(d, testSecret) || len(d.all()) != len(sent.all()) || len(d.Messages) != len(sent.Messages) {
				t.Errorf("the agent got %+.200v", d)
			}
			eventually(t, "alert", func() bool { return h.alerts.count(AlertReflected) == 1 }) // while the socket is open
		})
	}
	for name, wire := range inPieces(ofService, testSecret) {
		t.Run(name, func(t *testing.T) {
			h.alerts.clear()
			say <- wire
			c, r := h.rawHandshake()
			c.SetReadDeadline(time.Now().Add(patience))
			b, err := io.ReadAll(r)
			if d, _ := decodeFrames(b, false); isTimeout(err) || strings.Contains(d.all(), testSecret) || !strings.HasPrefix(testSecret, d.all()) {
				t.Errorf("the agent got %+v, %v", d, err)
			}
			eventually(t, "alert", func() bool { return h.alerts.count(AlertReflected) == 1 })
		})
	}
}

// readSocket reads until the service closes the WebSocket.
func readSocket(t *testing.T, r io.Reader) decoded {
	t.Helper()
	var b []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		b = append(b, buf[:n]...)
		if d, _ := decodeFrames(b, false); len(d.Controls) > 0 && d.Controls[len(d.Controls)-1].Op == opClose {
			return d
		}
		if err != nil {
			t.Fatalf("%d bytes, then %v", len(b), err)
		}
	}
}
