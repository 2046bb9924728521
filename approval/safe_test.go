package approval

import (
	"strings"
	"testing"
)

// TestSafeLines: errors that were joined are read one after the other, and what else a
// line could hide stays marked.
func TestSafeLines(t *testing.T) {
	for s, want := range map[string]string{
		"cannot end it: a\ncannot prove it: b": "cannot end it: a; cannot prove it: b",
		"cannot load:\n  one\r\n\n  two\n":     "cannot load: one; two",
		"a\x1b[2J\nb\u202e":                    "a‹U+001B›[2J; b‹U+202E›",
		"a\rb":                                 "a‹U+000D›b",
		"":                                     "",
	} {
		if got := SafeLines(s, 100); got != want {
			t.Errorf("%q is %q, want %q", s, got, want)
		}
	}
	if got := SafeLines(strings.Repeat("x\n", 500), 20); len([]rune(got)) > 60 {
		t.Errorf("%d letters", len(got))
	}
}
