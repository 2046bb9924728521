package grants

import (
	"slices"
	"strings"

	"ambit"
)

// node is one place in the index of patterns. The way to it is the pattern's
// segments; a rule stands in the leaf where its pattern ends.
type node struct {
	lits  map[string]*node // by literal segment
	stars map[string]*node // by the prefix before "*"; "" for "*" itself
	hosts map[string]*node // by the parent of "*.parent"; only at the root
	order []prefix         // stars, sorted by prefix, made by freeze
	self  *leaf            // patterns that end here
	tail  *leaf            // patterns that go on with "**"
}

// prefix is one "lit*" of a node. Those of which it is an extension are found
// by following shorter, so that one binary search finds all that fit.
type prefix struct {
	text    string
	at      *node
	shorter int // place in order of the longest one that is its prefix; -1
}

// leaf holds the rules of one pattern: of those without conditions only the
// strictest for each effect, the first in the file among equals.
type leaf struct {
	best [ambit.Irreversible + 1]int32 // rule number plus one; 0 for none
	cond []condition                   // rules with conditions or exceptions, and patterns with columns
}

// condition is a rule that matches only when more than its pattern's segments fits.
type condition struct {
	rule    int32
	columns []string // of the pattern; nil for all
}

// insert puts rule i where the pattern ends.
func (n *node) insert(p pattern, i int32, rules []*rule) {
	for depth, seg := range p.segs {
		n = n.child(seg, depth == 0 && p.kind == "http")
	}
	if p.self {
		n.self = n.self.add(i, rules, p.columns)
	}
	if p.tail {
		n.tail = n.tail.add(i, rules, p.columns)
	}
}

func (n *node) child(seg string, host bool) *node {
	m, key := &n.lits, seg
	switch prefix, star := strings.CutSuffix(seg, "*"); {
	case host && strings.HasPrefix(seg, "*."):
		m, key = &n.hosts, seg[2:]
	case star:
		m, key = &n.stars, prefix
	}
	if *m == nil {
		*m = make(map[string]*node)
	}
	if (*m)[key] == nil {
		(*m)[key] = &node{}
	}
	return (*m)[key]
}

func (l *leaf) add(i int32, rules []*rule, columns []string) *leaf {
	if l == nil {
		l = &leaf{}
	}
	r := rules[i]
	if r.conditional() || columns != nil {
		if !slices.ContainsFunc(l.cond, func(c condition) bool { return c.rule == i && sameColumns(c.columns, columns) }) {
			l.cond = append(l.cond, condition{i, columns})
		}
		return l
	}
	for e := ambit.Read; e <= ambit.Irreversible; e++ {
		if !r.fits(e) {
			continue
		}
		if old := l.best[e]; old == 0 || r.verdict < rules[old-1].verdict {
			l.best[e] = i + 1
		}
	}
	return l
}

// freeze sorts the wildcards of the whole tree.
func (n *node) freeze() {
	for text, at := range n.stars {
		n.order = append(n.order, prefix{text: text, at: at})
	}
	slices.SortFunc(n.order, func(a, b prefix) int { return strings.Compare(a.text, b.text) })
	for i := range n.order {
		// The last one before it, or one that this one extends.
		j := i - 1
		for j >= 0 && !strings.HasPrefix(n.order[i].text, n.order[j].text) {
			j = n.order[j].shorter
		}
		n.order[i].shorter = j
	}
	for c := range n.children() {
		c.freeze()
	}
}

func (n *node) children() func(yield func(*node) bool) {
	return func(yield func(*node) bool) {
		for _, m := range []map[string]*node{n.lits, n.stars, n.hosts} {
			for _, c := range m {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// work is an upper bound of the steps that a decision takes below n, whatever
// the action. It is kept under maxWork when a file is loaded, so that the cost
// of a decision is bounded by construction and not by the good will of a file.
func (n *node) work(rules []*rule) int {
	most := func(m map[string]*node) (w int) {
		for _, c := range m {
			w = max(w, c.work(rules))
		}
		return w
	}
	chain, sums := 0, make([]int, len(n.order))
	for i, p := range n.order {
		sums[i] = p.at.work(rules)
		if p.shorter >= 0 {
			sums[i] += sums[p.shorter]
		}
		chain = max(chain, sums[i])
	}
	return 1 + n.self.work(rules) + n.tail.work(rules) + most(n.lits) + most(n.hosts) + chain
}

func (l *leaf) work(rules []*rule) (w int) {
	if l == nil {
		return 0
	}
	for _, c := range l.cond {
		w += 1 + len(rules[c.rule].except)
	}
	return w
}

// maxWork is the most steps that a decision may take.
const maxWork = 48

// longest returns the place in order of the longest prefix of seg, -1 for none.
func (n *node) longest(seg string) int {
	lo, hi := 0, len(n.order)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); n.order[mid].text <= seg {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	i := lo - 1
	for i >= 0 && !strings.HasPrefix(seg, n.order[i].text) {
		i = n.order[i].shorter
	}
	return i
}
