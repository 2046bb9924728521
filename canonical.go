package ambit

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
)

// appendCanonical writes the action's canonical form (RFC 8785): members
// sorted, no space, strings with the shortest escapes. Every action takes this
// way several times, so it is written out; a test holds it against a library.
func (a *Action) appendCanonical(b []byte) []byte {
	b = appendMember(b, `{"agent":`, a.Agent)
	if len(a.Args) > 0 {
		b = a.AppendArgs(append(b, `,"args":`...))
	}
	b = appendMember(b, `,"effect":`, a.Effect.String())
	b = appendMember(b, `,"label":{"confidentiality":`, a.Label.Confidentiality.String())
	b = appendMember(b, `,"integrity":`, a.Label.Integrity.String())
	b = appendMember(b, `},"operation":`, a.Operation)
	b = appendMember(b, `,"resource":{"kind":`, a.Resource.Kind)
	b = a.Resource.appendSegments(append(b, `,"segments":`...))
	b = appendMember(b, `},"service":`, a.Service)
	b = appendMember(b, `,"task":`, string(a.Task))
	return append(b, '}')
}

// AppendArgs appends the arguments' canonical form to b: one JSON object of
// strings.
func (a *Action) AppendArgs(b []byte) []byte {
	b = append(b, '{')
	for i, k := range sortedKeys(a.Args) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, k), ':')
		b = appendText(b, a.Args[k])
	}
	return append(b, '}')
}

func (r Resource) appendSegments(b []byte) []byte {
	if r.Segments == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, s := range r.Segments {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return append(b, ']')
}

func appendMember(b []byte, key, value string) []byte {
	return appendText(append(b, key...), value)
}

// sortedKeys sorts as RFC 8785 section 3.2.3 says: by UTF-16 code units.
func sortedKeys(m map[string]string) []string {
	return slices.SortedFunc(maps.Keys(m), func(x, y string) int {
		if ascii(x) && ascii(y) {
			return strings.Compare(x, y)
		}
		return slices.Compare(utf16.Encode([]rune(x)), utf16.Encode([]rune(y)))
	})
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// appendText writes a string (RFC 8785 section 3.2.2.2).
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20:
			b = append(b, c)
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
	}
	return append(b, '"')
}
