package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const maxJSONDepth = 64

// strictJSON reads one JSON value that every reader understands alike. Two
// members whose names are the same, or the same but for case, are refused: one
// reader takes the first, another the last. Numbers stay text.
func strictJSON(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	if loneSurrogate(b) {
		return nil, errors.New("it holds half a character")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

// loneSurrogate says whether an escape names one half of a pair without the other.
// One reader puts a question mark there, and others take the next escape for the
// other half whatever it is, so that a line end behind it is none to them.
func loneSurrogate(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		high, ok := escaped(b[i:])
		switch {
		case !ok:
			i++ // another escape, or none that is read at all
		case utf16.IsSurrogate(high):
			low, _ := escaped(b[i+6:])
			if utf16.DecodeRune(high, low) == utf8.RuneError {
				return true
			}
			i += 11
		default:
			i += 5
		}
	}
	return false
}

// escaped reads "\uXXXX" at the beginning of b.
func escaped(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, errors.New("it is nested too deeply")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return readObject(d, depth)
	case json.Delim('['):
		return readArray(d, depth)
	}
	return t, nil
}

func readObject(d *json.Decoder, depth int) (any, error) {
	obj := make(map[string]any)
	seen := make(map[string]bool)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := t.(string)
		if !ok {
			return nil, errors.New("a member has no name")
		}
		fold := foldKey(key)
		if seen[fold] {
			return nil, fmt.Errorf("member %q is there twice", clip(key))
		}
		seen[fold] = true
		if obj[key], err = readValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return obj, err
}

// foldKey makes names alike that any reader takes for the same: without case,
// also of the two letters outside ASCII that fold to k and s.
func foldKey(k string) string {
	if plainASCII(k) {
		return lowerASCII(k)
	}
	return strings.NewReplacer("\u212a", "k", "\u017f", "s").Replace(strings.ToLower(k))
}

func plainASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

func readArray(d *json.Decoder, depth int) (any, error) {
	var list []any
	for d.More() {
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}
