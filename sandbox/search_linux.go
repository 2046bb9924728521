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

// search looks for protected names that exist in one writable tree. All its
// paths are relative to the tree.
type search struct {
	*grant
	protect Protect
	names   *warden.Names // Protect's Names and Repository
	secret  *warden.Names
	found   []string // is protected and exists
	places  []string // where nothing may come into being
	sockets []string
	secrets []string
	hidden  []string
	seen    map[string]bool // of found
	placed  map[string]bool
	entries int
	most    int // entries
}

func newSearch(g *grant, p Protect, most int) (*search, error) {
	s := &search{grant: g, protect: p, seen: map[string]bool{}, placed: map[string]bool{}, most: most}
	var errs [2]error
	s.names, errs[0] = warden.NewNames(slices.Concat(p.Names, p.Repository))
	s.secret, errs[1] = warden.NewNames(p.Secrets)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, r := range p.Repository {
		s.place(r)
	}
	for _, at := range p.Paths {
		if rel, ok := s.below(at); ok {
			s.place(rel)
		}
	}
	// The granted directory may itself be one of the names: in `.github`,
	// `workflows` is protected.
	for _, root := range []string{g.at, g.host} {
		for _, rest := range s.names.Missing(root) {
			s.place(rest)
		}
	}
	return s, nil
}

// below returns a place's path relative to the tree, when it is in it.
func (s *search) below(path string) (string, bool) {
	if !filepath.IsAbs(path) {
		return path, true
	}
	for _, root := range []string{s.at, s.host} {
		if inside(path, root) && path != root {
			return path[len(root)+1:], true
		}
	}
	return "", false
}

// place keeps anything from coming into being at rel.
func (s *search) place(rel string) {
	if !s.placed[rel] && !s.allowed(rel) {
		s.placed[rel] = true
		s.places = append(s.places, rel)
	}
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
		if err := s.entry(path, e); err != nil {
			return err
		}
	}
	return nil
}

// entry looks at what is at rel, and at what is below.
func (s *search) entry(rel string, e fs.DirEntry) error {
	if s.isSecret(rel) {
		s.conceal(rel, e.Type())
	}
	if s.protected(rel) {
		return s.add(rel, e.Type())
	}
	if e.Type()&fs.ModeSocket != 0 {
		s.sockets = append(s.sockets, rel)
	}
	if e.Name() == ".git" && !e.IsDir() && s.guardsGit() {
		return s.pointer(rel, e.Type())
	}
	if e.Type()&fs.ModeSymlink != 0 {
		return s.leading(rel)
	}
	if !e.IsDir() {
		return nil
	}
	s.repository(rel, e.Name())
	return s.walk(rel, e.Name())
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

// protected says whether the last names of rel are protected. They are those
// on the machine and those inside: the granted directory may be one of them.
func (s *search) protected(rel string) bool {
	known := s.names.End(s.host+"/"+rel) || s.at != s.host && s.names.End(s.at+"/"+rel) || s.placed[rel]
	return known && !s.allowed(rel)
}

// allowed says whether an exception names rel or something above it.
func (s *search) allowed(rel string) bool {
	return slices.ContainsFunc(s.protect.Allowed, func(a string) bool { return inside(rel, a) })
}

// add protects what is at rel; behind a symbolic link, what the link leads to.
func (s *search) add(rel string, mode fs.FileMode) error {
	if mode&fs.ModeSymlink != 0 {
		real, err := filepath.EvalSymlinks(filepath.Join(s.host, rel))
		if errors.Is(err, fs.ErrNotExist) {
			s.place(rel) // the warden follows the link to where the agent could make it
			return nil
		}
		if err != nil || !inside(real, s.host) || real == s.host {
			return nil // it leads out of what the agent may write
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

// leading protects what a program finds by a link that stands for the first
// names of a protected one: with `.github -> meta`, `meta/workflows`.
func (s *search) leading(rel string) error {
	for _, rest := range s.names.Missing(s.host + "/" + rel) {
		at := rel + "/" + rest
		s.place(at)
		if err := s.add(at, fs.ModeSymlink); err != nil {
			return err
		}
	}
	return nil
}

// repository keeps what is not there yet in a repository that is. Git's own are
// looked after by git.
func (s *search) repository(rel, name string) {
	for _, r := range s.protect.Repository {
		if head, rest, _ := strings.Cut(r, "/"); head == name && name != ".git" {
			s.place(rel + "/" + rest)
		}
	}
}
