package web

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

// reader buffers what the agent sends on one connection. While a request is
// being answered it can watch for a hang-up.
type reader struct {
	c    net.Conn
	most int // bytes of a head
	buf  []byte
	r, w int

	watching bool
	done     chan struct{}
	broken   error // what the watch found; read after done
}

// readSize is the size of a reader's buffer while heads are short, in bytes.
const readSize = 4 << 10

func newReader(c net.Conn, most int) *reader {
	return &reader{c: c, most: most, buf: make([]byte, readSize)}
}

// release gives the buffer back.
func (r *reader) release() { r.buf, r.r, r.w = nil, 0, 0 }

// fill reads once more. The buffer grows to the bound of a head.
func (r *reader) fill() error {
	if r.broken != nil {
		return r.broken
	}
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) {
		if len(r.buf) >= r.most {
			return badRequest("the head is too large")
		}
		r.buf = append(r.buf, make([]byte, min(len(r.buf), r.most-len(r.buf)))...)
	}
	n, err := r.c.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// peek returns the next n bytes without taking them.
func (r *reader) peek(n int) ([]byte, error) {
	for r.w-r.r < n {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	return r.buf[r.r : r.r+n], nil
}

// head takes one head, up to the empty line, and returns a slice that is valid
// until the next use. It refuses a bare LF at once.
func (r *reader) head() ([]byte, error) {
	line := 0
	for at := 0; ; {
		b := r.buf[r.r:r.w]
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			at = len(b)
			if err := r.fill(); err != nil {
				return nil, err
			}
			continue
		}
		at += i
		if at == 0 || b[at-1] != '\r' {
			return nil, badRequest("a line ends in LF without CR")
		}
		if at-line == 1 {
			r.r += at + 1
			return b[:at+1], nil
		}
		at++
		line = at
	}
}

// line takes one short line and returns it without its CRLF.
func (r *reader) line(most int) ([]byte, error) {
	for at := 0; ; {
		b := r.buf[r.r:r.w]
		i := bytes.IndexByte(b[at:], '\n')
		switch {
		case i < 0 && len(b) > most+1:
			return nil, badRequest("a line of the body is too long")
		case i < 0:
			at = len(b)
			if err := r.fill(); err != nil {
				return nil, unexpected(err)
			}
			continue
		}
		at += i
		if at == 0 || b[at-1] != '\r' || at-1 > most {
			return nil, badRequest("a line of the body does not end in CRLF")
		}
		r.r += at + 1
		return b[:at-1], nil
	}
}

// Read returns what is buffered, or reads past the buffer.
func (r *reader) Read(p []byte) (int, error) {
	if r.r < r.w {
		n := copy(p, r.buf[r.r:r.w])
		r.r += n
		return n, nil
	}
	if r.broken != nil {
		return 0, r.broken
	}
	return r.c.Read(p)
}

// shrink drops a buffer that had grown, between two requests.
func (r *reader) shrink() {
	if len(r.buf) > readSize && r.w-r.r <= readSize {
		b := make([]byte, readSize)
		r.w = copy(b, r.buf[r.r:r.w])
		r.r, r.buf = 0, b
	}
}

// watch reads ahead in the background until unwatch, and calls gone when the
// agent hangs up. The reader must not be used in between.
func (r *reader) watch(gone func()) {
	if r.watching || r.broken != nil || r.w > r.r {
		return // a pipelined request: the agent is there
	}
	r.watching, r.done = true, make(chan struct{})
	go func() {
		defer close(r.done)
		if err := r.fill(); err != nil && !isTimeout(err) {
			r.broken = err
			gone()
		}
	}()
}

// unwatch ends the watch; the reader can be used again.
func (r *reader) unwatch() {
	if !r.watching {
		return
	}
	r.c.SetReadDeadline(time.Unix(1, 0)) // makes the read return
	<-r.done
	r.c.SetReadDeadline(time.Time{})
	r.watching = false
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
