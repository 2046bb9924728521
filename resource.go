package ambit

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of a resource. An action beyond them is refused before matching.
const (
	MaxSegments   = 64
	MaxSegmentLen = 1024 // bytes
)

// Resource is what an action acts on: a kind that says how to read it, and
// typed segments that never hold the empty string, "." or "..".
//
//	http   host[:port], then one segment for each path segment, decoded
//	file   one segment for each path segment below the file system's root
//	repo   owner, name, and for refs the ref's segments
//	tcp    host:port
//	name   a host name that was looked up
//	task   the task's id
type Resource struct {
	Kind     string   `json:"kind"`
	Segments []string `json:"segments"`
}

// NewResource checks the segments and makes a resource of them. It keeps a
// reference to segs.
func NewResource(kind string, segs ...string) (Resource, error) {
	r := Resource{Kind: kind, Segments: segs}
	return r, r.Check()
}

// Check refuses a resource that two readers could understand differently:
// empty, "." and ".." segments, NUL and other control characters, invalid
// UTF-8, and anything over the bounds.
func (r Resource) Check() error {
	if r.Kind == "" {
		return fmt.Errorf("cannot use resource: it has no kind")
	}
	if len(r.Segments) > MaxSegments {
		return fmt.Errorf("cannot use %s resource: %d segments, at most %d", clip(r.Kind), len(r.Segments), MaxSegments)
	}
	for i, s := range r.Segments {
		if why := badSegment(s); why != "" {
			return fmt.Errorf("cannot use %s resource: segment %d %q %s", clip(r.Kind), i+1, clip(s), why)
		}
	}
	return nil
}

func badSegment(s string) string {
	switch {
	case s == "":
		return "is empty"
	case s == "." || s == "..":
		return "would climb"
	case len(s) > MaxSegmentLen:
		return "is too long"
	case !utf8.ValidString(s):
		return "is not UTF-8"
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return "holds a control character"
		}
	}
	return ""
}

// String joins the segments as people write them: a file starts with a slash, and of a
// table they are the names that SQL has, with dots between them.
func (r Resource) String() string {
	switch r.Kind {
	case "file":
		return "/" + strings.Join(r.Segments, "/")
	case "table", "database":
		names := make([]string, len(r.Segments))
		for i, s := range r.Segments {
			names[i] = sqlName(s)
		}
		return strings.Join(names, ".")
	}
	return strings.Join(r.Segments, "/")
}

// sqlName writes a name as PostgreSQL reads it (PostgreSQL 17, section 4.1.1): in double
// quotes when it holds more than small letters, digits and the like.
func sqlName(name string) string {
	plain := name != ""
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c == '_' || c >= 0x80
		plain = plain && (letter || i > 0 && (c >= '0' && c <= '9' || c == '$'))
	}
	if plain {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
