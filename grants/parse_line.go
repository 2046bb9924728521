package grants

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// lineKeys are the words of a line that are not a service's name.
func lineKeys() []string {
	return append([]string{
		"operations", "except", "refs", "because", "during", "at-most", "without-asking", "until", "lint-accept",
	}, laterKeys()...)
}

// laterKeys are conditions of the closed list that no gate of this build can
// give a fact for. A line with one is refused, not loaded without it.
func laterKeys() []string { return []string{"rows", "bytes", "amount", "environment", "tainted"} }

func (w *walker) lines(n *yaml.Node, sec Section, services []string) []*Line {
	var out []*Line
	for _, item := range w.items(n, sec.String()) {
		if w.full() {
			break
		}
		if item.Kind != yaml.MappingNode {
			w.wrong(item, "a line of "+sec.String(), "a map, such as web: [docs.python.org]")
			continue
		}
		if l := w.line(item, sec, services); l != nil {
			out = append(out, l)
		}
	}
	return out
}

// line reads one grant; nil when it names no service that is known.
func (w *walker) line(n *yaml.Node, sec Section, services []string) *Line {
	l := &Line{Pos: nodePos(n), Section: sec}
	m := make(map[string]*yaml.Node)
	var others []entry
	for _, e := range w.entries(n, "a line") {
		if slices.Contains(lineKeys(), e.key.Value) {
			m[e.key.Value] = e.val
		} else {
			others = append(others, e)
		}
	}
	service, ok := w.pick(l, others, services)
	w.detail(l, m)
	if !ok {
		return nil
	}
	l.Service = service.key
	l.Patterns = w.texts(service.val, service.key.Value)
	if len(l.Patterns) == 0 {
		return nil
	}
	return l
}

// pick finds the one key of a line that names a service; the others are
// spelling mistakes.
func (w *walker) pick(l *Line, keys []entry, services []string) (entry, bool) {
	var found []entry
	var rest []entry
	for _, e := range keys {
		if slices.Contains(services, e.key.Value) {
			found = append(found, e)
		} else {
			rest = append(rest, e)
		}
	}
	if len(found) == 0 && len(rest) == 1 {
		w.add(rest[0].key.Pos, didYouMean(rest[0].key.Value, services), "there is no service %s", show(rest[0].key.Value))
		return entry{}, false
	}
	for _, e := range rest {
		if w.full() {
			break
		}
		w.add(e.key.Pos, didYouMean(e.key.Value, slices.Concat(lineKeys(), services)), "a line has no key %s", show(e.key.Value))
	}
	switch {
	case len(found) == 0:
		w.add(l.Pos, "begin it with files:, web: or one of your services", "the line names no service")
		return entry{}, false
	case len(found) > 1:
		w.add(found[1].key.Pos, "write a line for each", "a line names one service, not %s and %s", found[0].key.Value, found[1].key.Value)
	}
	return found[0], true
}

// detail reads all of a line but its service.
func (w *walker) detail(l *Line, m map[string]*yaml.Node) {
	if v := m["operations"]; v != nil {
		l.Operations = w.texts(v, "operations")
	}
	if v := m["except"]; v != nil {
		l.Except = w.texts(v, "except")
	}
	if v := m["refs"]; v != nil {
		l.Refs = w.texts(v, "refs")
	}
	if len(l.Refs) > 0 && l.Section == SectionRead {
		w.add(l.Refs[0].Pos, "remove it", "refs says which branches and tags may be changed: a repository is read as a whole")
	}
	w.because(l, m["because"])
	if v := m["during"]; v != nil {
		l.Cond.During = w.window(v)
	}
	if v := m["at-most"]; v != nil {
		l.Cond.AtMost = w.rate(v)
	}
	w.waiver(l, m)
	if v := m["lint-accept"]; v != nil {
		l.Accept = w.accepts(v)
	}
	for _, k := range laterKeys() {
		if v := m[k]; v != nil {
			w.add(nodePos(v), "remove it, or put the line under ask", "the condition %s cannot be enforced by this build", k)
		}
	}
}

func (w *walker) because(l *Line, n *yaml.Node) {
	switch {
	case n != nil:
		l.Because = w.prose(n, "because")
	case l.Section != SectionRead:
		w.add(l.Pos, "add because: and the reason in a sentence", "a line under %s says why", l.Section)
	}
}

// waiver reads the dated exception. Whether the line needs one is checked when
// its operations are known.
func (w *walker) waiver(l *Line, m map[string]*yaml.Node) {
	if v := m["without-asking"]; v != nil {
		l.WithoutAsking = w.boolean(v, "without-asking")
		if !l.WithoutAsking {
			w.add(nodePos(v), "remove it", "without-asking is true or is not there")
		}
	}
	if v := m["until"]; v != nil {
		l.Until, _ = w.instant(v, "until")
		l.UntilPos = nodePos(v)
	}
	switch at := l.UntilPos; {
	case m["until"] != nil && m["without-asking"] == nil:
		w.add(at, "remove it, or add without-asking: true", "until goes with without-asking")
	case m["without-asking"] == nil:
	case l.Section != SectionWrite:
		w.add(nodePos(m["without-asking"]), "move the line under write, or remove without-asking", "without-asking under %s contradicts itself", l.Section)
	case m["until"] == nil:
		w.add(nodePos(m["without-asking"]), "add until: with a time at most 24 hours ahead", "without-asking needs an end")
	case m["operations"] == nil:
		w.add(nodePos(m["without-asking"]), "add operations: with the irreversible ones", "without-asking names its operations")
	}
}

// clipped shortens a reason for a message on one line.
func clipped(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
