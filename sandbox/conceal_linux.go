package sandbox

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"ambit/sandbox/plan"
)

// isSecret says whether the last names of rel are a secret's. They are those on
// the machine: the folder that is granted may be one of them.
func (s *search) isSecret(rel string) bool {
	return s.Secrets && s.secret.End(s.host+"/"+rel) && !s.allowed(rel)
}

// conceal notes a secret; of a symbolic link, what it leads to. What lies outside
// the tree is not visible by it.
func (s *search) conceal(rel string, mode fs.FileMode) {
	if mode&fs.ModeSymlink != 0 {
		real, err := filepath.EvalSymlinks(filepath.Join(s.host, rel))
		if err != nil || !inside(real, s.host) || real == s.host {
			return
		}
		rel = real[len(s.host)+1:]
	}
	if !slices.Contains(s.secrets, rel) {
		s.secrets = append(s.secrets, rel)
	}
}

// conceal masks the secrets that the search has found.
func (b *builder) conceal(s *search) error {
	if len(s.secrets) == 0 {
		return nil
	}
	hide := s.secrets
	if f := b.spec.Protect.Conceal; f != nil {
		var err error
		if hide, err = f(s.host, s.secrets); err != nil {
			return fmt.Errorf("cannot tell which files in %s are secret: %w", s.Path, err)
		}
	}
	for _, rel := range hide {
		if !filepath.IsLocal(rel) {
			return fmt.Errorf("cannot hide %q: it is not below %s", rel, s.Path)
		}
		// What lies in a hidden directory is hidden with it, and not there to be covered.
		if slices.ContainsFunc(s.hidden, func(h string) bool { return inside(rel, h) }) {
			continue
		}
		// What is covered already must not be covered read-only on top.
		s.found = slices.DeleteFunc(s.found, func(f string) bool { return f == rel })
		s.hidden = append(s.hidden, rel)
		b.step(plan.Step{Op: plan.MaskMust, Target: s.at + "/" + rel})
	}
	b.report.add("secrets below "+s.at, true, fmt.Sprintf("%d files or directories are hidden", len(hide)))
	return nil
}
