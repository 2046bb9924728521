package sql

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ambit"
)

// ready compiles the grammar before the first input, which may not take long.
func ready(f *testing.F) {
	f.Helper()
	if err := shared().Start(); err != nil {
		f.Fatal(err)
	}
}

// FuzzParse looks for texts with which the classifier fails, or contradicts
// itself: each statement by itself is what it is among others.
func FuzzParse(f *testing.F) {
	for _, text := range corpora(f) {
		f.Add(text)
	}
	ready(f)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := shared().Parse(text)
		if err != nil {
			return
		}
		for _, s := range list {
			worst := ambit.Read
			for _, a := range s.Accesses {
				worst = max(worst, a.Effect)
				if a.Effect != a.Effect.Worst() || a.Operation == "" || (a.Table == "") != (a.Schema == "") || !slices.IsSorted(a.Columns) {
					t.Errorf("%q has the access %+v", s.Text, a)
				}
			}
			if s.Effect != s.Effect.Worst() || s.Effect != worst || s.Operation == "" || s.Kind == KindUnknown && s.Effect != ambit.Irreversible {
				t.Errorf("%q is %+v", s.Text, s)
			}
			again, err := shared().Parse(s.Text)
			if err != nil || len(again) != 1 {
				t.Fatalf("%q of %q by itself: %d statements, %v", s.Text, text, len(again), err)
			}
			if d := cmp.Diff(s, again[0], cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%q of %q by itself (-among others +by itself):\n%s", s.Text, text, d)
			}
			if count, rows, why := shared().Preview(s); why == "" && (!isRead(count) || !isRead(rows)) {
				t.Errorf("%q has the preview %q, %q", s.Text, count, rows)
			}
		}
	})
}

// FuzzReads runs on a real server what is classified as a read: nothing moves.
func FuzzReads(f *testing.F) {
	for _, text := range corpora(f) {
		f.Add(text)
	}
	ready(f)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, text string) {
		if !isRead(text) {
			return
		}
		s.t = t
		if moved := s.run(text); moved != "" {
			t.Errorf("%q is classified as a read, but %s", text, moved)
		}
	})
}
