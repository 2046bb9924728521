package catalog

import (
	"fmt"
	"net/url"
	"strings"
)

// Pattern is a path pattern of a service's entry: each segment a literal,
// "lit*" or "*", and a final "**" for one or more segments. The zero value
// matches nothing.
type Pattern struct {
	segs []string
	ok   bool
}

// ParsePattern reads "/a/*/_search" or "/a/**". Literals are written decoded.
func ParsePattern(s string) (Pattern, error) {
	rest, ok := strings.CutPrefix(s, "/")
	if !ok || rest == "" {
		return Pattern{}, fmt.Errorf("cannot read path pattern %q: it must start with / and name something", clip(s))
	}
	segs := strings.Split(rest, "/")
	for i, seg := range segs {
		star := strings.IndexByte(seg, '*')
		switch {
		case seg == "" || seg == "." || seg == "..":
			return Pattern{}, fmt.Errorf("cannot read path pattern %q: segment %d is empty or would climb", clip(s), i+1)
		case seg == "**" && i == len(segs)-1:
		case star >= 0 && star != len(seg)-1:
			return Pattern{}, fmt.Errorf("cannot read path pattern %q: * can only end a segment, and ** the pattern", clip(s))
		case strings.ContainsAny(seg, "?#"):
			return Pattern{}, fmt.Errorf("cannot read path pattern %q: it must be a path alone, without ? or #", clip(s))
		}
		if d, err := url.PathUnescape(seg); err == nil && d != seg {
			return Pattern{}, fmt.Errorf("cannot read path pattern %q: write %q decoded", clip(s), seg)
		}
	}
	return Pattern{segs: segs, ok: true}, nil
}

// Match says whether the decoded segments fit the pattern.
func (p Pattern) Match(segs []string) bool {
	if !p.ok {
		return false
	}
	for i, pat := range p.segs {
		if pat == "**" {
			return len(segs) > i
		}
		if i >= len(segs) || !matchSegment(pat, segs[i]) {
			return false
		}
	}
	return len(segs) == len(p.segs)
}

func matchSegment(pat, seg string) bool {
	if lit, ok := strings.CutSuffix(pat, "*"); ok {
		return strings.HasPrefix(seg, lit)
	}
	return pat == seg
}

// String returns the pattern as it was read.
func (p Pattern) String() string {
	if !p.ok {
		return ""
	}
	return "/" + strings.Join(p.segs, "/")
}
