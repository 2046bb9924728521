package web

import (
	"encoding/base64"
	"slices"
	"strings"
)

// knownTokens are the beginnings by which issuers mark their tokens, so that one that
// lies about is known for what it is.
const knownTokens = "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt- glrt- sk- sk_live_ rk_live_ xoxb- xoxp- xapp- AKIA ASIA AIza npm_ pypi- dop_v1_ hf_ SG. ya29. ATATT3x"

const (
	// minFound is how long a credential is at least; shorter ones are words that tools
	// want to see there.
	minFound = 16
	// jwtStart is how the header of a JSON Web Token begins, in base64.
	jwtStart = "eyJ"
)

// checkFound refuses a credential of the agent's own. What lies in a repository or is
// written on a page may do more than the task's own credential, and may be anybody's:
// who uses it tries to be somebody else. To remove it in silence would hide that.
func (x *exchange) checkFound() *refusal {
	r := x.r
	if !r.HasCredential && !r.NoOwn && r.Kind != "web" {
		return nil
	}
	// A placeholder is looked for elsewhere.
	ours := func(v string) bool { return len(x.g.placeholders.pats) > 0 && x.g.placeholders.holds(v) }
	for k, vs := range x.in.header {
		for _, v := range vs {
			if ours(v) {
				continue
			}
			for _, secret := range secretsOf(v) {
				if r.NoOwn && k == "Authorization" && len(secret) >= minFound || x.looksFound(secret) {
					return foundIn("header " + printable(k, 64))
				}
			}
			if x.looksFound(v) {
				return foundIn("header " + printable(k, 64))
			}
		}
	}
	for p := range strings.SplitSeq(x.in.url.query, "&") {
		name, v, _ := strings.Cut(p, "=")
		for range 3 { // some decode more than once
			v = looseUnescape(v)
		}
		if ours(v) {
			continue
		}
		if r.NoOwn && len(v) >= minFound && credentialParams[strings.ToLower(looseUnescape(name))] || x.looksFound(v) || slices.ContainsFunc(secretsOf(v), x.looksFound) {
			// Whatever it is, it is not for the log.
			x.in.url.query = "…"
			return foundIn("query")
		}
	}
	return nil
}

func foundIn(where string) *refusal {
	return &refusal{code: CodeFound, why: "a credential that is not this task's stands in the " + where, alert: AlertFound,
		instead: "Leave it out: the task's own credential is added for you. If you found it in a file or on a page, tell the person where."}
}

// secretsOf is what a value says behind its scheme; of basic authentication the user's
// name and the password, for services take a token as either of them, whatever the
// other one is.
func secretsOf(v string) []string {
	v = strings.Trim(v, " \t")
	i := strings.IndexAny(v, " \t")
	if i < 0 {
		return []string{v}
	}
	rest := strings.Trim(v[i:], " \t")
	if !strings.EqualFold(v[:i], "basic") {
		return []string{rest}
	}
	// Some readers need no padding, and take the other alphabet.
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(rest, "="))
	b, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return []string{rest}
	}
	user, password, _ := strings.Cut(string(b), ":")
	return []string{user, password}
}

// looksFound says whether a text holds a token whose issuer marks its tokens.
func (x *exchange) looksFound(s string) bool {
	if len(s) < minFound {
		return false
	}
	for mark := range strings.SplitSeq(knownTokens, " ") {
		for at := 0; ; {
			i := strings.Index(s[at:], mark)
			if i < 0 {
				break
			}
			at += i
			if (at == 0 || !tokenByte(s[at-1])) && tokenLen(s[at:]) >= minFound {
				return true
			}
			at += len(mark)
		}
	}
	// Registries hand anonymous readers of pages such tokens.
	return x.r.Kind != "web" && strings.HasPrefix(s, jwtStart) && strings.Count(s, ".") == 2 && len(s) > 64
}

func tokenByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_'
}

func tokenLen(s string) (n int) {
	for n < len(s) && (tokenByte(s[n]) || s[n] == '-' || s[n] == '.') {
		n++
	}
	return n
}
