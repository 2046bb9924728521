package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
	"ambit/sandbox/warden"
)

// Bounds of the search for protected names. Beyond them the sandbox does not
// start: a name that was not looked for would not be protected.
const (
	maxEntries   = 1_000_000
	maxProtected = 4096
	maxUnguarded = 5_000 // entries searched for sockets where nothing is protected
)

var errTooMany = errors.New("it holds too many files; grant a smaller directory")

// writable finds what is protected in a writable tree and makes it read-only.
// The agent may not make names in the tree itself where the warden does it.
func (b *builder) writable(g *grant) error {
	p := b.spec.Protect
	if !g.dir || len(p.Names)+len(p.Paths) == 0 {
		b.rule(g.at, rightsWrite)
		return b.hideSockets(g)
	}
	p.Allowed = b.exceptions(g)
	s := search{grant: g, protect: p, seen: map[string]bool{}, most: maxEntries}
	if err := s.walk("", ""); err != nil {
		return fmt.Errorf("cannot protect names in %s: %w", g.Path, err)
	}
	b.maskSockets(&s)
	if err := b.conceal(&s); err != nil {
		return err
	}
	if err := s.gitDirectory(); err != nil {
		return fmt.Errorf("cannot protect the git directory of %s: %w", g.Path, err)
	}
	slices.Sort(s.found)
	for _, rel := range s.found {
		b.step(plan.Step{Op: plan.BindSelf, Target: g.at + "/" + rel, Flags: quiet | kernel.AttrReadOnly})
	}
	b.rule(g.at, rightsWrite&^warden.Withheld)
	b.plan.Guards = append(b.plan.Guards, plan.Guard{Root: g.at, Names: p.Names, Paths: p.Paths, Allowed: p.Allowed, Mounts: slices.Concat(s.found, s.hidden)})
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
	s := search{grant: g, most: maxUnguarded}
	if g.Secrets {
		// A secret that was not looked for would be readable.
		s.most = maxEntries
		s.protect = Protect{Secrets: b.spec.Protect.Secrets, Allowed: b.exceptions(g)}
	}
	err := s.walk("", "")
	b.maskSockets(&s)
	if g.Secrets && err != nil {
		return fmt.Errorf("cannot look for secrets in %s: %w", g.Path, err)
	}
	if err := b.conceal(&s); err != nil {
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

// search looks for protected names that exist in one writable tree.
type search struct {
	*grant
	protect Protect
	found   []string // relative to the tree
	sockets []string
	secrets []string
	hidden  []string
	seen    map[string]bool
	entries int
	most    int // entries
}

// walk searches the directory rel, whose last name is name.
func (s *search) walk(rel, name string) error {
	if name == ".git" {
		return s.git(rel)
	}
	list, err := os.ReadDir(filepath.Join(s.host, rel))
	if err != nil {
		return s.unreadable(rel, err)
	}
	if s.entries += len(list); s.entries > s.most {
		return errTooMany
	}
	for _, e := range list {
		path := e.Name()
		if rel != "" {
			path = rel + "/" + path
		}
		if s.secret(path, e.Name()) {
			s.conceal(path, e.Type())
		}
		if s.protected(path, e.Name()) {
			if err := s.add(path, e.Type()); err != nil {
				return err
			}
			continue
		}
		if e.Type()&fs.ModeSocket != 0 {
			s.sockets = append(s.sockets, path)
		}
		if e.IsDir() {
			if err := s.walk(path, e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// unreadable passes over a directory that the agent could not open either: it
// belongs to somebody else, so the agent cannot change its mode.
func (s *search) unreadable(rel string, err error) error {
	var st unix.Stat_t
	full := filepath.Join(s.host, rel)
	if errors.Is(err, fs.ErrPermission) && unix.Lstat(full, &st) == nil && int(st.Uid) != os.Geteuid() {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) && rel != "" {
		return nil // gone since its name was read
	}
	return fmt.Errorf("%s cannot be searched: %w", full, reason(err))
}

func (s *search) protected(rel, name string) bool {
	if s.allowed(rel) {
		return false
	}
	if named(s.protect.Names, name) {
		return true
	}
	// Also below the tree's root: there may be several repositories in it.
	at := "/" + strings.ToLower(rel)
	return slices.ContainsFunc(s.protect.Paths, func(p string) bool { return strings.HasSuffix(at, "/"+strings.ToLower(p)) })
}

// allowed says whether an exception names rel or something above it.
func (s *search) allowed(rel string) bool {
	return slices.ContainsFunc(s.protect.Allowed, func(a string) bool { return inside(rel, a) })
}

// add protects what is at rel; behind a symbolic link, what the link leads to.
func (s *search) add(rel string, mode fs.FileMode) error {
	if mode&fs.ModeSymlink != 0 {
		real, err := filepath.EvalSymlinks(filepath.Join(s.host, rel))
		if err != nil || !inside(real, s.host) || real == s.host {
			return nil // it leads out of what the agent may write, or nowhere
		}
		rel = real[len(s.host)+1:]
	}
	if s.seen[rel] {
		return nil
	}
	s.seen[rel] = true
	if s.found = append(s.found, rel); len(s.found) > maxProtected {
		return fmt.Errorf("more than %d protected names exist in it; grant a smaller directory", maxProtected)
	}
	return nil
}
