package warden

import (
	"errors"
	"path"
	"slices"
	"strconv"
)

// guard is one tree's rules, compiled.
type guard struct {
	root    string
	names   *Names
	paths   places
	allowed places
	mounts  places
	spelled []string // paths, and names as paths, as the rules spell them
}

// thing is what is about to get a name, in so far as that decides whether it
// may. The zero value is the worst: a link, by which anything could be found.
type thing struct {
	fresh bool // a directory with nothing inside
	inert bool // neither a directory nor a link: nothing is found by it
	// holds says of a directory whether such a path is inside, one name below
	// the other, or may be.
	holds func(rest []string) bool
}

// compile checks a tree's rules, all of them, and folds them.
func compile(t Tree) (*guard, error) {
	g := &guard{root: t.Root}
	var errs []error
	if !path.IsAbs(t.Root) || path.Clean(t.Root) != t.Root {
		errs = append(errs, errors.New("cannot guard "+strconv.Quote(t.Root)+": give a clean absolute path"))
	}
	names, err := NewNames(t.Names)
	errs = append(errs, err)
	g.names = names
	for _, n := range t.Names {
		if index(n, '*') < 0 {
			g.spelled = append(g.spelled, n)
		}
	}
	for _, l := range []struct {
		from []string
		to   *places
	}{{t.Allowed, &g.allowed}, {t.Mounts, &g.mounts}, {t.Paths, &g.paths}} {
		for _, p := range l.from {
			errs = append(errs, g.add(l.to, p))
		}
	}
	for _, p := range t.Paths {
		rel, _ := g.relative(p)
		g.spelled = append(g.spelled, rel)
	}
	return g, errors.Join(errs...)
}

// add takes in one path below the root.
func (g *guard) add(to *places, p string) error {
	rel, ok := g.relative(p)
	if !ok || rel == "" {
		return errors.New("cannot guard the path " + strconv.Quote(p) + ": it is not clean, or not below " + strconv.Quote(g.root))
	}
	if x := parse(rel); to != &g.paths || !g.allowed.at[x.text] {
		to.add(x)
	}
	return nil
}

// hold keeps what leads to another tree's root where it is.
func (g *guard) hold(root string) {
	if rel, ok := g.relative(root); ok && rel != "" {
		g.mounts.add(parse(rel))
	}
}

// relative returns p, absolute or already relative, as a path from the root.
func (g *guard) relative(p string) (string, bool) {
	if path.IsAbs(p) {
		if p == g.root {
			return "", true
		}
		top := withoutSlash(g.root) + "/"
		if !hasPrefix(p, top) {
			return "", false
		}
		p = p[len(top):]
	}
	return p, p != "." && p != ".." && path.Clean(p) == p && !hasPrefix(p, "../")
}

// mayMake says whether a thing may come into being at rel.
func (g *guard) mayMake(rel string, t thing) bool {
	x := parse(rel)
	if len(x.segs) == 0 || g.protected(x, t.fresh) {
		return false
	}
	if t.fresh {
		return true
	}
	// A link `.github` to a directory of the agent's, a file `.git` that points
	// at another repository, a directory moved there with `workflows` inside:
	// each would make the protected path without ever naming it.
	if g.paths.above[x.text] {
		return false
	}
	return t.inert || !slices.ContainsFunc(g.missing(x), t.may)
}

// may says whether the rest of a protected name may be inside a thing.
func (t thing) may(rest []string) bool { return t.holds == nil || t.holds(rest) }

// missing returns what would complete protected names below x, but for those
// that are allowed there.
func (g *guard) missing(x trail) [][]string {
	return slices.DeleteFunc(g.names.missing(x.segs), func(rest []string) bool {
		return g.allowed.at[x.text+"/"+join(rest)]
	})
}

// mayMove says whether what is at rel may be moved away.
func (g *guard) mayMove(rel string) bool {
	x := parse(rel)
	if len(x.segs) == 0 || g.protected(x, false) {
		return false
	}
	// `mv .git old; mkdir .git` would leave the mounts in `old`. What was
	// allowed at one place would be carried to where it is not.
	return !g.paths.above[x.text] && !g.mounts.above[x.text] && !g.allowed.above[x.text]
}

// mayLink says whether what is at rel may get a second name. A second name of
// a protected file is an unprotected way to write it.
func (g *guard) mayLink(rel string) bool {
	x := parse(rel)
	return len(x.segs) > 0 && !g.protected(x, false)
}

// protected says whether x is, or is below, something protected without an
// exception.
func (g *guard) protected(x trail, fresh bool) bool {
	for i, s := range x.segs {
		b := g.names.first[s]
		if (b.single || g.names.matching(s)) && !g.excused(x, i+1, fresh) {
			return true
		}
		for _, c := range b.chains {
			if rest := x.segs[i:]; len(rest) >= len(c) && slices.Equal(rest[:len(c)], c) && !g.excused(x, i+len(c), fresh) {
				return true
			}
		}
	}
	for k := range g.paths.on(x) {
		if !g.excused(x, k, fresh) {
			return true
		}
	}
	return false
}

// excused says whether an exception at or below the first k names of x, which
// are protected, covers x, or x is a fresh directory on the way to it.
func (g *guard) excused(x trail, k int, fresh bool) bool {
	for n := range g.allowed.on(x) {
		if n >= k {
			return true
		}
	}
	return fresh && g.allowed.above[x.text]
}
