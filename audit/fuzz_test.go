package audit

import (
	"bytes"
	"testing"

	"github.com/gowebpki/jcs"
	"golang.org/x/mod/sumdb/note"
)

// Keys of the fuzz targets and the worked example: not secret, and of no use.
const (
	exampleSecret = "PRIVATE+KEY+ambit.example/log+0fb93060+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	examplePublic = "ambit.example/log+0fb93060+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
)

func exampleKey(t testing.TB) *Key {
	t.Helper()
	k, err := parseKeyPair(exampleSecret, examplePublic)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func FuzzParseRecord(f *testing.F) {
	r := full()
	b, err := appendRecord(nil, &r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"id":"r1","time":"2026-01-02T03:04:05.000000Z","type":"intent"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		again, err := appendRecord(nil, &r)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("read %q and wrote %q, %v", b, again, err)
		}
		if c, err := jcs.Transform(b); err != nil || !bytes.Equal(c, b) {
			t.Errorf("%q is not canonical: %q, %v", b, c, err)
		}
	})
}

// FuzzAppendRecord gives strings of all kinds to the encoder.
func FuzzAppendRecord(f *testing.F) {
	f.Add("a\x00\"\\\n", "{\"a\":1}", "\xff\u2028")
	f.Fuzz(func(t *testing.T, detail, data, agent string) {
		r := full()
		r.Detail, r.Data, r.Agent = detail, []byte(data), agent
		b, err := appendRecord(nil, &r)
		if err != nil {
			return
		}
		if _, err := ParseRecord(b); err != nil {
			t.Errorf("wrote %q, which cannot be read: %v", b, err)
		}
		if bytes.IndexByte(b, '\n') >= 0 {
			t.Errorf("a record with a line feed could look like a frame: %q", b)
		}
	})
}

// FuzzSegment gives any bytes as a segment to the reader, the checker and the
// opening. None may panic, and what verifies must be signed.
func FuzzSegment(f *testing.F) {
	k := newKey(f)
	good := sample(f, k, 1)
	f.Add(good["000001.seg"], good[checkpointFile])
	f.Add([]byte{}, good[checkpointFile])
	v, err := note.NewVerifier(k.Public())
	if err != nil {
		f.Fatal(err)
	}
	genuine := map[int64][]byte{}
	for _, fr := range framesOf(good["000001.seg"]) {
		_, p, _, _ := nextFrame(good["000001.seg"], fr.off)
		if s, err := parseSeal(p); err == nil && fr.kind == kindSeal {
			genuine[s.cp.Size] = bytes.Clone(s.cp.Root[:])
		}
	}
	f.Fuzz(func(t *testing.T, seg, cp []byte) {
		m := newMemFS()
		m.put("log/000001.seg", seg)
		m.put("log/"+checkpointFile, cp)
		res, err := verifyOnce("log", v, VerifyOptions{fs: m})
		if err == nil && res.Size > 0 && !bytes.Equal(genuine[res.Size], res.Root[:]) {
			t.Errorf("verified %d records that were never signed", res.Size)
		}
		c := cursor{fs: m, dir: "log"}
		c.emit(0, 1<<60, &Filter{}, func(Record, error) bool { return true })
		l, err := Open("log", k, Options{Segment: MinSegment, fs: m})
		if err != nil {
			return
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := verifyOnce("log", v, VerifyOptions{fs: m}); err != nil {
			t.Errorf("opened, and does not verify: %v", err)
		}
	})
}

// FuzzMutatedLog changes some bytes of a good log, and makes the check sums
// right again when asked: nothing of it may verify.
func FuzzMutatedLog(f *testing.F) {
	k := newKey(f)
	good := sample(f, k, 1)
	v, err := note.NewVerifier(k.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(100), []byte{1}, true, false)
	f.Add(uint16(2000), []byte("evil"), true, true)
	f.Fuzz(func(t *testing.T, at uint16, xor []byte, fix, insert bool) {
		g := good.clone()
		b := g["000001.seg"]
		if int(at) >= len(b) {
			return
		}
		frames := framesOf(b)
		if insert {
			b = splice(b, int(at), int(at), xor)
		} else {
			for i := range min(len(xor), len(b)-int(at)) {
				b[int(at)+i] ^= xor[i]
			}
		}
		for _, fr := range frames {
			if fix && int(at) >= fr.off+frameHeader && int(at) < fr.end {
				fixCRC(b, fr.off)
			}
		}
		if bytes.Equal(b, good["000001.seg"]) {
			return
		}
		g["000001.seg"] = b
		if res, err := verifyOnce("log", v, VerifyOptions{fs: g.mem()}); err == nil {
			t.Errorf("a changed log verified: %d records", res.Size)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	k := newKey(f)
	cp, err := k.sign(0, (&edge{}).root())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cp.Signed)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := OpenCheckpoint(b, k.Public())
		if err == nil && (c.Size != 0 || c.Root != cp.Root || c.Origin != cp.Origin) {
			t.Errorf("%q was trusted", b)
		}
		v, _ := note.NewVerifier(k.Public())
		if err == nil && c.verifyOwn(v) == nil && !bytes.Equal(b, cp.Signed) {
			t.Errorf("%q passed as the log's own", b)
		}
	})
}
