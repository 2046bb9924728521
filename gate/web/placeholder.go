package web

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"

	"ambit"
)

// marks finds some of the placeholders in short texts.
type marks struct {
	*matcher
	lowered []string // the placeholders in lower case
}

func newMarks(ps []Placeholder) (m marks) {
	var all [][]byte
	for _, p := range ps {
		all = append(all, placeholderForms(p.Value)...)
		m.lowered = append(m.lowered, strings.ToLower(p.Value))
	}
	m.matcher = newMatcher(all...)
	return m
}

func (g *Gate) setPlaceholders(ps []Placeholder) {
	g.placeholders, g.foreign = newMarks(ps), map[string]marks{}
	for _, p := range ps {
		g.foreign[p.Service] = newMarks(slices.DeleteFunc(slices.Clone(ps), func(o Placeholder) bool { return o.Service == p.Service }))
	}
}

// checkForeign looks for the placeholders of other services in the fields and the
// query of a request whose own credential fields are then removed: they would not
// leave, but who sends them there is to be told, and looked at.
func (g *Gate) checkForeign(service string, in *inbound) *refusal {
	m, ok := g.foreign[service]
	if !ok {
		m = g.placeholders // a service without one: all are others'
	}
	if len(m.pats) == 0 {
		return nil
	}
	if m.holds(in.url.query) {
		return leaked("URL")
	}
	for _, vs := range in.header {
		if slices.ContainsFunc(vs, m.holds) {
			return leaked("header")
		}
	}
	return nil
}

// errPlaceholder ends a body in which a placeholder was found.
var errPlaceholder = errors.New("cannot send body: it holds a placeholder")

func leaked(where string) *refusal {
	return &refusal{code: CodePlaceholder, why: "a placeholder for a credential stands in the " + where + ", where it does not belong",
		alert: AlertPlaceholder, instead: "Send the placeholder to its own service only, where its credential goes."}
}

// onPlaceholder is the rule for a placeholder in what an action sends, be it a
// body or the messages of a socket: it ends the stream, or is blanked and told of
// where a conversation goes on.
func (x *exchange) onPlaceholder(ctx context.Context, a ambit.Action) func(b []byte, at []span) error {
	return func(b []byte, at []span) error {
		if !x.r.Conversation {
			return errPlaceholder
		}
		blank(b, at)
		x.g.alertBlanked(ctx, a)
		return nil
	}
}

// alertBlanked tells once for each service that a placeholder was blanked: a
// conversation with a model repeats what was said in every request.
func (g *Gate) alertBlanked(ctx context.Context, a ambit.Action) {
	if _, told := g.blanked.LoadOrStore(a.Service, true); !told {
		g.c.Alert(ctx, AlertPlaceholder, a, "a placeholder in what was sent was blanked; this is told once for each service")
	}
}

// checkPlaceholders looks for placeholders in what will be sent. Where the
// route's own credential goes, the agent's fields were removed before.
func (g *Gate) checkPlaceholders(in *inbound, prefix []byte) *refusal {
	if len(g.placeholders.pats) == 0 {
		return nil
	}
	if g.placeholders.holds(in.url.raw) || g.placeholders.holds(in.url.query) {
		return leaked("URL")
	}
	for k, vs := range in.header {
		if g.placeholders.names(k) {
			return leaked("header")
		}
		for _, v := range vs {
			if g.placeholders.holds(v) {
				return leaked("header")
			}
		}
	}
	if g.placeholders.has(prefix) {
		return leaked("body")
	}
	return nil
}

// holds looks at a short text as it is, percent-decoded up to three
// times, and decoded from base64.
func (m marks) holds(s string) bool {
	if len(s) < minPlaceholder {
		return false
	}
	if m.hasText(s) || strings.ContainsAny(s, folded) && m.hasText(fold(s)) {
		return true
	}
	for range 3 {
		if !strings.ContainsAny(s, "%+") {
			break
		}
		d := looseUnescape(s)
		if d == s {
			break
		}
		s = d
		if m.hasText(s) {
			return true
		}
	}
	return m.inBase64(s)
}

// names looks at a field's name, whose case was not kept.
func (m marks) names(k string) bool {
	if len(k) < minPlaceholder {
		return false
	}
	k = strings.ToLower(k)
	for _, p := range m.lowered {
		if strings.Contains(k, p) {
			return true
		}
	}
	return false
}

// inBase64 looks into the last word of s, as in "Basic dXNlcjpwYXNz", also when
// it was encoded twice.
func (m marks) inBase64(s string) bool {
	s = strings.TrimRight(s, "=")
	word := s[strings.LastIndexAny(s, " =,;&")+1:]
	for range 2 {
		d, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(word), "="))
		if err != nil || len(d) < minPlaceholder {
			return false
		}
		if m.has(d) {
			return true
		}
		word = string(d)
	}
	return false
}

// folded are characters that split a text without changing how it reads.
const folded = " \t,\""

// fold removes them.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(folded, r) {
			return -1
		}
		return r
	}, s)
}

// looseUnescape decodes the percent escapes that are well formed.
func looseUnescape(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if v, ok := unhex(s, i+1); ok && s[i] == '%' {
			b.WriteByte(v)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
