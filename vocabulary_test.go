package ambit_test

import (
	"encoding"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ambit"
)

// Every zero value refuses, or is the worst there is.
func TestZeroValues(t *testing.T) {
	var (
		e ambit.Effect
		v ambit.Verdict
		o ambit.Outcome
		l ambit.Label
		d ambit.Decision
		s ambit.SecretValue
		r ambit.RecordID
		a ambit.Action
	)
	if e.Worst() != ambit.Irreversible || v != ambit.Deny || d.Verdict != ambit.Deny || o == ambit.Performed || o == ambit.Refused {
		t.Error("a zero value allows, or claims something")
	}
	if l.Integrity != ambit.Untrusted || l.Confidentiality != ambit.Secret {
		t.Error("the zero label is not the worst")
	}
	if !s.Empty() || r.String() != "none" {
		t.Error("a zero secret or record holds something")
	}
	if a.Check() == nil || (ambit.Resource{}).Check() == nil {
		t.Error("a zero action or resource passes")
	}
}

func TestOrder(t *testing.T) {
	if !(ambit.Read < ambit.Write && ambit.Write < ambit.Irreversible && ambit.Deny < ambit.Ask && ambit.Ask < ambit.Allow) {
		t.Error("effects or verdicts are out of order")
	}
	for e := range 256 {
		want := ambit.Irreversible
		if e == int(ambit.Read) || e == int(ambit.Write) {
			want = ambit.Effect(e)
		}
		if got := ambit.Effect(e).Worst(); got != want {
			t.Errorf("%d counts as %v", e, got)
		}
	}
}

// text is a word that is written and read again.
type text interface {
	encoding.TextMarshaler
	fmt.Stringer
}

func TestTextRoundTrips(t *testing.T) {
	for _, c := range []struct {
		names string
		value func(i int) text
		read  func(word []byte) (text, error)
	}{
		{"unknown read write irreversible", func(i int) text { return ambit.Effect(i) },
			func(b []byte) (text, error) { var e ambit.Effect; err := e.UnmarshalText(b); return e, err }},
		{"deny ask allow", func(i int) text { return ambit.Verdict(i) },
			func(b []byte) (text, error) { var v ambit.Verdict; err := v.UnmarshalText(b); return v, err }},
		{"unknown performed refused failed", func(i int) text { return ambit.Outcome(i) },
			func(b []byte) (text, error) { var o ambit.Outcome; err := o.UnmarshalText(b); return o, err }},
		{"untrusted trusted", func(i int) text { return ambit.Integrity(i) },
			func(b []byte) (text, error) { var x ambit.Integrity; err := x.UnmarshalText(b); return x, err }},
		{"secret internal public", func(i int) text { return ambit.Confidentiality(i) },
			func(b []byte) (text, error) { var x ambit.Confidentiality; err := x.UnmarshalText(b); return x, err }},
	} {
		names := strings.Fields(c.names)
		for i, name := range names {
			b, err := c.value(i).MarshalText()
			if err != nil || string(b) != name || c.value(i).String() != name {
				t.Errorf("%d is written %q, %v, not %q", i, b, err, name)
			}
			if back, err := c.read(b); err != nil || back != c.value(i) {
				t.Errorf("%q is read as %v, %v", name, back, err)
			}
		}
		// A value out of range is written as the strictest, never as nothing.
		if got := c.value(200).String(); got != names[0] {
			t.Errorf("%T 200 is written %q, not %q", c.value(0), got, names[0])
		}
		for _, bad := range []string{"", "Allow", " read", "read\n", "trusted ", "7", "null"} {
			if back, err := c.read([]byte(bad)); err == nil || back != c.value(0) {
				t.Errorf("%T reads %q as %v, %v", c.value(0), bad, back, err)
			}
		}
	}
}

func TestTaskID(t *testing.T) {
	seen := make(map[ambit.TaskID]bool)
	for range 1000 {
		id := ambit.NewTaskID()
		if back, err := ambit.ParseTaskID(string(id)); err != nil || back != id || seen[id] {
			t.Fatalf("%q: %q, %v, seen before: %v", id, back, err, seen[id])
		}
		seen[id] = true
	}
	good := string(ambit.NewTaskID())
	for _, bad := range []string{"", good[1:], good + "a", strings.ToUpper(good), good[:25] + "1", good[:25] + "/", good[:24] + "\n\n", good[:23] + "é" + "a"} {
		if id, err := ambit.ParseTaskID(bad); err == nil || id != "" {
			t.Errorf("read %q as %q", bad, id)
		}
	}
	// One id has one spelling: the last character holds two bits that must be zero.
	n := 0
	for _, c := range "abcdefghijklmnopqrstuvwxyz234567" {
		if _, err := ambit.ParseTaskID(good[:25] + string(c)); err == nil {
			n++
		}
	}
	if n != 8 {
		t.Errorf("the last character can be one of %d", n)
	}
}

func TestRecordID(t *testing.T) {
	for _, id := range []ambit.RecordID{1, 17, 1<<64 - 1} {
		if back, err := ambit.ParseRecordID(id.String()); err != nil || back != id {
			t.Errorf("%v is read as %v, %v", id, back, err)
		}
	}
	if id, err := ambit.ParseRecordID("17"); err != nil || id != 17 {
		t.Errorf("17 is read as %v, %v", id, err)
	}
	for _, bad := range []string{"", "r", "r0", "0", "none", "-1", "r-1", "+1", "rr1", "1 ", "18446744073709551616", "0x1", "1_0"} {
		if id, err := ambit.ParseRecordID(bad); err == nil || id != 0 {
			t.Errorf("read %q as %v", bad, id)
		}
	}
}

func TestDigestText(t *testing.T) {
	var d ambit.Digest
	for i := range d {
		d[i] = byte(i * 7)
	}
	b, err := d.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var back ambit.Digest
	if err := back.UnmarshalText(b); err != nil || back != d || len(b) != 64 || d.String() != string(b) {
		t.Errorf("%s is read as %s, %v", b, back, err)
	}
	for _, bad := range []string{"", string(b[1:]), string(b) + "00", strings.Repeat("g", 64), string(b[:63])} {
		if err := back.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}

func TestResourceCheck(t *testing.T) {
	long := strings.Repeat("a", ambit.MaxSegmentLen)
	many := make([]string, ambit.MaxSegments)
	for i := range many {
		many[i] = "a"
	}
	for name, good := range map[string]ambit.Resource{
		"no segments":      {Kind: "http"},
		"plain":            {Kind: "http", Segments: []string{"h.test", "a b", "ü", "..a", "a..", "...", "*", "%2e"}},
		"longest":          {Kind: "file", Segments: []string{long}},
		"most":             {Kind: "file", Segments: many},
		"a slash decoded":  {Kind: "http", Segments: []string{"h.test", "a/b"}},
		"replacement rune": {Kind: "file", Segments: []string{"\ufffd"}},
	} {
		if err := good.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, bad := range map[string][]string{
		"empty": {"a", ""}, "dot": {"."}, "dots": {"a", "..", "b"}, "NUL": {"a\x00b"}, "newline": {"a\n"}, "escape": {"\x1b[2J"},
		"delete": {"\x7f"}, "not UTF-8": {"\xff"}, "half a surrogate": {"\xed\xa0\x80"}, "too long": {long + "a"}, "too many": append(many, "a"),
	} {
		if r, err := ambit.NewResource("file", bad...); err == nil {
			t.Errorf("%s passes: %v", name, r)
		}
	}
	if got := (ambit.Resource{Kind: "file", Segments: []string{"a", "b"}}).String(); got != "/a/b" {
		t.Errorf("a file prints as %s", got)
	}
	for want, segs := range map[string][]string{
		"public.orders": {"public", "orders"}, `public."Orders"`: {"public", "Orders"}, `"a.b"."c""d"`: {"a.b", `c"d`}, `s."1a"`: {"s", "1a"}, "größe.t$1": {"größe", "t$1"}, `public."a/b"`: {"public", "a/b"},
	} {
		if got := (ambit.Resource{Kind: "table", Segments: segs}).String(); got != want {
			t.Errorf("table %q is %s, want %s", segs, got, want)
		}
	}
	if got := (ambit.Resource{Kind: "http", Segments: []string{"h.test", "a"}}).String(); got != "h.test/a" {
		t.Errorf("a URL prints as %s", got)
	}
}

func golden() ambit.Action {
	return ambit.Action{
		Task: "aaaaaaaaaaaaaaaaaaaaaaaaaa", Agent: "web-fixer", Service: "github", Operation: "github.pulls.merge", Effect: ambit.Irreversible,
		Resource: ambit.Resource{Kind: "repo", Segments: []string{"acme", "web"}},
		Args:     map[string]string{"url": "https://api.github.com/repos/acme/web/pulls/7/merge?a=<b>&c=é\u2028", "method": "PUT"},
		Label:    ambit.Label{Integrity: ambit.Trusted, Confidentiality: ambit.Internal},
	}
}

// The canonical form is what approvals and old logs are bound to: it may never
// change. (RFC 8785: sorted names, no spaces, the shortest escapes.)
func TestCanonicalGolden(t *testing.T) {
	a := golden()
	got, err := a.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"agent":"web-fixer","args":{"method":"PUT","url":"https://api.github.com/repos/acme/web/pulls/7/merge?a=<b>&c=é` + "\u2028" +
		`"},"effect":"irreversible","label":{"confidentiality":"internal","integrity":"trusted"},"operation":"github.pulls.merge",` +
		`"resource":{"kind":"repo","segments":["acme","web"]},"service":"github","task":"aaaaaaaaaaaaaaaaaaaaaaaaaa"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	d, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if want := "bd434f42cbea7938ea78c3d7b1b568eb6babc0d611f8a07d3547d813ec6d8077"; d.String() != want {
		t.Errorf("digest %s", d)
	}
	var back ambit.Action
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, back); diff != "" {
		t.Errorf("read again: %s", diff)
	}
}

// Whatever is changed in an action, its digest changes.
func TestDigestBindsEverything(t *testing.T) {
	seen := map[ambit.Digest]string{}
	for name, edit := range map[string]func(*ambit.Action){
		"nothing": func(*ambit.Action) {}, "task": func(a *ambit.Action) { a.Task = "b" }, "agent": func(a *ambit.Action) { a.Agent = "b" },
		"service": func(a *ambit.Action) { a.Service = "b" }, "operation": func(a *ambit.Action) { a.Operation = "b" },
		"effect": func(a *ambit.Action) { a.Effect = ambit.Write }, "kind": func(a *ambit.Action) { a.Resource.Kind = "http" },
		"segment":       func(a *ambit.Action) { a.Resource.Segments = []string{"acme", "other"} },
		"joined":        func(a *ambit.Action) { a.Resource.Segments = []string{"acme/web"} },
		"argument":      func(a *ambit.Action) { a.Args = map[string]string{"method": "PUT"} },
		"value":         func(a *ambit.Action) { a.Args = map[string]string{"method": "PUT", "url": "x"} },
		"integrity":     func(a *ambit.Action) { a.Label.Integrity = ambit.Untrusted },
		"confidential":  func(a *ambit.Action) { a.Label.Confidentiality = ambit.Secret },
		"moved":         func(a *ambit.Action) { a.Service, a.Operation = "github.pulls", "merge" },
		"no arguments":  func(a *ambit.Action) { a.Args = nil },
		"same, swapped": func(a *ambit.Action) { a.Args = map[string]string{"PUT": "method", "url": a.Args["url"]} },
	} {
		a := golden()
		edit(&a)
		d, err := a.Digest()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[d] = name
	}
}

// Text that is no UTF-8 has no one spelling in JSON: two different arguments
// must not be approved as one.
func TestDigestOfOddText(t *testing.T) {
	a, b := golden(), golden()
	a.Args, b.Args = map[string]string{"x": "\xff"}, map[string]string{"x": "\ufffd"}
	da, errA := a.Digest()
	db, errB := b.Digest()
	if errA == nil && errB == nil && da == db {
		t.Error("two arguments have one digest")
	}
	if a.Check() == nil || b.Check() != nil {
		t.Errorf("odd text: %v; plain text: %v", a.Check(), b.Check())
	}
}

func FuzzResourceCheck(f *testing.F) {
	f.Add("http", "a", "..")
	f.Add("file", "a\x00", "")
	f.Fuzz(func(t *testing.T, kind, one, two string) {
		r, err := ambit.NewResource(kind, one, two)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, s := range r.Segments {
			if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "\x00\n\r\x1b\x7f") || len(s) > ambit.MaxSegmentLen {
				t.Fatalf("%q passes", s)
			}
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add("a", "b", "c")
	f.Add("\xff", "\ufffd", "<>&\u2028")
	f.Fuzz(func(t *testing.T, op, key, value string) {
		a := golden()
		a.Operation, a.Args = op, map[string]string{key: value}
		if a.Check() != nil {
			return
		}
		c, err := a.Canonical()
		if err != nil {
			return
		}
		var back ambit.Action
		if err := json.Unmarshal(c, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, back); diff != "" {
			t.Fatalf("the canonical form is of another action: %s", diff)
		}
	})
}
