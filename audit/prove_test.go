package audit

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
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

// TestNoProofOfAFork: whoever can write the folder puts the checkpoint of another
// history there, which the key signed too, and breaks the log further on.
func TestNoProofOfAFork(t *testing.T) {
	k := newKey(t)
	good := sample(t, k, 20)
	other := newLog(t, t.TempDir(), k, Options{Segment: MinSegment})
	add(t, other, 3)
	fork := maps.Clone(good)
	fork[checkpointFile] = other.Durable().Signed
	for what, seq := range map[string]int{"fork": 0, "fork, broken where the writer has left": 1, "fork, broken where it is at work": 2} {
		files := maps.Clone(fork)
		if seq > 0 {
			name := filepath.Base(segmentPath("", seq))
			b := bytes.Clone(files[name])
			b[bytes.LastIndex(b[:bytes.LastIndex(b, []byte(kindSeal))], []byte("web-fixer"))] ^= 1
			files[name] = b
		}
		dir := t.TempDir()
		for n, b := range files {
			if err := os.WriteFile(filepath.Join(dir, n), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Prove(dir, k.Public(), 2); err == nil {
			t.Errorf("%s: it makes a proof", what)
		}
	}
}
