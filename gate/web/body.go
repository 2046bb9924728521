package web

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

var errBodyClosed = errors.New("cannot read body: the request has ended")

// body1 is the body of an HTTP/1.x request. The transport may read it from its
// own goroutine, also after the response: stop ends that.
type body1 struct {
	r       *reader
	stall   time.Duration
	proceed func() error // sends 100 Continue, once
	atEnd   func()       // called when the last byte was read

	stopped atomic.Bool
	mu      sync.Mutex
	left    int64 // of the body, or of the chunk
	chunked bool
	inChunk bool
	ended   bool // the last byte was read
	err     error
}

// Read reads the body, strictly framed.
func (b *body1) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped.Load():
		return 0, errBodyClosed
	case b.err != nil:
		return 0, b.err
	case b.ended:
		return 0, io.EOF
	}
	if b.proceed != nil {
		if err := b.proceed(); err != nil {
			b.err = err
			return 0, err
		}
		b.proceed = nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	b.r.c.SetReadDeadline(time.Now().Add(b.stall))
	if b.stopped.Load() { // after the deadline: see stop
		return 0, errBodyClosed
	}
	n, err := b.read(p)
	b.err = err
	if b.ended && err == nil {
		b.r.c.SetReadDeadline(time.Time{})
		b.atEnd()
		if n == 0 {
			err = io.EOF
		}
	}
	return n, err
}

func (b *body1) read(p []byte) (int, error) {
	if b.chunked && b.left == 0 {
		if err := b.nextChunk(); err != nil || b.ended {
			return 0, err
		}
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if n > 0 && b.left == 0 && !b.chunked {
		b.ended = true
		return n, nil
	}
	if n > 0 {
		return n, nil // an error comes again
	}
	return 0, unexpected(err)
}

// nextChunk reads the line before a chunk, and behind the last one the trailers,
// which are dropped (RFC 9112 section 7.1). Extensions are refused: readers
// disagree about where they end.
func (b *body1) nextChunk() error {
	if b.inChunk {
		if l, err := b.r.line(0); err != nil || len(l) != 0 {
			return orError(err, badRequest("a chunk does not end where its size says"))
		}
	}
	l, err := b.r.line(maxChunkLine)
	if err != nil {
		return err
	}
	n, ok := chunkSize(l)
	if !ok {
		return badRequest("the size of a chunk is not a plain hexadecimal number")
	}
	b.left, b.inChunk = n, true
	if n > 0 {
		return nil
	}
	b.ended = true
	return b.trailers()
}

// Bounds of a chunked body's lines.
const (
	maxChunkLine = 16
	maxTrailers  = 32
	maxTrailer   = 2 << 10
)

func (b *body1) trailers() error {
	for range maxTrailers {
		l, err := b.r.line(maxTrailer)
		if err != nil {
			return err
		}
		if len(l) == 0 {
			return nil
		}
		var scrap head
		scrap.header = map[string][]string{}
		if r := scrap.field(l, &framing{}); r != nil {
			return r
		}
	}
	return badRequest("the body has too many trailers")
}

// chunkSize reads hexadecimal digits only.
func chunkSize(l []byte) (int64, bool) {
	if len(l) == 0 || len(l) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range l {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, true
}

// Close does nothing: the connection goes on.
func (b *body1) Close() error { return nil }

// stop ends reading, also one that waits for the agent, and says whether the
// whole body was read.
func (b *body1) stop() bool {
	b.stopped.Store(true)
	b.r.c.SetReadDeadline(time.Unix(1, 0)) // makes a read under way return
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r.c.SetReadDeadline(time.Time{})
	return b.ended && b.err == nil
}

// waits says that the agent still waits for 100 Continue.
func (b *body1) waits() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.proceed != nil
}

func orError(err error, r *refusal) error {
	if err != nil {
		return err
	}
	return r
}
