package warden

import (
	"path"
	"syscall"
)

// maxLinks bounds symbolic links in one path, as the kernel does.
const maxLinks = 40

// followLinks adds the paths that protected ones have by the symbolic links
// that are there at the start: with `.github -> meta`, `meta/workflows` is
// what a program finds as `.github/workflows`.
func (g *guard) followLinks() {
	for _, p := range g.spelled {
		for range maxLinks {
			real, ok := g.followLink(p)
			if !ok || g.add(&g.paths, real) != nil {
				break
			}
			p = real
		}
	}
}

// followLink returns what rel is called when its first symbolic link is
// replaced by what the link holds.
func (g *guard) followLink(rel string) (string, bool) {
	for i := 1; i <= len(rel); i++ {
		if i < len(rel) && rel[i] != '/' {
			continue
		}
		if text, ok := linkText(g.root + "/" + rel[:i]); ok {
			return g.through(rel[:i], text, rel[i:])
		}
	}
	return "", false
}

// through joins what a link holds with the rest behind it; false when that is
// outside the tree.
func (g *guard) through(link, text, rest string) (string, bool) {
	if !path.IsAbs(text) {
		text = path.Join(g.root, path.Dir(link), text)
	}
	real, ok := g.relative(path.Clean(text) + withoutSlash(rest))
	return real, ok && real != ""
}

// linkText returns what a symbolic link holds; false when it is none.
func linkText(path string) (string, bool) {
	for size := 128; ; size *= 2 {
		b := make([]byte, size)
		n, err := syscall.Readlink(path, b)
		for err == syscall.EINTR {
			n, err = syscall.Readlink(path, b)
		}
		if err != nil {
			return "", false
		}
		if n < size {
			return string(b[:n]), true
		}
	}
}
