package audit

import (
	"bytes"
	"encoding/json"
	"testing"

	"ambit"
)

func TestProofs(t *testing.T) {
	k, dir := newKey(t), t.TempDir()
	l := newLog(t, dir, k, Options{Segment: MinSegment})
	var cps []Checkpoint
	for range 20 {
		add(t, l, 1)
		fourTogether(t, l)
		cps = append(cps, l.Durable())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for id := ambit.RecordID(1); id <= 100; id++ {
		p, err := Prove(dir, k.Public(), id)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ReadInclusion(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := q.Check(k.Public()); err != nil || r.ID != id {
			t.Fatalf("%v: %v, %v", id, r.ID, err)
		}
		q.Record = bytes.Replace(q.Record, []byte("acme"), []byte("evil"), 1)
		if _, err := q.Check(k.Public()); err == nil {
			t.Fatalf("%v: a changed record passed", id)
		}
		if _, err := p.Check(newKey(t).Public()); err == nil {
			t.Fatalf("%v: another key passed", id)
		}
	}
	if _, err := Prove(dir, k.Public(), 101); err == nil {
		t.Error("a record that does not exist was proved")
	}
	for _, cp := range cps {
		p, err := ProveConsistency(dir, k.Public(), cp.Signed)
		if err != nil {
			t.Fatal(err)
		}
		older, newer, err := p.Check(k.Public())
		if err != nil || older.Size != cp.Size || newer.Size != 100 {
			t.Fatalf("%d: %d, %d, %v", cp.Size, older.Size, newer.Size, err)
		}
	}
	// A checkpoint of another history under the same key.
	other := newLog(t, t.TempDir(), k, Options{Segment: MinSegment})
	add(t, other, 7)
	if _, err := ProveConsistency(dir, k.Public(), other.Durable().Signed); err == nil {
		t.Error("a fork was proved consistent")
	}
}
