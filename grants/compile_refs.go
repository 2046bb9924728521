package grants

import (
	"slices"
	"strings"
)

// refs compiles the refs of a line: which branches and tags it may touch.
func (c *compiler) refs(r *rule, s *Service, k Kind) {
	l := r.line
	if len(l.Refs) == 0 {
		return
	}
	at := l.Refs[0].Pos
	served := s != nil && (k.Resource != "http" || s.Git) && len(c.kinds.operations(k, "git.push.create")) > 0
	switch {
	case !served:
		c.at(l, at, "remove it, or declare git: true for the service", "refs says which branches and tags may be changed, and %s is not known to serve git", l.Service.Value)
		return
	case len(l.Operations) == 0:
		c.at(l, at, "add operations: [git.push]", "a line with refs names its operations: branches are changed in other ways too")
		return
	}
	for _, p := range r.patterns {
		if p.kind == "http" && p.tail {
			c.at(l, l.Patterns[0].Pos, "name the repository: /acme/web.git", "refs are those of one repository, and ** stands for many paths")
		}
	}
	for _, t := range l.Refs {
		p, why := parseRef(t.Value)
		if why != "" {
			c.at(l, t.Pos, "for example: "+quote("refs/heads/agent/**"), "%s %s", show(t.Value), why)
			continue
		}
		r.refs = append(r.refs, p)
	}
	c.narrow(r, k)
}

// narrow finds the operations of a line that its refs are about, by their names: a
// wildcard stands for those that are known, so that no other passes beside the refs.
// What refs cannot narrow is refused, for a reader would believe that they do.
func (c *compiler) narrow(r *rule, k Kind) {
	r.touches, r.repo = make(map[string]bool), k.Resource
	any := false
	for _, t := range r.line.Operations {
		for _, op := range c.kinds.operations(k, t.Value) {
			for _, o := range k.effects(op) {
				use := c.kinds.refs(o.Name)
				if t.Value == "*" || use.Touches && use.Under == "" {
					c.at(r.line, t.Pos, "put it in a line of its own", "refs does not narrow %s, which touches branches or tags and does not say for sure which", o.Name)
					return
				}
				r.touches[o.Name] = use.Touches
				any = any || use.Touches
			}
		}
	}
	if !any {
		c.at(r.line, r.line.Refs[0].Pos, "remove it, or add git.push to operations", "refs says which branches and tags may be changed, and the line changes none")
	}
}

// parseRef reads a pattern of refs: "refs/heads/agent/**", "refs/tags/v*".
func parseRef(s string) (p pattern, why string) {
	segs, tail, why := parseSegments(s)
	switch {
	case why != "":
		return p, why
	case segs[0] != "refs" || len(segs) < 2 && !tail:
		return p, "is not the whole name of a ref, which begins with refs/heads/ or refs/tags/"
	case slices.ContainsFunc(segs, func(seg string) bool { return strings.ContainsAny(seg, " ~^:?[\\") }):
		return p, "holds a character that no ref has"
	}
	return pattern{segs: segs, self: !tail, tail: tail}, ""
}

// resource reads a resource as an action names it: a pattern without wildcards,
// and behind a repository one of its refs.
func (c *compiler) resource(text string, s *Service, k Kind) (pattern, string) {
	segs := strings.Split(text, "/")
	if k.Segments == 0 || k.Resource == kindTable || len(segs) <= k.Segments || segs[0] == "" || strings.Contains(text, "://") {
		return c.pattern(text, s, k)
	}
	p, why := c.pattern(strings.Join(segs[:k.Segments], "/"), s, k)
	if why != "" {
		return p, why
	}
	ref, why := parseRef(strings.Join(segs[k.Segments:], "/"))
	p.segs, p.self = append(p.segs, ref.segs...), ref.self
	return p, why
}
