// Package wire is how gatekeepers and the daemon talk: strict, bounded frames
// of JSON over a Unix socket.
//
// A frame is a big-endian uint32 length and that many bytes, at most [MaxFrame]:
// one JSON object, and behind it the credentials of its message, if there are
// any. Both sides call; answers carry the call's number.
// Unknown fields, trailing bytes and frames over the bound end the connection.
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

// frame is one message. Exactly one of Call, Answer is set.
type frame struct {
	ID     uint64          `json:"id"`
	Call   string          `json:"call,omitempty"`
	Answer bool            `json:"answer,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Error  *Error          `json:"error,omitempty"`

	behind [][]byte // credentials to send
}

func readFrame(r io.Reader, head *[headSize]byte) (frame, error) {
	var f frame
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return f, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxFrame {
		return f, fmt.Errorf("cannot read frame: %d bytes, at most %d", n, MaxFrame)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return f, fmt.Errorf("cannot read frame: %w", err)
	}
	text, behind := split(b)
	defer clear(behind)
	if err := Strict(text, &f); err != nil {
		return f, fmt.Errorf("cannot read frame: %w", err)
	}
	if (f.Call == "") == !f.Answer {
		return f, errors.New("cannot read frame: it is neither a call nor an answer")
	}
	if len(behind) > 0 {
		f.Body = append(append(roomFor(f.Body, 1+len(behind)), 0), behind...)
	}
	return f, nil
}

func appendFrame(dst []byte, f frame) ([]byte, error) {
	b, err := marshal(f)
	if err != nil {
		return dst, err
	}
	size := len(b) + behindSize(f.behind)
	if size > MaxFrame {
		return dst, fmt.Errorf("cannot send frame: %d bytes, at most %d", size, MaxFrame)
	}
	dst = binary.BigEndian.AppendUint32(roomFor(dst, headSize+size), uint32(size))
	return appendBehind(append(dst, b...), f.behind), nil
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

// Strict reads one JSON value into v and refuses unknown fields and trailing
// bytes. Credentials behind the value become v's own, and are wiped in b.
func Strict(b []byte, v any) error {
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
