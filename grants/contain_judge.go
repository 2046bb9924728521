package grants

import (
	"slices"
	"time"

	"ambit"
)

// judge compares what both files give in one state, at each time that the
// matching lines tell apart.
func (w *walk) judge(s state) {
	for _, columns := range w.columnSets(s) {
		s.columns = columns
		if w.judgeOne(s); w.c.bad != nil {
			return
		}
	}
}

func (w *walk) judgeOne(s state) {
	child, parent := w.matching(s, true), w.matching(s, false)
	if len(child) == 0 {
		return
	}
	times := instants(slices.Concat(child, parent))
	if !w.c.spend(len(times) * (len(child) + len(parent))) {
		return
	}
	for _, t := range times {
		mine := sum(child, t, false)
		theirs := sum(parent, t, false)
		switch {
		case mine.verdict == ambit.Deny:
			continue
		case mine.verdict > theirs.verdict:
			w.counterexample(s, mine.by, t, len(times) > 1)
			return
		}
		if w.x.kind == "file" && w.deed.effect == ambit.Write {
			w.copies(child, parent)
		}
		for _, p := range parent {
			if at := (Facts{Now: t}); p.rate != nil && p.holds(&at) {
				w.c.touch(p, w, s, t, child)
			}
		}
	}
}

// matching are the rules of one side that match the state's resource, in file
// order and apart from their times.
func (w *walk) matching(s state, child bool) (out []*rule) {
	names := match{segs: s.segs, effect: w.deed.effect}
	if w.x.kind == "file" && !w.c.child.guard().find(&names) {
		return nil
	}
	var excepted map[*rule]bool
	var found []*rule
	look := func(es []ending) {
		for _, e := range es {
			switch {
			case e.except:
				if excepted == nil {
					excepted = make(map[*rule]bool)
				}
				excepted[e.r] = true
			case !within(s.columns, true, e.columns):
			case names.names(uint64(1)<<e.segs - 1):
				found = append(found, e.r)
			}
		}
		w.c.spend(len(es))
	}
	for _, m := range s.at {
		if m.child == child {
			look(m.self)
		}
	}
	for _, m := range s.tails {
		if m.child == child {
			look(m.tail)
		}
	}
	seen := make(map[*rule]bool, len(found))
	for _, r := range found {
		if !excepted[r] && !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	return out
}

// summed is the verdict of some rules together, and the first that gives it.
type summed struct {
	verdict ambit.Verdict
	by      *rule
}

// sum is the strictest of the rules that hold at a time, with no limit used up;
// without the lines that stand for copies when real is set.
func sum(rules []*rule, t time.Time, real bool) (s summed) {
	f := Facts{Now: t}
	for _, r := range rules {
		if !r.holds(&f) || (real && r.copied()) {
			continue
		}
		if s.by == nil || r.verdict < s.verdict || (r.verdict == s.verdict && r.line.Pos.Line < s.by.line.Pos.Line) {
			s = summed{r.verdict, r}
		}
	}
	return s
}

// copied says whether a rule stands for a profile's cache, of which the task
// writes only its own copy.
func (r *rule) copied() bool {
	return r.line.Implied && r.line.Profile != "" && r.line.Section == SectionWrite
}

// copies finds a path that the child writes itself and of which the parent has
// only a copy. Their verdicts are the same, what they do is not.
func (w *walk) copies(child, parent []*rule) {
	mine := sum(child, time.Time{}, true)
	if mine.verdict > sum(parent, time.Time{}, true).verdict {
		w.c.notShown(mine.by, Pos{}, "it writes a folder itself, of which the parent writes only a copy that is thrown away")
	}
}

// action is the state's action as one of the files would see it.
func (w *walk) action(s state, child bool) *ambit.Action {
	a := &ambit.Action{
		Agent: w.c.child.file.Agent.Value, Service: w.x.child, Operation: w.deed.op, Effect: w.deed.effect,
		Resource: ambit.Resource{Kind: w.x.kind, Segments: slices.Clone(s.segs)},
	}
	if w.x.kind == kindTable {
		a.Args = map[string]string{ArgColumns: s.columns}
	}
	if !child {
		a.Service = w.x.parent
		if s.parent != "" {
			a.Resource.Segments[0] = s.parent
		}
	}
	return a
}

// counterexample asks both files about the state's action. What they do not
// confirm is no counterexample, and nothing was shown.
func (w *walk) counterexample(s state, by *rule, t time.Time, timed bool) {
	r := w.ask(s, t, nil)
	r.Timed = timed
	r.place(w.c.child, by, Pos{})
	if r.Child.Verdict <= r.Parent.Verdict { // as when the segment that stands for others is too long itself
		w.c.notShown(by, Pos{}, "a counterexample was found and not confirmed")
		return
	}
	w.c.bad = r
}

// ask decides the state's action by both files, with one limit of the parent
// used up.
func (w *walk) ask(s state, t time.Time, used *rule) *Containment {
	a, b := w.action(s, true), w.action(s, false)
	return &Containment{
		Counterexample: a, At: t,
		Child:  w.c.child.DecideWith(a, Facts{Now: t, Limits: spent{}}),
		Parent: w.c.parent.DecideWith(b, Facts{Now: t, Limits: w.c.parent.only(used)}),
		Why:    "the child gives an action more freely than the parent",
	}
}
