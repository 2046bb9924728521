package grants

import (
	"errors"
	"time"

	"ambit"
)

// Containment is the answer to whether one file stays within another. The zero
// value is "not within".
type Containment struct {
	Within bool
	// NotShown says that neither was found: the files differ in something that
	// cannot be compared. It counts as not within.
	NotShown bool

	By           string // the child's line that escapes or could not be shown, as a decision cites it
	Line, Column int    // where it is in the child's file; 0 when nobody wrote it
	Why          string

	// Counterexample is an action that the child gives and the parent does not
	// give as freely, with the child's names. It is nil when what escapes is no
	// action, such as a variable that is passed on.
	Counterexample *ambit.Action
	At             time.Time // when
	Timed          bool      // the time matters: else any will do
	After          int       // how often the child must have done it before, when a limit makes the difference
	Child, Parent  ambit.Decision
}

// Contain decides whether every action gets from the child at most the verdict
// that it gets from the parent (deny < ask < allow), at every time and whatever
// was done before, and whether the child's walls, variables and end stay within
// the parent's. It is exact where it answers "within" or gives a counterexample,
// which both files have then been asked about; where it cannot be exact it
// answers "not shown".
//
// Services are compared by what they reach and with what credential, not by
// name. The actions are those that a gate can make: an operation has the effect
// that its kind lists; any http operation may turn out irreversible, a POST may
// read where the file says so, and an operation that is not listed may do anything.
func Contain(child, parent *Grants) (Containment, error) {
	if child == nil || child.index == nil || parent == nil || parent.index == nil {
		return Containment{}, errors.New("cannot compare grants: both files must be loaded")
	}
	return contain(child, parent, maxContain), nil
}

// contain is Contain with a bound of steps.
func contain(child, parent *Grants, steps int) Containment {
	c := &container{child: child, parent: parent, left: steps, touched: make(map[*rule][]touch)}
	for _, cell := range c.cells() {
		if c.cell(cell); c.bad != nil {
			return *c.bad
		}
	}
	c.rates()
	if c.bad == nil {
		c.walls()
	}
	if c.left < 0 {
		c.notShown(nil, Pos{}, "the files overlap in more ways than are looked at: write fewer wildcards about the same things")
	}
	switch {
	case c.bad != nil:
		return *c.bad
	case c.open != nil:
		return *c.open
	}
	return Containment{Within: true}
}

// maxContain bounds the steps of one comparison.
const maxContain = 20_000_000

// container is one comparison on its way.
type container struct {
	child, parent *Grants
	left          int               // steps
	bad           *Containment      // the first counterexample
	open          *Containment      // the first thing that could not be shown
	touched       map[*rule][]touch // the parent's limits, and what of the child counts towards them
}

// notShown keeps the first thing that could not be decided.
func (c *container) notShown(r *rule, p Pos, why string) {
	if c.open == nil {
		c.open = &Containment{NotShown: true, Why: why}
		c.open.place(c.child, r, p)
	}
}

// escapes keeps the first thing that is not within and is no action.
func (c *container) escapes(p Pos, why string) {
	if c.bad == nil {
		c.bad = &Containment{Why: why}
		c.bad.place(c.child, nil, p)
	}
}

// place says where in the child's file it is: at a rule, or at p.
func (r *Containment) place(g *Grants, at *rule, p Pos) {
	r.By = cite(g.file.Name, p)
	if at != nil {
		p, r.By = g.written(at.line), at.by
	}
	r.Line, r.Column = p.Line, p.Column
}

// written is where a line stands in the file; for a profile's, where the profile
// is named.
func (g *Grants) written(l *Line) Pos {
	for i, u := range g.file.Uses {
		if l.Profile == u.Name {
			return g.file.UsesPos[i]
		}
	}
	return l.Pos
}

// spend takes steps from the budget. When it is used up nothing more is looked
// at, and the answer is "not shown".
func (c *container) spend(n int) bool {
	c.left -= n
	return c.left >= 0
}

// spent is limits of which the given lines are used up and no others.
type spent map[int]bool

// Exhausted implements [Limits].
func (s spent) Exhausted(line int) bool { return s[line] }

// only are the limits of g of which just one rule is used up; nil for none.
func (g *Grants) only(r *rule) spent {
	s := spent{}
	for i, x := range g.rules {
		if x == r {
			s[i] = true
		}
	}
	return s
}
