package audit

import "unicode/utf8"

// canonicalStrings says that data is an object in canonical form (RFC 8785) of nothing
// but objects and strings, with names in printable ASCII: what is recorded of
// almost every action. A false says nothing: a library then writes the form.
func canonicalStrings(data []byte) bool {
	rest, ok := plainObject(data, MaxDataDepth)
	return ok && len(rest) == 0 && utf8.Valid(data)
}

func plainObject(b []byte, depth int) (rest []byte, ok bool) {
	if depth == 0 || len(b) < 2 || b[0] != '{' {
		return nil, false
	}
	if b[1] == '}' {
		return b[2:], true
	}
	var last, name []byte
	for b = b[1:]; ; b = b[1:] {
		if name, b = plainName(b); name == nil || last != nil && string(last) >= string(name) {
			return nil, false
		}
		last = name
		if b, ok = plainValue(b, depth); !ok || len(b) == 0 {
			return nil, false
		}
		if b[0] == '}' {
			return b[1:], true
		}
		if b[0] != ',' {
			return nil, false
		}
	}
}

// plainName takes a name and its colon. A name has no escapes.
func plainName(b []byte) (name, rest []byte) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			if i+1 == len(b) || b[i+1] != ':' {
				return nil, nil
			}
			return b[1:i], b[i+2:]
		case c < 0x20 || c >= 0x7f || c == '\\':
			return nil, nil
		}
	}
	return nil, nil
}

func plainValue(b []byte, depth int) (rest []byte, ok bool) {
	switch {
	case len(b) == 0:
		return nil, false
	case b[0] == '{':
		return plainObject(b, depth-1)
	case b[0] == '"':
		return plainString(b[1:])
	}
	return nil, false
}

// plainString takes the rest of a string with the shortest escapes
// (RFC 8785 section 3.2.2.2).
func plainString(b []byte) (rest []byte, ok bool) {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[i+1:], true
		case c < 0x20:
			return nil, false
		case c == '\\':
			n := escapeLen(b[i+1:])
			if n == 0 {
				return nil, false
			}
			i += n
		}
	}
	return nil, false
}

// escapeLen returns the length of what follows the backslash of a canonical
// escape, or 0.
func escapeLen(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"', '\\', 'b', 't', 'n', 'f', 'r':
		return 1
	case 'u':
		if len(b) < 5 || string(b[1:3]) != "00" || b[3] != '0' && b[3] != '1' {
			return 0
		}
		hi := (b[3] - '0') << 4
		for lo := range byte(16) {
			if b[4] == hexDigits[lo] && shortEscape(hi|lo) == 0 {
				return 5
			}
		}
	}
	return 0
}
