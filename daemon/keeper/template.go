package keeper

import (
	"strings"

	"ambit/sandbox"
)

// insideTemplate is what git copies into each repository that the agent makes
// (git-init(1), TEMPLATE DIRECTORY).
const insideTemplate = "/run/ambit/git"

// gitTemplate tells git not to check out what the walls would refuse it. A
// clone would otherwise end at the first `.github/workflows`, half done; so git
// keeps those files in the index and leaves them out of the working tree.
func gitTemplate(p sandbox.Protect) map[string][]byte {
	var b strings.Builder
	b.WriteString("/*\n")
	for _, n := range p.Names {
		if givenSomewhere(p.Allowed, n) {
			continue
		}
		b.WriteByte('!')
		if strings.Contains(n, "/") {
			b.WriteString("**/") // a pattern with a slash would be meant from the top
		}
		anyCase(&b, n)
		b.WriteByte('\n')
	}
	return map[string][]byte{
		insideTemplate + "/config":               []byte("[core]\n\tsparseCheckout = true\n"),
		insideTemplate + "/info/sparse-checkout": []byte(b.String()),
	}
}

// givenSomewhere says whether a line gives a path of this name.
func givenSomewhere(allowed []string, name string) bool {
	for _, a := range allowed {
		if strings.HasSuffix(strings.ToLower(a), "/"+name) {
			return true
		}
	}
	return false
}

// anyCase writes a pattern of gitignore(5) for a name in capitals or not.
func anyCase(b *strings.Builder, name string) {
	for _, c := range []byte(name) {
		if 'a' <= c && c <= 'z' {
			b.Write([]byte{'[', c, c - 'a' + 'A', ']'})
			continue
		}
		b.WriteByte(c)
	}
}
