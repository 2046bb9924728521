package warden

import "unicode/utf8"

//go:generate go test -run TestFoldTable -update

// fold maps a name to the one form that all its spellings share on file
// systems that do not tell them apart. A checkout is often shared with such a
// system: `.GIT/HOOKS` is `.git/hooks` on macOS, `.envrc. ` is `.envrc` on
// Windows, `.envrc::$DATA` is its content there, and HFS+ ignores U+200C.
func fold(name string) string {
	if plain(name) {
		return name
	}
	if i := index(name, ':'); i > 0 {
		name = name[:i]
	}
	out := make([]byte, 0, len(name)+8)
	for _, r := range name { // a byte that is not UTF-8 is U+FFFD, as elsewhere
		if r = foldRune(r); r >= 0 {
			out = utf8.AppendRune(out, r)
		}
	}
	for len(out) > 0 && (out[len(out)-1] == '.' || out[len(out)-1] == ' ') {
		out = out[:len(out)-1]
	}
	return string(out)
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
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return r + shift(r)
}

// folding is a run of runes, each step after the one before, that folding moves by
// shift.
type folding struct{ first, last, step, shift rune }

// shift returns by how much folding moves a rune beyond ASCII.
func shift(r rune) rune {
	lo, hi := 0, foldings
	for lo < hi {
		mid := (lo + hi) / 2
		f := foldingAt(mid)
		switch {
		case r < f.first:
			hi = mid
		case r > f.last:
			lo = mid + 1
		case (r-f.first)%f.step == 0:
			return f.shift
		default:
			return 0
		}
	}
	return 0
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
	segs, same := split(rel), true
	for i, s := range segs {
		segs[i] = fold(s)
		same = same && segs[i] == s
	}
	if !same {
		rel = join(segs)
	}
	return trail{rel, segs}
}
