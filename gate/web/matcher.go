package web

import (
	"bytes"
	"slices"
	"strings"
)

// matcher finds any of a few byte strings. The zero value finds nothing.
type matcher struct {
	pats    [][]byte
	texts   []string // the same
	longest int
}

// newMatcher drops empty and repeated patterns.
func newMatcher(pats ...[]byte) *matcher {
	m := &matcher{}
	for _, p := range pats {
		if len(p) > 0 && !slices.ContainsFunc(m.pats, func(q []byte) bool { return bytes.Equal(p, q) }) {
			m.pats = append(m.pats, p)
			m.texts = append(m.texts, string(p))
			m.longest = max(m.longest, len(p))
		}
	}
	return m
}

// span is a part of a slice.
type span struct{ from, to int }

// find returns every occurrence of every pattern in b, overlapping ones too.
// Nothing is allocated when there is none.
func (m *matcher) find(b []byte) []span {
	var found []span
	for _, p := range m.pats {
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], p)
			if i < 0 {
				break
			}
			at += i
			found = append(found, span{at, at + len(p)})
		}
	}
	return found
}

// has says whether any pattern is in b.
func (m *matcher) has(b []byte) bool {
	for _, p := range m.pats {
		if bytes.Contains(b, p) {
			return true
		}
	}
	return false
}

// hasText says whether any pattern is in s.
func (m *matcher) hasText(s string) bool {
	for _, p := range m.texts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

// hold returns the length of the longest end of b that could be the beginning
// of a pattern.
func (m *matcher) hold(b []byte) int {
	longest := 0
	for _, p := range m.pats {
		tail := b[max(0, len(b)-len(p)+1):]
		for len(tail) > longest {
			i := bytes.IndexByte(tail, p[0])
			if i < 0 {
				break
			}
			tail = tail[i:]
			if bytes.HasPrefix(p, tail) {
				longest = max(longest, len(tail))
				break
			}
			tail = tail[1:]
		}
	}
	return longest
}

// filler replaces what is scrubbed: a byte that means the same in every
// encoding, so that lengths and quotes around it stay right.
const filler = 'X'

// scrub overwrites every occurrence in b and says whether there was one.
func (m *matcher) scrub(b []byte) bool {
	found := m.find(b)
	blank(b, found)
	return len(found) > 0
}
