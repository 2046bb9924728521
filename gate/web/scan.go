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

// window is the part of a stream that is being searched for patterns, also for
// one that is split over two pieces of the stream. It keeps back only the end
// that could begin a pattern.
type window struct {
	m   *matcher
	buf []byte // longer than twice the longest pattern
	// buf[keep:w] could begin a pattern; buf[r:clean] may be handed out.
	keep, r, clean, w int
	// found is called with what was found before it is handed out; it may
	// change the bytes. An error ends the stream there.
	found func(b []byte, at []span) error
}

// room makes room for the next piece and returns it. It must be called only when
// all that may be handed out was.
func (s *window) room() []byte {
	out := s.clean - s.keep // of what is kept, handed out already
	s.w = copy(s.buf, s.buf[s.keep:s.w])
	s.keep, s.r, s.clean = 0, out, out
	return s.buf[s.w:]
}

// wholly lets all that was searched be handed out.
const wholly = copySize

// add searches the next n bytes, which were put into the room. Of an end that
// could begin a pattern, the first free bytes may be handed out all the same.
// After an error nothing more of this buffer is.
func (s *window) add(n, free int) error {
	s.w += n
	b := s.buf[:s.w]
	if at := s.m.find(b); len(at) > 0 {
		if err := s.found(b, at); err != nil {
			return err
		}
	}
	hold := s.m.hold(b)
	s.keep = s.w - hold
	s.clean = max(s.clean, s.w-max(0, hold-free))
	return nil
}

// take returns what may be handed out, as handed out. It is valid until the next
// use of the window.
func (s *window) take() []byte {
	b := s.buf[s.r:s.clean]
	s.r = s.clean
	return b
}

// held is how many bytes are kept back.
func (s *window) held() int { return s.w - s.clean }

// scanner passes a stream on and searches it. A peer that waits for an answer to
// "…s" must not wait because some pattern begins with an s: the beginning of a
// pattern, a quarter at most and never more than three bytes, may pass; the rest
// does not.
type scanner struct {
	window
	src io.Reader
	err error
}

// newScanner passes src on. buf is its own; found is as in a window.
func newScanner(src io.Reader, m *matcher, buf []byte, found func(b []byte, at []span) error) *scanner {
	return &scanner{window: window{m: m, buf: buf, found: found}, src: src}
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
	n, err := s.src.Read(s.room())
	free := s.m.slack
	if err != nil {
		free = wholly
	}
	if s.err = s.add(n, free); s.err == nil {
		s.err = err
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
