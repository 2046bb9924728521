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
	// Bodies is not empty when the request's body decides what it does. Action
	// is then what it is when nobody can read the body.
	Bodies []ByBody `json:"bodies,omitempty"`
	// Note is what the caller has to add.
	Note string `json:"note,omitempty"`
}

// ByBody is what a request is with one sort of body.
type ByBody struct {
	Body     string         `json:"body"`
	Action   ambit.Action   `json:"action"`
	Decision ambit.Decision `json:"decision"`
	Explain  string         `json:"explain,omitempty"` // the action as ParseAction reads it, where there is such a spelling
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
	bodies := g.byBody(text, f)
	var out []Explanation
	for i := range actions {
		e := g.Explain(&actions[i], f)
		e.Bodies = bodies
		out = append(out, e)
	}
	return out, nil
}

// byBody explains a request of which the body decides what it does.
func (g *Grants) byBody(text string, facts Facts) (out []ByBody) {
	f := strings.Fields(text)
	if g.kinds.Bodies == nil || len(f) != 3 || f[0] != "http" {
		return nil
	}
	r, err := g.httpRequest(f[1], f[2])
	if err != nil {
		return nil
	}
	for _, b := range g.kinds.Bodies(r.Request) {
		for _, a := range g.actions(r, b.Calls) {
			x := ByBody{Body: b.Body, Action: a, Decision: g.DecideWith(&a, facts)}
			if words, ok := g.ActionText(&a); ok {
				x.Explain = words
			}
			out = append(out, x)
		}
	}
	return out
}

// String writes the explanation for people: the verdict first.
func (e Explanation) String() string {
	var b strings.Builder
	row := func(head, format string, args ...any) {
		text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n"+strings.Repeat(" ", 13))
		fmt.Fprintf(&b, "  %-10s %s\n", head, text)
	}
	a := &e.Action
	resource := a.Resource.String()
	if a.Resource.Kind == kindTable {
		resource = tableText(a.Resource.Segments, columnsOf(a))
	}
	fmt.Fprintf(&b, "%s  %s %s\n", e.Decision.Verdict, a.Operation, show(resource))
	row("service", "%s", orElse(a.Service, "none: nothing in the file reaches it"))
	row("effect", "%s: it %s", a.Effect.Worst(), effectVerb(a.Effect))
	row("decided by", "%s: %s", e.Decision.By, clipped(e.Decision.Why, 300))
	if e.Note != "" {
		row("note", "%s", e.Note)
	}
	for _, l := range e.Lines {
		row("matches", "%s %s: %s", l.By, l.Verdict, l.Text)
	}
	for i, x := range e.Bodies {
		if i == 0 {
			row("the body", "decides what this request is: the above is for one that cannot be read. With others:")
		}
		row("", "%s", x)
	}
	if e.Remedy != "" && len(e.Bodies) == 0 {
		what := "to allow"
		if e.Decision.Verdict == ambit.Ask {
			what = "instead"
		}
		row(what, "%s", e.Remedy)
	}
	return b.String()
}

// String writes the case for people: the verdict first, and how to ask for more
// when it is not allowed.
func (x ByBody) String() string {
	s := fmt.Sprintf("%-5s  %s: %s, it %s (%s)", x.Decision.Verdict, x.Body, x.Action.Operation, effectVerb(x.Action.Effect), x.Decision.By)
	if x.Explain != "" && x.Decision.Verdict != ambit.Allow {
		s += "\n       more: ambit explain --grants FILE '" + x.Explain + "'"
	}
	return s
}
