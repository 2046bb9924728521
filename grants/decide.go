package grants

import (
	"slices"
	"strings"
	"time"

	"ambit"
)

// Facts is what a decision needs to know of the world. A missing fact makes a
// condition false, so that the zero value is the strictest.
type Facts struct {
	Now    time.Time // zero: unknown; no window holds then
	Limits Limits    // nil: unknown; every limit counts as used up
	// Assume takes every window for open, every exception for not yet ended
	// and every limit for unused: what the file says, apart from the hour.
	Assume bool
	// Shown are absolute paths of files that the walls let the agent read although
	// their names are those of credentials.
	Shown []string
}

// shows says whether the action reads a file that the walls show.
func (f *Facts) shows(a *ambit.Action) bool {
	return len(f.Shown) > 0 && a.Resource.Kind == "file" && a.Effect == ambit.Read && slices.Contains(f.Shown, a.Resource.String())
}

// Limits knows which limits are used up.
type Limits interface {
	// Exhausted says whether the limit of a line is used up at the time of the
	// facts. Lines are numbered from 0.
	Exhausted(line int) bool
}

// Names of what decides when no line does.
const (
	ByNoGrant = "no-grant"
	ByBroken  = "bad-action"
)

const (
	whyNoGrant  = "no line of the grants gives this"
	whyNoGrants = "there are no grants"
	whyBroken   = "the resource is not in its plain form"
	whyCapitals = "the resource has capital letters, which this service takes for small ones"
)

// Decide is the verdict for an action when no facts are known. It is a pure
// function and allocates nothing; see [Grants.DecideWith] and [Live].
func (g *Grants) Decide(a *ambit.Action) ambit.Decision { return g.DecideWith(a, Facts{}) }

// DecideWith is the verdict for an action: deny when no line matches, else the
// strictest of those that do, and deny when one of them has a limit that is
// used up. An action of a nil or zero Grants is denied.
func (g *Grants) DecideWith(a *ambit.Action, f Facts) ambit.Decision {
	m := match{facts: f}
	return g.decide(a, &m)
}

// match is one decision on its way. It lives on the stack.
type match struct {
	facts   Facts
	segs    []string
	kind    string
	effect  ambit.Effect
	rules   []*rule
	found   int32 // rule number plus one of the strictest so far; 0 for none
	limited int32 // rule number plus one of a limit that is used up
	charged int   // how many of charge are set
	charge  [maxWork]int32
	columns string  // what the action says of its columns
	said    bool    // whether it says anything
	spans   [8]span // protected names in the path
	nspans  int
}

func (g *Grants) decide(a *ambit.Action, m *match) ambit.Decision {
	if g == nil || g.index == nil {
		return ambit.Decision{Verdict: ambit.Deny, By: ByNoGrant, Why: whyNoGrants}
	}
	if why := g.admit(a, m); why != "" {
		return ambit.Decision{Verdict: ambit.Deny, By: ByBroken, Why: why}
	}
	g.index[a.Service].walk(a, m)
	switch {
	case m.limited != 0:
		r := g.rules[m.limited-1]
		return ambit.Decision{Verdict: ambit.Deny, By: r.by, Why: r.spent}
	case m.found != 0:
		r := g.rules[m.found-1]
		return ambit.Decision{Verdict: r.verdict, By: r.by, Why: r.why}
	}
	return ambit.Decision{Verdict: ambit.Deny, By: ByNoGrant, Why: whyNoGrant}
}

// admit refuses a resource that two readers could understand differently, and
// finds the protected names of a file's path.
func (g *Grants) admit(a *ambit.Action, m *match) string {
	if len(a.Resource.Segments) == 0 || a.Resource.Check() != nil {
		return whyBroken
	}
	m.segs, m.kind, m.effect, m.rules = a.Resource.Segments, a.Resource.Kind, a.Effect.Worst(), g.rules
	if a.Resource.Kind == "file" {
		if m.facts.shows(a) {
			return ""
		}
		if !g.guard().find(m) {
			return whyBroken
		}
		return ""
	}
	if a.Resource.Kind == kindTable {
		m.columns, m.said = a.Args[ArgColumns]
	}
	// `except: acme/vault` must not be passed by asking for Acme/Vault.
	if x := g.index[a.Service]; x != nil && x.folded == m.kind && hasUpper(m.segs[:min(len(m.segs), x.capitals)]) {
		return whyCapitals
	}
	return ""
}

func hasUpper(segs []string) bool {
	for _, s := range segs {
		for i := range len(s) {
			if s[i] >= 'A' && s[i] <= 'Z' {
				return true
			}
		}
	}
	return false
}

// walk visits every leaf whose pattern fits the segments from i on. Bit j of
// named is set when segment j was matched literally.
func (m *match) walk(n *node, i int, named uint64) {
	if n == nil {
		return
	}
	if i == len(m.segs) {
		m.take(n.self, named)
		return
	}
	m.take(n.tail, named)
	seg := m.segs[i]
	m.walk(n.lits[seg], i+1, named|1<<i)
	for j := n.longest(seg); j >= 0; j = n.order[j].shorter {
		m.walk(n.order[j].at, i+1, named)
	}
	if i == 0 && n.hosts != nil {
		if _, parent, ok := strings.Cut(seg, "."); ok {
			m.walk(n.hosts[parent], i+1, named)
		}
	}
}

// take looks at the rules of one leaf.
func (m *match) take(l *leaf, named uint64) {
	if l == nil || !m.names(named) {
		return
	}
	m.offer(l.best[m.effect])
	for _, c := range l.cond {
		i := c.rule
		if r := m.rules[i]; r.fits(m.effect) && within(m.columns, m.said, c.columns) && !r.excepts(m) && r.holds(&m.facts) {
			m.limit(i)
			m.offer(i + 1)
		}
	}
}

// names says whether every protected name in the path was matched literally.
func (m *match) names(named uint64) bool {
	for _, s := range m.spans[:m.nspans] {
		if all := uint64(1)<<s.to - uint64(1)<<s.from; named&all != all {
			return false
		}
	}
	return true
}

// offer keeps the strictest rule, and the first in the file among equals.
func (m *match) offer(i int32) {
	if i == 0 {
		return
	}
	if m.found == 0 {
		m.found = i
		return
	}
	old, v := m.rules[m.found-1].verdict, m.rules[i-1].verdict
	if v < old || (v == old && i < m.found) {
		m.found = i
	}
}

// limit notes a matching rule that counts, and whether its count is used up.
func (m *match) limit(i int32) {
	if m.rules[i].rate == nil || m.facts.Assume {
		return
	}
	if m.facts.Limits == nil || m.facts.Limits.Exhausted(int(i)) {
		if m.limited == 0 || i+1 < m.limited {
			m.limited = i + 1
		}
		return
	}
	for _, c := range m.charge[:m.charged] {
		if c == i {
			return
		}
	}
	m.charge[m.charged] = i
	m.charged++
}
