package warden

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// guard is one tree's rules, compiled. All its paths are folded segments.
type guard struct {
	root    string
	names   map[string]bool
	globs   []string // names with "*" at one end
	paths   [][]string
	allowed [][]string
	mounts  [][]string
	spelled []string // paths, and names as paths, as the rules spell them
}

// compile checks a tree's rules, all of them, and folds them.
func compile(t Tree) (*guard, error) {
	g := &guard{root: t.Root, names: make(map[string]bool, len(t.Names))}
	var errs []error
	if !path.IsAbs(t.Root) || path.Clean(t.Root) != t.Root {
		errs = append(errs, fmt.Errorf("cannot guard %q: give a clean absolute path", t.Root))
	}
	for _, n := range t.Names {
		f := fold(n)
		if f == "" || strings.Contains(n, "/") {
			errs = append(errs, fmt.Errorf("cannot protect the name %q: it is not one name", n))
		}
		if strings.Contains(f, "*") {
			g.globs = append(g.globs, f)
			continue
		}
		g.names[f] = true
		g.spelled = append(g.spelled, n)
	}
	for _, l := range []struct {
		from []string
		to   *[][]string
	}{{t.Allowed, &g.allowed}, {t.Mounts, &g.mounts}, {t.Paths, &g.paths}} {
		for _, p := range l.from {
			errs = append(errs, g.add(l.to, p))
		}
	}
	for _, p := range t.Paths {
		rel, _ := g.relative(p)
		g.spelled = append(g.spelled, rel)
	}
	g.paths = slices.DeleteFunc(g.paths, func(p []string) bool { return among(g.allowed, p) })
	return g, errors.Join(errs...)
}

// add takes in one path below the root.
func (g *guard) add(to *[][]string, p string) error {
	rel, ok := g.relative(p)
	if !ok || rel == "" {
		return fmt.Errorf("cannot guard the path %q: it is not clean, or not below %q", p, g.root)
	}
	if segs := split(rel); !among(*to, segs) {
		*to = append(*to, segs)
	}
	return nil
}

// hold keeps what leads to another tree's root where it is.
func (g *guard) hold(root string) {
	if rel, ok := g.relative(root); ok && rel != "" {
		g.mounts = append(g.mounts, split(rel))
	}
}

// relative returns p, absolute or already relative, as a path from the root.
func (g *guard) relative(p string) (string, bool) {
	if path.IsAbs(p) {
		if p == g.root {
			return "", true
		}
		rest, ok := strings.CutPrefix(p, strings.TrimSuffix(g.root, "/")+"/")
		p = rest
		if !ok {
			return "", false
		}
	}
	return p, p != "." && p != ".." && path.Clean(p) == p && !strings.HasPrefix(p, "../")
}

// mayMake says whether something may come into being at rel. Fresh means a
// directory with nothing inside.
func (g *guard) mayMake(rel string, fresh bool) bool {
	segs := split(rel)
	if len(segs) == 0 || g.protected(segs, fresh) {
		return false
	}
	// A link `.github` to a directory of the agent's, a file `.git` that points
	// at another repository, a directory moved there with `workflows` inside:
	// each would make the protected path without ever naming it.
	return fresh || !leads(g.paths, segs)
}

// mayMove says whether what is at rel may be moved away.
func (g *guard) mayMove(rel string) bool {
	segs := split(rel)
	if len(segs) == 0 || g.protected(segs, false) {
		return false
	}
	// `mv .git old; mkdir .git` would leave the mounts in `old`. What was
	// allowed at one place would be carried to where it is not.
	return !leads(g.paths, segs) && !leads(g.mounts, segs) && !leads(g.allowed, segs)
}

// mayLink says whether what is at rel may get a second name. A second name of
// a protected file is an unprotected way to write it.
func (g *guard) mayLink(rel string) bool {
	segs := split(rel)
	return len(segs) > 0 && !g.protected(segs, false)
}

// protected says whether segs are, or are below, something protected without
// an exception.
func (g *guard) protected(segs []string, fresh bool) bool {
	for i, s := range segs {
		if g.named(s) && !g.excused(segs, i+1, fresh) {
			return true
		}
	}
	for _, p := range g.paths {
		if within(segs, p) && !g.excused(segs, len(p), fresh) {
			return true
		}
	}
	return false
}

// named says whether a folded name is protected.
func (g *guard) named(s string) bool {
	return g.names[s] || slices.ContainsFunc(g.globs, func(p string) bool { return globbed(p, s) })
}

// globbed says whether s is p, whose "*" at the end or the beginning stands for
// any letters.
func globbed(p, s string) bool {
	if rest, ok := strings.CutSuffix(p, "*"); ok {
		return strings.HasPrefix(s, rest)
	}
	rest, ok := strings.CutPrefix(p, "*")
	return ok && strings.HasSuffix(s, rest) || p == s
}

// Match says whether a name is one that a rule's name stands for, as
// case-insensitive file systems would compare them.
func Match(rule, name string) bool { return globbed(fold(rule), fold(name)) }

// excused says whether an exception at or below the protected segs[:k] covers
// segs, or segs is a fresh directory on the way to it.
func (g *guard) excused(segs []string, k int, fresh bool) bool {
	for _, a := range g.allowed {
		if len(a) >= k && (within(segs, a) || fresh && within(a, segs)) {
			return true
		}
	}
	return false
}

// within says whether segs are p or below it.
func within(segs, p []string) bool {
	return len(segs) >= len(p) && slices.Equal(segs[:len(p)], p)
}

// leads says whether one of paths is really below segs.
func leads(paths [][]string, segs []string) bool {
	return slices.ContainsFunc(paths, func(p []string) bool { return len(p) > len(segs) && within(p, segs) })
}

func among(paths [][]string, segs []string) bool {
	return slices.ContainsFunc(paths, func(p []string) bool { return slices.Equal(p, segs) })
}
