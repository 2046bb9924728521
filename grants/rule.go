package grants

import (
	"maps"
	"slices"
	"time"

	"ambit"
)

// rule is one compiled line.
type rule struct {
	line     *Line
	service  string
	verdict  ambit.Verdict
	effects  uint8    // bit e is set when effect e fits
	ops      []string // whole names, wildcards, or "*" alone
	patterns []pattern
	except   []pattern
	refs     []pattern // below each of patterns; empty for all of a repository
	// touches are the known operations of a line with refs, and whether each is about
	// a branch or tag; nil for a line without.
	touches map[string]bool
	repo    string // the kind of resource behind which refs stand; "" for a line without
	during  *Window
	until   time.Time // zero: no end
	rate    *Rate

	by, why, spent string // what a decision cites
}

func effectBits(es ...ambit.Effect) (bits uint8) {
	for _, e := range es {
		bits |= 1 << e
	}
	return bits
}

// fits says whether the rule is about actions of the effect.
func (r *rule) fits(e ambit.Effect) bool { return r.effects&(1<<e) != 0 }

// conditional says whether more than the pattern decides.
func (r *rule) conditional() bool {
	return len(r.except) > 0 || r.during != nil || !r.until.IsZero() || r.rate != nil
}

// spread are the patterns that decide about an operation. In a line with refs, one
// that touches branches or tags has those refs alone, below each resource: an action
// that does not say which it touches is in none of them. All others have the resources
// themselves.
func (r *rule) spread(op string) []pattern {
	if len(r.refs) == 0 {
		return r.patterns
	}
	var out []pattern
	for _, p := range r.patterns {
		p.self, p.tail = true, false
		if !r.touches[op] {
			out = append(out, p)
			continue
		}
		if p.kind != r.repo {
			continue
		}
		base := p.segs
		for _, ref := range r.refs {
			p.segs = append(base[:len(base):len(base)], ref.segs...)
			p.self, p.tail = ref.self, ref.tail
			out = append(out, p)
		}
	}
	return out
}

// names are the operations of the rule as the index has them: whole names and
// wildcards, and of a line with refs those alone that are known.
func (r *rule) names() []string {
	if len(r.refs) == 0 {
		return r.ops
	}
	return slices.Sorted(maps.Keys(r.touches))
}

// holds says whether the rule's times hold. A missing fact is false.
func (r *rule) holds(f *Facts) bool {
	if f.Assume {
		return true
	}
	if r.during != nil && !r.during.Holds(f.Now) {
		return false
	}
	return r.until.IsZero() || (!f.Now.IsZero() && f.Now.Before(r.until))
}

// excepts says whether an exception takes the resource out. A protected name
// makes no exception narrower.
func (r *rule) excepts(m *match) bool {
	for i := range r.except {
		if r.except[i].kind == m.kind && r.except[i].covers(m.segs) {
			return true
		}
	}
	return false
}

// covers is match without the protection of names: an exception may only take
// more away.
func (p *pattern) covers(segs []string) bool {
	rest := len(segs) - len(p.segs)
	if rest < 0 || (rest == 0 && !p.self) || (rest > 0 && !p.tail) {
		return false
	}
	for i, want := range p.segs {
		if !matchSegment(want, segs[i], i == 0 && p.kind == "http") {
			return false
		}
	}
	return true
}

// admits says whether the columns that an action touches are among the pattern's.
func (p *pattern) admits(a *ambit.Action) bool {
	said, known := a.Args[ArgColumns]
	return within(said, known, p.columns)
}

// operation says whether the rule names the operation.
func (r *rule) operation(op string) bool {
	if len(r.refs) > 0 {
		_, known := r.touches[op]
		return known
	}
	for _, o := range r.ops {
		if covers(o, op) {
			return true
		}
	}
	return false
}

// matches says whether the rule matches an action. It is the slow and obvious
// reading of the semantics, used by explain; the index must agree with it.
func (r *rule) matches(a *ambit.Action, f *Facts) bool {
	if a.Service != r.service || !r.fits(a.Effect.Worst()) || !r.operation(a.Operation) || !r.holds(f) {
		return false
	}
	for _, p := range r.except {
		if p.kind == a.Resource.Kind && p.covers(a.Resource.Segments) {
			return false
		}
	}
	for _, p := range r.spread(a.Operation) {
		if (p.match(a.Resource, a.Effect) || f.shows(a) && p.kind == "file" && p.covers(a.Resource.Segments)) && p.admits(a) {
			return true
		}
	}
	return false
}
