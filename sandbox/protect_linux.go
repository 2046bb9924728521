package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
	"ambit/sandbox/warden"
)

// writable finds what is protected in a writable tree and makes it read-only.
// The agent may not make names in the tree itself where the warden does it.
func (b *builder) writable(g *grant) error {
	p := b.spec.Protect
	if !g.dir || len(p.Names)+len(p.Repository)+len(p.Paths) == 0 {
		b.rule(g.at, rightsWrite)
		return b.hideSockets(g)
	}
	p.Allowed = b.exceptions(g)
	s, err := newSearch(g, p, maxEntries)
	if err == nil {
		err = s.walk("", "")
	}
	if err != nil {
		return fmt.Errorf("cannot protect names in %s: %w", g.Path, err)
	}
	b.maskSockets(s)
	if err := b.conceal(s); err != nil {
		return err
	}
	slices.Sort(s.found)
	for _, rel := range s.found {
		b.step(plan.Step{Op: plan.BindSelf, Target: g.at + "/" + rel, Flags: quiet | kernel.AttrReadOnly})
	}
	b.rule(g.at, rightsWrite&^warden.Withheld)
	b.plan.Guards = append(b.plan.Guards, plan.Guard{
		Root: g.at, Names: p.Names, Paths: s.places, Allowed: p.Allowed, Mounts: slices.Concat(s.found, s.hidden),
	})
	return nil
}

// exceptions are the Spec's for this tree, relative to it, and what is granted
// inside it by a line of its own.
func (b *builder) exceptions(g *grant) []string {
	var out []string
	for _, a := range b.spec.Protect.Allowed {
		if !filepath.IsAbs(a) {
			out = append(out, a)
		} else if inside(a, g.at) && a != g.at {
			out = append(out, a[len(g.at)+1:])
		}
	}
	for i := range b.grants {
		if o := &b.grants[i]; o.Access != Hidden && inside(o.at, g.at) && o.at != g.at {
			out = append(out, o.at[len(g.at)+1:])
		}
	}
	return out
}

// guardAbove makes the warden look after what contains a guarded tree, too:
// Landlock's rights add up on the way to the root, so nobody above may grant the
// making of names.
func (b *builder) guardAbove() {
	for i := 0; i < len(b.plan.Guards); i++ {
		root := b.plan.Guards[i].Root
		for j := range b.plan.Rules {
			r := &b.plan.Rules[j]
			if r.Rights&warden.Withheld != 0 && inside(root, r.Path) {
				r.Rights &^= warden.Withheld
				if r.Path != root {
					b.plan.Guards = append(b.plan.Guards, plan.Guard{Root: r.Path})
				}
			}
		}
	}
}

// hideSockets hides the sockets that lie in a granted directory: whoever listens
// there is outside. Large directories are searched in part, which the report says.
func (b *builder) hideSockets(g *grant) error {
	if !g.dir {
		return nil
	}
	most, p := maxUnguarded, Protect{}
	if g.Secrets {
		// A secret that was not looked for would be readable.
		most, p = maxEntries, Protect{Secrets: b.spec.Protect.Secrets, Allowed: b.exceptions(g)}
	}
	s, err := newSearch(g, p, most)
	if err != nil {
		return fmt.Errorf("cannot look for secrets in %s: %w", g.Path, err)
	}
	err = s.walk("", "")
	b.maskSockets(s)
	if g.Secrets && err != nil {
		return fmt.Errorf("cannot look for secrets in %s: %w", g.Path, err)
	}
	if err := b.conceal(s); err != nil {
		return err
	}
	if errors.Is(err, errTooMany) {
		b.report.add("sockets below "+g.at, false, fmt.Sprintf("it holds more than %d files, and the rest was not searched for sockets of the host", maxUnguarded))
		return nil
	}
	return err
}

func (b *builder) maskSockets(s *search) {
	for _, rel := range s.sockets {
		b.step(plan.Step{Op: plan.Mask, Target: s.at + "/" + rel})
	}
}
