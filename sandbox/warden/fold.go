package warden

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// fold maps a name to the one form that all its spellings share on file
// systems that do not tell them apart. A checkout is often shared with such a
// system: `.GIT/HOOKS` is `.git/hooks` on macOS, `.envrc. ` is `.envrc` on
// Windows, `.envrc::$DATA` is its content there, and HFS+ ignores U+200C.
func fold(name string) string {
	if plain(name) {
		return name
	}
	if i := strings.IndexByte(name, ':'); i > 0 {
		name = name[:i]
	}
	name = strings.Map(foldRune, name)
	return strings.TrimRight(name, ". ")
}

// plain says that a name is its own folded form; most names are.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c >= utf8.RuneSelf || c == ':' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return name == "" || name[len(name)-1] != '.' && name[len(name)-1] != ' '
}

// foldRune returns the least rune of r's case orbit, in lower case when that
// is ASCII, and -1 for what HFS+ ignores.
func foldRune(r rune) rune {
	if ignorable(r) {
		return -1
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}

// ignorable lists the code points that HFS+ leaves out when it compares names
// (Apple TN1150, the zeros of the case folding table).
func ignorable(r rune) bool {
	return r >= 0x200c && r <= 0x200f || r >= 0x202a && r <= 0x202e ||
		r >= 0x206a && r <= 0x206f || r == 0xfeff
}

// trail is a clean relative path, folded: its names, and the text that they
// make when joined by "/".
type trail struct {
	text string
	segs []string
}

// parse folds each name of a clean relative path; "" has none.
func parse(rel string) trail {
	if rel == "" {
		return trail{}
	}
	segs, same := strings.Split(rel, "/"), true
	for i, s := range segs {
		segs[i] = fold(s)
		same = same && segs[i] == s
	}
	if !same {
		rel = strings.Join(segs, "/")
	}
	return trail{rel, segs}
}
