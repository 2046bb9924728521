package web

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
)

// Bounds of what is searched for, in bytes.
const (
	minPlaceholder = 12 // shorter ones would be found where they are not
	maxPlaceholder = 512
	minScrub       = 4 // shorter secrets would blank ordinary text
	minEncoded     = 8 // of a pattern that stands for an encoding
	maxSecret      = 8 << 10
	maxForm        = copySize / 2 // what a scanner can keep back
)

// secretForms are the spellings in which a server could send a credential back:
// as it is, in base64 at each alignment, in hexadecimal, percent-encoded, and
// escaped for JSON and HTML.
func secretForms(s []byte) [][]byte {
	if len(s) < minScrub {
		return nil
	}
	forms := [][]byte{slices.Clone(s)}
	add := func(f string) {
		if len(f) >= minEncoded && len(f) <= maxForm {
			forms = append(forms, []byte(f))
		}
	}
	str := string(s)
	for _, f := range encodedForms(s) {
		add(f)
	}
	for _, f := range []string{url.QueryEscape(str), url.PathEscape(str), percentAll(str)} {
		add(f)
		add(lowerEscapes(f))
	}
	if j, err := json.Marshal(str); err == nil {
		q := strings.Trim(string(j), `"`)
		add(q)
		add(strings.ReplaceAll(q, "/", `\/`))
		add(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(q))
	}
	add(html.EscapeString(str))
	return forms
}

// placeholderForms are the spellings in which a placeholder leaves.
func placeholderForms(s string) [][]byte {
	forms := [][]byte{[]byte(s)}
	for _, f := range encodedForms([]byte(s)) {
		forms = append(forms, []byte(f))
	}
	return forms
}

// encodedForms are base64 (both alphabets, each alignment) and hexadecimal.
func encodedForms(s []byte) []string {
	var forms []string
	for shift := range 3 {
		forms = append(forms, aligned(base64.RawStdEncoding, s, shift), aligned(base64.RawURLEncoding, s, shift))
	}
	h := hex.EncodeToString(s)
	forms = append(forms, h, strings.ToUpper(h))
	return slices.DeleteFunc(forms, func(f string) bool { return len(f) < minEncoded })
}

// aligned is what stays the same of s in base64 when shift bytes stand before
// it and any bytes behind it.
func aligned(e *base64.Encoding, s []byte, shift int) string {
	padded := append(make([]byte, shift), s...)
	enc := e.EncodeToString(padded)
	// The characters at the edges mix in bits of the neighbours.
	from := (shift*8 + 5) / 6
	to := len(padded) * 8 / 6
	if from >= to {
		return ""
	}
	return enc[from:to]
}

// percentAll percent-encodes every byte.
func percentAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// lowerEscapes writes the hexadecimal digits of percent escapes in lower case.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			b[i+1], b[i+2] = lower(b[i+1]), lower(b[i+2])
			i += 2
		}
	}
	return string(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
