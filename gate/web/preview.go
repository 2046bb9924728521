package web

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a preview, in bytes.
const (
	maxPreview     = 12 << 10
	maxPreviewBody = 8 << 10
	maxPreviewLine = 512
)

// preview shows a person what is about to be sent: the request line, the fields
// that mean something, and the body. Nothing in it can steer a terminal or
// reorder the text.
func (x *exchange) preview() string {
	var b strings.Builder
	if x.push != nil {
		b.WriteString(x.pushText())
	}
	fmt.Fprintf(&b, "%s %s\n", printable(x.in.method, 32), printable(x.url(), 2*maxPreviewLine))
	if len(x.acts) > 1 && x.push == nil {
		for i := range x.acts {
			fmt.Fprintf(&b, "  part %d: %s\n", i+1, describe(&x.acts[i]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(x.in.header)) {
		if volatile(k) && k != "Content-Type" && k != "Content-Encoding" {
			continue
		}
		for _, v := range x.in.header[k] {
			if credentialFields[k] {
				v = fmt.Sprintf("[%d bytes]", len(v))
			}
			fmt.Fprintf(&b, "%s: %s\n", printable(k, maxName), printable(v, maxPreviewLine))
		}
		if b.Len() > maxPreview-maxPreviewBody {
			b.WriteString("[more fields are not shown]\n")
			break
		}
	}
	if x.in.length != 0 && x.push == nil {
		b.WriteString("\n" + bodyText(x.prefix))
	}
	s := b.String()
	return s[:min(len(s), maxPreview)]
}

func bodyText(body []byte) string {
	shown := body[:min(len(body), maxPreviewBody)]
	for len(shown) < len(body) && len(shown) > 0 && !utf8.RuneStart(body[len(shown)]) {
		shown = shown[:len(shown)-1]
	}
	rest := ""
	if len(shown) < len(body) {
		rest = fmt.Sprintf("\n[%d more bytes are not shown]", len(body)-len(shown))
	}
	if !utf8.Valid(shown) {
		return fmt.Sprintf("[%d bytes that are not text, beginning %x]%s", len(body), shown[:min(len(shown), 64)], "")
	}
	var b strings.Builder
	for l := range strings.SplitSeq(string(shown), "\n") {
		b.WriteString(printable(l, maxPreviewBody))
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n") + rest
}

// printable shows s in one line of at most about most bytes: control
// characters, and what has no shape of its own or turns the text around, are
// written as escapes.
func printable(s string, most int) string {
	if plainASCII(s) && len(s) <= most {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= most {
			fmt.Fprintf(&b, "…[%d more bytes]", len(s)-i)
			break
		}
		switch {
		case r == utf8.RuneError:
			b.WriteString(`\u{fffd}`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Mn, r) && !unicode.Is(unicode.Me, r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}
