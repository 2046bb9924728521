package warden

import (
	"errors"
	"slices"
	"strconv"
)

// Names are protected names, compiled. They are protected wherever they are.
// One of several parts (".github/workflows") stands for what is called so, each
// name below the one before. The zero value protects nothing; it is made
// by [NewNames].
type Names struct {
	first   map[string]beginning
	globs   []string // of one part, with "*" at one end
	longest int      // parts of the longest chain
	count   int
}

// beginning is what protected names begin with a part.
type beginning struct {
	single bool       // the part alone is one
	chains [][]string // of several parts
}

// NewNames compiles names: one part, in which a "*" at one end stands for any
// letters, or several parts joined by "/" and taken as they are. All are
// compared as case-insensitive file systems would.
func NewNames(names []string) (*Names, error) {
	n := &Names{first: make(map[string]beginning, len(names)), count: len(names)}
	for _, name := range names {
		parts := parse(name).segs
		several, stars := len(parts) > 1, count(name, '*')
		if len(parts) == 0 || slices.Contains(parts, "") {
			return nil, errors.New("cannot protect the name " + strconv.Quote(name) + ": it is neither one name nor several joined by a slash")
		}
		if stars > 1 || stars == 1 && (several || name[0] != '*' && !hasSuffix(parts[0], "*")) {
			return nil, errors.New("cannot protect the name " + strconv.Quote(name) + ": one \"*\" can stand at the beginning or the end of a name that has no slash")
		}
		if stars == 1 {
			n.globs = append(n.globs, parts[0])
			continue
		}
		b := n.first[parts[0]]
		if several {
			b.chains = append(b.chains, parts)
			n.longest = max(n.longest, len(parts))
		}
		b.single = b.single || !several
		n.first[parts[0]] = b
	}
	return n, nil
}

// matching says whether a folded name is one that a "*" stands for.
func (n *Names) matching(s string) bool {
	for _, g := range n.globs {
		if globbed(g, s) {
			return true
		}
	}
	return false
}

// globbed says whether s is g, whose "*" at the end or the beginning stands for
// any letters.
func globbed(g, s string) bool {
	if hasSuffix(g, "*") {
		return hasPrefix(s, g[:len(g)-1])
	}
	return hasPrefix(g, "*") && hasSuffix(s, g[1:])
}

// End says whether the last name of a clean path, or its last names together,
// are protected. What stands above a protected name does not count.
func (n *Names) End(path string) bool {
	segs := n.tail(path)
	if last := len(segs) - 1; last >= 0 && (n.first[segs[last]].single || n.matching(segs[last])) {
		return true
	}
	for i, s := range segs {
		for _, c := range n.first[s].chains {
			if slices.Equal(c, segs[i:]) {
				return true
			}
		}
	}
	return false
}

// Missing returns what would have to be below a clean path for a name of
// several parts to be complete: "workflows" below "any/.github".
func (n *Names) Missing(path string) []string {
	var out []string
	for _, rest := range n.missing(n.tail(path)) {
		out = append(out, join(rest))
	}
	return out
}

func (n *Names) missing(segs []string) (rests [][]string) {
	for i := max(0, len(segs)+1-n.longest); i < len(segs); i++ {
		for _, c := range n.first[segs[i]].chains {
			if have := segs[i:]; len(have) < len(c) && slices.Equal(c[:len(have)], have) {
				rests = append(rests, c[len(have):])
			}
		}
	}
	return rests
}

// tail folds as many of a path's last names as matter.
func (n *Names) tail(path string) []string {
	at := len(path)
	for range max(n.longest, 1) {
		if at = lastIndex(path[:at], '/'); at < 0 {
			break
		}
	}
	return parse(path[at+1:]).segs
}
