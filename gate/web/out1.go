package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// out1 writes one HTTP/1.x response. It is an http.ResponseWriter, so that the
// rest of the gate does not care which version the agent speaks.
type out1 struct {
	c      net.Conn
	buf    []byte // what was not written yet
	minor  int    // the agent's HTTP/1.minor
	isHead bool   // the request was HEAD
	close  bool   // the connection ends after this response
	stall  time.Duration
	since  time.Time // when the write deadline was set

	header  http.Header
	status  int   // 0 before the head
	chunked bool  // the body is sent in chunks
	noBody  bool  // the response has none
	left    int64 // bytes of a body of known length; -1 unknown
	err     error
}

// outSize is the size of a response's write buffer, in bytes.
const outSize = 4 << 10

func newOut1(c net.Conn, stall time.Duration) *out1 {
	return &out1{c: c, stall: stall, buf: make([]byte, 0, outSize), header: make(http.Header)}
}

// reset makes o ready for the next response.
func (o *out1) reset(minor int, isHead bool) {
	clear(o.header)
	o.minor, o.isHead, o.close = minor, isHead, minor == 0
	o.status, o.chunked, o.noBody, o.left = 0, false, false, 0
}

// Header returns the fields to send.
func (o *out1) Header() http.Header { return o.header }

// WriteHeader forms the head. It is sent with the first bytes of the body, or
// by Flush.
func (o *out1) WriteHeader(status int) {
	if o.status != 0 {
		return
	}
	o.status = status
	o.frame()
	o.buf = append(o.buf, "HTTP/1.1 "...)
	o.buf = strconv.AppendInt(o.buf, int64(status), 10)
	o.buf = append(o.buf, ' ')
	o.buf = append(o.buf, http.StatusText(status)...)
	o.buf = append(o.buf, '\r', '\n')
	for k, vs := range o.header {
		for _, v := range vs {
			o.field(k, v)
		}
	}
	switch {
	case o.chunked:
		o.field("Transfer-Encoding", "chunked")
	case o.close:
		o.field("Connection", "close")
	}
	if o.chunked && o.close {
		o.field("Connection", "close")
	}
	o.buf = append(o.buf, '\r', '\n')
}

// frame says how the body will end.
func (o *out1) frame() {
	o.left = -1
	if n, ok := parseLength(o.header.Get("Content-Length")); ok && o.header.Get("Content-Length") != "" {
		o.left = n
	}
	switch {
	case o.status < 200 || o.status == http.StatusNoContent:
		o.noBody = true
		delete(o.header, "Content-Length")
	case o.status == http.StatusNotModified || o.isHead:
		o.noBody = true
	case o.left >= 0:
	case o.minor == 0:
		o.close = true
	default:
		o.chunked = true
	}
}

// field appends one field. A line end in it would forge another field.
func (o *out1) field(k, v string) {
	if strings.ContainsAny(k, "\r\n: \x00") || strings.ContainsAny(v, "\r\n\x00") {
		return
	}
	o.buf = append(o.buf, k...)
	o.buf = append(o.buf, ':', ' ')
	o.buf = append(o.buf, v...)
	o.buf = append(o.buf, '\r', '\n')
}

// Write sends body bytes.
func (o *out1) Write(p []byte) (int, error) {
	if o.status == 0 {
		o.WriteHeader(http.StatusOK)
	}
	switch {
	case o.err != nil:
		return 0, o.err
	case o.noBody || len(p) == 0:
		return len(p), nil
	case o.left >= 0 && int64(len(p)) > o.left:
		// More than was announced would be read as the next response.
		o.err = fmt.Errorf("cannot write response: %w", http.ErrContentLength)
		return 0, o.err
	}
	if o.left > 0 {
		o.left -= int64(len(p))
	}
	if o.chunked {
		o.buf = strconv.AppendInt(o.buf, int64(len(p)), 16)
		o.buf = append(o.buf, '\r', '\n')
	}
	if len(o.buf)+len(p) > outSize {
		o.Flush()
		o.send(p)
	} else {
		o.buf = append(o.buf, p...)
	}
	if o.chunked {
		o.buf = append(o.buf, '\r', '\n')
	}
	return len(p), o.err
}

// Flush sends what is buffered.
func (o *out1) Flush() {
	if o.status != 0 && len(o.buf) > 0 {
		o.send(o.buf)
		o.buf = o.buf[:0]
	}
}

func (o *out1) send(p []byte) {
	if o.err != nil {
		return
	}
	// One deadline for many writes: moving it costs.
	if now := time.Now(); now.Sub(o.since) > o.stall/4 {
		o.since = now
		o.c.SetWriteDeadline(now.Add(o.stall))
	}
	_, o.err = o.c.Write(p)
}

// proceed sends 100 Continue (RFC 9110 section 10.1.1).
func (o *out1) proceed() error {
	if o.status != 0 {
		return nil
	}
	o.send([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return o.err
}

// finish ends the response and says whether the connection can go on.
func (o *out1) finish() bool {
	switch {
	case o.status == 0:
		return false
	case o.chunked:
		o.buf = append(o.buf, "0\r\n\r\n"...)
	case o.left > 0 && !o.noBody:
		o.err = io.ErrUnexpectedEOF // the agent must notice that the body is cut
	}
	o.Flush()
	return o.err == nil && !o.close
}
