package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
)

// Credentials travel behind a message's JSON and not in it: whatever encodes
// and decodes JSON keeps copies that nobody can wipe, and who gets hold of the
// daemon's memory later would find them there. Behind the JSON there are a zero
// byte, which no JSON holds, and for each credential a big-endian uint32 length
// and that many bytes.

// carrier is a message with credentials. They are wiped when they are on their
// way.
type carrier interface{ carried() [][]byte }

// taker is a message that gets the credentials which came behind its JSON. They
// are its own.
type taker interface{ take([][]byte) error }

var errBehind = errors.New("the credentials behind the message are not those that it names")

// held lists the services whose credential comes as a value, in order.
func (e *Enrol) held() (names []string) {
	for _, n := range slices.Sorted(maps.Keys(e.Secrets)) {
		if e.Secrets[n].File == "" {
			names = append(names, n)
		}
	}
	return names
}

func (e Enrol) carried() (out [][]byte) {
	for _, n := range e.held() {
		out = append(out, e.Secrets[n].Value)
	}
	return out
}

func (e *Enrol) take(in [][]byte) error {
	names := e.held()
	if len(names) != len(in) {
		return errBehind
	}
	for i, n := range names {
		s := e.Secrets[n]
		s.Value = in[i]
		e.Secrets[n] = s
	}
	return nil
}

func (l Leased) carried() [][]byte { return [][]byte{l.Secret} }

func (l *Leased) take(in [][]byte) error {
	if len(in) != 1 {
		return errBehind
	}
	l.Secret = in[0]
	return nil
}

// message encodes v: packed, or its JSON and the credentials that go behind it.
func message(v any) (body []byte, behind [][]byte, err error) {
	if p, ok := v.(packer); ok {
		return p.pack(nil), nil, nil
	}
	if body, err = marshal(v); err != nil {
		return nil, nil, err
	}
	if c, ok := v.(carrier); ok {
		behind = c.carried()
	}
	return body, behind, nil
}

func wipe(secrets [][]byte) {
	for _, b := range secrets {
		clear(b)
	}
}

// behindSize is how long the credentials are with all that belongs to them.
func behindSize(secrets [][]byte) (n int) {
	for _, b := range secrets {
		n += headSize + len(b)
	}
	return n + min(n, 1)
}

func appendBehind(dst []byte, secrets [][]byte) []byte {
	if len(secrets) > 0 {
		dst = append(dst, 0)
	}
	for _, b := range secrets {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
		dst = append(dst, b...)
	}
	return dst
}

// split parts the JSON from what is behind it.
func split(b []byte) (text, behind []byte) {
	if i := bytes.IndexByte(b, 0); i >= 0 && i+1 < len(b) {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// takeBehind gives v the credentials, and wipes where they came.
func takeBehind(v any, behind []byte) error {
	defer clear(behind)
	var secrets [][]byte
	for len(behind) > 0 {
		if len(behind) < headSize {
			return errBehind
		}
		n, rest := binary.BigEndian.Uint32(behind), behind[headSize:]
		if uint64(n) > uint64(len(rest)) {
			return errBehind
		}
		secrets = append(secrets, bytes.Clone(rest[:n]))
		behind = rest[n:]
	}
	if t, ok := v.(taker); ok {
		return t.take(secrets)
	}
	if len(secrets) > 0 {
		return errBehind
	}
	return nil
}

// roomFor returns b with room for n more bytes; the place that b leaves is
// wiped.
func roomFor(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	larger := append(make([]byte, 0, 2*len(b)+n), b...)
	clear(b)
	return larger
}

// reader is a buffer that wipes what it has handed on.
type reader struct {
	from     io.Reader
	buf      []byte
	off, end int
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.off == r.end {
		if len(p) >= len(r.buf) {
			return r.from.Read(p)
		}
		n, err := r.from.Read(r.buf)
		if n <= 0 {
			return 0, err
		}
		r.off, r.end = 0, n
	}
	given := r.buf[r.off:r.end]
	n := copy(p, given)
	clear(given[:n])

	r.off += n
	return n, nil
}
