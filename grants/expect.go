package grants

import "ambit"

// expectations runs what the file expects of itself. Time windows count as
// open, exceptions as not yet ended and limits as unused, so that a file loads
// at night as it does by day.
func (c *compiler) expectations() {
	for _, e := range c.g.file.Expect {
		actions, err := c.g.ParseAction(e.Action.Value)
		if err != nil {
			c.add(e.Action.Pos, "", "%v", err)
			continue
		}
		d, _ := c.g.strictest(actions, Facts{Assume: true})
		if d.Verdict.String() != e.Verdict {
			c.add(e.Action.Pos, "change the grants, or what is expected of them",
				"expected %s, but the verdict is %s: %s (%s)", e.Verdict, d.Verdict, clipped(d.Why, 120), d.By)
		}
	}
}

// strictest is the verdict for actions that happen together or not at all, and
// which of them decided.
func (g *Grants) strictest(actions []ambit.Action, f Facts) (ambit.Decision, int) {
	var worst ambit.Decision
	at := -1
	for i := range actions {
		if d := g.DecideWith(&actions[i], f); at < 0 || d.Verdict < worst.Verdict {
			worst, at = d, i
		}
	}
	if at < 0 {
		return ambit.Decision{By: ByBroken, Why: "there is no action"}, 0
	}
	return worst, at
}
