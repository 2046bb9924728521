package ambit

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// library is the canonical form as a library of RFC 8785 writes it.
func library(t *testing.T, a *Action) string {
	t.Helper()
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	c, err := jcs.Transform(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(c)
}

// FuzzCanonical holds our canonical form against a library's.
func FuzzCanonical(f *testing.F) {
	f.Add("agent", "http.get", "api", "seg", "key", "value", "öther", uint8(1))
	f.Add("\x00\x1f\"\\\b\f", "\u2028", "<&>", "\u007f", "\U0001F600", "\uFB33", "\r", uint8(200))
	f.Fuzz(func(t *testing.T, agent, op, service, seg, k1, v1, k2 string, n uint8) {
		for _, s := range []string{agent, op, service, seg, k1, v1, k2} {
			if !utf8.ValidString(s) {
				return
			}
		}
		a := &Action{
			Task: TaskID(op), Agent: agent, Service: service, Operation: op, Effect: Effect(n % 5), Resource: Resource{Kind: service, Segments: []string{seg, k1}},
			Args: map[string]string{k1: v1, k2: op, "url": seg}, Label: Label{Integrity: Integrity(n % 3), Confidentiality: Confidentiality(n % 4)},
		}
		if n%7 == 0 {
			a.Args, a.Resource.Segments = nil, nil
		}
		got, err := a.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if want := library(t, a); string(got) != want {
			t.Errorf("canonical form\n got %s\nwant %s", got, want)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	a := Action{
		Task: "abcdefghijklmnopqrstuvwxyz", Agent: "worker", Service: "api", Operation: "http.get", Effect: Read,
		Resource: Resource{Kind: "http", Segments: []string{"api.test", "v1", "items", "7"}},
		Args:     map[string]string{"method": "GET", "url": "https://api.test/v1/items/7"},
	}
	for b.Loop() {
		if _, err := a.Canonical(); err != nil {
			b.Fatal(err)
		}
	}
}
