package grammar

import "strings"

// Bounds of nesting. The parser's writer takes time that grows with the depth
// of a tree times its size, and cannot be stopped: so what would be too deep is
// found before, in one pass over the text.
const (
	shortText  = 2 << 10 // bytes that cannot nest deeply enough to matter
	maxNesting = 500
	maxComment = 50  // comments inside one another
	maxSigns   = 200 // signs of operators in a row: PostgreSQL's own are shorter than 64
)

// nesting is what one pass knows of how deep the tree will be: for every
// bracket that is open, the operators and joins that lean on one another.
type nesting struct {
	open  []level
	depth int // of all levels together
	max   int
}

type level struct{ operators, links int }

// tooDeep says whether a text would make a tree that is too deep. It reads
// strings and comments as PostgreSQL does, and takes everything else for worse
// than it is; that it could be led astray costs time, and nothing else.
func tooDeep(text string) bool {
	if len(text) <= shortText {
		return false
	}
	n := nesting{open: []level{{}}}
	for at := 0; at < len(text) && n.max <= maxNesting; {
		c := text[at]
		switch {
		case c == '\'' || c == '"':
			at = quoted(text, at)
		case c == '$':
			at = dollar(text, at)
		case strings.HasPrefix(text[at:], "--"):
			at += len(line(text[at:]))
		case strings.HasPrefix(text[at:], "/*"):
			end, ok := comment(text, at)
			if !ok {
				return true
			}
			at = end
		case longSigns(text[at:]):
			return true
		case letter(c):
			end := at + 1
			for end < len(text) && (letter(text[end]) || text[end] >= '0' && text[end] <= '9' || text[end] == '$') {
				end++
			}
			n.word(text[at:end])
			at = end
		default:
			n.sign(c)
			at++
		}
	}
	return n.max > maxNesting
}

func letter(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80
}

func line(s string) string {
	if end := strings.IndexAny(s, "\n\r"); end >= 0 {
		return s[:end]
	}
	return s
}

// quoted returns the end of a string or quoted name; with an E before it, a
// backslash takes the next sign.
func quoted(text string, at int) int {
	q := text[at]
	escapes := q == '\'' && at > 0 && text[at-1]|0x20 == 'e' && (at == 1 || !letter(text[at-2]))
	for at++; at < len(text) && text[at] != q; at++ {
		if escapes && text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

// dollar returns the end of a dollar-quoted string, or of the sign.
func dollar(text string, at int) int {
	end := at + 1
	for end < len(text) && (letter(text[end]) || end > at+1 && text[end] >= '0' && text[end] <= '9') {
		end++
	}
	if end >= len(text) || text[end] != '$' {
		return at + 1
	}
	tag := text[at : end+1]
	if close := strings.Index(text[end+1:], tag); close >= 0 {
		return end + 1 + close + len(tag)
	}
	return len(text)
}

// comment returns the end of a comment, in which comments nest. PostgreSQL reads
// the signs after each "/*" anew, in time that grows with the square of them.
func comment(text string, at int) (end int, ok bool) {
	for depth := 0; at < len(text); {
		switch {
		case strings.HasPrefix(text[at:], "/*"):
			if depth++; depth > maxComment {
				return at, false
			}
			at += 2
		case strings.HasPrefix(text[at:], "*/"):
			at += 2
			if depth--; depth == 0 {
				return at, true
			}
		default:
			at++
		}
	}
	return at, true
}

// longSigns says whether a text begins with more signs than an operator has,
// which PostgreSQL would read again and again.
func longSigns(text string) bool {
	for i := 0; i < len(text) && strings.IndexByte("~!@#^&|`?+-*/%<>=", text[i]) >= 0; i++ {
		if i >= maxSigns {
			return true
		}
	}
	return false
}

func (n *nesting) add(operators, links int) {
	l := &n.open[len(n.open)-1]
	l.operators += operators
	l.links += links
	n.depth += operators + links
	n.max = max(n.max, n.depth)
}

func (n *nesting) enter() {
	n.open = append(n.open, level{})
	n.depth += 2
	n.max = max(n.max, n.depth)
}

func (n *nesting) leave() {
	if len(n.open) > 1 {
		l := n.open[len(n.open)-1]
		n.depth -= 2 + l.operators + l.links
		n.open = n.open[:len(n.open)-1]
	}
}

// rest begins a new operand: what comes leans on no operator before it.
func (n *nesting) rest() { n.add(-n.open[len(n.open)-1].operators, 0) }

func (n *nesting) sign(c byte) {
	switch c {
	case '(', '[':
		n.enter()
	case ')':
		n.leave()
	case ']': // a subscript leans on what is before it
		n.leave()
		n.add(1, 0)
	case ',':
		n.rest()
	case ';':
		*n = nesting{open: []level{{}}, max: n.max}
	case '+', '-', '*', '/', '<', '>', '=', '~', '!', '@', '#', '%', '^', '&', '|', '`', '?', ':', '.':
		n.add(1, 0)
	}
}

func (n *nesting) word(w string) {
	switch strings.ToUpper(w) {
	case "AND", "OR", "SELECT", "FROM", "WHERE", "SET", "VALUES", "WHEN", "THEN", "ELSE", "ON":
		n.rest()
	case "CASE":
		n.enter()
	case "END":
		n.leave()
	case "UNION", "INTERSECT", "EXCEPT", "JOIN":
		n.add(0, 1)
	case "NOT", "IS", "ISNULL", "NOTNULL", "COLLATE", "AT", "LIKE", "ILIKE", "SIMILAR", "IN", "BETWEEN", "OVERLAPS", "OPERATOR", "WITH", "EXPLAIN", "PREPARE":
		n.add(1, 0)
	}
}
