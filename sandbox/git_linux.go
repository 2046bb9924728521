package sandbox

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// gitParts are what git runs or obeys inside a git directory.
var gitParts = [...]string{"hooks", "config", "config.worktree", "info/attributes", "commondir", "gitdir"}

// git protects what git runs or obeys in the git directory rel, and in those of
// its submodules and worktrees. Other files of a git directory are not searched
// for names: git does not run them.
func (s *search) git(rel string) error {
	if !s.guardsGit() {
		return nil
	}
	for _, part := range gitParts {
		if err := s.addIfThere(rel + "/" + part); err != nil {
			return err
		}
	}
	if err := s.hooksPath(rel); err != nil {
		return err
	}
	worktrees, err := s.dirs(rel + "/worktrees")
	if err != nil {
		return err
	}
	for _, w := range worktrees {
		if err := s.git(rel + "/worktrees/" + w); err != nil {
			return err
		}
	}
	return s.modules(rel + "/modules")
}

// modules finds the git directories of submodules: directories below modules
// that hold a HEAD, at any depth, because a submodule's name may have slashes.
func (s *search) modules(rel string) error {
	names, err := s.dirs(rel)
	if err != nil {
		return err
	}
	for _, n := range names {
		sub := rel + "/" + n
		_, err := os.Lstat(filepath.Join(s.host, sub, "HEAD"))
		if err == nil {
			err = s.git(sub)
		} else {
			err = s.modules(sub)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// guardsGit says whether the Spec protects git directories at all.
func (s *search) guardsGit() bool {
	for _, p := range s.protect.Paths {
		if p == ".git/hooks" {
			return true
		}
	}
	return false
}

func (s *search) addIfThere(rel string) error {
	st, err := os.Lstat(filepath.Join(s.host, rel))
	if err != nil || s.allowed(rel) {
		return nil
	}
	return s.add(rel, st.Mode().Type())
}

func (s *search) dirs(rel string) ([]string, error) {
	list, err := os.ReadDir(filepath.Join(s.host, rel))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, s.unreadable(rel, err)
	}
	var out []string
	for _, e := range list {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// hooksPath protects the directory that core.hooksPath names, when the agent
// could write it.
func (s *search) hooksPath(rel string) error {
	f, err := os.Open(filepath.Join(s.host, rel, "config"))
	if err != nil {
		return nil
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		key, value, ok := strings.Cut(sc.Text(), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(key), "hookspath") {
			continue
		}
		dir := strings.Trim(strings.TrimSpace(value), `"`)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.host, filepath.Dir(rel), dir)
		}
		if inside(dir, s.host) && dir != s.host {
			if err := s.addIfThere(dir[len(s.host)+1:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// gitDirectory protects the git directory of a tree that is a worktree or a
// submodule, when that lies inside the tree. (Outside it, the agent can write
// it only by another grant, which is searched by itself.)
func (s *search) gitDirectory() error {
	text, err := os.ReadFile(filepath.Join(s.host, ".git"))
	if err != nil {
		return nil // none, or a directory, which walk has seen
	}
	dir := strings.TrimSpace(strings.TrimPrefix(string(text), "gitdir:"))
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.host, dir)
	}
	if err := s.addIfThere(".git"); err != nil {
		return err
	}
	if !inside(dir, s.host) || dir == s.host {
		return nil
	}
	return s.git(dir[len(s.host)+1:])
}
