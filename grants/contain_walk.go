package grants

import (
	"slices"
	"strconv"
	"strings"

	"ambit"
)

// cell looks for a counterexample among the actions of one cell.
func (c *container) cell(x cell) {
	child := c.child.about(x.child, x.kind)
	if x.apart != "" {
		if r := reaching(child, x); r != nil {
			c.notShown(r, Pos{}, x.apart)
		}
		return
	}
	if len(child) == 0 {
		return
	}
	parent := c.parent.about(x.parent, x.kind)
	for _, d := range c.classes(x, child, parent) {
		w := &walk{c: c, x: x, deed: d, seen: make(map[string]bool)}
		from := place2{w.index(child, true), w.index(parent, false)}
		if w.explore(from); c.bad != nil || c.left < 0 {
			return
		}
	}
}

// about are the rules of a service with a pattern for a kind of resource.
func (g *Grants) about(service, kind string) (out []*rule) {
	for _, r := range g.rules {
		if r.service == service && slices.ContainsFunc(r.patterns, func(p pattern) bool { return p.kind == kind }) {
			out = append(out, r)
		}
	}
	return out
}

// reaching is the first of the rules that gives something at the cell's hosts;
// nil for none.
func reaching(rules []*rule, x cell) *rule {
	for _, r := range rules {
		for _, p := range r.patterns {
			if p.kind != x.kind {
				continue
			}
			at := func(root [2]string) bool { return matchSegment(p.segs[0], root[0], x.kind == "http") }
			if len(x.roots) == 0 || slices.ContainsFunc(x.roots, at) {
				return r
			}
		}
	}
	return nil
}

// walk is the breadth-first search of one deed's resources: segment by segment,
// through the sets of patterns that are still alive. All segments that keep the
// same patterns alive are one, so that a finite alphabet stands for all.
type walk struct {
	c    *container
	x    cell
	deed deed
	seen map[string]bool
	ids  int
}

// place2 is the root of the child's patterns, and of the parent's.
type place2 struct{ child, parent *mark }

// mark is one place in an index of patterns and exceptions.
type mark struct {
	id         int
	child      bool
	lits       map[string]*mark
	stars      map[string]*mark // by the prefix before "*"
	hosts      map[string]*mark // by the parent of "*.parent"
	self, tail []ending
}

// ending is where a pattern or an exception of a rule ends.
type ending struct {
	r      *rule
	except bool
	segs   int

	columns []string // of the pattern; nil for all
}

// index makes the index of the rules that are about the deed.
func (w *walk) index(rules []*rule, child bool) *mark {
	root := w.mark(child)
	for _, r := range rules {
		if !r.fits(w.deed.effect) || !r.operation(w.deed.op) {
			continue
		}
		for _, p := range r.spread(w.deed.op) {
			w.insert(root, p, ending{r, false, len(p.segs), p.columns})
		}
		for _, p := range r.except {
			w.insert(root, p, ending{r, true, len(p.segs), p.columns})
		}
	}
	return root
}

func (w *walk) mark(child bool) *mark {
	w.ids++
	return &mark{id: w.ids, child: child}
}

func (w *walk) insert(m *mark, p pattern, e ending) {
	if p.kind != w.x.kind {
		return
	}
	for i, seg := range p.segs {
		into, key := &m.lits, seg
		switch prefix, star := strings.CutSuffix(seg, "*"); {
		case p.kind == "file":
		case i == 0 && p.kind == "http" && strings.HasPrefix(seg, "*."):
			into, key = &m.hosts, seg[2:]
		case star:
			into, key = &m.stars, prefix
		}
		if *into == nil {
			*into = make(map[string]*mark)
		}
		if (*into)[key] == nil {
			(*into)[key] = w.mark(m.child)
		}
		m = (*into)[key]
	}
	if p.self {
		m.self = append(m.self, e)
	}
	if p.tail {
		m.tail = append(m.tail, e)
	}
}

// state is a set of places reached by the same segments.
type state struct {
	at     []*mark // whose segments are matched so far
	tails  []*mark // passed before, with a "**"
	segs   []string
	parent string // the authority as the parent writes it

	columns string // what the action says of its columns, when judged
}

// explore visits every state that some pattern of the child is alive in.
func (w *walk) explore(from place2) {
	var queue []state
	start := state{at: []*mark{from.child, from.parent}}
	if w.x.kind == "http" || w.x.kind == "tcp" {
		for _, root := range w.x.roots {
			s := start.step(root[0], root[1], true)
			s.parent = root[1]
			queue = w.enqueue(queue, s)
		}
	} else {
		queue = w.enqueue(queue, start)
	}
	for len(queue) > 0 && w.c.bad == nil && w.c.left >= 0 {
		s := queue[0]
		queue = queue[1:]
		if len(s.segs) > 0 {
			w.judge(s)
		}
		if len(s.segs) == ambit.MaxSegments {
			continue
		}
		for _, seg := range s.alphabet() {
			if !w.c.spend(1 + len(s.at)) {
				return
			}
			queue = w.enqueue(queue, s.step(seg, seg, false))
		}
	}
}

// enqueue keeps a state that was not seen and in which the child can still give
// something.
func (w *walk) enqueue(queue []state, s state) []state {
	alive := func(ms []*mark) bool { return slices.ContainsFunc(ms, func(m *mark) bool { return m.child }) }
	if !alive(s.at) && !alive(s.tails) {
		return queue
	}
	key := s.key()
	if w.x.kind == "file" {
		// Which names on the way are protected decides too.
		m := match{segs: s.segs, effect: w.deed.effect}
		if !w.c.child.guard().find(&m) {
			return queue
		}
		for _, sp := range m.spans[:m.nspans] {
			key += ";" + strconv.Itoa(sp.to)
		}
	}
	if w.seen[key] {
		return queue
	}
	w.seen[key] = true
	return append(queue, s)
}

func (s state) key() string {
	b := make([]byte, 0, 8*(len(s.at)+len(s.tails)))
	for _, ms := range [][]*mark{s.at, s.tails} {
		for _, m := range ms {
			b = strconv.AppendInt(append(b, ' '), int64(m.id), 10)
		}
		b = append(b, '|')
	}
	return string(b)
}

// step goes on by one segment, as the child and as the parent write it.
func (s state) step(child, parent string, host bool) state {
	next := state{segs: append(slices.Clone(s.segs), child), tails: s.tails, parent: s.parent}
	cloned := false
	for _, m := range s.at {
		if len(m.tail) > 0 {
			if !cloned {
				next.tails, cloned = slices.Clone(next.tails), true
			}
			next.tails = append(next.tails, m)
		}
		seg := parent
		if m.child {
			seg = child
		}
		next.at = m.follow(next.at, seg, host)
	}
	slices.SortFunc(next.at, func(a, b *mark) int { return a.id - b.id })
	if cloned {
		slices.SortFunc(next.tails, func(a, b *mark) int { return a.id - b.id })
	}
	return next
}

// follow appends the places that a segment leads to.
func (m *mark) follow(out []*mark, seg string, host bool) []*mark {
	if n := m.lits[seg]; n != nil {
		out = append(out, n)
	}
	for n := 0; n <= len(seg) && len(m.stars) > 0; n++ {
		if next := m.stars[seg[:n]]; next != nil {
			out = append(out, next)
		}
	}
	if host && m.hosts != nil {
		if _, parent, ok := strings.Cut(seg, "."); ok && m.hosts[parent] != nil {
			out = append(out, m.hosts[parent])
		}
	}
	return out
}

// alphabet lists segments that stand for all: each literal, and for each "lit*"
// and for everything else a segment that no longer pattern fits.
func (s state) alphabet() []string {
	lits, stars := make(map[string]bool), make(map[string]bool)
	open := slices.ContainsFunc(s.tails, func(m *mark) bool { return m.child })
	for _, m := range s.at {
		open = open || (m.child && (len(m.tail) > 0 || len(m.stars) > 0))
		for prefix := range m.stars {
			stars[prefix] = true
		}
	}
	for _, m := range s.at {
		for lit := range m.lits {
			// Where the child has literals alone, others would leave it.
			if open || m.child {
				lits[lit] = true
			}
		}
	}
	out := make([]string, 0, len(lits)+len(stars)+1)
	for lit := range lits {
		out = append(out, lit)
	}
	if open {
		stars[""] = true
		for prefix := range stars {
			out = append(out, fresh(prefix, lits, stars))
		}
	}
	slices.Sort(out)
	return out
}

// fresh is a segment that begins with a prefix and is neither a literal nor fits
// a longer prefix.
func fresh(prefix string, lits, stars map[string]bool) string {
	for i := 0; ; i++ {
		const plain = "xyzabcdefghijklmnopqrstuvw0123456789_-~!$&'()+,;=:@^|<>[]{}"
		c := string(rune(0x4e00 + i))
		if i < len(plain) {
			c = plain[i : i+1]
		}
		if s := prefix + c; !lits[s] && !stars[s] {
			return s
		}
	}
}
