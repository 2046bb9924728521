package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"ambit"
)

func TestServerSentEventsFlow(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		next := make(chan string)
		h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			for s := range next {
				fmt.Fprintf(w, "data: %s\n\n", s)
				w.(http.Flusher).Flush()
			}
		}), withCredential)
		resp, err := h.client(proto).Get(h.url("/events"))
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(resp.Body)
		for i := range 3 {
			next <- fmt.Sprint("event ", i) // nothing else is sent until this one arrived
			line, err := r.ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: event %d\n", i) {
				t.Errorf("%s: got %q %v", proto, line, err)
			}
			r.ReadString('\n')
		}
		close(next)
		if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
			t.Errorf("%s: at the end %q %v", proto, rest, err)
		}
		resp.Body.Close()
	}
}

func TestStatusesWithoutABody(t *testing.T) {
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		case "/103":
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(103)
			io.WriteString(w, "late")
		default:
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		}
	}))
	c := h.raw()
	r := bufio.NewReader(c)
	for _, tt := range []struct{ method, path, status, length, body string }{
		{"HEAD", "/", "200 OK", "5", ""}, {"GET", "/204", "204 No Content", "", ""}, {"GET", "/304", "304 Not Modified", "", ""},
		{"GET", "/103", "200 OK", "4", "late"}, {"HEAD", "/204", "204 No Content", "", ""}, {"GET", "/", "200 OK", "5", "hello"},
	} {
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", tt.method, tt.path, h.authority())
		resp, err := http.ReadResponse(r, &http.Request{Method: tt.method})
		if err != nil {
			t.Fatal(tt, err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.Status != tt.status || resp.Header.Get("Content-Length") != tt.length || string(b) != tt.body {
			t.Errorf("%v: got %s %v %q %v", tt, resp.Status, resp.Header, b, err)
		}
	}
	if n := len(h.up.requests()); n != 6 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

func TestExpectContinue(t *testing.T) {
	h := newHouse(t, nil)
	h.decide = func(a *ambit.Action) ambit.Verdict {
		if strings.HasSuffix(a.Resource.String(), "/no") {
			return ambit.Deny
		}
		return ambit.Allow
	}
	c := h.raw()
	r := bufio.NewReader(c)
	fmt.Fprintf(c, "POST /yes HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", h.authority())
	if l, _ := r.ReadString('\n'); l != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", l)
	}
	r.ReadString('\n')
	io.WriteString(c, "hello")
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 200 || h.up.requests()[0].body != "hello" {
		t.Fatalf("got %v %v", resp, err)
	}
	io.Copy(io.Discard, resp.Body)
	fmt.Fprintf(c, "POST /no HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", h.authority())
	if resp, err = http.ReadResponse(r, nil); err != nil || resp.StatusCode != 403 {
		t.Errorf("a denied upload got %v %v", resp, err)
	}
}

func TestHangUpReachesTheUpstream(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		for _, when := range []string{"before the head", "in the body"} {
			t.Run(proto+" "+when, func(t *testing.T) {
				in, gone := make(chan struct{}), make(chan struct{})
				h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if when == "in the body" {
						io.WriteString(w, "x")
						w.(http.Flusher).Flush()
					}
					close(in)
					<-r.Context().Done()
					close(gone)
				}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				req, _ := http.NewRequestWithContext(ctx, "GET", h.url("/slow"), nil)
				go func() {
					<-in
					time.Sleep(20 * time.Millisecond) // so that a body has begun
					cancel()
				}()
				if resp, err := h.client(proto).Do(req); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				select {
				case <-gone:
				case <-time.After(patience):
					t.Fatal("the upstream does not know")
				}
				h.log.lastEnd(t)
			})
		}
	}
}

func TestCutAnswerLooksCut(t *testing.T) {
	for _, proto := range []string{"http/1.1", "h2"} {
		for name, length := range map[string]string{"announced": "100", "chunked": ""} {
			h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				io.WriteString(w, "part")
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}))
			resp, err := h.client(proto).Get(h.url("/x"))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%s %s: %q looks whole", proto, name, b)
			}
			resp.Body.Close()
			if e := h.log.lastEnd(t); !strings.Contains(e.Detail, "cut after 4 bytes") {
				t.Errorf("recorded %v", e)
			}
		}
	}
}

func TestEarlyAnswerToALongUpload(t *testing.T) {
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413)
		io.WriteString(w, "too much")
	}))
	c := h.raw()
	fmt.Fprintf(c, "PUT /x HTTP/1.1\r\nHost: %s\r\nContent-Length: 100000000\r\n\r\nxxxx", h.authority())
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 413 {
		t.Fatalf("got %v %v", resp, err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "too much" {
		t.Errorf("got %q", b)
	}
}

func TestWebSocket(t *testing.T) {
	h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(2 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if string(b) == "secret" {
				b = []byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			}
			c.Write(r.Context(), kind, b)
		}
	}), withCredential)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, h.url("/ws"), &websocket.DialOptions{HTTPClient: h.client(), CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(2 << 20)
	for _, msg := range []string{"hello", strings.Repeat("long", 100000), "again"} {
		c.Write(ctx, websocket.MessageText, []byte(msg))
		if _, b, err := c.Read(ctx); err != nil || string(b) != msg {
			t.Fatalf("echoed %.20q %v", b, err)
		}
	}
	c.Write(ctx, websocket.MessageText, []byte("secret"))
	if _, b, err := c.Read(ctx); err != nil || string(b) != strings.Repeat("X", len(testSecret)) {
		t.Errorf("got %q %v", b, err)
	}
	c.Close(websocket.StatusNormalClosure, "")
	e := h.log.lastEnd(t)
	if a := h.log.intended()[0]; e.Outcome != ambit.Performed || !strings.HasPrefix(e.Detail, "101, ") || a.Effect != ambit.Write || a.Args["upgrade"] != "websocket" {
		t.Errorf("recorded %v of %v", e, a)
	}
}

func TestDeniedWebSocket(t *testing.T) {
	h := newHouse(t, nil)
	h.decide = func(a *ambit.Action) ambit.Verdict {
		if a.Effect == ambit.Read {
			return ambit.Allow
		}
		return ambit.Deny
	}
	if _, resp, err := websocket.Dial(t.Context(), h.url("/ws"), &websocket.DialOptions{HTTPClient: h.client()}); err == nil || resp == nil || resp.StatusCode != 403 {
		t.Errorf("got %v %v", resp, err)
	}
	if n := len(h.up.requests()); n != 0 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

// zeros is a body of n bytes that costs nothing to make.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.n)
	clear(p[:n])
	z.n -= n
	return int(n), nil
}

func TestGibibyteInBoundedMemory(t *testing.T) {
	const bound = 8 << 20
	for proto, size := range map[string]int64{"http/1.1": 1 << 30, "h2": 1 << 28} {
		if testing.Short() {
			size = 1 << 26
		}
		got := make(chan int64, 1)
		h := newHouse(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PUT" {
				n, _ := io.Copy(io.Discard, r.Body)
				got <- n
				return
			}
			w.Header().Set("Content-Length", fmt.Sprint(size))
			io.Copy(w, &zeros{size})
		}), withCredential)
		start, peak := time.Now(), watchLive(t)
		resp, err := h.client(proto).Get(h.url("/down"))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		down := time.Since(start)
		if n != size || err != nil {
			t.Errorf("%s: down %d bytes, %v", proto, n, err)
		}
		start = time.Now()
		req, _ := http.NewRequest("PUT", h.url("/up"), &zeros{size})
		resp, err = h.client(proto).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := <-got; n != size {
			t.Errorf("%s: up %d bytes", proto, n)
		}
		most := peak()
		t.Logf("%s: down %v, up %v, held at most %d MiB (agent, gate and upstream together)", proto, down, time.Since(start), most>>20)
		if most > bound {
			t.Errorf("%s: %d MiB were held", proto, most>>20)
		}
	}
}
