package git

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// packOf makes a pack of entries, whatever they are.
func packOf(count uint32, entries ...[]byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count)
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// object is an entry whose size may be a lie.
func object(kind, size int, between, content []byte) []byte {
	b := []byte{byte(kind<<4 | size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(size&0x7f))
	}
	return append(append(b, between...), zipped(content)...)
}

func commitText(parents ...string) []byte {
	s := "tree " + id("a") + "\n"
	for _, p := range parents {
		s += "parent " + p + "\n"
	}
	return []byte(s + "author a <a@x.test> 1 +0000\ncommitter a <a@x.test> 1 +0000\n\nhello\n")
}

func commitName(text []byte) string {
	return SHA1.name(SHA1.hash(), fmt.Sprintf("commit %d\x00", len(text)), text)
}

// TestHostilePacks: whoever writes the pack by hand gets no commit accepted that is
// not what its bytes are, and at worst nothing is known.
func TestHostilePacks(t *testing.T) {
	old := id("1")
	good := commitText(old)
	entry := object(typeCommit, len(good), nil, good)
	blob := object(3, 3, nil, []byte("abc"))
	for name, c := range map[string]struct {
		pack  []byte
		known int
	}{
		"plain":                       {packOf(1, entry), 1},
		"twice the same":              {packOf(2, entry, entry), 1},
		"fewer than there are":        {packOf(0, entry), 0},
		"more than there are":         {packOf(1<<31, entry), 1},
		"behind a blob":               {packOf(2, blob, entry), 0},
		"another version":             {append([]byte("PACK\x00\x00\x00\x09\x00\x00\x00\x01"), entry...), 0},
		"size too large":              {packOf(1, object(typeCommit, len(good)+1, nil, good)), 0},
		"size too small":              {packOf(1, object(typeCommit, len(good)-1, nil, good)), 0},
		"a commit of 2 MiB":           {packOf(1, object(typeCommit, 2<<20, nil, make([]byte, 2<<20))), 0},
		"a size without end":          {packOf(1, bytes.Repeat([]byte{0x9f}, 64)), 0},
		"a base that is not there":    {packOf(1, object(typeNamed, 4, bytes.Repeat([]byte{7}, 20), []byte("xxxx"))), 0},
		"a base before the pack":      {packOf(1, object(typeOffset, 4, []byte{0xff, 0x7f}, []byte("xxxx"))), 0},
		"itself as base":              {packOf(1, object(typeOffset, 4, []byte{0}, []byte("xxxx"))), 0},
		"an offset without end":       {packOf(1, object(typeOffset, 4, bytes.Repeat([]byte{0xff}, 9), nil)), 0},
		"a broken delta":              {packOf(2, entry, object(typeOffset, 3, []byte{byte(len(entry))}, []byte{1, 2, 3})), 1},
		"a delta of another size":     {packOf(2, entry, object(typeOffset, 4, []byte{byte(len(entry))}, []byte{1, 0x80 | 1, 1, 'x'})), 1},
		"not packed":                  {packOf(1, append([]byte{typeCommit<<4 | 5}, "hello"...)), 0},
		"two trees":                   {packOf(1, object(typeCommit, 92, nil, []byte("tree "+id("a")+"\ntree "+id("b")+"\n"))), 1},
		"a parent in another place":   {packOf(1, object(typeCommit, 94, nil, []byte("tree "+id("a")+"\nx\nparent "+old+"\n"))), 0},
		"a parent with spaces":        {packOf(1, object(typeCommit, 96, nil, []byte("tree "+id("a")+"\nparent  "+old+" \n"))), 0},
		"a parent that is no name":    {packOf(1, object(typeCommit, 94, nil, []byte("tree "+id("a")+"\nparent "+id("x")+"\n"))), 0},
		"reserved type":               {packOf(1, object(5, 3, nil, []byte("abc"))), 0},
		"a tag that holds a commit":   {packOf(1, object(typeTag, len(good), nil, good)), 0},
		"a delta of a tag":            {packOf(2, object(typeTag, len(good), nil, good), object(typeOffset, 6, []byte{byte(len(object(typeTag, len(good), nil, good)))}, append(sizes(len(good), len(good)), 0x90, byte(len(good))))), 0},
		"a commit that lies by a NUL": {packOf(1, object(typeCommit, 47, nil, append([]byte("tree "+id("a")+"\n"), 0))), 1},
	} {
		got := ReadCommits(SHA1, c.pack)
		if got.Len() != c.known {
			t.Errorf("%s: %d commits, want %d", name, got.Len(), c.known)
		}
		shown, _ := got.Descends(Command{old, commitName(good), "x"}, nil)
		if shown != (c.known > 0 && bytes.Contains(c.pack, entry)) {
			t.Errorf("%s: shown %v", name, shown)
		}
		if shown, _ := got.Descends(Command{id("2"), commitName(good), "x"}, nil); shown {
			t.Errorf("%s: shown for another commit", name)
		}
	}
}

func sizes(ns ...int) (b []byte) {
	for _, n := range ns {
		for ; n > 0x7f; n >>= 7 {
			b = append(b, byte(n&0x7f|0x80))
		}
		b = append(b, byte(n))
	}
	return b
}

// TestBombs: a pack that unpacks to much more than it is takes little time and
// memory.
func TestBombs(t *testing.T) {
	big := append(commitText(), make([]byte, maxObject-1000)...)
	entry := object(typeCommit, len(big), nil, big) // about 1 KiB
	// A delta that makes a MiB of the one before, over and over.
	delta := sizes(len(big), maxObject)
	for range 16 {
		delta = append(delta, 0x80) // 64 KiB from the start
	}
	name := bytes.Repeat([]byte{0}, 20)
	_, err := fmt.Sscanf(commitName(big), "%x", &name)
	if err != nil {
		t.Fatal(err)
	}
	again := object(typeNamed, len(delta), name, delta)
	for what, pack := range map[string][]byte{
		"objects": packOf(1<<20, bytes.Repeat(entry, MaxPrefix/len(entry))),
		"deltas":  packOf(1<<20, entry, bytes.Repeat(again, MaxPrefix/len(again))),
		"tags":    packOf(1<<20, bytes.Repeat(object(typeTag, 1, nil, []byte("x")), MaxPrefix/12)),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		c := ReadCommits(SHA1, pack)
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s: %v", what, d)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 16<<20 {
			t.Errorf("%s: %d commits keep %d bytes", what, c.Len(), kept)
		}
		runtime.KeepAlive(c)
	}
}

func FuzzPackets(f *testing.F) {
	for _, s := range []string{"0000", "0004", "000aabcdef", "00010002", "fff0", pkt(id("1")+" "+id("2")+" refs/heads/a"+caps) + "0000PACK"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadPush(b)
		if err != nil {
			return
		}
		if p.Size > len(b) || len(p.Commands) == 0 || len(p.Commands) > maxRefs {
			t.Fatalf("%+v", p)
		}
		// What was read is the same when it is written again, so that nothing was
		// skipped that a server could see.
		again, err := ReadPush(append(write(p), b[p.Size:]...))
		if err != nil || !bytes.Equal(again.Plain(), p.Plain()) {
			t.Fatalf("%v: %q", err, b)
		}
		for _, c := range p.Commands {
			if !strings.HasPrefix(c.Ref, "refs/") || strings.ContainsAny(c.Ref, "\x00\n *") {
				t.Fatalf("%q", c.Ref)
			}
		}
		p.Report(func(string) string { return string(b) }, []string{string(b)})
	})
}

func write(p *Push) (b []byte) {
	for _, s := range p.Shallow {
		b = append(b, pkt("shallow "+s)...)
	}
	for i, c := range p.Commands {
		line := c.Old + " " + c.New + " " + c.Ref
		if i == 0 && len(p.Capabilities) > 0 {
			line += "\x00" + strings.Join(p.Capabilities, " ")
		}
		b = append(b, pkt(line)...)
	}
	b = append(b, "0000"...)
	if p.Can("push-options") {
		for _, o := range p.Options {
			b = append(b, pkt(o+"\n")...)
		}
		b = append(b, "0000"...)
	}
	return b
}

func FuzzPackPrefix(f *testing.F) {
	text := commitText(id("1"))
	f.Add(packOf(1, object(typeCommit, len(text), nil, text)))
	e := object(typeCommit, len(text), nil, text)
	f.Add(packOf(2, e, object(typeOffset, 6, []byte{byte(len(e))}, append(sizes(len(text), len(text)), 0x90, byte(len(text))))))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, format := range []Format{SHA1, SHA256} {
			c := ReadCommits(format, b)
			for name, x := range c.byID {
				if x.ID != name || !format.isID(name) || len(x.Subject) > maxSubject {
					t.Fatalf("%q: %+v", name, x)
				}
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(pkt("packfile\n") + pkt("\x01PACK") + "0000"))
	f.Add([]byte(pkt("version 2\n") + pkt("fetch=shallow filter\n") + pkt("object-format=sha256\n") + "0000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ReadAnswer(bytes.NewReader(b)); err == nil && len(p) > len(b) {
			t.Fatal("more came out than went in")
		}
		s, err := ReadServer(b)
		if err == nil && len(s.Ask([]string{id("1")}, id("2"))) == 0 {
			t.Fatal("nothing is asked")
		}
	})
}

// FuzzAnswered: what a server answers to a push is read within bounds, and says of a ref
// only what stands there.
func FuzzAnswered(f *testing.F) {
	f.Add(true, []byte("0019\x01000eunpack ok\n0000"))
	f.Add(false, []byte("000eunpack ok\n0014ok refs/heads/a\n0018ng refs/heads/b no\n0000"))
	f.Add(true, []byte("0006\x01\x010005\x010005\x020000"))
	f.Add(false, []byte("0007ng 0000"))
	f.Add(false, []byte("0007ng\n0000"))
	f.Fuzz(func(t *testing.T, bands bool, b []byte) {
		p := &Push{}
		if bands {
			p.Capabilities = []string{"side-band-64k"}
		}
		a, err := p.ReadAnswered(b)
		if err != nil {
			return
		}
		for ref, why := range a.Reason {
			if !bands && (!bytes.Contains(b, []byte("ng "+ref)) || !bytes.Contains(b, []byte(why))) {
				t.Errorf("%q says of %q: %q", b, ref, why)
			}
		}
	})
}
