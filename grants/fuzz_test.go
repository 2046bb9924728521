package grants

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"ambit"
)

// FuzzParse: no input panics; an error names places within the file and holds
// nothing that a terminal obeys; what parses has a canonical form that parses
// to itself.
func FuzzParse(f *testing.F) {
	for _, src := range validFiles(f) {
		f.Add([]byte(src))
	}
	names, _ := filepath.Glob("testdata/errors/*.txtar")
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range corpus(string(b)) {
			if !strings.HasSuffix(c.name, ".want") {
				f.Add([]byte(c.data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 16<<10 {
			return
		}
		file, err := Parse("f", src)
		if err != nil {
			checkErrors(t, err, src)
			_, err = Load("f", src, testKinds(), noon())
			checkErrors(t, err, src)
			return
		}
		c := file.Canonical()
		again, err := Parse("f", c)
		if err != nil {
			t.Fatalf("canonical form: %v\n%s", err, c)
		}
		if string(again.Canonical()) != string(c) {
			t.Fatalf("canonical form changes:\n%s\n%s", c, again.Canonical())
		}
		g, err := Compile(file, testKinds(), noon())
		if err != nil {
			checkErrors(t, err, src)
			return
		}
		if p := g.Plain(); !utf8.ValidString(p) || strings.ContainsRune(p, 0x1b) {
			t.Fatalf("plain: %q", p)
		}
	})
}

func checkErrors(t *testing.T, err error, src []byte) {
	t.Helper()
	es, ok := errors.AsType[Errors](err)
	if !ok || len(es) == 0 || len(es) > MaxErrors {
		t.Fatalf("error %T: %v", err, err)
	}
	lines := strings.Count(string(src), "\n") + strings.Count(string(src), "\r") + 2
	for _, e := range es {
		if e.Line < 0 || e.Line > lines+1 || e.Msg == "" {
			t.Fatalf("%+v in %d lines", e, lines)
		}
	}
	if s := err.Error(); !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\x00\r\x7f\u202e") {
		t.Fatalf("%q", s)
	}
}

// FuzzPattern compares the index with the slow reading of one pattern.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"/", "/**", "/a", "/a/**", "/a*/b", "/*/*", "/a b/*"} {
		for _, p := range []string{"", "a", "ab/b", "a/b/c", "a b/x", "a//b", "*", "a*/b"} {
			f.Add(s, p)
		}
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, why := parsePath(text)
		if why != "" {
			return
		}
		p.segs = append([]string{"h"}, p.segs...)
		res := ambit.Resource{Kind: "http", Segments: []string{"h"}}
		if path != "" {
			res.Segments = append(res.Segments, strings.Split(path, "/")...)
		}
		if res.Check() != nil {
			return
		}
		r := &rule{effects: effectBits(ambit.Read), verdict: ambit.Allow}
		n := &node{}
		n.insert(p, 0, []*rule{r})
		n.freeze()
		m := match{segs: res.Segments, kind: "http", effect: ambit.Read, rules: []*rule{r}}
		m.walk(n, 0, 0)
		if got, want := m.found != 0, oracle(text, path); got != want || p.match(res, ambit.Read) != want {
			t.Fatalf("%q on %q: index %v, match %v, oracle %v", text, path, got, p.match(res, ambit.Read), want)
		}
	})
}

// oracle matches by the words of the reference, on text alone: it shares no
// code with the package.
func oracle(pattern, path string) bool {
	if pattern == "/" {
		return path == ""
	}
	var match func(p, s []string) bool
	match = func(p, s []string) bool {
		switch {
		case len(p) == 0:
			return len(s) == 0
		case len(s) == 0:
			return false
		case p[0] == "**":
			return true
		case strings.HasSuffix(p[0], "*"):
			return strings.HasPrefix(s[0], p[0][:len(p[0])-1]) && match(p[1:], s[1:])
		}
		return p[0] == s[0] && match(p[1:], s[1:])
	}
	var segs []string
	if path != "" {
		segs = strings.Split(path, "/")
	}
	return match(strings.Split(pattern[1:], "/"), segs)
}

// FuzzAction: an action that is read is in its plain form, whatever was
// written, and is about a host of its own service.
func FuzzAction(f *testing.F) {
	for _, s := range []string{
		"http GET https://api.example.com/v1/x?y", "http GET https://api.example.com/%2e%2e/x", "http GET https://API.example.com/", "http GET https://api.example.com:0443/",
		"http GET https://user@api.example.com/", "http GET https://api.example.com\\@evil/", "files read ../x", "tcp connect a:1", "github git.push acme/web",
		"http GET https://api.example.com/a;b/..;/c", "http GET https://[::1]/", "http GET https://0x7f000001/", "http GET https://api.example.com./x",
	} {
		f.Add(s)
	}
	k := testKinds()
	g, err := Load("ambit.yaml", []byte(api+"read: [{api: [/, /**]}]\n"), k, noon())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		as, err := g.ParseAction(text)
		if err != nil {
			if s := err.Error(); !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\n\u202e") {
				t.Fatalf("%q", s)
			}
			return
		}
		for _, a := range as {
			if err := a.Resource.Check(); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if d := g.Decide(&a); d.Verdict == ambit.Allow && a.Service == "api" && a.Resource.Segments[0] != "api.example.com" {
				t.Fatalf("%q: %+v", text, a)
			}
		}
	})
}
