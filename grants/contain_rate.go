package grants

import (
	"fmt"
	"slices"
	"time"
)

// touch is a deed of the child that counts towards a limit of the parent, with
// the limits of the child that count it.
type touch struct {
	w     *walk
	s     state
	at    time.Time
	rules []*rule // matching and limited
	gives *rule   // the child's rule that decides
}

// touch notes that the child's rules give something at a time that p counts.
// Those limited by the same rules are one.
func (c *container) touch(p *rule, w *walk, s state, t time.Time, child []*rule) {
	x := touch{w: w, s: s, at: t, gives: sum(child, t, false).by}
	for _, r := range child {
		if f := (Facts{Now: t}); r.rate != nil && r.holds(&f) {
			x.rules = append(x.rules, r)
		}
	}
	if !slices.ContainsFunc(c.touched[p], func(o touch) bool { return slices.Equal(o.rules, x.rules) }) {
		c.touched[p] = append(c.touched[p], x)
	}
}

// rates compares limits. The parent's limits must not be used up before the
// child's own are.
func (c *container) rates() {
	for _, p := range c.parent.rules {
		for _, x := range c.touched[p] {
			if c.exceeds(p, x); c.bad != nil {
				return
			}
		}
	}
	for _, p := range c.parent.rules {
		if len(c.touched[p]) > 0 {
			c.together(p)
		}
	}
}

// exceeds finds a deed that the child can do at one time more often than the
// parent's limit lets it.
func (c *container) exceeds(p *rule, x touch) {
	for _, r := range x.rules {
		if r.rate.Count <= p.rate.Count {
			return
		}
	}
	r := x.w.ask(x.s, x.at, p)
	r.place(c.child, x.gives, Pos{})
	r.After, r.Why = p.rate.Count, fmt.Sprintf("the child does not stop where the parent's limit does: %s (%s)", p.rate.Text, p.by)
	if r.Child.Verdict <= r.Parent.Verdict {
		c.notShown(x.gives, Pos{}, "a counterexample was found and not confirmed")
		return
	}
	c.bad = r
}

// together bounds how much all that the child does can count towards p. Each
// deed is bounded by one of the limits that count it.
func (c *container) together(p *rule) {
	span := c.child.file.Expires
	if p.rate.Per > 0 && p.rate.Per < span {
		span = p.rate.Per
	}
	if slices.ContainsFunc(c.touched[p], func(x touch) bool { return len(x.rules) == 0 }) {
		return // reported by exceeds
	}
	least := func(rules []*rule) *rule {
		return slices.MinFunc(rules, func(a, b *rule) int { return a.rate.most(span) - b.rate.most(span) })
	}
	shared := slices.Clone(c.touched[p][0].rules)
	var each []*rule
	for _, x := range c.touched[p] {
		shared = slices.DeleteFunc(shared, func(r *rule) bool { return !slices.Contains(x.rules, r) })
		if r := least(x.rules); !slices.Contains(each, r) {
			each = append(each, r)
		}
	}
	total := 0
	for _, r := range each {
		total += r.rate.most(span)
	}
	if len(shared) > 0 {
		total = min(total, least(shared).rate.most(span))
	}
	if total > p.rate.Count {
		c.notShown(each[0], Pos{}, fmt.Sprintf("its limit may give %d in %s, and the parent's gives %s (%s)", total, spell(span), p.rate.Text, p.by))
	}
}

// most is how many a limit gives in any stretch of time at most.
func (r *Rate) most(span time.Duration) int {
	if r.Per == 0 {
		return r.Count
	}
	return r.Count * int((span+r.Per-1)/r.Per)
}
