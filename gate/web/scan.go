package web

import (
	"io"
	"sync"
)

// copySize is the size of the buffers that bodies pass through, in bytes.
const copySize = 32 << 10

// copyBuffers lends buffers of copySize bytes.
type copyBuffers struct{ pool sync.Pool }

func (c *copyBuffers) get() *[copySize]byte {
	if b, ok := c.pool.Get().(*[copySize]byte); ok {
		return b
	}
	return new([copySize]byte)
}

func (c *copyBuffers) put(b *[copySize]byte) {
	if b != nil {
		c.pool.Put(b)
	}
}

// scanner passes a stream on and finds patterns in it, also where one is split
// over two reads. It keeps back only the end that could begin a pattern, and of
// that not the first few bytes: a peer that waits for an answer to "…s" must not
// wait because some pattern begins with an s. So the beginning of a pattern, a
// quarter at most and never more than three bytes, may pass; the rest does not.
type scanner struct {
	src io.Reader
	m   *matcher
	buf []byte // longer than twice the longest pattern
	// buf[keep:w] could begin a pattern; buf[r:clean] may be handed out.
	keep, r, clean, w int
	err               error
	// found is called with what was found before it is handed out; it may
	// change the bytes. An error ends the stream there.
	found func(b []byte, at []span) error
}

// Read hands out what was searched.
func (s *scanner) Read(p []byte) (int, error) {
	for s.r == s.clean {
		if s.err != nil {
			return 0, s.err
		}
		s.fill()
	}
	n := copy(p, s.buf[s.r:s.clean])
	s.r += n
	return n, nil
}

func (s *scanner) fill() {
	out := s.clean - s.keep // of what is kept, handed out already
	s.w = copy(s.buf, s.buf[s.keep:s.w])
	s.keep, s.r, s.clean = 0, out, out
	n, err := s.src.Read(s.buf[s.w:])
	s.w += n
	s.err = err
	b := s.buf[:s.w]
	if at := s.m.find(b); len(at) > 0 {
		if err := s.found(b, at); err != nil {
			s.err = err
			return // nothing more of this buffer is handed out
		}
	}
	s.keep, s.clean = s.w, s.w
	if s.err == nil {
		hold := s.m.hold(b)
		s.keep -= hold
		s.clean = max(out, s.w-max(0, hold-s.m.slack))
	}
}

// blank overwrites what was found.
func blank(b []byte, at []span) {
	for _, s := range at {
		for i := s.from; i < s.to; i++ {
			b[i] = filler
		}
	}
}
