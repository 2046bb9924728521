package grants

import (
	"strings"
	"unicode/utf8"

	"ambit"
)

// guard is the protected names, arranged so that a path is looked through once.
type guard struct {
	first map[string][]guarded // by the first part
	heads [256][]guarded       // whose only part is "lit*", by its first letter
	tails [256][]guarded       // whose only part is "*lit", by its last letter
}

type guarded struct {
	parts []string
	class Class
}

func newGuard() *guard {
	g := &guard{first: make(map[string][]guarded)}
	for _, n := range Protected() {
		v := guarded{strings.Split(n.Path, "/"), n.Class}
		switch p := n.Path; {
		case p[0] == '*':
			g.tails[p[len(p)-1]] = append(g.tails[p[len(p)-1]], v)
		case p[len(p)-1] == '*':
			g.heads[p[0]] = append(g.heads[p[0]], v)
		default:
			g.first[v.parts[0]] = append(g.first[v.parts[0]], v)
		}
	}
	return g
}

// find notes the protected names in the path of m that the effect must not
// touch. It returns false when there are more than can be noted.
func (g *guard) find(m *match) bool {
	var buf [256]byte
	for i, seg := range m.segs {
		low := lowered(seg, &buf)
		for _, v := range g.first[string(low)] {
			if i+len(v.parts) <= len(m.segs) && matchParts(v.parts[1:], m.segs[i+1:]) && !m.note(i, v) {
				return false
			}
		}
		if !m.globs(i, low, g.heads[low[0]]) || !m.globs(i, low, g.tails[low[len(low)-1]]) {
			return false
		}
	}
	return true
}

func (m *match) globs(i int, low []byte, list []guarded) bool {
	for _, v := range list {
		if globbed(v.parts[0], low) && !m.note(i, v) {
			return false
		}
	}
	return true
}

func (m *match) note(i int, v guarded) bool {
	if m.effect == ambit.Read && !v.class.Reads() {
		return true
	}
	if m.nspans == len(m.spans) {
		return false
	}
	m.spans[m.nspans] = span{i, i + len(v.parts), v.class}
	m.nspans++
	return true
}

// lowered writes seg in small letters, into buf when that is enough.
func lowered(seg string, buf *[256]byte) []byte {
	if len(seg) > len(buf) {
		return []byte(strings.ToLower(seg))
	}
	for i := range len(seg) {
		c := seg[i]
		if c >= utf8.RuneSelf {
			return []byte(strings.ToLower(seg))
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(seg)]
}

func globbed(glob string, low []byte) bool {
	if n := len(glob) - 1; glob[n] == '*' {
		return len(low) >= n && string(low[:n]) == glob[:n]
	}
	n := len(low) - len(glob) + 1
	return n >= 0 && string(low[n:]) == glob[1:]
}
