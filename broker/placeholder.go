package broker

import (
	"bytes"
	"crypto/rand"
	"strings"
)

// Marker stands in every placeholder, so that one that turns up anywhere is
// known for what it is.
const Marker = "AMBITplaceholder"

// randomLen is how much of a placeholder is random: 20 of 62 characters, 119
// bits.
const randomLen = 20

// Placeholder returns a new worthless value in the shape that tools expect of a
// credential of that kind of service ("github", "anthropic", "openai"; any other
// kind gets a plain word). It is all that stands inside the sandbox where a
// tool wants a credential. Each has 119 random bits, so that it can be found
// exactly, and told from every other task's.
func Placeholder(kind string) string {
	switch kind {
	case "github": // ghp_ and 36
		return "ghp_" + Marker + random(randomLen)
	case "anthropic": // sk-ant-api03- and 95, of which the last two are AA
		return "sk-ant-api03-" + Marker + random(randomLen) + strings.Repeat("x", 93-len(Marker)-randomLen) + "AA"
	case "openai": // sk- and 48
		return "sk-" + Marker + random(randomLen) + strings.Repeat("x", 48-len(Marker)-randomLen)
	}
	return Marker + random(randomLen)
}

// HasPlaceholder says whether b holds a placeholder, anybody's.
func HasPlaceholder(b []byte) bool {
	for {
		i := bytes.Index(b, []byte(Marker))
		if i < 0 {
			return false
		}
		b = b[i+len(Marker):]
		if len(b) >= randomLen && strings.IndexFunc(string(b[:randomLen]), func(r rune) bool { return !strings.ContainsRune(letters, r) }) < 0 {
			return true
		}
	}
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// random returns n of 62 characters, each equally likely.
func random(n int) string {
	out := make([]byte, 0, n)
	var b [32]byte
	for len(out) < n {
		rand.Read(b[:]) // never fails
		for _, c := range b {
			if c < 248 && len(out) < n { // 248 is 4 times 62
				out = append(out, letters[c%62])
			}
		}
	}
	return string(out)
}
