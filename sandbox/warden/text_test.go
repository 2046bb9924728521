package warden

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestTexts holds the package's own work on texts against the standard library's.
func TestTexts(t *testing.T) {
	texts := []string{"", "/", "a", "a/", "/a", "a/b", "//a//b//", "*", "*a", "a*", "**", "../x", "\x00/\xff", "ä/*"}
	for _, s := range texts {
		checkText(t, s)
		for _, x := range texts {
			if got, want := hasPrefix(s, x), strings.HasPrefix(s, x); got != want {
				t.Errorf("hasPrefix(%q, %q) = %v", s, x, got)
			}
			if got, want := hasSuffix(s, x), strings.HasSuffix(s, x); got != want {
				t.Errorf("hasSuffix(%q, %q) = %v", s, x, got)
			}
		}
	}
	if got := join(nil); got != "" {
		t.Errorf("join(nil) = %q", got)
	}
}

func FuzzTexts(f *testing.F) {
	f.Add("/a//b/")
	f.Fuzz(func(t *testing.T, s string) { checkText(t, s) })
}

func checkText(t *testing.T, s string) {
	t.Helper()
	for _, c := range []byte{'/', '*', 0, 'a'} {
		if got, want := index(s, c), strings.IndexByte(s, c); got != want {
			t.Errorf("index(%q, %q) = %d, want %d", s, c, got, want)
		}
		if got, want := lastIndex(s, c), strings.LastIndexByte(s, c); got != want {
			t.Errorf("lastIndex(%q, %q) = %d, want %d", s, c, got, want)
		}
		if got, want := count(s, c), strings.Count(s, string(rune(c))); got != want {
			t.Errorf("count(%q, %q) = %d, want %d", s, c, got, want)
		}
		head, rest := before(s, c)
		if h, r, _ := strings.Cut(s, string(rune(c))); head != h || rest != r {
			t.Errorf("before(%q, %q) = %q, %q, want %q, %q", s, c, head, rest, h, r)
		}
	}
	if got, want := split(s), strings.Split(s, "/"); !slices.Equal(got, want) {
		t.Errorf("split(%q) = %q, want %q", s, got, want)
	}
	if got := join(split(s)); got != s {
		t.Errorf("join(split(%q)) = %q", s, got)
	}
	if got, want := withoutSlashes(s), strings.TrimLeft(s, "/"); got != want {
		t.Errorf("withoutSlashes(%q) = %q, want %q", s, got, want)
	}
	if got, want := withoutSlash(s), strings.TrimSuffix(s, "/"); got != want {
		t.Errorf("withoutSlash(%q) = %q, want %q", s, got, want)
	}
}

func TestFaultsKeepTheirCause(t *testing.T) {
	err := errors.Join(because("cannot guard", syscall.EPERM))
	if !errors.Is(err, syscall.EPERM) || err.Error() != "cannot guard: operation not permitted" {
		t.Errorf("%v", err)
	}
}
