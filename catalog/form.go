package catalog

import (
	"slices"
	"strings"
)

// isForm says whether frameworks would look for a method in the body. They are not
// as strict about its type as RFC 9110: Rack takes a POST without any for a form, and
// parameters, other charsets and what stands behind a comma are skipped.
func (r *Request) isForm() bool {
	if r.Method != "POST" {
		return false
	}
	v := r.header("Content-Type")
	return len(v) == 0 || slices.ContainsFunc(v, func(t string) bool {
		return strings.TrimSpace(t) == "" || strings.Contains(strings.ToLower(t), "x-www-form-urlencoded")
	}) || r.isMultipart()
}

// isMultipart says whether the form is in parts, also of the other sorts that Rack reads.
func (r *Request) isMultipart() bool {
	return slices.ContainsFunc(r.header("Content-Type"), func(t string) bool {
		return strings.Contains(strings.ToLower(t), "multipart/")
	})
}

// formOverrides looks at the part of a form that was seen. A multipart form is
// scanned only so far: its fields may stand after files of any size. A quoted name may
// hold backslashes, which readers take out (RFC 9110 section 5.6.4).
func (r *Request) formOverrides() bool {
	if r.isMultipart() {
		return namesMethod(strings.ReplaceAll(strings.ToLower(string(r.Body)), "\\", ""))
	}
	return queryNames(string(r.Body), "_method")
}

// namesMethod says whether the word _method stands in a text, and not as the end of
// a longer one.
func namesMethod(text string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], "_method")
		if i < 0 {
			return strings.Contains(text, "%5fmethod")
		}
		if at += i; at == 0 || !wordByte(text[at-1]) {
			return true
		}
		at++
	}
}

func wordByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' }

// hiddenForm says whether a form is too long to say that it names no method.
func (r *Request) hiddenForm() bool {
	return r.isForm() && !r.plainBody() && !r.isMultipart()
}
