package web

import (
	"strings"
	"unicode/utf8"

	"ambit"
)

// target is a request target in origin form (RFC 9112 section 3.2.1), decoded
// once. What is sent upstream is made from it, not from the agent's spelling.
type target struct {
	segs     []string // decoded
	slash    bool     // the path ends in a slash
	encoded  bool     // an encoded slash separates segments
	path     string   // decoded, as net/url wants it
	raw      string   // encoded, as it is sent
	query    string   // as on the wire
	hasQuery bool     // there is a "?", even with nothing behind it
}

// uri is the target as it is sent.
func (t *target) uri() string {
	if t.hasQuery {
		return t.raw + "?" + t.query
	}
	return t.raw
}

// parseTarget reads a request target, and refuses every spelling that an
// upstream could read as another path.
func parseTarget(method, s string, encodedSlash bool) (target, *refusal) {
	if s == "*" && method == "OPTIONS" {
		return target{path: "*", raw: "*"}, nil
	}
	// Absolute and authority form name a host a second time.
	if s == "" || s[0] != '/' {
		return target{}, badPath("the request target must begin with a slash")
	}
	if len(s) > maxTarget {
		return target{}, badPath("the request target is too long")
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return target{}, badPath("the request target holds a control character")
		}
	}
	path, query, hasQuery := strings.Cut(s, "?")
	t := target{query: query, hasQuery: hasQuery}
	if r := checkQuery(query); r != nil {
		return target{}, r
	}
	var raw, dec strings.Builder
	if r := t.split(path[1:], encodedSlash, &raw, &dec); r != nil {
		return target{}, r
	}
	t.raw, t.path = raw.String(), dec.String()
	return t, nil
}

// maxTarget bounds a request target, in bytes.
const maxTarget = 16 << 10

func (t *target) split(path string, encodedSlash bool, raw, dec *strings.Builder) *refusal {
	if encodedSlash {
		path = splitEncoded(path)
	}
	raw.Grow(len(path) + 1)
	for rest, more := path, true; more; {
		var enc string
		enc, rest, more = strings.Cut(rest, "/")
		// An encoded slash that separates keeps its spelling on the wire.
		sep := "/"
		if strings.HasPrefix(enc, encodedSep) {
			enc, sep, t.encoded = enc[len(encodedSep):], "%2F", true
		}
		raw.WriteString(sep)
		dec.WriteByte('/')
		if enc == "" {
			if !more && len(sep) == 1 {
				t.slash = len(t.segs) > 0
				return nil
			}
			// Some servers fold "//" into "/", others do not.
			return badPath("the path has an empty segment")
		}
		if len(t.segs) == ambit.MaxSegments-1 {
			return badPath("the path has too many segments")
		}
		s, wire, r := decodeSegment(enc)
		if r != nil {
			return r
		}
		t.segs = append(t.segs, s)
		raw.WriteString(wire)
		dec.WriteString(s)
	}
	return nil
}

// encodedSep marks, between two passes over a path, a segment that followed an
// encoded slash. Raw control characters are refused before, so that it cannot
// be forged.
const encodedSep = "\x00"

// splitEncoded turns %2f into a separator.
func splitEncoded(p string) string {
	if !strings.Contains(p, "%2") {
		return p
	}
	return strings.NewReplacer("%2f", "/"+encodedSep, "%2F", "/"+encodedSep).Replace(p)
}

// decodeSegment decodes one segment once, and spells it anew: unreserved
// characters plain, reserved ones as the agent had them (RFC 3986 section
// 6.2.2), all others percent-encoded.
func decodeSegment(s string) (dec, wire string, _ *refusal) {
	if plainSegment(s) {
		return s, s, nil
	}
	var d, w strings.Builder
	for i := 0; i < len(s); i++ {
		c, encoded := s[i], false
		if c == '%' {
			v, ok := unhex(s, i+1)
			if !ok {
				return "", "", badPath("the path has a broken percent escape")
			}
			c, encoded, i = v, true, i+2
		}
		if r := checkByte(c, encoded); r != nil {
			return "", "", r
		}
		d.WriteByte(c)
		writeByte(&w, c, encoded)
	}
	dec = d.String()
	return dec, w.String(), checkDecoded(dec)
}

// plainSegment says that s is its own decoding and spelling.
func plainSegment(s string) bool {
	letters := false
	for i := range len(s) {
		c := s[i]
		if !unreserved(c) {
			return false
		}
		letters = letters || c != '.'
	}
	return letters && len(s) <= ambit.MaxSegmentLen
}

func checkByte(c byte, encoded bool) *refusal {
	switch {
	case c < 0x20 || c == 0x7f:
		return badPath("the path holds a control character")
	case c == '/' || c == '\\':
		// Some servers decode these before they split the path.
		return badPath("the path holds an encoded slash or a backslash")
	case encoded:
		return nil
	case c >= 0x80 || c == ' ' || c == '#':
		return badPath("the path holds a character that must be percent-encoded")
	case c == ';':
		// Servlet containers cut "admin;x" and "..;" to "admin" and "..".
		return badPath("the path holds a semicolon; write %3B if it is part of a name")
	}
	return nil
}

func checkDecoded(s string) *refusal {
	switch {
	case !utf8.ValidString(s):
		return badPath("the path is not UTF-8")
	case len(s) > ambit.MaxSegmentLen:
		return badPath("a segment of the path is too long")
	case strings.Trim(s, ". ") == "":
		// ".", "..", and what Windows servers trim to them.
		return badPath("the path holds a segment of dots")
	case s[0] == '.' && strings.Trim(s[:strings.IndexByte(s+";", ';')], ".") == "":
		return badPath("the path holds a segment of dots with a parameter")
	case doublyEncoded(s):
		// An upstream that decodes twice would see another path.
		return badPath("the path is percent-encoded twice")
	}
	return nil
}

func doublyEncoded(s string) bool {
	for i := range len(s) {
		if s[i] == '%' {
			if _, ok := unhex(s, i+1); ok {
				return true
			}
		}
	}
	return false
}

const upperHex = "0123456789ABCDEF"

func writeByte(w *strings.Builder, c byte, encoded bool) {
	if unreserved(c) || (!encoded && reservedInPath(c)) {
		w.WriteByte(c)
		return
	}
	w.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
}

// checkQuery lets a query pass as it is when it can be read in one way only.
func checkQuery(q string) *refusal {
	for i := 0; i < len(q); i++ {
		switch c := q[i]; {
		case c <= 0x20 || c >= 0x7f || c == '#':
			return badPath("the query holds a character that must be percent-encoded")
		case c == '%':
			if _, ok := unhex(q, i+1); !ok {
				return badPath("the query has a broken percent escape")
			}
		}
	}
	return nil
}

// unreserved characters (RFC 3986 section 2.3).
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// reservedInPath are the other characters that may stand in a segment, but for
// the semicolon (RFC 3986 section 3.3).
func reservedInPath(c byte) bool {
	return strings.IndexByte("!$&'()*+,=:@", c) >= 0
}

func unhex(s string, i int) (byte, bool) {
	if i+2 > len(s) {
		return 0, false
	}
	h, ok1 := hexDigit(s[i])
	l, ok2 := hexDigit(s[i+1])
	return h<<4 | l, ok1 && ok2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
