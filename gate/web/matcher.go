package web

import (
	"bytes"
	"slices"
)

// matcher finds any of a few byte strings in one pass over a text, by the
// method of Wu and Manber ("A fast algorithm for multi-pattern searching",
// 1994): a table tells for two bytes how far the next match is at least. The
// zero value finds nothing.
type matcher struct {
	pats    [][]byte
	texts   []string // the same
	longest int
	short   int // the length of the shortest
	slack   int // bytes of a beginning that a scanner need not keep back
	shift   *[1 << 16]uint8
}

// newMatcher drops repeated patterns, and those of less than two bytes.
func newMatcher(pats ...[]byte) *matcher {
	m := &matcher{}
	for _, p := range pats {
		if len(p) >= 2 && !slices.Contains(m.texts, string(p)) {
			m.pats = append(m.pats, p)
			m.texts = append(m.texts, string(p))
			m.longest = max(m.longest, len(p))
		}
	}
	if len(m.pats) > 0 {
		m.learn()
	}
	return m
}

func (m *matcher) learn() {
	m.short = 255
	for _, p := range m.pats {
		m.short = min(m.short, len(p))
	}
	m.slack = min(3, m.short/4)
	m.shift = new([1 << 16]uint8)
	for i := range m.shift {
		m.shift[i] = uint8(m.short - 1)
	}
	for _, p := range m.pats {
		for end := 1; end < m.short; end++ {
			k := pair(p[end-1], p[end])
			m.shift[k] = min(m.shift[k], uint8(m.short-1-end))
		}
	}
}

func pair(a, b byte) uint16 { return uint16(a)<<8 | uint16(b) }

// match calls each for every occurrence of every pattern, in the order of their
// beginnings, until it returns false.
func match[T string | []byte](m *matcher, b T, each func(span) bool) {
	if m.shift == nil {
		return
	}
	for end := m.short - 1; end < len(b); {
		if s := m.shift[pair(b[end-1], b[end])]; s > 0 {
			end += int(s)
			continue
		}
		at := end - m.short + 1
		for _, p := range m.texts {
			if len(b)-at >= len(p) && string(b[at:at+len(p)]) == p && !each(span{at, at + len(p)}) {
				return
			}
		}
		end++
	}
}

// span is a part of a slice.
type span struct{ from, to int }

// find returns every occurrence of every pattern in b, overlapping ones too.
func (m *matcher) find(b []byte) []span {
	var found []span
	match(m, b, func(s span) bool {
		found = append(found, s)
		return true
	})
	return found
}

// has says whether any pattern is in b.
func (m *matcher) has(b []byte) (found bool) {
	match(m, b, func(span) bool { found = true; return false })
	return found
}

// hasText says whether any pattern is in s.
func (m *matcher) hasText(s string) (found bool) {
	match(m, s, func(span) bool { found = true; return false })
	return found
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
