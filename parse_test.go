package ambit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func full() Action {
	return Action{
		Task: "t-1", Agent: "fixer", Service: "shop", Operation: "http.get", Effect: Read,
		Resource: Resource{Kind: "http", Segments: []string{"api.example.com", "a \"b\"", "ü\\"}},
		Args:     map[string]string{"url": "https://api.example.com/?a=1&b=<2>", "": "\u2028\x00\x1f\b\f\n\r\t", "\ufb33": "x", "\U0001f600": "y"},
		Label:    Label{Integrity: Trusted, Confidentiality: Public},
	}
}

func TestParseActionUndoesCanonical(t *testing.T) {
	for name, a := range map[string]Action{
		"full":        full(),
		"zero":        {},
		"no segments": {Resource: Resource{Kind: "task", Segments: []string{}}, Effect: Irreversible},
	} {
		b, err := a.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		got, digest, err := ParseAction(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(a, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if want, _ := a.Digest(); digest != want {
			t.Errorf("%s: digest %v, want %v", name, digest, want)
		}
	}
}

// Every one of these means an action to some reader of JSON, and none is the
// canonical form of it.
func TestParseActionRefusesOtherForms(t *testing.T) {
	a := full()
	c, err := a.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	good := string(c)
	swap := func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in %s", old, good)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, s := range map[string]string{
		"space":            swap(`,"effect"`, `, "effect"`),
		"a byte more":      good + "\n",
		"cut":              good[:len(good)-1],
		"twice":            good + good,
		"escaped letter":   swap(`"fixer"`, `"\u0066ixer"`),
		"escaped slash":    swap(`https://`, `https:\/\/`),
		"long escape":      swap(`\t`, `\u0009`),
		"capital hex":      swap(`\u001f`, `\u001F`),
		"raw control":      swap(`\u001f`, "\x1f"),
		"wrong order":      swap(`"agent":"fixer",`, ``),
		"duplicate arg":    swap(`"args":{`, `"args":{"":"other",`),
		"empty args":       `{"agent":"a","args":{}` + good[strings.Index(good, `,"effect"`):],
		"unsorted args":    swap(`"url":"https://api.example.com/?a=1&b=<2>"`, `"zzz":"1","url":"2"`),
		"unknown effect":   swap(`"effect":"read"`, `"effect":"reads"`),
		"number":           swap(`"task":"t-1"`, `"task":1`),
		"unknown member":   swap(`"task":"t-1"`, `"task":"t-1","x":"y"`),
		"not UTF-8":        swap(`"fixer"`, "\"fix\xffer\""),
		"lone surrogate":   swap(`"fixer"`, `"\ud800"`),
		"open string":      swap(`"t-1"}`, `"t-1`),
		"backslash at end": swap(`"t-1"}`, `"t-1\`),
		"nothing":          "",
	} {
		if got, _, err := ParseAction([]byte(s)); err == nil {
			t.Errorf("%s: %s was read as %+v", name, s, got)
		} else if d := cmp.Diff(Action{}, got); d != "" {
			t.Errorf("%s: a refused action is not the zero value: %s", name, d)
		}
	}
}

func FuzzParseAction(f *testing.F) {
	a := full()
	b, _ := a.Canonical()
	f.Add(b)
	f.Add([]byte(`{"agent":"a","effect":"read"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, digest, err := ParseAction(b)
		if err != nil {
			return
		}
		// What was read is what a library reads, and only these bytes say it.
		var want Action
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatalf("%q is not JSON: %v", b, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", b, d)
		}
		c, err := got.Canonical()
		if err != nil || string(c) != string(b) {
			t.Errorf("%q is not canonical: %q, %v", b, c, err)
		}
		if d, _ := got.Digest(); d != digest {
			t.Errorf("%q: digest %v and %v", b, digest, d)
		}
	})
}

func BenchmarkParseAction(b *testing.B) {
	a := full()
	c, _ := a.Canonical()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseAction(c); err != nil {
			b.Fatal(err)
		}
	}
}
