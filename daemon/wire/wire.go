// Package wire is how gatekeepers and the daemon talk: strict, bounded frames
// over a Unix socket.
//
// A frame is a big-endian uint32 length and that many bytes, at most [MaxFrame]:
// a byte for its kind, the call's number as a big-endian uint64, for a call one
// byte for the length of its method and the method, and the message. A message is
// one JSON object, and behind it its credentials, if there are any; the messages
// of every action are packed instead. Both sides call; answers carry the call's
// number. Unknown fields, trailing bytes and frames over the bound end the
// connection.
package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxFrame bounds one frame, in bytes.
const MaxFrame = 1 << 20

const headSize = 4 // bytes of a length

// Error is what the other side answered instead of a result.
type Error struct {
	Code string `json:"code"`
	Msg  string `json:"msg"`
}

// Error returns the other side's message.
func (e *Error) Error() string { return e.Msg }

// ErrClosed is the error of every call on a connection that has ended: the
// daemon, or the gatekeeper, is gone.
var ErrClosed = errors.New("the connection to the daemon has ended")

// The kinds of frames. The zero value is none.
const (
	kindCall = iota + 1
	kindAnswer
	kindError
)

const headRest = 9 // bytes of a kind and a number

// frame is one message.
type frame struct {
	kind byte
	id   uint64
	call string // of a call
	body []byte

	behind [][]byte // credentials to send
}

func readFrame(r io.Reader, head *[headSize]byte) (frame, error) {
	var f frame
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < headRest || n > MaxFrame {
		return f, fmt.Errorf("cannot read frame: %d bytes, want %d to %d", n, headRest, MaxFrame)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return f, fmt.Errorf("cannot read frame: %w", err)
	}
	f.kind, f.id, f.body = b[0], binary.BigEndian.Uint64(b[1:]), b[headRest:]
	switch f.kind {
	case kindAnswer, kindError:
		return f, nil
	case kindCall:
		if len(f.body) > 0 && f.body[0] > 0 && len(f.body) > int(f.body[0]) {
			at := 1 + int(f.body[0])
			f.call, f.body = string(f.body[1:at]), f.body[at:]
			return f, nil
		}
	}
	return f, errors.New("cannot read frame: it is neither a call nor an answer")
}

func appendFrame(dst []byte, f frame) ([]byte, error) {
	if len(f.call) > 255 || (f.call == "") == (f.kind == kindCall) {
		return dst, errors.New("cannot send frame: a call, and nothing else, has a method of at most 255 bytes")
	}
	size := headRest + len(f.body) + behindSize(f.behind)
	if f.kind == kindCall {
		size += 1 + len(f.call)
	}
	if size > MaxFrame {
		return dst, fmt.Errorf("cannot send frame: %d bytes, at most %d", size, MaxFrame)
	}
	dst = binary.BigEndian.AppendUint32(roomFor(dst, headSize+size), uint32(size))
	dst = binary.BigEndian.AppendUint64(append(dst, f.kind), f.id)
	if f.kind == kindCall {
		dst = append(append(dst, byte(len(f.call))), f.call...)
	}
	return appendBehind(append(dst, f.body...), f.behind), nil
}

// marshal writes v as JSON and leaves the bytes of a raw message as they are.
// json.Marshal writes &, <, > and two line ends in it anew, as \u0026 and so
// on: an action's canonical form, which a digest is over, would be another.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Strict reads one JSON value, or a packed message, into v and refuses unknown
// fields and trailing bytes. Credentials behind the value become v's own, and are
// wiped in b.
func Strict(b []byte, v any) error {
	if u, ok := v.(unpacker); ok {
		return u.unpack(b)
	}
	b, behind := split(b)
	defer clear(behind)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there are bytes after the JSON value")
	}
	return takeBehind(v, behind)
}
