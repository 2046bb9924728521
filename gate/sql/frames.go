package sql

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"ambit/pgwire"
)

// frame is one message of the agent: its type and what follows the length.
type frame struct {
	kind byte
	body []byte
}

// Bounds of one message of the agent, in bytes.
const (
	maxSmall   = 64 << 10 // Describe, Execute, Close and others that hold a name
	maxCopy    = 32 << 10 // a piece of a CopyData, which may be cut anywhere
	maxBatch   = 32       // frames handed over at once
	sqlBuffer  = 16 << 10 // of a reader of either side
	headerSize = 5
)

// errProtocol is a message that no client sends.
type errProtocol struct{ why string }

// Error says what is wrong with it.
func (e *errProtocol) Error() string { return "cannot read message: " + e.why }

// limit is how long a message of the kind may be, and whether there is such a kind.
// What a client sends during authentication is not read here.
func (l *Limits) limit(kind byte) (most int, ok bool) {
	switch kind {
	case 'Q', 'P':
		return l.TextBytes + maxSmall, true
	case 'B':
		return l.BindBytes, true
	case 'C', 'D', 'E', 'H', 'S', 'X', 'c', 'f', 'F':
		return maxSmall, true
	case 'd':
		return 1<<30 - 1, true
	}
	return 0, false
}

// frameReader reads an agent's messages. It holds at most one whole message that is
// not handed over, and cuts the data of a COPY into pieces.
type frameReader struct {
	r      *bufio.Reader
	limits *Limits
	take   func(bytes int) bool // counts a large message that is held
	copied int                  // bytes of a CopyData that are still to come
}

// next reads one message, or a piece of a CopyData.
func (f *frameReader) next() (frame, error) {
	if f.copied > 0 {
		return f.piece()
	}
	var h [headerSize]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return frame{}, err
	}
	most, known := f.limits.limit(h[0])
	n := int64(int32(binary.BigEndian.Uint32(h[1:]))) - 4
	switch {
	case !known:
		return frame{}, &errProtocol{fmt.Sprintf("there is no message of type %q", h[0])}
	case n < 0:
		return frame{}, &errProtocol{"its length is less than nothing"}
	case n > int64(most):
		// Nothing is read of it: a length alone must cost no memory.
		return frame{}, &errProtocol{fmt.Sprintf("it has %d bytes, at most %d", n, most)}
	case h[0] == 'd':
		f.copied = int(n)
		if n == 0 {
			return frame{kind: 'd'}, nil
		}
		return f.piece()
	}
	if n > maxSmall && !f.take(int(n)) {
		return frame{}, &errProtocol{"the task holds too many large messages"}
	}
	body, err := pgwire.ReadBody(f.r, int(n))
	return frame{h[0], body}, err
}

func (f *frameReader) piece() (frame, error) {
	n := min(f.copied, maxCopy)
	body, err := pgwire.ReadBody(f.r, n)
	f.copied -= n
	return frame{'d', body}, err
}

// ready says whether a whole message is in the buffer already.
func (f *frameReader) ready() bool {
	if f.copied > 0 {
		return f.r.Buffered() >= min(f.copied, maxCopy)
	}
	if f.r.Buffered() < headerSize {
		return false
	}
	h, err := f.r.Peek(headerSize)
	if err != nil {
		return false
	}
	n := int64(int32(binary.BigEndian.Uint32(h[1:]))) + 1
	return n >= headerSize && int64(f.r.Buffered()) >= n
}

// batch reads a message and all that have come with it, so that whoever looks at
// them knows what follows an Execute.
func (f *frameReader) batch() ([]frame, error) {
	one, err := f.next()
	if err != nil {
		return nil, err
	}
	out := []frame{one}
	for len(out) < maxBatch && f.ready() {
		if one, err = f.next(); err != nil {
			return out, err
		}
		out = append(out, one)
	}
	return out, nil
}

// appendFrame writes a message.
func appendFrame(b []byte, kind byte, body []byte) []byte {
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+4))
	return append(b, body...)
}
