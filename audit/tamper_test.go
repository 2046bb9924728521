package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"ambit"
)

// files is a log's directory as bytes.
type files map[string][]byte

func load(t testing.TB, dir string) files {
	t.Helper()
	f := files{}
	names, err := osFS{}.Names(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if n == lockName {
			continue
		}
		if f[n], err = os.ReadFile(filepath.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f files) clone() files {
	c := files{}
	for n, b := range f {
		c[n] = bytes.Clone(b)
	}
	return c
}

func (f files) mem() *memFS {
	m := newMemFS()
	for n, b := range f {
		m.put("log/"+n, b)
	}
	return m
}

func (f files) verify(k *Key, o VerifyOptions) (Result, error) {
	o.fs = f.mem()
	return Verify("log", k.Public(), o)
}

// frameAt is one frame of a segment.
type frameAt struct {
	kind     string
	off, end int
}

func framesOf(b []byte) []frameAt {
	var out []frameAt
	for off := 0; ; {
		kind, _, next, err := nextFrame(b, off)
		if err != nil {
			return out
		}
		out = append(out, frameAt{kind, off, next})
		off = next
	}
}

func recordsOf(b []byte) []frameAt {
	var out []frameAt
	for _, f := range framesOf(b) {
		if f.kind == kindRecord {
			out = append(out, f)
		}
	}
	return out
}

// splice replaces b[from:to] and keeps the length by cutting or filling the
// zeros at the end.
func splice(b []byte, from, to int, with []byte) []byte {
	out := append(append(bytes.Clone(b[:from]), with...), b[to:]...)
	for len(out) < len(b) {
		out = append(out, 0)
	}
	return out[:len(b)]
}

// fixCRC makes the check sum of the frame at off right again.
func fixCRC(b []byte, off int) {
	n := int(binary.LittleEndian.Uint32(b[off:]))
	binary.LittleEndian.PutUint32(b[off+8:], frameCRC(b[off:off+8], b[off+12:off+12+n]))
}

// sample writes a closed log: r1 to r3 alone, then batches of four, over
// several segments.
func sample(t testing.TB, k *Key, batches int) files {
	t.Helper()
	dir := t.TempDir()
	l := newLog(t, dir, k, Options{Segment: MinSegment})
	add(t, l, 3)
	for range batches {
		fourTogether(t, l)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return load(t, dir)
}

// fourTogether records one batch of four, by holding the queue's lock until
// all four stand in it.
func fourTogether(t testing.TB, l *Log) {
	t.Helper()
	var last *pending
	l.mu.Lock()
	for i := range 4 {
		r := intent(i)
		p, err := l.add(&r, []byte(`{"n":1}`))
		if err != nil {
			l.mu.Unlock()
			t.Fatal(err)
		}
		l.room <- struct{}{}
		last = p
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	l.mu.Unlock()
	if _, err := last.wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
}

func wantFault(t *testing.T, err error, kind Kind, id ambit.RecordID) {
	t.Helper()
	f, ok := errors.AsType[*Fault](err)
	if !ok {
		t.Fatalf("error %v is no fault, want %v at %v", err, kind, id)
	}
	if f.Kind != kind || f.Record != id {
		t.Errorf("fault %v, want %v at %v", f, kind, id)
	}
}

func TestEveryFlippedByteIsFound(t *testing.T) {
	k := newKey(t)
	dir := t.TempDir()
	l := newLog(t, dir, k, Options{Segment: MinSegment})
	add(t, l, 2)
	fourTogether(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	good := load(t, dir)
	if _, err := good.verify(k, VerifyOptions{}); err != nil {
		t.Fatal(err)
	}
	recs := recordsOf(good["000001.seg"])
	frames := framesOf(good["000001.seg"])
	end := frames[len(frames)-1].end
	m, v := good.mem(), verifier(t, k)
	for name, b := range good {
		for i := range b {
			// Of the zeros behind the end every byte is treated alike: the first,
			// the last and some between stand for all.
			if n := len(b); n == MinSegment && i > end+64 && i < n-64 && i%61 != 0 {
				continue
			}
			bit := byte(1) << (i % 8)
			m.names["log/"+name].now[i] ^= bit
			_, err := verifyOnce("log", v, VerifyOptions{fs: m})
			m.names["log/"+name].now[i] ^= bit
			f, ok := errors.AsType[*Fault](err)
			if !ok {
				t.Fatalf("%s: byte %d, bit %#x: not found: %v", name, i, bit, err)
			}
			for n, r := range recs {
				if name == "000001.seg" && i >= r.off && i < r.end && f.Record != ambit.RecordID(n+1) {
					t.Fatalf("%s: byte %d belongs to r%d: %v", name, i, n+1, f)
				}
			}
		}
	}
}

func TestFlippedBytesWithRightCheckSums(t *testing.T) {
	k := newKey(t)
	good := sample(t, k, 2)
	b := good["000001.seg"]
	n := 0
	for _, f := range framesOf(b) {
		if f.kind == kindRecord {
			n++
		}
		for i := f.off + frameHeader; i < f.end; i++ {
			b[i] ^= 1
			old := bytes.Clone(b[f.off+8 : f.off+12])
			fixCRC(b, f.off)
			_, err := verifyOnce("log", verifier(t, k), VerifyOptions{fs: good.mem()})
			b[i] ^= 1
			copy(b[f.off+8:], old)
			g, ok := errors.AsType[*Fault](err)
			if !ok {
				t.Fatalf("byte %d of a %q frame: not found: %v", i, f.kind, err)
			}
			if f.kind == kindRecord && (g.Kind != Edit || g.Record != ambit.RecordID(n)) {
				t.Fatalf("byte %d of r%d: %v", i, n, g)
			}
		}
	}
}

func TestRecordsTampered(t *testing.T) {
	k := newKey(t)
	good := sample(t, k, 30)
	seg := good["000001.seg"]
	recs := recordsOf(seg)
	second := len(recs) + 1 // the first record of the second segment
	rec := func(n int) []byte { return seg[recs[n-1].off:recs[n-1].end] }
	total := 3 + 30*4
	for _, c := range []struct {
		name string
		do   func(f files)
		kind Kind
		id   int
	}{
		{"record deleted in a batch", func(f files) { f["000001.seg"] = splice(seg, recs[4].off, recs[4].end, nil) }, Deletion, 5},
		{"last record of a batch deleted", func(f files) { f["000001.seg"] = splice(seg, recs[6].off, recs[6].end, nil) }, Deletion, 7},
		{"batch deleted", func(f files) { f["000001.seg"] = splice(seg, recs[1].off, recs[2].off, nil) }, Deletion, 2},
		{"checkpoint deleted", func(f files) { f["000001.seg"] = splice(seg, recs[1].end, recs[2].off, nil) }, Deletion, 2},
		{"records swapped in a batch", func(f files) {
			f["000001.seg"] = splice(seg, recs[4].off, recs[5].end, append(bytes.Clone(rec(6)), rec(5)...))
		}, Reordering, 5},
		{"batches swapped", func(f files) {
			f["000001.seg"] = splice(seg, recs[1].off, recs[3].off, append(bytes.Clone(seg[recs[2].off:recs[3].off]), seg[recs[1].off:recs[2].off]...))
		}, Reordering, 2},
		{"record repeated", func(f files) { f["000001.seg"] = splice(seg, recs[4].off, recs[4].off, rec(4)) }, Insertion, 5},
		{"batch repeated", func(f files) {
			f["000001.seg"] = splice(seg, recs[2].off, recs[2].off, seg[recs[1].off:recs[2].off])
		}, Insertion, 3},
		{"record invented", func(f files) {
			fake := bytes.Replace(bytes.Clone(rec(5)), []byte("allow"), []byte("allov"), 1)
			fixCRC(fake, 0)
			f["000001.seg"] = splice(seg, recs[4].off, recs[4].off, fake)
		}, Insertion, 5},
		{"record edited", func(f files) {
			b := bytes.Clone(seg)
			copy(b[recs[5].off:recs[5].end], bytes.Replace(b[recs[5].off:recs[5].end], []byte("acme"), []byte("evil"), 1))
			fixCRC(b, recs[5].off)
			f["000001.seg"] = b
		}, Edit, 6},
		{"record and its leaf hash edited", func(f files) {
			b := bytes.Clone(seg)
			r := b[recs[5].off:recs[5].end]
			copy(r, bytes.Replace(r, []byte("acme"), []byte("evil"), 1))
			fixCRC(b, recs[5].off)
			leaf := tlog.RecordHash(r[frameHeader:])
			copy(b[recs[6].end+frameHeader+4+2*len(leaf):], leaf[:])
			fixCRC(b, recs[6].end)
			f["000001.seg"] = b
		}, Edit, 4},
		{"segment deleted", func(f files) { delete(f, "000002.seg") }, Deletion, second},
		{"first segment deleted", func(f files) { delete(f, "000001.seg") }, Deletion, 1},
		{"segments swapped", func(f files) { f["000001.seg"], f["000002.seg"] = f["000002.seg"], f["000001.seg"] }, Reordering, 1},
		{"segment repeated", func(f files) { f["000002.seg"] = f["000001.seg"] }, Insertion, second},
		{"segment emptied", func(f files) { clear(f["000002.seg"]) }, Deletion, second},
		{"segment cut", func(f files) { f["000001.seg"] = seg[:recs[5].off] }, Truncation, 6},
		{"checkpoint file deleted", func(f files) { delete(f, checkpointFile) }, Truncation, total + 1},
		{"all segments deleted", func(f files) {
			maps.DeleteFunc(f, func(n string, _ []byte) bool { return strings.HasSuffix(n, ".seg") })
		}, Truncation, 1},
		{"bytes behind the end", func(f files) { f["000001.seg"][MinSegment-1] = 1 }, Edit, second},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := good.clone()
			c.do(f)
			_, err := f.verify(k, VerifyOptions{})
			wantFault(t, err, c.kind, ambit.RecordID(c.id))
			if _, err := Open("log", k, Options{Segment: MinSegment, fs: f.mem()}); err == nil {
				t.Error("Open took the log")
			}
		})
	}
}

func TestTruncatedAtEveryRecord(t *testing.T) {
	k := newKey(t)
	good := sample(t, k, 2)
	seg := good["000001.seg"]
	for i, r := range recordsOf(seg) {
		for name, at := range map[string]int{"before": r.off, "within": r.off + 20, "at its last byte": r.end - 1} {
			for _, zeros := range []bool{false, true} {
				f := good.clone()
				f["000001.seg"] = seg[:at]
				if zeros {
					f["000001.seg"] = append(bytes.Clone(seg[:at]), make([]byte, len(seg)-at)...)
				}
				_, err := f.verify(k, VerifyOptions{})
				g, ok := errors.AsType[*Fault](err)
				if !ok {
					t.Fatalf("cut %s r%d: %v", name, i+1, err)
				}
				// What stands whole of an unfinished batch is not to be trusted
				// either: the batch's first record may be named.
				if g.Kind != Truncation || g.Record > ambit.RecordID(i+1) || i < 3 && g.Record != ambit.RecordID(i+1) {
					t.Errorf("cut %s r%d, zeros %v: %v", name, i+1, zeros, g)
				}
				if _, err := Open("log", k, Options{Segment: MinSegment, fs: f.mem()}); err == nil {
					t.Errorf("cut %s r%d: Open took the log", name, i+1)
				}
			}
		}
	}
}

func TestRolledBackAsAWhole(t *testing.T) {
	k := newKey(t)
	dir := t.TempDir()
	l := newLog(t, dir, k, Options{Segment: MinSegment})
	add(t, l, 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	early := load(t, dir)
	l, err := Open(dir, k, Options{Segment: MinSegment})
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, 4)
	kept := l.Durable().Signed
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, dir).verify(k, VerifyOptions{Against: [][]byte{kept, early[checkpointFile]}}); err != nil {
		t.Errorf("the honest log: %v", err)
	}
	_, err = early.verify(k, VerifyOptions{Against: [][]byte{kept}})
	wantFault(t, err, Truncation, 4)
	_, err = early.verify(k, VerifyOptions{Against: [][]byte{[]byte("nonsense")}})
	if err == nil {
		t.Error("a checkpoint that is none was passed over")
	}
}

// TestFork lets two daemons go on from one snapshot.
func TestFork(t *testing.T) {
	k := newKey(t)
	a := t.TempDir()
	l := newLog(t, a, k, Options{Segment: MinSegment})
	add(t, l, 5)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b := filepath.Join(t.TempDir(), "b")
	if err := os.CopyFS(b, os.DirFS(a)); err != nil {
		t.Fatal(err)
	}
	grow := func(dir, agent string, n int) Checkpoint {
		l, err := Open(dir, k, Options{Segment: MinSegment})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for range n {
			r := intent(1)
			r.Agent = agent
			if _, err := l.Append(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		return l.Durable()
	}
	if _, err := Verify(a, k.Public(), VerifyOptions{Copy: b}); err != nil {
		t.Errorf("two equal copies: %v", err)
	}
	base := grow(a, "one", 0)
	cpA, cpB := grow(a, "one", 3), grow(b, "two", 5)
	for _, d := range []string{a, b} {
		if _, err := Verify(d, k.Public(), VerifyOptions{}); err != nil {
			t.Errorf("%s alone: %v", d, err)
		}
	}
	_, err := Verify(a, k.Public(), VerifyOptions{Copy: b})
	wantFault(t, err, Fork, 6)
	_, err = Verify(b, k.Public(), VerifyOptions{Copy: a})
	wantFault(t, err, Fork, 6)
	_, err = Verify(b, k.Public(), VerifyOptions{Against: [][]byte{cpA.Signed, base.Signed}})
	wantFault(t, err, Fork, 6)
	_, err = Verify(a, k.Public(), VerifyOptions{Against: [][]byte{cpB.Signed}})
	wantFault(t, err, Truncation, 9)
	// Swapping the one file for the other's is a fork too.
	fa, fb := load(t, a), load(t, b)
	fb[checkpointFile] = fa[checkpointFile]
	_, err = fb.verify(k, VerifyOptions{})
	wantFault(t, err, Fork, 1)
}

func TestSegmentOfAnotherLog(t *testing.T) {
	k := newKey(t)
	good, same := sample(t, k, 30), sample(t, k, 30)
	foreign := sample(t, newKey(t), 30)
	first := ambit.RecordID(len(recordsOf(good["000001.seg"])) + 1)

	f := good.clone()
	f["000002.seg"] = same["000002.seg"]
	_, err := f.verify(k, VerifyOptions{})
	wantFault(t, err, Fork, first)

	f["000002.seg"] = foreign["000002.seg"]
	_, err = f.verify(k, VerifyOptions{})
	g, ok := errors.AsType[*Fault](err)
	if !ok || g.Record != first {
		t.Errorf("another key's segment: %v", err)
	}
	_, err = foreign.verify(k, VerifyOptions{})
	wantFault(t, err, Foreign, 1)
	for i := range foreign {
		if strings.HasSuffix(i, ".seg") {
			f[i] = foreign[i]
		}
	}
	_, err = f.verify(k, VerifyOptions{})
	wantFault(t, err, Foreign, 1)
}

func TestClockSetBack(t *testing.T) {
	k, dir := newKey(t), t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l := newLog(t, dir, k, Options{Segment: MinSegment, Now: func() time.Time { return now }})
	add(t, l, 2)
	now = now.Add(-time.Hour)
	add(t, l, 1)
	now = now.Add(time.Second)
	add(t, l, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	l, err := Open(dir, k, Options{Segment: MinSegment, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, 1)
	l.Close()
	res, err := Verify(dir, k.Public(), VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Warn) != 2 || !strings.HasPrefix(res.Warn[0], "r3:") || !strings.HasPrefix(res.Warn[1], "r5:") {
		t.Errorf("warnings %q", res.Warn)
	}
	var marks []string
	for r, err := range Read(dir, 0, Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, fmt.Sprint(r.ID, r.Clock))
	}
	if got := strings.Join(marks, " "); got != "r1 r2 r3 back r4 r5 back" && got != "r1 r2 r3back r4 r5back" {
		t.Errorf("marks %s", got)
	}
}
