package grants

import (
	"fmt"
	"slices"
	"strings"
)

// refs finds what never matches in a line with refs: operations that are about none of
// them, and refs that no operation of the line can be about.
func (l *linter) refs(r *rule, k Kind) {
	if len(r.refs) == 0 {
		l.pathOfRepository(r, k)
		return
	}
	for _, t := range r.line.Operations {
		meets, other := false, false
		for _, op := range l.g.kinds.operations(k, t.Value) {
			for _, o := range k.effects(op) {
				other = other || !r.touches[o.Name]
				meets = meets || slices.ContainsFunc(r.refs, func(p pattern) bool { return r.touches[o.Name] && l.meets(p, o.Name) })
			}
		}
		if !meets && !other {
			l.add("never-matches", r.line, t.Pos, "remove it, or add a ref that it can be about", fmt.Sprintf("%s is about none of the line's refs", show(t.Value)))
		}
	}
	for i, p := range r.refs {
		if !slices.ContainsFunc(r.names(), func(op string) bool { return r.touches[op] && l.meets(p, op) }) {
			t := r.line.Refs[i]
			l.add("never-matches", r.line, t.Pos, "remove it", changesNothing(t)+"no operation of the line can be about it")
		}
	}
}

// meets says whether an operation can be about a ref of the pattern.
func (l *linter) meets(p pattern, op string) bool {
	under := strings.Split(strings.TrimSuffix(l.g.kinds.refs(op).Under, "/"), "/")
	for i, seg := range p.segs {
		if i < len(under) && !matchSegment(seg, under[i], false) {
			return false
		}
	}
	return len(p.segs) >= len(under) || p.tail
}

// refless says whether a pattern of a line with refs is of something without branches,
// and the line gives nothing but what touches them.
func (l *linter) refless(r *rule, p pattern) bool {
	if k := l.g.kindOf(r.service); len(r.refs) == 0 || p.kind == k.Resource {
		return false
	}
	return !slices.ContainsFunc(r.names(), func(op string) bool { return !r.touches[op] })
}

// pathOfRepository finds a push that is given by the path of a repository alone, on a
// server of one's own: each ref stands behind it, so that no push matches.
func (l *linter) pathOfRepository(r *rule, k Kind) {
	if k.Resource != "http" || !l.servesGit(r.service) {
		return
	}
	for _, t := range r.line.Operations {
		push := t.Value != "*" && slices.ContainsFunc(l.g.kinds.operations(k, t.Value), func(op string) bool { return l.g.kinds.refs(op).Touches })
		for i, p := range r.patterns {
			if at := r.line.Patterns[i]; push && !p.tail && !slices.Contains(p.segs, "refs") {
				l.add("never-matches", r.line, at.Pos, "add refs: [refs/heads/agent/**], or write "+quote(at.Value+"/**"), changesNothing(at)+"a push is about the refs behind it")
			}
		}
	}
}
