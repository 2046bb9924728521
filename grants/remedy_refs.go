package grants

import (
	"slices"
	"strings"

	"ambit"
)

// pushed parts a resource into the repository and the ref that the action touches; the
// ref is "" when it touches none, or one that is not known.
func (g *Grants) pushed(a *ambit.Action) (repo []string, ref string) {
	segs := a.Resource.Segments
	at := slices.Index(segs, "refs")
	switch k := g.kindOf(a.Service); {
	case g.kinds.refs(a.Operation).Under == "" || a.Resource.Kind != k.Resource:
		return segs, ""
	case k.Segments > 0:
		at = k.Segments
	}
	if at < 1 || at >= len(segs) || segs[at] != "refs" {
		return segs, ""
	}
	return segs[:at], strings.Join(segs[at:], "/")
}

// refWords names the ref of an action that a line does not give, or says that nobody
// knows it.
func (g *Grants) refWords(a *ambit.Action) string {
	if _, ref := g.pushed(a); ref != "" {
		return "not " + show(clipped(ref, 120))
	}
	if a.Resource.Kind != g.kindOf(a.Service).Resource {
		return "and this names no repository, of which it could be one"
	}
	switch g.kinds.refs(a.Operation).Under {
	case "refs/heads/":
		return "and the request does not say for sure which branch it is about"
	case "refs/tags/":
		return "and the request does not say for sure which tag it is about"
	}
	return "and the request does not say for sure which one it is about: that takes a whole name, such as refs/heads/main"
}

// unsaid says whether the action would be given if it said which ref it is about: the
// smallest change is then one of the request, not of the file.
func (g *Grants) unsaid(a *ambit.Action, f Facts) bool {
	_, ref := g.pushed(a)
	if ref != "" || g.kinds.refs(a.Operation).Under == "" || a.Resource.Kind != g.kindOf(a.Service).Resource {
		return false
	}
	for i, r := range g.rules {
		if what, _ := g.lacks(i, a, &f); r.service == a.Service && what == lackRef {
			return true
		}
	}
	return false
}
