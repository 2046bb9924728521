package grants

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"ambit"
)

// maxRemedy bounds what a remedy repeats of an action, in bytes.
const maxRemedy = 300

// Remedy says why the lines that come nearest do not give the action, and the
// smallest line that would. Nothing of the action reaches it unquoted: a path
// cannot smuggle YAML, a wildcard or an order to a terminal into it.
func (g *Grants) Remedy(a *ambit.Action) string { return g.RemedyWith(a, Facts{}) }

// RemedyWith is Remedy with the facts of the decision. It is "" for an action
// that is allowed.
func (g *Grants) RemedyWith(a *ambit.Action, f Facts) string {
	if g == nil || g.index == nil {
		return ""
	}
	switch d := g.DecideWith(a, f); {
	case d.Verdict == ambit.Allow:
		return ""
	case d.Verdict == ambit.Ask && a.Effect.Worst() == ambit.Irreversible:
		return "a person can approve it; without a question it would have to leave " + d.By +
			" for a line under write with without-asking: true, until: (within 24 hours) and because:"
	case d.Verdict == ambit.Ask:
		return "a person can approve it; without a question it would have to leave " + d.By + " for a line under write"
	}
	var b strings.Builder
	for _, n := range g.nearest(a, f) {
		b.WriteString("nearest: " + n.By + " " + n.Why + "\n")
	}
	if line, no := g.smallest(a, f); no != "" {
		b.WriteString(no)
	} else {
		if g.unsaid(a, f) {
			b.WriteString("say in the request which branch or tag it is about; without that ")
		}
		b.WriteString("it would take:\n" + line)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Near is a line that almost gives an action.
type Near struct {
	By  string `json:"by"`  // the line
	Why string `json:"why"` // what it lacks
}

// nearest returns the two lines that come nearest, the nearest first. All lines
// of the service are looked at, so that words are made for those two only.
func (g *Grants) nearest(a *ambit.Action, f Facts) (out []Near) {
	type scored struct{ rule, score int }
	var best []scored
	for i, r := range g.rules {
		if r.service != a.Service || r.line.Implied && r.service != "files" {
			continue
		}
		if what, score := g.lacks(i, a, &f); what != nothing {
			best = append(best, scored{i, score})
			slices.SortStableFunc(best, func(x, y scored) int { return cmp.Compare(y.score, x.score) })
			best = best[:min(len(best), 2)]
		}
	}
	for _, s := range best {
		what, _ := g.lacks(s.rule, a, &f)
		out = append(out, Near{g.rules[s.rule].by, g.lackWords(g.rules[s.rule], what, a)})
	}
	return out
}

// lack is what a rule lacks to give an action.
type lack int

const (
	nothing lack = iota
	lackPattern
	lackColumns
	lackOperation
	lackEffect
	lackRef
	lackName
	lackExcept
	lackWindow
	lackTime
	lackCount
)

// lacks says what keeps a rule from giving the action, and how near it comes:
// the more, the less is missing.
func (g *Grants) lacks(i int, a *ambit.Action, f *Facts) (lack, int) {
	r := g.rules[i]
	repo := a.Resource
	if repo.Segments, _ = g.pushed(a); len(r.refs) == 0 {
		repo = a.Resource
	}
	fit := r.patternFit(repo)
	switch {
	case fit < whole && r.operation(a.Operation) && r.fits(a.Effect.Worst()):
		return lackPattern, 2*fit + 1 // of two as near, the one that gives the operation elsewhere
	case fit < whole:
		return lackPattern, 2 * fit
	case !slices.ContainsFunc(r.patterns, func(p pattern) bool {
		return p.kind == repo.Kind && p.covers(repo.Segments) && p.admits(a)
	}):
		return lackColumns, whole
	case !r.operation(a.Operation):
		return lackOperation, whole + 1
	case !r.fits(a.Effect.Worst()):
		return lackEffect, whole + 1
	case !slices.ContainsFunc(r.spread(a.Operation), func(p pattern) bool { return p.kind == a.Resource.Kind && p.covers(a.Resource.Segments) }):
		return lackRef, whole + 2
	case r.service == "files" && !slices.ContainsFunc(r.patterns, func(p pattern) bool { return p.match(a.Resource, a.Effect) }):
		return lackName, whole + 2
	case slices.ContainsFunc(r.except, func(p pattern) bool { return p.kind == a.Resource.Kind && p.covers(a.Resource.Segments) }):
		return lackExcept, whole + 2
	case !r.holds(f) && r.during != nil && !r.during.Holds(f.Now):
		return lackWindow, whole + 3
	case !r.holds(f):
		return lackTime, whole + 3
	case r.rate != nil && !f.Assume && (f.Limits == nil || f.Limits.Exhausted(i)):
		return lackCount, whole + 4
	}
	return nothing, 0
}

func (g *Grants) lackWords(r *rule, what lack, a *ambit.Action) string {
	switch what {
	case lackPattern:
		return "gives " + r.shortPatterns() + ", not " + shortResource(a)
	case lackColumns:
		return "gives only the columns of " + r.shortPatterns() + ", not " + show(clipped(orElse(a.Args[ArgColumns], "what is not said"), 120))
	case lackOperation:
		return "gives " + clipped(strings.Join(r.ops, ", "), 200) + ", not " + show(a.Operation)
	case lackEffect:
		return "gives only what " + r.effectWords() + "; this " + effectVerb(a.Effect)
	case lackRef:
		return "gives of branches and tags only " + clipped(strings.Join(values(r.line.Refs), ", "), 80) + ", " + g.refWords(a)
	case lackName:
		class, name := ProtectedIn(a.Resource.Segments)
		return "does not reach " + show(strings.Join(name, "/")) + ": such a name (" + string(class) +
			") is protected, and a line must name it literally"
	case lackExcept:
		return "takes it out by `except`"
	case lackWindow:
		return "holds only during " + r.during.Text
	case lackTime:
		return "ended at " + r.until.Format("2006-01-02T15:04:05Z07:00")
	case lackCount:
		return "has used up its limit of " + r.rate.Text
	}
	return ""
}

// whole is how well a pattern fits that matches.
const whole = 1000

// patternFit is whole for a pattern that matches, apart from protected names,
// and else how many segments agree.
func (r *rule) patternFit(res ambit.Resource) (best int) {
	for _, p := range r.patterns {
		if p.kind != res.Kind {
			continue
		}
		if p.covers(res.Segments) {
			return whole
		}
		n := 0
		for n < min(len(p.segs), len(res.Segments)) && matchSegment(p.segs[n], res.Segments[n], n == 0 && p.kind == "http") {
			n++
		}
		best = max(best, n)
	}
	return best
}

func (r *rule) shortPatterns() string {
	var out []string
	for _, t := range r.line.Patterns {
		out = append(out, t.Value)
	}
	return clipped(strings.Join(out, ", "), 80)
}

func shortResource(a *ambit.Action) string {
	segs := a.Resource.Segments
	if a.Resource.Kind == kindTable {
		return show(tableText(segs, nil))
	}
	if a.Resource.Kind == "http" && len(segs) > 0 && a.Service != "web" && a.Service != "" {
		return show("/" + strings.Join(segs[1:], "/"))
	}
	return show(a.Resource.String())
}

// effectWords says what effects a rule gives.
func (r *rule) effectWords() string {
	var out []string
	for _, e := range []ambit.Effect{ambit.Read, ambit.Write, ambit.Irreversible} {
		if r.fits(e) {
			out = append(out, effectVerb(e))
		}
	}
	return strings.Join(out, " or ")
}

func effectVerb(e ambit.Effect) string {
	switch e.Worst() {
	case ambit.Read:
		return "reads"
	case ambit.Write:
		return "changes things"
	}
	return "cannot be undone"
}

// smallest writes the smallest line that would give the action, or says why
// none can.
func (g *Grants) smallest(a *ambit.Action, f Facts) (line, no string) {
	m := match{facts: f}
	g.decide(a, &m)
	switch {
	case m.limited != 0:
		return "", "a higher limit in " + g.rules[m.limited-1].by + " would allow more"
	case a.Resource.Check() != nil || len(a.Resource.Segments) == 0 || len(a.Resource.String()) > maxRemedy:
		return "", "no line can give it: the resource is not in its plain form, or too long"
	case strings.Contains(a.Resource.String(), "*"):
		return "", "no line can give it by name: the resource holds a *"
	case looksSecret(a.Resource.String()) || strings.ContainsFunc(a.Resource.String(), func(r rune) bool { return !isGraphic(r) }):
		return "", "no line can give it by name: the resource holds what a file never does"
	}
	repo, ref := g.pushed(a)
	if hasUpper(repo) && g.kindOf(a.Service).FoldCase {
		return "", "no line can give it: the resource is not in small letters"
	}
	c := &compiler{reporter: &reporter{}, kinds: g.kinds, g: g}
	s, k, ok := c.target(&Line{Service: Text{Value: a.Service}})
	if !ok {
		return g.newService(a)
	}
	if k.Name == "files" && a.Effect.Worst() == ambit.Irreversible {
		return "", "no line can give it: the walls ask nobody"
	}
	named := *a
	named.Resource.Segments = repo
	text := g.patternText(&named, s, k)
	if p, why := c.pattern(text, s, k); why != "" || !slices.Equal(p.segs, repo) {
		return "", "no line can give it by name"
	}
	return lineText(a, a.Service, text, k, ref), ""
}

// lineText writes a line under its section.
func lineText(a *ambit.Action, service, text string, k Kind, ref string) string {
	section := sectionOf(a, k)
	var b strings.Builder
	b.WriteString(section.String() + ":\n  - " + service + ": " + quote(text) + "\n")
	if _, known := k.operation(a.Operation); known && section != SectionRead && k.Name != "files" {
		b.WriteString("    operations: [" + strings.TrimPrefix(a.Operation, k.prefix()) + "]\n")
	}
	if ref != "" {
		b.WriteString("    refs: [" + quote(ref) + "]\n")
	}
	if section != SectionRead {
		b.WriteString("    because: \"…\"\n")
	}
	return b.String()
}

// sectionOf is the section that a line which names the action's operation can stand in:
// what cannot be undone in general is asked about, also where this action of it can.
func sectionOf(a *ambit.Action, k Kind) Section {
	known := k.effects(a.Operation)
	undone := len(known) == 0 || slices.ContainsFunc(known, func(o Operation) bool { return o.Effect.Worst() != ambit.Irreversible })
	reads := slices.ContainsFunc(k.Operations, func(o Operation) bool { return o.Effect.Worst() == ambit.Read })
	switch e := a.Effect.Worst(); {
	case e == ambit.Read && reads:
		return SectionRead
	case e != ambit.Irreversible && undone:
		return SectionWrite
	}
	return SectionAsk
}

// patternText writes the action's resource as a pattern of the service.
func (g *Grants) patternText(a *ambit.Action, s *Service, k Kind) string {
	segs := a.Resource.Segments
	switch {
	case a.Resource.Kind == "file":
		if rest, ok := strings.CutPrefix(a.Resource.String(), g.kinds.place().workspace+"/"); ok && rest != "" {
			return rest
		}
		return a.Resource.String()
	case k.Name == "web":
		if len(segs) == 1 {
			return segs[0] + "/"
		}
		return strings.Join(segs, "/")
	case a.Resource.Kind == kindTable || a.Resource.Kind == kindDatabase:
		if text := tableText(segs, columnsOf(a)); len(text) <= maxRemedy && a.Args[ArgColumns] != "" {
			return text
		}
		return tableText(segs, nil)
	case a.Resource.Kind == "http" && segs[0] != s.Authority(s.Hosts[0].Value):
		return s.Scheme.Value + "://" + segs[0] + "/" + strings.Join(segs[1:], "/")
	case a.Resource.Kind == "http":
		return "/" + strings.Join(segs[1:], "/")
	}
	return strings.Join(segs, "/")
}

// newService writes a line for a host that nothing in the file reaches.
func (g *Grants) newService(a *ambit.Action) (line, no string) {
	segs := a.Resource.Segments
	at := endpointOf(segs[0])
	if why, _ := badHost(at.Host); why != "" || (a.Resource.Kind != "http" && a.Resource.Kind != "tcp") {
		return "", "no line can give it: nothing in the file reaches it"
	}
	if a.Resource.Kind == "http" && a.Effect == ambit.Read && !strings.HasPrefix(a.Args["url"], "http://") {
		web := webKind()
		return lineText(a, "web", g.patternText(a, nil, web), web, ""), ""
	}
	name := g.freeName(at.Host)
	decl := "services:\n  " + name + ": {kind: " + a.Resource.Kind + ", host: " + at.Host
	if a.Resource.Kind == "tcp" || at.Port != 443 {
		decl += ", port: " + strconv.Itoa(at.Port)
	}
	if strings.HasPrefix(a.Args["url"], "http://") {
		decl += ", scheme: http"
	}
	k, ok := g.kinds.find(a.Resource.Kind)
	if !ok {
		return "", "no line can give it: nothing in the file reaches it"
	}
	text := "*"
	if a.Resource.Kind == "http" {
		text = "/" + strings.Join(segs[1:], "/")
	}
	return decl + "}\n" + lineText(a, name, text, k, ""), ""
}

// freeName makes a service's name of a host.
func (g *Grants) freeName(host string) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, host), "-0123456789")
	name = strings.TrimRight(name[:min(len(name), 36)], "-")
	if name == "" || slices.Contains(lineKeys(), name) || slices.Contains([]string{"files", "web", "http", "tcp"}, name) {
		name = "host-" + name
	}
	for n := 2; ; n++ {
		if _, taken := g.Service(name); !taken {
			return name
		}
		name = strings.TrimRight(name, "-0123456789") + "-" + strconv.Itoa(n)
	}
}
