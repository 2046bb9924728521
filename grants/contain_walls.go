package grants

import (
	"fmt"
	"slices"
	"strings"

	"ambit"
)

// walls compares what is no action: the end, the variables, the home directory,
// the limits and the programs.
func (c *container) walls() {
	mine, theirs := c.child.file, c.parent.file
	if mine.Expires > theirs.Expires {
		c.escapes(mine.ExpiresPos, fmt.Sprintf("the child ends after %s, the parent after %s", spell(mine.Expires), spell(theirs.Expires)))
		c.bad.Counterexample, c.bad.Child = c.anything()
		c.bad.Parent = ambit.Decision{Verdict: ambit.Deny, By: cite(theirs.Name, theirs.ExpiresPos), Why: "the parent has ended by then"}
		return
	}
	c.variables()
	s := mine.Sandbox
	if !s.ThrowAway && theirs.Sandbox.ThrowAway {
		c.escapes(orPos(s.HomePos, s.Pos), "the child keeps its home directory for its next task, and the parent throws it away")
	}
	c.limits()
	c.programs()
}

// anything is an action that the child gives: what it may still do when the
// parent has ended. It is nil for a child that may do nothing.
func (c *container) anything() (*ambit.Action, ambit.Decision) {
	nothing := &Grants{file: c.parent.file, kinds: c.parent.kinds, guard: c.parent.guard, index: make(map[string]*serviceIndex), web: &node{}}
	only := &container{child: c.child, parent: nothing, left: maxContain}
	for _, cell := range only.cells() {
		if only.cell(cell); only.bad != nil {
			return only.bad.Counterexample, only.bad.Child
		}
	}
	return nil, ambit.Decision{}
}

// variables compares those that are passed on. One that is set to a value gives
// nothing that the agent could not set itself.
func (c *container) variables() {
	passed := make(map[string]bool)
	for _, e := range c.parent.file.passed() {
		passed[e.Name] = true
	}
	for _, e := range c.child.file.passed() {
		if !passed[e.Name] {
			c.escapes(e.Pos, "the child gets the variable "+e.Name+", and the parent does not")
		}
	}
}

// passed lists the variables that are passed on, those of the profiles at the
// place where the profile is named.
func (f *File) passed() (out []Env) {
	for _, e := range f.Sandbox.Env {
		if !e.Set {
			out = append(out, e)
		}
	}
	for i, u := range f.Uses {
		for _, e := range u.Env {
			if e.Pos = f.UsesPos[i]; !e.Set {
				out = append(out, e)
			}
		}
	}
	return out
}

// limits compares those of the walls. What a file leaves open is the walls' own
// default, which depends on the machine; for processors it is no limit.
func (c *container) limits() {
	s, p := c.child.file.Sandbox, c.parent.file.Sandbox
	for _, l := range []struct {
		name         string
		mine, theirs int64
	}{
		{"memory", s.Memory, p.Memory}, {"processes", int64(s.Processes), int64(p.Processes)},
		{"cpu", int64(s.CPU), int64(p.CPU)}, {"open-files", int64(s.OpenFiles), int64(p.OpenFiles)},
	} {
		switch {
		case l.mine == l.theirs || (l.name == "cpu" && l.theirs == 0):
		case l.name == "cpu" && l.mine == 0:
			c.escapes(s.Pos, "the child has no limit of cpu, and the parent has")
		case l.mine == 0 || l.theirs == 0:
			c.notShown(nil, s.Pos, "only one of the files limits "+l.name+", and the default depends on the machine")
		case l.mine > l.theirs:
			c.escapes(s.Pos, "the child's limit of "+l.name+" is higher than the parent's")
		}
	}
}

// programs compares those that the profiles make visible.
func (c *container) programs() {
	visible := make(map[string]bool)
	for _, u := range c.parent.file.Uses {
		for _, t := range u.Programs {
			visible[t.Value] = true
		}
	}
	for i, u := range c.child.file.Uses {
		var more []string
		for _, t := range u.Programs {
			if !visible[t.Value] {
				more = append(more, t.Value)
			}
		}
		if len(more) > 0 {
			c.notShown(nil, c.child.file.UsesPos[i], "the profile "+u.Name+" makes programs visible that the parent does not name: "+strings.Join(slices.Compact(more), ", "))
		}
	}
}

func orPos(p, q Pos) Pos {
	if p == (Pos{}) {
		return q
	}
	return p
}
