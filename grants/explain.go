package grants

import (
	"fmt"
	"strings"

	"ambit"
)

// Explanation is why an action gets its verdict.
type Explanation struct {
	Action   ambit.Action   `json:"action"`
	Decision ambit.Decision `json:"decision"`
	Lines    []Match        `json:"lines,omitempty"`   // all that match, in file order
	Nearest  []Near         `json:"nearest,omitempty"` // those that almost do, when the action is not allowed
	Remedy   string         `json:"remedy,omitempty"`  // the smallest change that would allow it
}

// Match is a line that matches an action.
type Match struct {
	By      string        `json:"by"`
	Verdict ambit.Verdict `json:"verdict"`
	Text    string        `json:"text"` // the line in words
}

// Explain says why an action gets its verdict: which lines match, which come
// near, and what would allow it.
func (g *Grants) Explain(a *ambit.Action, f Facts) Explanation {
	e := Explanation{Action: *a, Decision: g.DecideWith(a, f)}
	if g == nil || g.index == nil || a.Resource.Check() != nil {
		return e
	}
	for _, r := range g.rules {
		if r.matches(a, &f) {
			e.Lines = append(e.Lines, Match{r.by, r.verdict, r.words(g)})
		}
	}
	if e.Decision.Verdict != ambit.Allow {
		e.Nearest, e.Remedy = g.nearest(a, f), g.RemedyWith(a, f)
	}
	return e
}

// ExplainText is Explain for an action as [Grants.ParseAction] reads it: one
// explanation for each operation that would be performed. The action gets the
// strictest of their verdicts.
func (g *Grants) ExplainText(text string, f Facts) ([]Explanation, error) {
	actions, err := g.ParseAction(text)
	if err != nil {
		return nil, err
	}
	var out []Explanation
	for i := range actions {
		out = append(out, g.Explain(&actions[i], f))
	}
	return out, nil
}

// String writes the explanation for people: the verdict first.
func (e Explanation) String() string {
	var b strings.Builder
	row := func(head, format string, args ...any) {
		text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n"+strings.Repeat(" ", 13))
		fmt.Fprintf(&b, "  %-10s %s\n", head, text)
	}
	a := &e.Action
	fmt.Fprintf(&b, "%s  %s %s\n", e.Decision.Verdict, a.Operation, show(a.Resource.String()))
	row("service", "%s", orElse(a.Service, "none: nothing in the file reaches it"))
	row("effect", "%s: it %s", a.Effect.Worst(), effectVerb(a.Effect))
	row("decided by", "%s: %s", e.Decision.By, clipped(e.Decision.Why, 300))
	for _, l := range e.Lines {
		row("matches", "%s %s: %s", l.By, l.Verdict, l.Text)
	}
	if e.Remedy != "" {
		what := "to allow"
		if e.Decision.Verdict == ambit.Ask {
			what = "instead"
		}
		row(what, "%s", e.Remedy)
	}
	return b.String()
}
