package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"

	"ambit"
)

func full() Record {
	return Record{ID: 17, Time: time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC), Clock: ClockBack, Type: Outcome,
		Task: "t", Agent: "web-fixer", Service: "github", Operation: "github.pulls.create", Effect: "write", Kind: "repo",
		Resource: "acme/web", Verdict: "ask", DecidedBy: "ambit.yaml:3:1", Outcome: "performed", Approval: "ada", Intent: 16,
		Detail: "a\x00\b\t\n\f\r\x1f\"\\/<>&\u2028\U0001F600é\x7f", Digest: strings.Repeat("0f", 32),
		Data: json.RawMessage(`{"a":[1,{"b":null}],"z":"\u0001"}`)}
}

// TestCanonical holds our form against an independent implementation of
// RFC 8785.
func TestCanonical(t *testing.T) {
	r := full()
	b, err := appendRecord(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := jcs.Transform(b); err != nil || string(c) != string(b) {
		t.Errorf("not canonical:\n%s\n%s\n%v", b, c, err)
	}
	got, err := ParseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r, got); d != "" {
		t.Error(d)
	}
}

func TestRecordWritesOtherSpellingsOfDataCanonically(t *testing.T) {
	r := full()
	r.Data = json.RawMessage(" { \"z\" : 1.0, \"a\" : \"\\u0041\" } ")
	r.Detail = "bad \xff utf-8"
	b, err := appendRecord(nil, &r)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"data":{"a":"A","z":1},`) || !strings.Contains(string(b), "bad \uFFFD utf-8") {
		t.Errorf("%s", b)
	}
	if _, err := ParseRecord(b); err != nil {
		t.Error(err)
	}
}

func TestRecordRefused(t *testing.T) {
	for name, change := range map[string]func(*Record){
		"no type":        func(r *Record) { r.Type = "" },
		"type":           func(r *Record) { r.Type = "Intent" },
		"effect":         func(r *Record) { r.Effect = "writes" },
		"verdict":        func(r *Record) { r.Verdict = "yes" },
		"outcome":        func(r *Record) { r.Outcome = "done" },
		"clock":          func(r *Record) { r.Clock = "odd" },
		"digest":         func(r *Record) { r.Digest = strings.Repeat("A", 64) },
		"too long":       func(r *Record) { r.Detail = strings.Repeat("x", MaxRecord) },
		"data no object": func(r *Record) { r.Data = json.RawMessage(`[1]`) },
		"data twice":     func(r *Record) { r.Data = json.RawMessage(`{} {}`) },
		"data broken":    func(r *Record) { r.Data = json.RawMessage(`{"a":}`) },
		"data repeated":  func(r *Record) { r.Data = json.RawMessage(`{"a":1,"a":2}`) },
		"data deep": func(r *Record) {
			r.Data = json.RawMessage(strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17))
		},
	} {
		r := full()
		change(&r)
		if b, err := appendRecord(nil, &r); err == nil {
			t.Errorf("%s: written as %s", name, b)
		}
	}
}

func TestParseRefusesOtherSpellings(t *testing.T) {
	const ok = `{"id":"r1","time":"2026-01-02T03:04:05.000000Z","type":"intent"}`
	if _, err := ParseRecord([]byte(ok)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`{`, `{ `}, {`:`, `: `}, {`}`, `} `}, {`}`, ``}, {`}`, `,}`}, {`"r1"`, `"r01"`}, {`"r1"`, `"1"`}, {`"r1"`, `1`}, {`"r1"`, `"r0"`},
		{`{"id"`, `{"id":"r1","id"`}, {`{"id"`, `{"who":"x","id"`}, {`"type":"intent"`, `"type":"intent","task":"x"`},
		{`intent`, `\u0069ntent`}, {`intent`, ``}, {`intent`, `Intent`}, {`intent`, "int\x01ent"}, {`intent`, "int\xffent"}, {`intent`, `int\/ent`},
		{`000Z`, `000+00:00`}, {`.000000Z`, `.000Z`}, {`01-02`, `13-02`}, {`03:04`, `24:04`},
		{`{"id"`, `{"agent":"","id"`}, {`{"id"`, `{"data":{"b":1,"a":1},"id"`}, {`{"id"`, `{"data":{"a": 1},"id"`}, {`{"id"`, `{"data":{"a":1,"a":1},"id"`},
		{`{"id"`, `{"data":"x","id"`}, {`{"id"`, `{"data":{"a":` + strings.Repeat("[", 30000) + `},"id"`}, {`{"id"`, `{"detail":"\u000A","id"`}, {`{"id"`, `{"detail":"\u000a","id"`},
	} {
		b := strings.Replace(ok, c[0], c[1], 1)
		if r, err := ParseRecord([]byte(b)); err == nil {
			t.Errorf("%.200s was read as %v", b, r)
		}
	}
}

func TestResourceThereAndBack(t *testing.T) {
	for _, res := range []ambit.Resource{
		{Kind: "http", Segments: []string{"example.org", "a/b", "100%", "%2F", "c"}},
		{Kind: "file", Segments: []string{"etc", "passwd"}},
		{Kind: "tcp", Segments: []string{"db.internal:5432"}},
		{Kind: "repo", Segments: []string{"acme", "web"}},
		{Kind: "table", Segments: []string{"public", "Or.der/s"}},
	} {
		var r Record
		r.SetResource(res)
		got, err := r.ResourceValue()
		if err != nil || cmp.Diff(res, got) != "" {
			t.Errorf("%v became %q and then %v, %v", res, r.Resource, got, err)
		}
	}
}

// A log that was written before reads as it did, however people are shown a table.
func TestResourceOfATable(t *testing.T) {
	var r Record
	if r.SetResource(ambit.Resource{Kind: "table", Segments: []string{"public", "orders"}}); r.Resource != "public/orders" {
		t.Errorf("a table is %q in the log", r.Resource)
	}
}

func TestForAction(t *testing.T) {
	a := ambit.Action{Task: "t", Agent: "a", Service: "s", Operation: "http.delete", Resource: ambit.Resource{Kind: "http", Segments: []string{"h", "p"}}}
	r := ForAction(Refusal, &a, ambit.Decision{By: "no-grant"}, ambit.Digest{1})
	want := Record{Type: Refusal, Task: "t", Agent: "a", Service: "s", Operation: "http.delete", Effect: "unknown", Verdict: "deny",
		DecidedBy: "no-grant", Kind: "http", Resource: "h/p", Digest: "01" + strings.Repeat("00", 31)}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	k := newKey(t)
	if err := k.Save(path); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if got, err := LoadKey(path); err != nil || got.Public() != k.Public() || got.private != k.private {
		t.Errorf("LoadKey: %v", err)
	}
	if err := newKey(t).Save(path); err == nil {
		t.Error("a key replaced another")
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil {
		t.Error("a key that others can read was used")
	}
	for _, name := range []string{"", "a b", "a+b", strings.Repeat("x", 101)} {
		if _, err := NewKey(name); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
	mixed := k.private + "\n" + newKey(t).public + "\n"
	os.WriteFile(path+"2", []byte(mixed), 0o600)
	if _, err := LoadKey(path + "2"); err == nil || strings.Contains(err.Error(), "PRIVATE") {
		t.Errorf("two halves of two keys: %v", err)
	}
	if s := k.String() + k.GoString(); strings.Contains(s, "PRIVATE") {
		t.Error("the key prints its private half")
	}
}

func TestOpenOrCreate(t *testing.T) {
	home := t.TempDir()
	dir, key := filepath.Join(home, "log"), filepath.Join(home, "key")
	begin := func() error {
		l, err := OpenOrCreate(dir, key, "ambit.example/test", Options{Segment: MinSegment})
		if err != nil {
			return err
		}
		add(t, l, 1)
		return l.Close()
	}
	for range 3 {
		if err := begin(); err != nil {
			t.Fatal(err)
		}
	}
	// A crash just before the key got its name.
	if err := os.Rename(key, key+".new"); err != nil {
		t.Fatal(err)
	}
	if err := begin(); err != nil {
		t.Error(err)
	}
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	if err := begin(); err == nil {
		t.Error("a log without its key was opened")
	}
	os.Rename(key+".away", key)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := begin(); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a deleted log was begun anew: %v", err)
	}
}

func TestRecordBringsNoTimeOfItsOwn(t *testing.T) {
	l := newLog(t, t.TempDir(), newKey(t), Options{Segment: MinSegment})
	for _, r := range []Record{{Type: Alert, ID: 9}, {Type: Alert, Time: time.Unix(1, 0)}, {Type: Alert, Clock: ClockBack}, {Type: ""}} {
		if id, err := l.Append(t.Context(), r); err == nil {
			t.Errorf("%+v was recorded as %v", r, id)
		}
	}
	if id, err := l.Append(t.Context(), Record{Type: Alert}); err != nil || id != 1 {
		t.Errorf("the first good record: %v, %v", id, err)
	}
	var none *Log
	if _, err := none.Append(t.Context(), Record{Type: Alert}); err == nil {
		t.Error("no log took a record")
	}
	if _, err := new(Log).Append(t.Context(), Record{Type: Alert}); err == nil {
		t.Error("the zero log took a record")
	}
}
