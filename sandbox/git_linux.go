package sandbox

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
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
		if err := s.keep(rel + "/" + part); err != nil {
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
func (s *search) guardsGit() bool { return slices.Contains(s.protect.Repository, ".git/hooks") }

// keep protects what is at rel, and the place when there is nothing yet.
func (s *search) keep(rel string) error {
	st, err := os.Lstat(filepath.Join(s.host, rel))
	if err != nil {
		s.place(rel)
		return nil
	}
	if s.allowed(rel) {
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
	text := s.read(rel + "/config")
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		key, value, ok := strings.Cut(sc.Text(), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(key), "hookspath") {
			continue
		}
		dir := strings.Trim(strings.TrimSpace(value), `"`)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.host, filepath.Dir(rel), dir)
		}
		if inside(dir, s.host) && dir != s.host {
			if err := s.keep(dir[len(s.host)+1:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// pointer protects a `.git` that is no directory, as worktrees and submodules
// have it, and the git directory that it leads to when that lies inside the tree.
// (Outside it, the agent can write it only by another grant, which is searched
// by itself.) Who could write it would choose whose settings git obeys.
func (s *search) pointer(rel string, mode fs.FileMode) error {
	dir := filepath.Join(s.host, rel)
	if mode&fs.ModeSymlink == 0 {
		if err := s.keep(rel); err != nil {
			return err
		}
		text, ok := strings.CutPrefix(string(s.read(rel)), "gitdir:")
		if dir = strings.TrimSpace(text); !ok || dir == "" {
			return nil
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.host, filepath.Dir(rel), dir)
		}
	} else if !s.allowed(rel) {
		for _, part := range gitParts {
			s.place(rel + "/" + part) // also when the link is taken away
		}
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil || !inside(real, s.host) || real == s.host {
		return nil
	}
	return s.git(real[len(s.host)+1:])
}

// maxGitText bounds what is read of a file that git would read whole.
const maxGitText = 1 << 20

// read returns what a regular file holds, as far as maxGitText. An earlier task may
// have left a pipe there, which nobody writes to.
func (s *search) read(rel string) []byte {
	f, err := os.OpenFile(filepath.Join(s.host, rel), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, maxGitText))
	if err != nil {
		return nil
	}
	return text
}
