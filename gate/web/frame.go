package web

import (
	"crypto/rand"
	"encoding/binary"
)

// frame is what the header of a WebSocket frame says (RFC 6455 section 5.2).
type frame struct {
	fin    bool // the last of its message
	op     byte
	key    [4]byte // of a masked frame
	length int64   // bytes of payload
}

// Opcodes (RFC 6455 section 11.8). Those from opClose on are of control frames.
const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xa
)

// Bounds of a frame.
const (
	maxFrameHead = 14      // bytes of a header
	maxControl   = 125     // bytes of a control frame's payload
	maxFrame     = 1 << 62 // bytes of payload, so that no sum overflows
)

// badFrame is why a WebSocket is cut: what one reader takes for the next frame
// would be payload for another.
type badFrame struct {
	agent bool // it came from the agent
	why   string
}

// Error says who sent it and what is wrong.
func (e *badFrame) Error() string {
	if e.agent {
		return "cannot pass the agent's frame: " + e.why
	}
	return "cannot pass the service's frame: " + e.why
}

// control says whether the frame stands beside the messages.
func (f *frame) control() bool { return f.op >= opClose }

// parseFrame reads the header at the beginning of b and returns its length,
// which is 0 when b does not hold all of it. An agent masks every frame, a
// service none.
func parseFrame(b []byte, agent bool) (f frame, n int, err error) {
	if len(b) < 2 {
		return f, 0, nil
	}
	short := b[1] & 0x7f
	f = frame{fin: b[0]&0x80 != 0, op: b[0] & 0x0f, length: int64(short)}
	if why := f.wrong(b[0]&0x70, b[1]&0x80 != 0, agent); why != "" {
		return f, 0, &badFrame{agent, why}
	}
	n = 2
	switch short {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	end := n
	if agent {
		n += len(f.key)
	}
	if len(b) < n {
		return f, 0, nil
	}
	if end > 2 {
		if f.length = longLength(b[2:end]); f.length < 0 {
			return f, 0, &badFrame{agent, "its length is not in the shortest form, or too large"}
		}
	}
	copy(f.key[:], b[end:n])
	return f, n, nil
}

// wrong says what is wrong with the first two bytes of a header.
func (f *frame) wrong(rsv byte, masked, agent bool) string {
	switch {
	case rsv != 0:
		return "a reserved bit is set, but no extension was negotiated"
	case f.op > opBinary && f.op < opClose || f.op > opPong:
		return "its opcode is not defined"
	case masked != agent:
		return "an agent must mask its frames, and a service must not"
	case f.control() && !f.fin:
		return "a control frame is fragmented"
	case f.control() && f.length > maxControl:
		return "a control frame is longer than 125 bytes"
	case f.op == opClose && f.length == 1:
		return "half a status code closes the connection"
	}
	return ""
}

// longLength reads an extended length of 2 or 8 bytes; negative when it is not
// in the shortest form or too large.
func longLength(b []byte) int64 {
	if len(b) == 2 {
		if n := binary.BigEndian.Uint16(b); n > maxControl {
			return int64(n)
		}
		return -1
	}
	if n := binary.BigEndian.Uint64(b); n > 0xffff && n <= maxFrame {
		return int64(n)
	}
	return -1
}

// append writes the header in its shortest form.
func (f *frame) append(b []byte, agent bool) []byte {
	first, second := f.op, byte(0)
	if f.fin {
		first |= 0x80
	}
	if agent {
		second = 0x80
	}
	switch {
	case f.length <= maxControl:
		b = append(b, first, second|byte(f.length))
	case f.length <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, first, second|126), uint16(f.length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, second|127), uint64(f.length))
	}
	if agent {
		b = append(b, f.key[:]...)
	}
	return b
}

// mask writes src into dst, masked with a key of whose stream at bytes were used
// (RFC 6455 section 5.3). Masking again unmasks. dst may be src.
func mask(dst, src []byte, key [4]byte, at int64) {
	var turned [8]byte
	for i := range turned {
		turned[i] = key[(at+int64(i))&3]
	}
	k := binary.LittleEndian.Uint64(turned[:])
	dst = dst[:len(src)]
	for len(src) >= 32 {
		s, d := src[:32], dst[:32]
		binary.LittleEndian.PutUint64(d, binary.LittleEndian.Uint64(s)^k)
		binary.LittleEndian.PutUint64(d[8:], binary.LittleEndian.Uint64(s[8:])^k)
		binary.LittleEndian.PutUint64(d[16:], binary.LittleEndian.Uint64(s[16:])^k)
		binary.LittleEndian.PutUint64(d[24:], binary.LittleEndian.Uint64(s[24:])^k)
		src, dst = src[32:], dst[32:]
	}
	for i, c := range src {
		dst[i] = c ^ turned[i&7]
	}
}

// maskKeys gives masking keys that nobody can foresee (RFC 6455 section 10.3):
// an agent that chose them would choose the bytes on the wire, behind which a
// cache on the way could see an answer.
type maskKeys struct {
	pool [256]byte
	used int
	full bool
}

func (m *maskKeys) next() (key [4]byte) {
	if !m.full || m.used == len(m.pool) {
		rand.Read(m.pool[:]) // never fails
		m.full, m.used = true, 0
	}
	m.used += copy(key[:], m.pool[m.used:])
	return key
}
