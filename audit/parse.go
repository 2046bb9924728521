package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/gowebpki/jcs"

	"ambit"
)

// ParseRecord reads one record in its canonical form and refuses every other
// spelling of the same record: members out of order, twice or unknown, white
// space, needless escapes. So two readers cannot disagree about it. The bytes
// are not kept.
func ParseRecord(b []byte) (Record, error) {
	var r Record
	if len(b) > MaxRecord {
		return r, fmt.Errorf("cannot read record: %d bytes, at most %d", len(b), MaxRecord)
	}
	m, err := parseMembers(b)
	if err != nil {
		return r, fmt.Errorf("cannot read record: %w", err)
	}
	r = Record{Agent: m[0], Approval: m[1], Clock: m[2], DecidedBy: m[4], Detail: m[5], Digest: m[6], Effect: m[7],
		Kind: m[10], Operation: m[11], Outcome: m[12], Resource: m[13], Service: m[14], Task: m[15], Type: m[17], Verdict: m[18]}
	if m[dataKey] != "" {
		r.Data = json.RawMessage(m[dataKey])
	}
	if r.ID, err = parseID(m[8]); err != nil {
		return Record{}, fmt.Errorf("cannot read record: id: %w", err)
	}
	if m[9] != "" {
		if r.Intent, err = parseID(m[9]); err != nil {
			return Record{}, fmt.Errorf("cannot read record: intent: %w", err)
		}
	}
	r.Time, err = time.Parse(TimeLayout, m[16])
	if err != nil || r.Time.Format(TimeLayout) != m[16] {
		return Record{}, fmt.Errorf("cannot read record: time %q is not like %s", clip(m[16]), TimeLayout)
	}
	if err := r.check(); err != nil {
		return Record{}, err
	}
	return r, nil
}

func parseID(s string) (ambit.RecordID, error) {
	id, err := ambit.ParseRecordID(s)
	if err == nil && id.String() != s {
		err = fmt.Errorf("%q is not written as %s", clip(s), id)
	}
	return id, err
}

var errShape = errors.New("it is not a canonical JSON object of strings")

func parseMembers(b []byte) (members, error) {
	var m members
	next := 0 // the first member that may still come
	sep := byte('{')
	for {
		if len(b) == 0 {
			return m, errShape
		}
		if b[0] == '}' && sep == ',' {
			break
		}
		if b[0] != sep {
			return m, errShape
		}
		i, rest, err := parseKey(b[1:], next)
		if err != nil {
			return m, err
		}
		if m[i], b, err = parseValue(rest, i); err != nil {
			return m, fmt.Errorf("member %q: %w", keys[i], err)
		}
		next, sep = i+1, ','
	}
	if len(b) != 1 {
		return m, errors.New("something follows the object")
	}
	return m, nil
}

func parseKey(b []byte, next int) (int, []byte, error) {
	if len(b) == 0 || b[0] != '"' {
		return 0, nil, errShape
	}
	k, rest, ok := bytes.Cut(b[1:], []byte(`":`))
	if !ok {
		return 0, nil, errShape
	}
	for i := next; i < len(keys); i++ {
		if keys[i] == string(k) {
			return i, rest, nil
		}
	}
	return 0, nil, fmt.Errorf("member %q is unknown, repeated or out of order", clip(string(k)))
}

func parseValue(b []byte, i int) (string, []byte, error) {
	if i == dataKey {
		n, err := objectEnd(b)
		if err != nil {
			return "", nil, err
		}
		c, err := jcs.Transform(b[:n])
		if err != nil || !bytes.Equal(c, b[:n]) {
			return "", nil, errors.New("it is not canonical")
		}
		return string(c), b[n:], nil
	}
	s, rest, err := parseString(b)
	if err == nil && s == "" {
		err = errors.New("it is empty, and so must be left out")
	}
	return s, rest, err
}

// parseString reads a string with the escapes that RFC 8785 writes, and no
// others.
func parseString(b []byte) (string, []byte, error) {
	if len(b) == 0 || b[0] != '"' {
		return "", nil, errors.New("it is not a string")
	}
	b = b[1:]
	n := bytes.IndexAny(b, "\"\\")
	if n < 0 {
		return "", nil, errors.New("the string does not end")
	}
	out := b[:n]
	if b[n] == '\\' {
		out = bytes.Clone(out)
		for n < len(b) && b[n] != '"' {
			c, size, ok := parseChar(b[n:])
			if !ok {
				return "", nil, errors.New("an escape is not canonical")
			}
			out = append(out, c)
			n += size
		}
		if n == len(b) {
			return "", nil, errors.New("the string does not end")
		}
	}
	if !plain(b[:n]) || !utf8.Valid(out) {
		return "", nil, errors.New("the string holds a raw control character or is not UTF-8")
	}
	return string(out), b[n+1:], nil
}

func plain(b []byte) bool {
	for _, c := range b {
		if c < 0x20 {
			return false
		}
	}
	return true
}

// parseChar reads one byte of a string, or one escape, and its length.
func parseChar(b []byte) (c byte, size int, ok bool) {
	if b[0] != '\\' {
		return b[0], 1, true
	}
	if len(b) < 2 {
		return 0, 0, false
	}
	for _, c := range []byte("\"\\\b\t\n\f\r") {
		if b[1] == shortEscape(c) {
			return c, 2, true
		}
	}
	if len(b) < 6 || string(b[1:4]) != "u00" {
		return 0, 0, false
	}
	hi, lo := bytes.IndexByte([]byte("01"), b[4]), bytes.IndexByte([]byte(hexDigits), b[5])
	if hi < 0 || lo < 0 {
		return 0, 0, false
	}
	c = byte(hi<<4 | lo)
	return c, 6, shortEscape(c) == 0
}

// objectEnd returns the length of the JSON object that b begins with, by
// counting brackets outside strings. It does not otherwise check the object.
func objectEnd(b []byte) (int, error) {
	i := len(b) - len(bytes.TrimLeft(b, " \t\r\n"))
	if i == len(b) || b[i] != '{' {
		return 0, errors.New("it is not an object")
	}
	depth, quoted := 0, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDataDepth {
				return 0, fmt.Errorf("it is nested deeper than %d", MaxDataDepth)
			}
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, errors.New("the object does not end")
}
