package grants

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Accept is one entry of a `lint-accept`: a danger that somebody has
// looked at, and why it stands.
type Accept struct {
	Rule    Text // an ID of [LintRules]
	Because Text
}

// accepts reads `lint-accept: {rule: reason}`. It is part of the canonical form,
// where a comment would not be: whoever approves the file has seen it.
func (w *walker) accepts(n *yaml.Node) []Accept {
	var out []Accept
	for _, e := range w.entries(n, "lint-accept") {
		if w.full() {
			break
		}
		if _, ok := lintRule(e.key.Value); !ok {
			w.add(e.key.Pos, didYouMean(e.key.Value, lintRuleIDs()), "lint has no rule %s", show(e.key.Value))
			continue
		}
		if because := w.prose(e.val, "the reason to accept "+e.key.Value); because.Value != "" {
			out = append(out, Accept{e.key, because})
		}
	}
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		w.add(nodePos(n), "fill it in, or remove it", "lint-accept is empty")
	}
	return out
}

func acceptObject(as []Accept) object {
	o := object{}
	for _, a := range as {
		o[a.Rule.Value] = a.Because.Value
	}
	return o
}

// accept marks the findings that the file gives a reason for, and reports the
// reasons that nothing was found for: they would hide what comes later.
func (l *linter) accept() {
	used := make(map[Pos]bool) // where the entries stand
	for i := range l.out {
		f := &l.out[i]
		for _, a := range f.accept {
			if a.Rule.Value == f.Rule {
				f.Accepted = a.Because.Value
				used[a.Rule.Pos] = true
			}
		}
	}
	unused := func(as []Accept) {
		for _, a := range as {
			if !used[a.Rule.Pos] {
				l.add("unused-accept", nil, a.Rule.Pos, "remove it",
					fmt.Sprintf("lint-accept names %s, which is not found here", a.Rule.Value))
			}
		}
	}
	unused(l.g.file.Sandbox.Accept)
	for _, line := range l.g.file.Lines {
		unused(line.Accept)
	}
}
