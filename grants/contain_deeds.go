package grants

import (
	"slices"
	"strings"

	"ambit"
)

// deed is an operation with an effect: what the lines about one resource tell
// actions apart by.
type deed struct {
	op     string
	effect ambit.Effect
	raised bool // the effect is not the one listed
}

// deeds lists what a gate can make of requests to a service with the operations
// that are listed: each with the effect listed; any http operation as
// irreversible, since the catalog raises what a service's table does not know; and
// a POST as reading where the file declares that some do.
func (g *Grants) deeds(service string) (out []deed) {
	k := g.kindOf(service)
	for _, o := range k.Operations {
		out = append(out, deed{o.Name, o.Effect.Worst(), false})
	}
	if k.unseen() {
		return out
	}
	s, _ := g.Service(service)
	if s.IsDatabase() {
		// A statement is worse than its name when it has no condition, or calls a
		// function that may do anything.
		for _, o := range k.Operations {
			for e := o.Effect.Worst() + 1; e <= ambit.Irreversible; e++ {
				out = append(out, deed{o.Name, e, true})
			}
		}
		return out
	}
	for _, o := range k.Operations {
		if strings.HasPrefix(o.Name, "http.") {
			out = append(out, deed{o.Name, ambit.Irreversible, true})
		}
		if o.Name == "http.post" && len(s.Reads) > 0 {
			out = append(out, deed{o.Name, ambit.Read, true})
		}
	}
	return out
}

// unseen says whether a kind's operations are all that there are: no request is
// read and classified.
func (k Kind) unseen() bool { return k.Name == "files" || k.Name == "tcp" }

// unlisted stand for the operations that no kind lists, of any effect, such as
// opening a WebSocket: one for each wildcard that lines name, and one that only
// lines for all operations are about.
func unlisted(named []string) (out []deed) {
	ops := []string{"unlisted"}
	for _, op := range append([]string{"http.*"}, named...) {
		if prefix, ok := strings.CutSuffix(op, ".*"); ok {
			ops = append(ops, prefix+".unlisted")
		}
	}
	for _, op := range ops {
		for _, e := range []ambit.Effect{ambit.Irreversible, ambit.Write, ambit.Read} {
			out = append(out, deed{op, e, true})
		}
	}
	return out
}

// classes are the deeds of a cell of which the lines of both files tell no two
// apart, so that one of each is enough to look at: the one that reads best.
func (c *container) classes(x cell, child, parent []*rule) (out []deed) {
	all := c.child.deeds(x.child)
	if x.parent != "" {
		all = append(all, c.parent.deeds(x.parent)...)
	}
	slices.SortStableFunc(all, func(a, b deed) int { return a.odd(x.kind) - b.odd(x.kind) })
	var named []string
	for _, r := range slices.Concat(child, parent) {
		for _, op := range r.names() {
			if !slices.Contains(named, op) {
				named = append(named, op)
			}
		}
	}
	if !c.child.kindOf(x.child).unseen() {
		all = append(all, unlisted(named)...)
	}
	seen := make(map[string]bool)
	for _, d := range all {
		key := []byte{byte(d.effect)}
		for _, op := range named {
			key = append(key, map[bool]byte{true: 1}[covers(op, d.op)])
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			out = append(out, d)
		}
	}
	return out
}

// odd is how strange a deed looks on a kind of resource: methods belong to paths,
// what a kind itself names to its own resources, and effects to operations.
func (d deed) odd(resource string) int {
	method := slices.IndexFunc(httpOperations(), func(o Operation) bool { return o.Name == d.op })
	switch {
	case d.raised:
		return 200
	case resource == "http" && method >= 0:
		return method
	case resource == "http", strings.HasPrefix(d.op, "http."):
		return 100
	}
	return 0
}
