package grants

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Error is one thing wrong with a grants file.
type Error struct {
	File         string
	Line, Column int    // from 1; 0 when the whole file is meant
	Msg          string // what is wrong
	Fix          string // what to write instead; may be empty
}

// Error prints as "file:line:column: what", and the fix on a line of its own.
func (e Error) Error() string {
	var b strings.Builder
	b.WriteString(cite(e.File, Pos{e.Line, e.Column}))
	b.WriteString(": ")
	b.WriteString(e.Msg)
	if e.Fix != "" {
		b.WriteString("\n    ")
		b.WriteString(e.Fix)
	}
	return b.String()
}

// Errors is all that is wrong with a grants file, in file order.
type Errors []Error

// Error prints one error after the other, and how many there are.
func (es Errors) Error() string {
	var b strings.Builder
	for _, e := range es {
		b.WriteString(e.Error())
		b.WriteByte('\n')
	}
	switch n := len(es); {
	case n == 1:
		b.WriteString("cannot load grants: 1 error")
	case n >= MaxErrors:
		fmt.Fprintf(&b, "cannot load grants: %d errors or more", n)
	default:
		fmt.Fprintf(&b, "cannot load grants: %d errors", n)
	}
	return b.String()
}

// cite writes a place as "file:line:column".
func cite(file string, p Pos) string {
	if p.Line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// reporter gathers errors.
type reporter struct {
	file string
	errs Errors
}

// full says whether there are as many errors as are reported at once: what
// follows need not be looked at.
func (r *reporter) full() bool { return len(r.errs) >= MaxErrors }

func (r *reporter) add(p Pos, fix, format string, args ...any) {
	if !r.full() {
		r.errs = append(r.errs, Error{r.file, p.Line, p.Column, fmt.Sprintf(format, args...), fix})
	}
}

// err returns what was gathered, in file order and each only once, or nil.
func (r *reporter) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	r.errs = slices.Compact(r.errs)
	return r.errs
}

// show quotes somebody's text for a message: bounded, without anything that a
// terminal would obey or a reader would not see, and never a secret.
func show(s string) string {
	const most = 60
	if looksSecret(s) {
		return `"[secret]"`
	}
	cut := s
	if len(cut) > most {
		cut = strings.ToValidUTF8(cut[:most], "")
	}
	q := quote(cut)
	if len(cut) < len(s) {
		q = q[:len(q)-1] + `…"`
	}
	return q
}

// quote writes s as a double-quoted string that both Go and YAML read. Letters
// of every script stay; what is invisible or steers a terminal is escaped.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			b.WriteString(escape(r))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func escape(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// didYouMean returns a question for a word that is near to one of those known,
// or the list of what is known.
func didYouMean(word string, known []string) string {
	best, dist := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(word, k); d <= dist && (best == "" || d < dist) {
			best, dist = k, d
		}
	}
	if best != "" {
		return "did you mean " + strconv.Quote(best) + "?"
	}
	const most = 24
	if len(known) == 0 {
		return ""
	}
	list := slices.Sorted(slices.Values(known))
	if len(list) > most {
		list = append(list[:most], "…")
	}
	return "known are: " + strings.Join(list, ", ")
}

// distance is the number of single-letter edits between two short words; words
// too long to be typing errors are far apart.
func distance(a, b string) int {
	const most = 64
	if len(a) > most || len(b) > most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}

// looksSecret says whether s has the shape of a well-known credential, so that
// no message repeats it. The shapes are those that the services publish for
// secret scanners.
func looksSecret(s string) bool {
	for _, p := range secretPrefixes() {
		if _, rest, ok := strings.Cut(s, p); ok && run(rest, strings.HasSuffix(p, "-")) >= 12 {
			return true
		}
	}
	return strings.Contains(s, "-----BEGIN ") || hasPassword(s)
}

// run is how many letters and digits s begins with; dashed tokens have dashes
// too.
func run(s string, dashed bool) int {
	for i, r := range s {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (!dashed || (r != '-' && r != '_')) {
			return i
		}
	}
	return len(s)
}

func secretPrefixes() []string {
	return []string{
		"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-ant-", "sk-proj-", "sk_live_", "rk_live_",
		"xoxb-", "xoxp-", "xoxa-", "AKIA", "ASIA", "AIza", "npm_", "pypi-", "hf_", "dckr_pat_", "eyJhbGciOi",
	}
}

// hasPassword finds "scheme://user:password@host".
func hasPassword(s string) bool {
	_, rest, ok := strings.Cut(s, "://")
	if !ok {
		return false
	}
	rest, _, _ = strings.Cut(rest, "/")
	user, _, ok := strings.Cut(rest, "@")
	return ok && strings.Contains(user, ":")
}
