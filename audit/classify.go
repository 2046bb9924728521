package audit

import (
	"errors"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// misplaced names the fault of a batch whose seal counts from another size.
func (c *checker) misplaced(x *batch) *Fault {
	start, next := x.seal.start(), c.edge.size+1
	if start < c.edge.size {
		return c.at(Insertion, next, x.off, "here stand r%d to r%d, which have been before", start+1, x.seal.cp.Size)
	}
	missing := start - c.edge.size
	if int64(len(x.recs)) == missing+int64(len(x.seal.leaves)) {
		return c.at(Deletion, next, x.off, "the checkpoint that sealed it is gone").through(start)
	}
	return c.gap(start, x.off)
}

// wrongRoot names the fault of a batch whose leaf hashes do not lead to the
// root that its checkpoint states: nothing vouches for the hashes then, but
// they still show what was changed carelessly.
func (c *checker) wrongRoot(x *batch) *Fault {
	if f := c.align(x); f != nil {
		return f
	}
	f := c.at(Edit, c.edge.size+1, x.off, "the records do not lead to the root that their checkpoint states: they were changed, or come from a fork")
	return f.through(x.seal.cp.Size)
}

// align compares the records of a batch with its leaf hashes.
func (c *checker) align(x *batch) *Fault {
	leaves := x.seal.leaves
	got := make([]tlog.Hash, len(x.recs))
	for i, r := range x.recs {
		got[i] = tlog.RecordHash(r.payload)
	}
	i := 0
	for i < len(got) && i < len(leaves) && got[i] == leaves[i] {
		i++
	}
	id := c.edge.size + int64(i) + 1
	switch {
	case i == len(got) && i == len(leaves):
		return nil
	case i == len(got):
		return c.at(Deletion, id, x.at, "its checkpoint seals %d records, and %d are there", len(leaves), len(got)).through(x.seal.cp.Size)
	case i == len(leaves):
		return c.at(Insertion, id, x.recs[i].off, "its checkpoint seals %d records, and %d are there", len(leaves), len(got))
	}
	return c.mismatch(id, x.recs[i].off, got[i:], leaves[i:], slices.Contains(leaves[:i], got[i]))
}

// mismatch names what makes the first of got differ from the first of want.
func (c *checker) mismatch(id int64, off int, got, want []tlog.Hash, seen bool) *Fault {
	wantedLater := slices.Contains(got, want[0])
	skipped := slices.Index(want, got[0])
	switch {
	case wantedLater && skipped > 0 && len(got) <= len(want):
		return c.at(Reordering, id, off, "r%d stands in its place", id+int64(skipped))
	case wantedLater && (seen || len(got) > len(want)):
		return c.at(Insertion, id, off, "a record that is not of the log, or has been before, stands in its place")
	case wantedLater:
		return c.at(Reordering, id, off, "another record stands in its place")
	case skipped > 0:
		return c.at(Deletion, id, off, "r%d stands in its place", id+int64(skipped)).through(id + int64(skipped) - 1)
	}
	return c.at(Edit, id, off, "the record's hash is not the one that its checkpoint seals")
}

// broken names the fault of bytes at off that are no frame, in a batch that so
// far is x. Such bytes at the very end are what a crash leaves; anything sealed
// beyond the batch proves that they were acknowledged once.
func (c *checker) broken(b []byte, x *batch, off int) *Fault {
	id := c.edge.size + int64(len(x.recs)) + 1
	if i := firstNonZero(b[off:]); errors.Is(x.err, errEnd) && i >= 0 {
		return c.stray(b, x, off+i)
	}
	seals := sealsAfter(b, off)
	if f := c.brokenRecords(x); f != nil && len(seals) > 0 {
		return f
	}
	if len(seals) == 0 {
		f := c.at(Torn, id, off, "an unfinished write: %v", x.err)
		f.tail = allZero(b[min(len(b), x.off+maxWrite):])
		f.cut = errors.Is(x.err, errEnd) || cutOff(b, off)
		if !f.tail {
			f.Kind, f.Why = Edit, "bytes that are no record reach further than one write: "+x.err.Error()
		}
		return f
	}
	if s := seals[0]; s.start() == c.edge.size {
		f := c.at(Edit, id, off, "%v", x.err)
		f.tail = len(seals) == 1
		if len(x.recs) >= len(s.leaves) {
			f.Kind, f.Why = Insertion, "bytes that are no record stand before the checkpoint"
		}
		return f
	}
	if kind, _, _, _ := nextFrame(b, off); kind == kindSeal && len(x.recs) > 0 {
		return c.at(Edit, c.edge.size+1, off, "the checkpoint that seals it: %v", x.err).through(id - 1)
	}
	return c.at(Edit, id, off, "%v", x.err)
}

// stray names the fault of bytes that stand behind zeros.
func (c *checker) stray(b []byte, x *batch, off int) *Fault {
	id := c.edge.size + int64(len(x.recs)) + 1
	seals := sealsAfter(b, off)
	f := c.at(Torn, id, off, "bytes that are no record stand behind the end")
	f.tail = allZero(b[min(len(b), x.off+maxWrite):])
	switch {
	case len(seals) > 0 && seals[0].start() > c.edge.size:
		f.Kind, f.tail, f.Why = Deletion, false, "zeros stand in its place, and the log goes on behind them"
		f.through(seals[0].start())
	case len(seals) > 1 || !f.tail:
		f.Kind, f.tail = Edit, false
	}
	return f
}

// maxWrite bounds what one write can leave behind.
const maxWrite = frameHeader + maxHeader + maxBatchBytes + MaxRecord + frameHeader + maxSeal

// cutOff says whether from off on a frame begins and ends in zeros: a canonical
// record ends in "}", a checkpoint in a line feed.
func cutOff(b []byte, off int) bool {
	_, payload, _, err := nextFrame(b, off)
	if errors.Is(err, errCut) {
		return true
	}
	if !errors.Is(err, errCRC) || len(payload) == 0 {
		return false
	}
	return payload[len(payload)-1] == 0 && allZero(b[off+frameHeader+len(payload):])
}

// brokenRecords looks at the whole records before the broken place: one that
// is not the next in order comes first.
func (c *checker) brokenRecords(x *batch) *Fault {
	for i, s := range x.recs {
		want := c.edge.size + int64(i) + 1
		r, err := ParseRecord(s.payload)
		if err != nil {
			return c.at(Edit, want, s.off, "%v", err)
		}
		if int64(r.ID) == want {
			continue
		}
		if int64(r.ID) > want {
			return c.gap(int64(r.ID)-1, s.off)
		}
		return c.at(Insertion, want, s.off, "%v stands here, which has been before", r.ID)
	}
	return nil
}
