package grants

import (
	"slices"
	"strings"

	"ambit"
)

// shadows finds lines and patterns that change nothing: what an exception of the
// same line takes out whole, and what another line gives at least as strictly.
func (l *linter) shadows() {
	s := &shade{g: l.g, roots: make(map[[2]string]*shadeNode), left: maxShade}
	for i, r := range l.g.rules {
		s.effects = append(s.effects, r.possible(l.g))
		for j, p := range r.patterns {
			s.insert(i, j, p)
		}
	}
	for i, r := range l.g.rules {
		if r.line.Implied || r.line.Profile != "" {
			continue
		}
		for j, p := range r.patterns {
			l.shadow(s, i, j, p)
		}
	}
	if s.left <= 0 {
		l.add("never-matches", nil, Pos{}, "write fewer lines about the same paths", "the lines overlap too much for all of them to be compared: some that change nothing may be left")
	}
}

func (l *linter) shadow(s *shade, i, j int, p pattern) {
	r := l.g.rules[i]
	t := r.line.Patterns[j]
	if l.refless(r, p) {
		l.add("never-matches", r.line, t.Pos, "remove it, or put it in a line without refs", changesNothing(t)+"it names no repository, and all that the line gives is about branches and tags of one")
		return
	}
	if slices.ContainsFunc(r.except, func(e pattern) bool { return e.kind == p.kind && contains(e, p) }) {
		l.add("never-matches", r.line, t.Pos, "remove the pattern, or the exception", changesNothing(t)+"an exception of the line takes all of it out")
		return
	}
	by, ok := s.over(i, j, p)
	if !ok {
		return
	}
	o := l.g.rules[by]
	switch {
	case by == i:
		l.add("never-matches", r.line, t.Pos, "remove it", changesNothing(t)+"another pattern of the line gives it already")
	case o.verdict < r.verdict:
		l.add("never-matches", r.line, t.Pos, "remove it, or make the other line narrower", changesNothing(t)+"a stricter line decides it: "+o.by)
	default:
		l.add("never-matches", r.line, t.Pos, "remove it", changesNothing(t)+"another line gives it already: "+o.by)
	}
}

func changesNothing(t Text) string { return show(t.Value) + " changes nothing: " }

// contains says whether every resource of p is one of q.
func contains(q, p pattern) bool {
	if len(q.segs) > len(p.segs) || q.columns != nil && (p.columns == nil || !within(strings.Join(p.columns, ","), true, q.columns)) {
		return false
	}
	for i, s := range q.segs {
		if !segmentContains(s, p.segs[i], i == 0 && p.kind == "http") {
			return false
		}
	}
	if len(q.segs) == len(p.segs) {
		return (q.self || !p.self) && (q.tail || !p.tail)
	}
	return q.tail
}

func segmentContains(q, p string, host bool) bool {
	if host && strings.HasPrefix(p, "*.") {
		return q == p
	}
	if lit, star := strings.CutSuffix(p, "*"); star {
		head, ok := strings.CutSuffix(q, "*")
		return ok && strings.HasPrefix(lit, head)
	}
	return matchSegment(q, p, host)
}

// shade is an index of patterns for finding those that contain another.
type shade struct {
	g     *Grants
	roots map[[2]string]*shadeNode // by service and kind of resource
	left  int                      // comparisons

	effects []uint8 // by rule: those that its operations can have
}

const maxShade = 4_000_000

type shadeNode struct {
	next map[string]*shadeNode // by segment as it is written
	here [][2]int              // rule and pattern that end here
}

func (s *shade) insert(i, j int, p pattern) {
	key := [2]string{s.g.rules[i].service, p.kind}
	n := s.roots[key]
	if n == nil {
		n = &shadeNode{}
		s.roots[key] = n
	}
	for _, seg := range p.segs {
		if n.next == nil {
			n.next = make(map[string]*shadeNode)
		}
		if n.next[seg] == nil {
			n.next[seg] = &shadeNode{}
		}
		n = n.next[seg]
	}
	n.here = append(n.here, [2]int{i, j})
}

// over finds a rule that makes pattern j of rule i useless.
func (s *shade) over(i, j int, p pattern) (int, bool) {
	return s.walk(s.roots[[2]string{s.g.rules[i].service, p.kind}], i, j, p, 0)
}

func (s *shade) walk(n *shadeNode, i, j int, p pattern, depth int) (int, bool) {
	if n == nil || s.left <= 0 {
		return 0, false
	}
	for _, c := range n.here {
		if s.left--; s.left <= 0 {
			return 0, false
		}
		if c != [2]int{i, j} && s.useless(i, j, c[0], c[1]) {
			return c[0], true
		}
	}
	if depth == len(p.segs) {
		return 0, false
	}
	for _, key := range generalisations(p.segs[depth], depth == 0 && p.kind == "http") {
		if by, ok := s.walk(n.next[key], i, j, p, depth+1); ok {
			return by, ok
		}
	}
	return 0, false
}

// generalisations are the spellings of a pattern's segment that contain it:
// itself, and each beginning of its literal part with a "*".
func generalisations(seg string, host bool) []string {
	out := []string{seg}
	if host {
		if _, parent, ok := strings.Cut(seg, "."); ok && !wild(seg) {
			out = append(out, "*."+parent)
		}
		return out
	}
	lit := strings.TrimSuffix(seg, "*")
	for n := len(lit); n >= 0; n-- {
		if g := lit[:n] + "*"; g != seg {
			out = append(out, g)
		}
	}
	return out
}

// useless says whether pattern j of rule i changes nothing beside pattern l of
// rule k.
func (s *shade) useless(i, j, k, l int) bool {
	p, q := s.g.rules[i].patterns[j], s.g.rules[k].patterns[l]
	if !contains(q, p) || !s.stands(i, k, p, q) {
		return false
	}
	later := k > i || (k == i && l > j)
	same := contains(p, q) && s.stands(k, i, q, p)
	return !later || !same // of two that are the same, the first stands
}

// stands says whether rule k makes rule i useless where q contains p.
func (s *shade) stands(i, k int, p, q pattern) bool {
	a, b := s.g.rules[i], s.g.rules[k]
	sameSection := a.line.Section == b.line.Section
	if len(a.refs) > 0 && len(b.refs) == 0 && !q.tail {
		return false // b gives the repository's path alone, and a the refs behind it
	}
	if b.verdict > a.verdict || (b.verdict == a.verdict && !sameSection) || a.rate != nil || s.effects[i]&^b.effects != 0 {
		return false
	}
	if p.kind == "file" && (b.line.Profile != "" || !sameSection || unnamed(p.segs, 1<<len(q.segs)-1, a.strongest())) {
		return false // a cache is a copy, and a folder does not give protected names
	}
	for _, op := range a.ops {
		if !slices.ContainsFunc(b.ops, func(o string) bool { return covers(o, op) }) {
			return false
		}
	}
	return b.holdsWith(a)
}

// possible are the effects of the rule that its operations can have: those of the
// catalog, irreversible for what the catalog does not know in time, and reading
// where the file declares paths whose POSTs read.
func (r *rule) possible(g *Grants) uint8 {
	can := effectBits(ambit.Irreversible)
	for _, o := range g.kindOf(r.service).Operations {
		if r.operation(o.Name) {
			can |= effectBits(o.Effect.Worst())
		}
	}
	if s, ok := g.Service(r.service); ok && len(s.Reads) > 0 {
		can |= effectBits(ambit.Read)
	}
	return r.effects & can
}

// strongest is the worst effect that a rule fits.
func (r *rule) strongest() ambit.Effect {
	for _, e := range []ambit.Effect{ambit.Irreversible, ambit.Write} {
		if r.fits(e) {
			return e
		}
	}
	return ambit.Read
}

// holdsWith says whether b's conditions hold whenever a's do.
func (b *rule) holdsWith(a *rule) bool {
	if b.during != nil && (a.during == nil || a.during.Text != b.during.Text) {
		return false
	}
	if !b.until.IsZero() && (a.until.IsZero() || a.until.After(b.until)) {
		return false
	}
	if len(b.refs) > 0 && !sameSet(a.line.Refs, b.line.Refs) {
		return false
	}
	for _, e := range b.except {
		if !slices.ContainsFunc(a.except, func(x pattern) bool { return x.kind == e.kind && contains(x, e) }) {
			return false
		}
	}
	return true
}
