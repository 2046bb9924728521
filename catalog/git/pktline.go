package git

import (
	"errors"
	"fmt"
)

// Bounds of pkt-lines (gitprotocol-common, "pkt-line Format"), in bytes.
const (
	lengthBytes = 4
	maxPacket   = 65520 // with its length
)

// Errors of reading.
var (
	// ErrShort says that what was given ends too early: more bytes may help.
	ErrShort = errors.New("cannot read git's request: it ends too early")
	// ErrUnclear says that git's own reader and this one could disagree.
	ErrUnclear = errors.New("cannot read git's request: it is not in its plain form")
)

// packet is one pkt-line: its bytes, or a mark without any.
type packet struct {
	data []byte
	mark int // 0 flush, 1 delimiter, 2 response end; only when data is nil
}

func (p packet) flush() bool { return p.data == nil && p.mark == 0 }

// nextPacket reads the first pkt-line of b and returns what follows it. Empty
// lines are refused: git itself never sends one, and its readers differ.
func nextPacket(b []byte) (p packet, rest []byte, err error) {
	if len(b) < lengthBytes {
		return packet{}, nil, ErrShort
	}
	n := 0
	for _, c := range b[:lengthBytes] {
		d := hexDigit(c)
		if d < 0 {
			return packet{}, nil, ErrUnclear
		}
		n = n<<4 | d
	}
	switch {
	case n < 3:
		return packet{mark: n}, b[lengthBytes:], nil
	case n <= lengthBytes || n > maxPacket:
		return packet{}, nil, ErrUnclear
	case n > len(b):
		return packet{}, nil, ErrShort
	}
	return packet{data: b[lengthBytes:n:n]}, b[n:], nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// appendPacket appends one pkt-line. The data must fit one.
func appendPacket(b []byte, format string, args ...any) []byte {
	at := len(b)
	b = append(b, "0000"...)
	b = fmt.Appendf(b, format, args...)
	copy(b[at:], fmt.Sprintf("%04x", len(b)-at))
	return b
}
