package approval

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ambit"
)

func TestSafe(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "DELETE https://api.github.com/repos/acme/web?x=1&y=%20", "DELETE https://api.github.com/repos/acme/web?x=1&y=%20"},
		{"other languages", "Grüße, Привет мир, και γεια, 日本語。もう, שלום, نعم, हिन्दी", "Grüße, Привет мир, και γεια, 日本語。もう, שלום, نعم, हिन्दी"},
		{"emoji", "done ✅ 🎉", "done ✅ 🎉"},
		{"bidi override", "drop\u202Egnp.exe", "drop‹U+202E›gnp.exe"},
		{"bidi isolates", "a\u2066b\u2069c\u200Fd", "a‹U+2066›b‹U+2069›c‹U+200F›d"},
		{"zero width", "re\u200Bp\u200Do\u2060s\uFEFF\u00AD", "re‹U+200B›p‹U+200D›o‹U+2060›s‹U+FEFF›‹U+00AD›"},
		{"ANSI", "\x1b[2J\x1b[1;1Happroved", "‹U+001B›[2J‹U+001B›[1;1Happroved"},
		{"C1 and bell", "a\u009b31m\a\b\x7f", "a‹U+009B›31m‹U+0007›‹U+0008›‹U+007F›"},
		{"new lines", "a\nticket q-1\r\nb\u2028c\u0085d", "a‹U+000A›ticket q-1‹U+000D›‹U+000A›b‹U+2028›c‹U+0085›d"},
		{"no text", "a\xffb\xc0\xafc", "a‹0xFF›b‹0xC0›‹0xAF›c"},
		{"spaces", "a" + strings.Repeat(" ", 200) + "b", "a‹200 spaces›b"},
		{"odd spaces", "a\u00a0b\u3000c\u2800d\u3164e", "a‹U+00A0›b‹U+3000›c‹U+2800›d‹U+3164›e"},
		{"marks of ours", "‹U+202E›", "‹U+2039›U+202E‹U+203A›"},
		{"stacked marks", "a\u0301\u0302\u0303\u0304b", "a\u0301\u0302‹U+0303›‹U+0304›b"},
		{"a mark at the start", "\u0338/", "‹U+0338›/"},
		{"full width", "ａpi", "‹U+FF41›pi"},
		{"mathematical", "𝐝elete", "‹U+1D41D›elete"},
		{"slashes", "repos\u2215acme\u2044web\uff0fx", "repos‹U+2215›acme‹U+2044›web‹U+FF0F›x"},
		{"dots", "a\u2024b\u2025c", "a‹U+2024›b‹U+2025›c"},
		{"hyphens", "no\u2010force", "no‹U+2010›force"},
		{"variation selectors", "a\ufe00b\U000e0101c\U000e0041", "a‹U+FE00›b‹U+E0101›c‹U+E0041›"},
		{"private use", "\ue000", "‹U+E000›"},
		{"a Cyrillic a in a Latin word", "pаypal.com", "pаypal‹mixed Latin, Cyrillic›.com"},
		{"a Greek o", "gοοgle", "gοοgle‹mixed Latin, Greek›"},
		{"all Cyrillic", "https://арре.com", "https://арре‹Cyrillic, looks like Latin›.com"},
		{"long", strings.Repeat("a", 90) + "HIDDEN" + strings.Repeat("b", 90), strings.Repeat("a", 75) + "‹86 characters cut›" + strings.Repeat("b", 25)},
	} {
		t.Run(c.name, func(t *testing.T) {
			most := 1000
			if c.name == "long" {
				most = 100
			}
			if got := Safe(c.in, most); got != c.want {
				t.Errorf("Safe(%q)\n got %q\nwant %q", c.in, got, c.want)
			}
		})
	}
}

// shows fails when a terminal or a person could take s for something else.
func shows(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Fatalf("not UTF-8: %q", s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point, unicode.Bidi_Control) {
			t.Fatalf("%U can be seen by nobody: %q", r, s)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, s := range []string{"", "a", "\u202e\x1b[2J", "pаypal", "a\u0301\u0301\u0301", "‹", "\xff", strings.Repeat(" ", 99), "日本"} {
		f.Add(s, 40)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		if len(s) > 1<<16 {
			return
		}
		most = 16 + int(uint(most)%1000)
		got := Safe(s, most)
		shows(t, got)
		// A mark is at most some 60 characters for each one that is shown.
		if n := utf8.RuneCountInString(got); n > 62*(most+2) {
			t.Fatalf("%d characters from %d", n, most)
		}
		// What the text says in our marks' own letters is never one of our marks.
		plain := strings.Count(got, "‹")
		if strings.Count(got, "›") != plain {
			t.Fatalf("a mark without its end: %q", got)
		}
		if again, fs := safe(s, most); again != got || fs.hidden == 0 && fs.mixed == 0 && fs.cut == 0 && !strings.Contains(got, " spaces›") && got != s {
			t.Fatalf("changed without saying so: %q became %q", s, got)
		}
	})
}

var update = flag.Bool("update", false, "write the golden files")

// TestScreenNamesTables: a table stands as in the grants file, and a name with a dot or
// a slash of its own passes for no other.
func TestScreenNamesTables(t *testing.T) {
	for want, segs := range map[string][]string{"table public.orders": {"public", "orders"}, `table public."a.b/c"`: {"public", "a.b/c"}, `table x‹U+202E›.t`: {"x\u202e", "t"}} {
		q := ask(t, 1, func(a *ambit.Action) { a.Resource = ambit.Resource{Kind: "table", Segments: segs} })
		if got := Present(Item{Action: q.Action}).Resource; got != want {
			t.Errorf("%q is shown as %s, want %s", segs, got, want)
		}
	}
}

func TestScreenGolden(t *testing.T) {
	asked := time.Date(2030, 5, 17, 12, 0, 0, 0, time.UTC)
	long := ask(t, 1, func(a *ambit.Action) {
		a.Effect, a.Operation = ambit.EffectUnknown, "http.post"
		a.Args = map[string]string{"url": "https://api.github.com/" + strings.Repeat("x", 5000), "method": "POST"}
		for i := range 40 {
			a.Args[fmt.Sprintf("n%02d", i)] = "v"
		}
	})
	for i := range 300 {
		long.Preview += fmt.Sprintf("line %d\n", i)
	}
	long.Action.Resource.Segments[1] = "repos/acme"
	long.Action.Args["a = b"] = "c"
	fake := ask(t, 1, func(a *ambit.Action) {
		a.Agent = "fixer\u202e"
		a.Label = ambit.Label{Integrity: ambit.Untrusted, Confidentiality: ambit.Internal}
		a.Resource.Segments = []string{"api.githսb.com", "x\u200b"}
		a.Args = map[string]string{"method": "GET\ndigest      0000", "url\x1b[1A": "\x1b]8;;https://evil\a"}
	})
	fake.Preview = "harmless\r\n\x1b[2Jeffect      read\nticket      q-other\n\ttabbed" + strings.Repeat(" ", 300) + "WARNING\u2028x"
	for name, q := range map[string]Question{"delete": ask(t, 1, func(a *ambit.Action) { a.Label.Integrity = ambit.Trusted }), "long": long, "fake": fake} {
		s := Present(Item{Ticket: "q-abcd2345", Action: q.Action, Digest: q.Digest, Decision: q.Decision, Preview: q.Preview, Asked: asked, Expires: asked.Add(5 * time.Minute)})
		got := s.Text()
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		if len(lines) > 72 {
			t.Errorf("%s: %d lines", name, len(lines))
		}
		for _, l := range lines {
			shows(t, l)
			for _, own := range []string{"effect ", "digest ", "ticket ", "WARNING "} {
				if strings.HasPrefix(l, own) && strings.Contains(l, "q-other") {
					t.Errorf("%s: the agent's text stands as ours: %q", name, l)
				}
			}
		}
	}
}

func FuzzPresent(f *testing.F) {
	f.Add("GET", "a\x1b[2J", "x\ny\u202e")
	f.Fuzz(func(t *testing.T, arg, segment, preview string) {
		it := Item{Action: ambit.Action{Agent: segment, Operation: arg, Resource: ambit.Resource{Kind: arg, Segments: []string{segment}}, Args: map[string]string{arg: preview}}, Preview: preview}
		text := Present(it).Text()
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) > 72 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			shows(t, l)
		}
	})
}
