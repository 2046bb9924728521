package web

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// BenchmarkSocket sends messages of 1 MiB over a WebSocket through the gate and
// waits for a short answer to each: "up" as an agent sends its conversation,
// "down" as a service answers with one. Peers only count bytes.
func BenchmarkSocket(b *testing.B) {
	const size = 1 << 20
	for _, dir := range []string{"up", "down"} {
		b.Run(dir, func(b *testing.B) {
			long, short := maskedFrame(plainText(size)), []byte{0x82, 2, 'o', 'k'}
			if dir == "down" {
				long, short = maskedFrame([]byte("ok")), plainFrame(plainText(size))
			}
			h := newHouse(b, rawSocket(func(c io.Writer, r io.Reader) error {
				for {
					if _, err := io.CopyN(io.Discard, r, int64(len(long))); err != nil {
						return err
					}
					if _, err := c.Write(short); err != nil {
						return err
					}
				}
			}), withCredential)
			h.log.forget = true
			c, r := h.rawHandshake()
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(long); err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyN(io.Discard, r, int64(len(short))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// plainText is what APIs send, n bytes of it.
func plainText(n int) []byte {
	const line = `{"id":123,"name":"some ordinary text, as APIs send it","url":"https://api.example.com/x"},`
	b := make([]byte, 0, n+len(line))
	for len(b) < n {
		b = append(b, line...)
	}
	return b[:n]
}

// plainFrame is a binary message of one frame, of at least 64 KiB.
func plainFrame(b []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{0x82, 127}, uint64(len(b))), b...)
}

// maskedFrame is the same as an agent sends it; short ones too.
func maskedFrame(b []byte) []byte {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	f := []byte{0x82, 0x80 | byte(len(b))}
	if len(b) > 125 {
		f = plainFrame(b)[:10]
		f[1] |= 0x80
	}
	f = append(f, key[:]...)
	for i, c := range b {
		f = append(f, c^key[i&3])
	}
	return f
}

// rawSocket answers the handshake and leaves the bytes to serve.
func rawSocket(serve func(w io.Writer, r io.Reader) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		serve(c, rw.Reader) // ends with the connection
	})
}

// rawHandshake opens a WebSocket, with the key and answer of RFC 6455 section
// 1.3, over which the test writes its own bytes.
func (h *house) rawHandshake() (*tls.Conn, *bufio.Reader) {
	h.t.Helper()
	c := h.raw()
	c.SetDeadline(time.Time{})
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", h.authority())
	r := bufio.NewReaderSize(c, 64<<10)
	resp, err := http.ReadResponse(r, &http.Request{Method: "GET"})
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		h.t.Fatalf("got %v %v", resp, err)
	}
	return c, r
}
