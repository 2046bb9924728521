package grants

import (
	"strings"

	"ambit"
)

// pattern is a compiled resource pattern. Each segment is a literal, "lit*" or
// "*"; the first one of an http resource may be "*.example.org", which is one
// label.
type pattern struct {
	kind string   // of the resource: "http", "file", "repo", …
	segs []string // as described; a "*" at the end is a wildcard
	self bool     // the segments themselves match
	tail bool     // one or more segments after them match

	columns []string // of a table, sorted; nil for all
}

// match says whether a resource fits, for an action of the given effect. It is
// the slow and obvious reading; the index must agree with it.
func (p pattern) match(r ambit.Resource, e ambit.Effect) bool {
	if r.Kind != p.kind || len(r.Segments) < len(p.segs) {
		return false
	}
	if rest := len(r.Segments) - len(p.segs); (rest == 0 && !p.self) || (rest > 0 && !p.tail) {
		return false
	}
	var named uint64
	for i, want := range p.segs {
		if !matchSegment(want, r.Segments[i], i == 0 && p.kind == "http") {
			return false
		}
		if !wild(want) {
			named |= 1 << i
		}
	}
	return p.kind != "file" || !unnamed(r.Segments, named, e)
}

// wild says whether a pattern's segment has a wildcard.
func wild(seg string) bool {
	return strings.HasSuffix(seg, "*") || strings.HasPrefix(seg, "*.")
}

func matchSegment(want, got string, host bool) bool {
	if host && strings.HasPrefix(want, "*.") {
		_, parent, ok := strings.Cut(got, ".")
		return ok && parent == want[2:]
	}
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(got, prefix)
	}
	return want == got
}

// String writes the pattern as people do.
func (p pattern) String() string {
	if p.kind == kindTable || p.kind == kindDatabase {
		return tableText(p.segs, p.columns)
	}
	s := ambit.Resource{Kind: p.kind, Segments: p.segs}.String()
	if p.tail && !p.self {
		s += "/**"
	}
	return s
}

// parseSegments reads "a/b*/**" and says what is wrong, or "".
func parseSegments(s string) (segs []string, tail bool, why string) {
	segs = strings.Split(s, "/")
	if segs[len(segs)-1] == "**" {
		segs, tail = segs[:len(segs)-1], true
	}
	if len(segs) > ambit.MaxSegments-2 {
		return nil, false, "has too many segments"
	}
	for _, seg := range segs {
		if why := badSegment(seg); why != "" {
			return nil, false, why
		}
	}
	return segs, tail, ""
}

// badSegment says what is wrong with one segment of a pattern.
func badSegment(seg string) string {
	star := strings.IndexByte(seg, '*')
	switch {
	case seg == "":
		return "has an empty segment"
	case seg == "." || seg == "..":
		return "climbs: `.` and `..` are refused inside a pattern"
	case len(seg) > ambit.MaxSegmentLen:
		return "has a segment that is too long"
	case seg == "**":
		return "has ** before its end: it stands only at the end, for one or more segments"
	case star >= 0 && star != len(seg)-1:
		return "has * inside a segment: it stands only at the end of one"
	}
	return ""
}

// parsePath reads a path pattern of a URL: "/", "/v1/items" or "/v1/**".
// Literals are written decoded.
func parsePath(s string) (p pattern, why string) {
	p.kind = "http"
	rest, ok := strings.CutPrefix(s, "/")
	switch {
	case !ok:
		return p, "does not start with /"
	case rest == "":
		p.self = true
		return p, ""
	case rest == "**":
		p.tail = true
		return p, ""
	case strings.HasSuffix(rest, "/"):
		return p, "ends with /: write it without for the path itself, or with /** for all below it"
	case strings.ContainsAny(rest, "?#"):
		return p, "has a query: a pattern is a path alone"
	}
	segs, tail, why := parseSegments(rest)
	for _, seg := range segs {
		if d, ok := decodeOnce(seg); ok && d != seg {
			return p, "is percent-encoded: write " + quote(d) + " for " + quote(seg)
		}
	}
	p.segs, p.tail, p.self = segs, tail, !tail
	return p, why
}

// parseWeb reads "docs.python.org", "host:8443/path/**" or "*.example.org".
// A host alone stands for all that it serves over https.
func parseWeb(s string) (p pattern, why string) {
	if strings.Contains(s, "://") {
		return p, "has a scheme: web is always https, and the host stands alone"
	}
	authority, path, narrowed := strings.Cut(s, "/")
	host, port, hasPort := strings.Cut(authority, ":")
	if bad, _ := badHost(strings.TrimPrefix(host, "*.")); bad != "" {
		return p, "has a host that " + bad
	}
	if strings.HasPrefix(host, "*.") && !strings.Contains(host[2:], ".") {
		return p, "would stand for every name below " + host[2:]
	}
	if hasPort && !goodAddress("x:"+port) {
		return p, "has no usable port"
	}
	if authority = strings.TrimSuffix(authority, ":443"); !narrowed {
		return pattern{kind: "http", segs: []string{authority}, self: true, tail: true}, ""
	}
	if p, why = parsePath("/" + path); why != "" {
		return p, why
	}
	p.segs = append([]string{authority}, p.segs...)
	return p, ""
}

// place is where file patterns start.
type place struct{ workspace, home string }

// parseFile reads a path below the workspace, the home directory or the root.
// A path stands for itself and all below it; the walls cannot enforce other
// wildcards than a final "**".
func (at place) parseFile(s string) (p pattern, why string) {
	body, tail := strings.CutSuffix(s, "/**")
	if s == "**" {
		body, tail = ".", true
	}
	if strings.Contains(body, "*") {
		return p, "has a wildcard that the walls cannot enforce: name the directory, or each file"
	}
	if why := badPath(body); why != "" && body != "" {
		return p, why
	}
	p = pattern{kind: "file", self: !tail, tail: true}
	base, rest := at.workspace, strings.TrimPrefix(body, "./")
	switch {
	case strings.HasPrefix(body, "/") || body == "":
		base, rest = "", body
	case body == "~" || strings.HasPrefix(body, "~/"):
		base, rest = at.home, body[1:]
	case body == ".":
		rest = ""
	}
	for part := range strings.SplitSeq(base+"/"+rest, "/") {
		if part != "" {
			p.segs = append(p.segs, part)
		}
	}
	if len(p.segs) > ambit.MaxSegments-2 {
		return p, "has too many segments"
	}
	return p, ""
}
