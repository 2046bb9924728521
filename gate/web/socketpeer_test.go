package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ambit"
)

// WebSockets as programs speak them, with a library on both sides.

// echoSocket answers every message with itself, in three fragments.
func echoSocket(closed chan<- websocket.CloseError) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(16 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				e, _ := errors.AsType[websocket.CloseError](err)
				closed <- e
				return
			}
			switch string(b) {
			case "close":
				c.Close(4002, "you asked for it")
				return
			case "ping":
				go func() {
					if c.Ping(r.Context()) == nil {
						c.Write(r.Context(), websocket.MessageText, []byte("ponged"))
					}
				}()
			default:
				fragmented(r.Context(), c, kind, b)
			}
		}
	})
}

// fragmented sends a message in three fragments.
func fragmented(ctx context.Context, c *websocket.Conn, kind websocket.MessageType, b []byte) error {
	w, err := c.Writer(ctx, kind)
	if err != nil {
		return err
	}
	for piece := range slices.Chunk(b, max(1, len(b)/3)) {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return w.Close()
}

func (h *house) dialSocket(ctx context.Context) *websocket.Conn {
	h.t.Helper()
	c, _, err := websocket.Dial(ctx, h.url("/ws"), &websocket.DialOptions{HTTPClient: h.client(), Subprotocols: []string{"chat"},
		CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(16 << 20)
	if c.Subprotocol() != "chat" {
		h.t.Errorf("the subprotocol is %q", c.Subprotocol())
	}
	return c
}

func TestSocketTraffic(t *testing.T) {
	closed := make(chan websocket.CloseError, 4)
	for name, opt := range map[string]option{"with a credential": withCredential, "a conversation": func(h *house, c *Config) { withCredential(h, c); asConversation(h, c) },
		"plain": func(*house, *Config) {}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, echoSocket(closed), opt)
			ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
			defer cancel()
			c := h.dialSocket(ctx)
			for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
				for _, n := range []int{0, 1, 125, 126, 65535, 65536, 10 << 20} {
					msg := plainText(n)
					for _, send := range []func(context.Context, *websocket.Conn, websocket.MessageType, []byte) error{fragmented,
						func(ctx context.Context, c *websocket.Conn, k websocket.MessageType, b []byte) error {
							return c.Write(ctx, k, b)
						}} {
						if err := send(ctx, c, kind, msg); err != nil {
							t.Fatal(err)
						}
						if k, b, err := c.Read(ctx); err != nil || k != kind || string(b) != string(msg) {
							t.Fatalf("%d bytes of %v: got %d bytes of %v, %v", n, kind, len(b), k, err)
						}
					}
				}
			}
			pings(ctx, t, c)
			c.Close(4001, "enough")
			if e := <-closed; e.Code != 4001 || e.Reason != "enough" {
				t.Errorf("the service saw %v", e)
			}
			c = h.dialSocket(ctx)
			c.Write(ctx, websocket.MessageText, []byte("close"))
			_, _, err := c.Read(ctx)
			if e, _ := errors.AsType[websocket.CloseError](err); e.Code != 4002 || e.Reason != "you asked for it" {
				t.Errorf("the agent saw %v", err)
			}
			if e := h.log.lastEnd(t); e.Outcome != ambit.Performed || strings.Contains(e.Detail, "cut") {
				t.Errorf("recorded %+v", e)
			}
			if len(h.alerts.kinds) > 0 {
				t.Errorf("alerts %v", h.alerts.kinds)
			}
		})
	}
}

// pings goes both ways while a message is read.
func pings(ctx context.Context, t *testing.T, c *websocket.Conn) {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		_, b, err := c.Read(ctx)
		got <- fmt.Sprintf("%s %v", b, err)
	}()
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
	c.Write(ctx, websocket.MessageText, []byte("ping"))
	if s := <-got; s != "ponged <nil>" {
		t.Errorf("got %s", s)
	}
}

// A message that ends like the beginning of a placeholder is whole for its
// reader, and a ping passes a message that pauses there.
func TestSocketDoesNotStall(t *testing.T) {
	passed := make(chan string, 1)
	h := newHouse(t, rawSocket(func(w io.Writer, r io.Reader) error {
		var b []byte
		for {
			var one [1]byte
			if _, err := io.ReadFull(r, one[:]); err != nil {
				return err
			}
			b = append(b, one[0])
			if d, _ := decodeFrames(b, true); len(d.Messages)+len(d.Controls) > 0 && d.rest == nil {
				passed <- fmt.Sprintf("%d %d %s", len(d.Messages), len(d.Controls), d.all())
				b = nil
			} else if len(d.Controls) > 0 {
				passed <- "ping in " + d.rest.Payload
				b = nil
			}
		}
	}), withCredential)
	c, _ := h.rawHandshake()
	next := func(want string) {
		t.Helper()
		select {
		case got := <-passed:
			if got != want {
				t.Errorf("got %q, not %q", got, want)
			}
		case <-time.After(patience):
			t.Errorf("%q did not come", want)
		}
	}
	start := otherFake[:len(otherFake)-1]
	io.WriteString(c, ofAgent.frame(text1, start))
	next("1 0 " + start)
	io.WriteString(c, ofAgent.frame(text1, "!"))
	next("1 0 !")
	io.WriteString(c, ofAgent.frame(more1, "say "+start)+ofAgent.frame(ping1, ""))
	next("ping in say " + start[:h.gate.placeholders.slack])
}

func TestNoExtensionIsNegotiated(t *testing.T) {
	for name, opt := range map[string]option{"with a credential": withCredential, "without": func(*house, *Config) {}} {
		h := newHouse(t, echoSocket(make(chan websocket.CloseError, 1)), opt)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, resp, err := websocket.Dial(ctx, h.url("/ws"), &websocket.DialOptions{HTTPClient: h.client(), CompressionMode: websocket.CompressionContextTakeover,
			CompressionThreshold: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if got := h.up.requests()[0].header["Sec-Websocket-Extensions"]; got != nil || resp.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("%s: the service was offered %q, the agent got %v", name, got, resp.Header)
		}
		c.Write(ctx, websocket.MessageText, plainText(1000))
		if _, b, err := c.Read(ctx); err != nil || len(b) != 1000 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}

func TestOddHandshakeAnswersAreRefused(t *testing.T) {
	const accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	const upgrade = "Upgrade: websocket\r\n"
	tests := map[string]string{
		"permessage-deflate":      upgrade + accept + "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
		"extension on two lines":  upgrade + accept + "Sec-WebSocket-Extensions: \r\nsec-websocket-extensions: x\r\n",
		"another protocol":        "Upgrade: h2c\r\n" + accept,
		"two protocols":           upgrade + "Upgrade: h2c\r\n" + accept,
		"protocols in a list":     "Upgrade: websocket, h2c\r\n" + accept,
		"no protocol":             accept,
		"no answer to the key":    upgrade,
		"answer to another key":   upgrade + "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
		"two answers":             upgrade + accept + accept,
		"answer of another shape": upgrade + "Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==\r\n",
	}
	var fields string
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n%s\r\n%s", fields, ofService.frame(text1, "unread"))
	}))
	request := "GET /ws HTTP/1.1\r\nHost: " + h.authority() + "\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			fields = f
			got := h.exchange(request + "\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 502 ") || strings.Contains(got, "unread") {
				t.Errorf("answered %q", got)
			}
			if e := h.log.lastEnd(t); e.Outcome != ambit.Failed {
				t.Errorf("recorded %+v", e)
			}
		})
	}
	fields = upgrade + accept + "Sec-WebSocket-Extensions: \r\n"
	if got := h.exchange(request + "\r\n"); !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.HasSuffix(got, ofService.frame(text1, "unread")) {
		t.Errorf("a proper answer: %q", got)
	}
	if got := h.exchange(request + "Sec_WebSocket_Extensions: permessage-deflate\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 403 ") {
		t.Errorf("an extension under another spelling: %q", got)
	}
}
