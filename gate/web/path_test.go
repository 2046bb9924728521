package web

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"ambit"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		in    string
		segs  []string
		wire  string // "" is the same as in
		slash bool
	}{
		{in: "/"},
		{in: "/?"},
		{in: "/a", segs: []string{"a"}},
		{in: "/a/", segs: []string{"a"}, slash: true},
		{in: "/a/b.git/info/refs?service=git-upload-pack", segs: []string{"a", "b.git", "info", "refs"}},
		{in: "/%61%2eb", segs: []string{"a.b"}, wire: "/a.b"},
		{in: "/a%20b", segs: []string{"a b"}},
		{in: "/caf%c3%a9", segs: []string{"café"}, wire: "/caf%C3%A9"},
		{in: "/g++%2B", segs: []string{"g+++"}},
		{in: "/@scope/name", segs: []string{"@scope", "name"}},
		{in: "/v1:generate", segs: []string{"v1:generate"}},
		{in: "/100%25", segs: []string{"100%"}},
		{in: "/.git", segs: []string{".git"}},
		{in: "/..a", segs: []string{"..a"}},
		{in: "/a..", segs: []string{"a.."}},
		{in: "/a%3Bb", segs: []string{"a;b"}},
		{in: "/a|b^c", segs: []string{"a|b^c"}, wire: "/a%7Cb%5Ec"},
		{in: "/a?q=1&q=%20|{}^`\\\"", segs: []string{"a"}},
		{in: "/!'()*$&,=~_-", segs: []string{"!'()*$&,=~_-"}},
	}
	for _, tt := range tests {
		got, bad := parseTarget("GET", tt.in, false)
		if bad != nil {
			t.Errorf("%s: %v", tt.in, bad)
			continue
		}
		if !slices.Equal(got.segs, tt.segs) || got.uri() != orElse(tt.wire, tt.in) || got.slash != tt.slash {
			t.Errorf("%s: got %q %q slash %v", tt.in, got.segs, got.uri(), got.slash)
		}
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for _, in := range []string{
		"", "a", "*", "http://x/", "//", "//a", "/a//b", "/a//", "/.", "/..", "/a/../b", "/a/./b", "/a/..",
		"/%2e", "/%2e%2e/a", "/.%2e/a", "/%2E./a", "/a/%2e%2e%2fb", "/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a/..\\b",
		"/a%00b", "/a%0ab", "/a%0d%0aX:y", "/a%7f", "/a;b", "/..;/a", "/..;x=1/a", "/.;/a", "/%2e%2e;/a", "/..%3b/a", "/..%3Bx/a",
		"/%252e%252e/a", "/a%252fb", "/a%2500", "/%25%32%65", "/%", "/%2", "/%zz", "/a%2", "/a#b", "/a b", "/café",
		"/%ff", "/%c0%ae%c0%ae/a", "/%c0%af", "/%e0%80%ae", "/%ed%a0%80", "/...", "/.%20", "/..%20/a", "/%20", "/%u002e",
		"/a?x=%", "/a?x=%zz", "/a?x=y z", "/a?x=é", "/a?x#y", "/a?x=\x00",
		"/" + strings.Repeat("a/", ambit.MaxSegments), "/" + strings.Repeat("a", ambit.MaxSegmentLen+1), "/" + strings.Repeat("a", maxTarget),
		"/\x00admin", "/a/\x00", "/a\x7f",
	} {
		for _, encoded := range []bool{false, true} {
			if encoded && (in == "/a%2fb" || in == "/a%2Fb") {
				continue // the benign twins, below
			}
			if got, bad := parseTarget("GET", in, encoded); bad == nil {
				t.Errorf("%q became %q %q", in, got.segs, got.uri())
			}
		}
	}
}

func TestEncodedSlashSeparates(t *testing.T) {
	got, bad := parseTarget("GET", "/@scope%2fname/-/x.tgz", true)
	if bad != nil || !slices.Equal(got.segs, []string{"@scope", "name", "-", "x.tgz"}) || got.uri() != "/@scope%2Fname/-/x.tgz" {
		t.Errorf("got %q %q %v", got.segs, got.uri(), bad)
	}
}

// FuzzTarget checks that what is sent means what was decided on, to Go's own
// parser and to a server that decodes before it splits.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/a/b?c", "/%61/..%2f", "/@s%2fn", "/a%25", "/;/", "/%e4%b8%ad", "/a%252e", "/+%2b", "/*"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, encodedSlash bool) {
		got, bad := parseTarget("GET", s, encodedSlash)
		if bad != nil {
			return
		}
		u, err := url.ParseRequestURI(got.uri())
		if err != nil {
			t.Fatalf("%q: sends %q, which cannot be read: %v", s, got.uri(), err)
		}
		want := "/" + strings.Join(got.segs, "/")
		if got.slash {
			want += "/"
		}
		if u.Path != want || u.Path != got.path {
			t.Fatalf("%q: decided on %q, sends %q, read as %q", s, want, got.uri(), u.Path)
		}
		if u.RawQuery != got.query {
			t.Fatalf("%q: query %q became %q", s, got.query, u.RawQuery)
		}
		for _, g := range got.segs {
			if g == "" || g == "." || g == ".." || strings.ContainsAny(g, "/\\\x00") || !utf8.ValidString(g) {
				t.Fatalf("%q: segment %q", s, g)
			}
		}
		again, bad := parseTarget("GET", got.uri(), encodedSlash)
		if bad != nil || again.uri() != got.uri() || !slices.Equal(again.segs, got.segs) {
			t.Fatalf("%q: %q is not stable: %q %v", s, got.uri(), again.uri(), bad)
		}
		// The standard transport must send exactly this spelling.
		out := url.URL{Scheme: "https", Host: "h", Path: got.path, RawPath: got.raw, RawQuery: got.query, ForceQuery: got.hasQuery && got.query == ""}
		if out.RequestURI() != got.uri() {
			t.Fatalf("%q: the transport would send %q for %q", s, out.RequestURI(), got.uri())
		}
	})
}
