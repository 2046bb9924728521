package web

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"ambit"
)

func (g *Gate) setPlaceholders(ps []Placeholder) {
	var all [][]byte
	for _, p := range ps {
		f := placeholderForms(p.Value)
		all = append(all, f...)
		g.lowered = append(g.lowered, strings.ToLower(p.Value))
	}
	g.placeholders = newMatcher(all...)
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
	if g.holdsPlaceholder(in.url.raw) || g.holdsPlaceholder(in.url.query) {
		return leaked("URL")
	}
	for k, vs := range in.header {
		if g.namesPlaceholder(k) {
			return leaked("header")
		}
		for _, v := range vs {
			if g.holdsPlaceholder(v) {
				return leaked("header")
			}
		}
	}
	if g.placeholders.has(prefix) {
		return leaked("body")
	}
	return nil
}

// holdsPlaceholder looks at a short text as it is, percent-decoded up to three
// times, and decoded from base64.
func (g *Gate) holdsPlaceholder(s string) bool {
	if len(s) < minPlaceholder {
		return false
	}
	if g.placeholders.hasText(s) || strings.ContainsAny(s, folded) && g.placeholders.hasText(fold(s)) {
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
		if g.placeholders.hasText(s) {
			return true
		}
	}
	return g.inBase64(s)
}

// namesPlaceholder looks at a field's name, whose case was not kept.
func (g *Gate) namesPlaceholder(k string) bool {
	if len(k) < minPlaceholder {
		return false
	}
	k = strings.ToLower(k)
	for _, p := range g.lowered {
		if strings.Contains(k, p) {
			return true
		}
	}
	return false
}

// inBase64 looks into the last word of s, as in "Basic dXNlcjpwYXNz", also when
// it was encoded twice.
func (g *Gate) inBase64(s string) bool {
	s = strings.TrimRight(s, "=")
	word := s[strings.LastIndexAny(s, " =,;&")+1:]
	for range 2 {
		d, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(word), "="))
		if err != nil || len(d) < minPlaceholder {
			return false
		}
		if g.placeholders.has(d) {
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
