package grants

import (
	"slices"
	"strings"
	"time"

	"ambit"
)

// line compiles one line and keeps it when nothing is wrong with it.
func (c *compiler) line(l *Line) {
	before := len(c.errs)
	r := &rule{
		line: l, service: l.Service.Value, verdict: verdictOf(l), ops: []string{"*"},
		during: l.Cond.During, until: l.Until, rate: l.Cond.AtMost,
	}
	s, k, ok := c.target(l)
	if !ok {
		return
	}
	c.patterns(r, s, k)
	c.operations(r, k)
	c.refs(r, s, k)
	if k.Resource == kindTable {
		c.columns(r)
	}
	c.waiver(l)
	if k.Name == "files" {
		c.filesLine(l)
	}
	if len(c.errs) > before {
		return
	}
	c.cite(r)
	c.g.limited = c.g.limited || r.rate != nil
	c.g.rules = append(c.g.rules, r)
}

// target finds the service of a line and its kind. A service that is itself
// wrong was reported before.
func (c *compiler) target(l *Line) (*Service, Kind, bool) {
	name := l.Service.Value
	if name == "files" || name == "web" {
		k, _ := c.kinds.find(name)
		return nil, k, true
	}
	for i := range c.g.services {
		if s := &c.g.services[i]; s.Name.Value == name {
			k, ok := c.kinds.find(s.Kind.Value)
			return s, k, ok
		}
	}
	return nil, Kind{}, false
}

func (c *compiler) patterns(r *rule, s *Service, k Kind) {
	read := func(ts []Text) (out []pattern) {
		for _, t := range ts {
			p, why := c.pattern(t.Value, s, k)
			if why != "" {
				c.at(r.line, t.Pos, "for example: "+quote(k.Example), "%s %s", show(t.Value), why)
				continue
			}
			c.webHost(r, t, p)
			out = append(out, p)
		}
		return out
	}
	r.patterns = read(r.line.Patterns)
	r.except = read(r.line.Except)
	for i, e := range r.except {
		if !slices.ContainsFunc(r.patterns, func(p pattern) bool { return p.kind == e.kind }) {
			c.at(r.line, r.line.Except[i].Pos, "remove it", "the exception is of another kind than what the line gives")
		}
	}
}

// webHost keeps web and declared services apart: who answers for a host must
// be clear from the file. A profile's web line speaks of the service that the
// file declares for the host.
func (c *compiler) webHost(r *rule, t Text, p pattern) {
	if r.line.Service.Value != "web" {
		return
	}
	owner, taken := c.g.byHost[endpointOf(p.segs[0])]
	switch {
	case !taken:
	case r.line.Profile != "":
		r.service = owner
	default:
		c.at(r.line, t.Pos, "write the line as "+owner+": with a path", "the host %s belongs to your service %s", p.segs[0], owner)
	}
}

// pattern reads a pattern by the grammar of the kind.
func (c *compiler) pattern(text string, s *Service, k Kind) (pattern, string) {
	switch k.Resource {
	case "file":
		return c.kinds.place().parseFile(text)
	case "tcp":
		return tcpPattern(text, s)
	case kindTable:
		return parseTable(text, s.Database.Value)
	}
	if k.Name == "web" {
		return parseWeb(text)
	}
	if k.Resource == "http" || strings.HasPrefix(text, "/") || strings.Contains(text, "://") {
		return servicePath(text, s)
	}
	return plainPattern(text, k)
}

// plainPattern reads what is not a path of a URL: "acme/web", "messages".
func plainPattern(text string, k Kind) (pattern, string) {
	if k.FoldCase {
		text = lower(text)
	}
	segs, tail, why := parseSegments(text)
	if why != "" {
		return pattern{}, why
	}
	if k.Segments > 0 && (len(segs) != k.Segments || tail) {
		return pattern{}, "does not name a " + k.Resource
	}
	// What has a number of segments stands for all below it too: a repository for
	// its refs.
	return pattern{kind: k.Resource, segs: segs, self: !tail, tail: tail || k.Segments > 0}, ""
}

// servicePath reads "/v1/**" on the service's first host, or a whole URL on one
// of its hosts.
func servicePath(text string, s *Service) (pattern, string) {
	host, path := s.Hosts[0].Value, text
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		authority, tail, _ := strings.Cut(rest, "/")
		if scheme != s.Scheme.Value {
			return pattern{}, "has another scheme than its service, which is " + s.Scheme.Value
		}
		at := slices.IndexFunc(s.Hosts, func(h Text) bool { return authority == s.Authority(h.Value) })
		if at < 0 {
			return pattern{}, "is on a host that its service does not name"
		}
		host, path = s.Hosts[at].Value, "/"+tail
	}
	p, why := parsePath(path)
	p.segs = append([]string{s.Authority(host)}, p.segs...)
	return p, why
}

func tcpPattern(text string, s *Service) (pattern, string) {
	for _, h := range s.Hosts {
		if a := s.Authority(h.Value); text == "*" || text == a {
			return pattern{kind: "tcp", segs: []string{a}, self: true}, ""
		}
	}
	return pattern{}, `is neither "*" nor the service's own host:port`
}

// operations checks what the line names against the kind and sets the effects.
func (c *compiler) operations(r *rule, k Kind) {
	l := r.line
	want := map[Section]uint8{
		SectionRead:  effectBits(ambit.Read),
		SectionWrite: effectBits(ambit.Write),
		SectionAsk:   effectBits(ambit.Write, ambit.Irreversible),
	}[l.Section]
	if len(l.Operations) > 0 {
		if want |= effectBits(ambit.Read); l.WithoutAsking {
			want |= effectBits(ambit.Irreversible)
		}
		if l.Section == SectionRead {
			want = effectBits(ambit.Read)
		}
		r.ops = nil
	}
	if k.Name == "files" && l.Section == SectionWrite {
		want |= effectBits(ambit.Read) // what is mounted for writing can be read
	}
	r.effects = want
	for _, t := range l.Operations {
		ops := c.kinds.operations(k, t.Value)
		if len(ops) == 0 {
			c.at(l, t.Pos, didYouMean(t.Value, k.words(t.Value)), "%s has no operation %s", l.Service.Value, show(t.Value))
			continue
		}
		for _, op := range ops {
			c.possible(l, t, op, k)
			if !slices.Contains(r.ops, op) {
				r.ops = append(r.ops, op)
			}
		}
	}
	if len(l.Operations) == 0 && !slices.ContainsFunc(k.Operations, func(o Operation) bool { return r.fits(o.Effect.Worst()) }) {
		c.at(l, l.Service.Pos, "put it under write, with because", "%s has nothing that can stand under %s", l.Service.Value, l.Section)
	}
}

// possible refuses an operation that cannot stand in its section.
func (c *compiler) possible(l *Line, t Text, op string, k Kind) {
	var has [ambit.Irreversible + 1]bool
	for _, o := range k.effects(op) {
		has[o.Effect.Worst()] = true
	}
	reads, writes, ends := has[ambit.Read], has[ambit.Write], has[ambit.Irreversible]
	switch {
	case l.Section == SectionRead && !reads && writes:
		c.at(l, t.Pos, "put it under write, with because", "%s changes things: read gives only what reads", op)
	case l.Section == SectionRead && !reads:
		c.at(l, t.Pos, "put it under ask, with because", "%s cannot be undone: read gives only what reads", op)
	case l.Section == SectionWrite && !l.WithoutAsking && !reads && !writes:
		c.at(l, t.Pos, "put it under ask, or add without-asking: true and until: with a time within 24 hours",
			"%s cannot be undone: a person approves each one", op)
	case l.WithoutAsking && !ends:
		c.at(l, t.Pos, "remove without-asking and until, or move the operation to a line of its own", "%s can be undone and needs no exception", op)
	}
}

// waiver checks the end of a dated exception.
func (c *compiler) waiver(l *Line) {
	switch {
	case !l.WithoutAsking || l.Until.IsZero():
	case !l.Until.After(c.now):
		c.at(l, l.UntilPos, "remove the line, or move it under ask", "the exception ended at %s", l.Until.Format(time.RFC3339))
	case l.Until.Sub(c.now) > MaxWaiver:
		c.at(l, l.UntilPos, "write "+c.now.Add(MaxWaiver).UTC().Truncate(time.Minute).Format(time.RFC3339)+" or earlier",
			"the exception is longer than %s", spell(MaxWaiver))
	}
}

// filesLine refuses what the walls cannot enforce: they are built once, before
// the agent starts, and ask nobody.
func (c *compiler) filesLine(l *Line) {
	const no = "the walls are built once and cannot enforce %s on files"
	if l.Section == SectionAsk {
		c.at(l, l.Pos, "put it under write, or leave it out", no, "a question")
	}
	if len(l.Operations) > 0 {
		c.at(l, l.Operations[0].Pos, "remove it: read and write say enough", no, "operations")
	}
	if l.Cond.During != nil {
		c.at(l, l.Cond.During.Pos, "remove it", no, "a time window")
	}
	if l.Cond.AtMost != nil {
		c.at(l, l.Cond.AtMost.Pos, "remove it", no, "a limit")
	}
}

// cite writes down once what decisions of the rule say.
func (c *compiler) cite(r *rule) {
	l := r.line
	file := c.file
	if l.Profile != "" {
		file = "profile " + l.Profile
	}
	r.by = cite(file, l.Pos)
	r.why = strings.Join(strings.Fields(l.Because.Value), " ") // it may have several lines
	if r.why == "" {
		r.why = "the line gives reading"
	}
	if r.rate != nil {
		r.spent = "the line's limit is used up: " + r.rate.Text
	}
}

// words are the names of a kind's operations: short ones, unless a word is
// meant that begins with the kind.
func (k Kind) words(word string) []string {
	var out []string
	for _, o := range k.Operations {
		if short, ok := strings.CutPrefix(o.Name, k.prefix()); ok && !strings.HasPrefix(word, k.prefix()) {
			out = append(out, short)
			continue
		}
		out = append(out, o.Name)
	}
	return out
}

// lower writes A to Z small and leaves all other letters: strings.ToLower would
// turn some of them into ASCII.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
