package grants

import (
	"fmt"
	"slices"
	"strings"

	"ambit"
)

// ActionText writes an action as [Grants.ParseAction] reads it. ok is false when
// there is no such spelling, as for an operation that nobody listed; the text
// then still tells people what is meant.
func (g *Grants) ActionText(a *ambit.Action) (text string, ok bool) {
	path := strings.Join(a.Resource.Segments, "/")
	forms := []string{strings.Join([]string{a.Service, a.Operation, path}, " ")}
	switch a.Resource.Kind {
	case "file":
		forms[0] = fmt.Sprintf("files %s /%s", strings.TrimPrefix(a.Operation, "files."), path)
	case kindTable, kindDatabase:
		forms[0] = strings.Join([]string{a.Service, a.Operation, tableText(a.Resource.Segments, columnsOf(a))}, " ")
	case "tcp":
		forms[0] = "tcp connect " + path
	case "http":
		url := g.schemeOf(a.Service) + escapePath(a.Resource.Segments)
		method := strings.ToUpper(strings.TrimPrefix(a.Operation, "http."))
		plain := g.schemeOf(a.Service) + path
		if len(a.Resource.Segments) == 1 {
			url, plain = url+"/", plain+"/"
		}
		forms = []string{"http " + method + " " + url, strings.Join([]string{a.Service, a.Operation, plain}, " ")}
	}
	for _, f := range forms {
		if read, err := g.ParseAction(f); err == nil && len(read) == 1 && sameAction(&read[0], a) {
			return f, true
		}
	}
	return fmt.Sprintf("%s (effect: %s)", forms[len(forms)-1], a.Effect.Worst()), false
}

func sameAction(a, b *ambit.Action) bool {
	return a.Service == b.Service && a.Operation == b.Operation && a.Effect == b.Effect &&
		a.Resource.Kind == b.Resource.Kind && slices.Equal(a.Resource.Segments, b.Resource.Segments) && sameColumns(columnsOf(a), columnsOf(b))
}

// escapePath writes segments as the path of a URL (RFC 3986 section 3.3); the
// first one is the authority and stays as it is.
func escapePath(segs []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@"
	var b strings.Builder
	for i, s := range segs {
		if i > 0 {
			b.WriteByte('/')
		}
		for j := range len(s) {
			if i == 0 || strings.IndexByte(plain, s[j]) >= 0 {
				b.WriteByte(s[j])
			} else {
				fmt.Fprintf(&b, "%%%02X", s[j])
			}
		}
	}
	return b.String()
}
