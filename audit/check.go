package audit

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ambit"
)

// checker goes through a log's bytes in order and stops at the first fault.
// Verify and Open share it.
type checker struct {
	key  note.Verifier
	edge edge
	seq  int // the segment being checked
	last Checkpoint
	// Where the write of the newest whole batch begins, and its last record: a part of the
	// bytes given to segment.
	lastOff    int
	lastRecord []byte
	roots      map[int64]tlog.Hash // sizes whose roots are wanted, filled in on the way
	later      func(id int64) bool // whether a record stands further on; for naming a fault only

	onRecord   func(r *Record) // every record in order; nil when only the bytes matter
	onRaw      func(r *Record, raw []byte)
	nodes      wanted // nodes of the tree to keep on the way
	signatures bool   // check each signature, not only the newest
	unchecked  []sealed
}

// sealed is a checkpoint whose signature waits to be checked.
type sealed struct {
	cp    Checkpoint
	start int64
	off   int
	seq   int
}

// at makes a fault about record id.
func (c *checker) at(k Kind, id int64, off int, format string, a ...any) *Fault {
	return &Fault{Kind: k, Record: ambit.RecordID(id), Segment: c.seq, Offset: off, Why: fmt.Sprintf(format, a...)}
}

// segment checks one whole segment and returns where its zeros begin; 0 means
// that it holds nothing at all.
func (c *checker) segment(seq int, b []byte) (end int, f *Fault) {
	c.seq = seq
	if allZero(b) {
		return 0, nil
	}
	off, f := c.header(b)
	begin := off
	for f == nil {
		x := nextBatch(b, off)
		switch {
		case x.err == nil:
			f = c.batch(&x)
			if off == begin {
				c.lastOff = 0
			}
		case errors.Is(x.err, errEnd) && len(x.recs) == 0 && off > begin && allZero(b[off:]):
			return off, c.checkSignatures()
		default:
			f = c.broken(b, &x, x.at)
		}
		// The header and the first batch are one write.
		if f != nil && off > begin {
			f.from = off
		}
		off = x.at
	}
	// A bad signature further up comes first.
	if g := c.checkSignatures(); g != nil {
		return 0, g
	}
	return 0, f
}

func (c *checker) header(b []byte) (int, *Fault) {
	next := c.edge.size + 1
	kind, payload, off, err := nextFrame(b, 0)
	if err == nil && kind != kindSegment {
		err = errKind
	}
	if err != nil {
		return 0, c.broken(b, &batch{err: fmt.Errorf("the segment's header: %w", err)}, 0)
	}
	h, err := parseHeader(payload)
	switch {
	case err != nil:
		return 0, c.at(Edit, next, 0, "%v", err)
	case h.edge.size > c.edge.size:
		return 0, c.gap(h.edge.size, 0)
	case h.edge.size < c.edge.size:
		return 0, c.at(Insertion, next, 0, "here the segment begins that goes on after r%d, which has been before", h.edge.size)
	case !h.edge.equal(c.edge):
		return 0, c.otherPast(b, off, h)
	case h.seq != c.seq:
		return 0, c.at(Reordering, next, 0, "the file is named as segment %d and was written as %d", c.seq, h.seq)
	case h.capacity > int64(len(b)):
		return 0, c.short(b, off, h.capacity)
	case h.capacity < int64(len(b)):
		return 0, c.at(Insertion, next, int(h.capacity), "the segment has %d bytes and was made with %d", len(b), h.capacity)
	}
	return off, nil
}

// short tells which record a cut file misses: it goes on as if nothing were
// wrong, so that the records before the cut keep their names.
func (c *checker) short(b []byte, off int, capacity int64) *Fault {
	for {
		x := nextBatch(b, off)
		if x.err != nil {
			id := c.edge.size + int64(len(x.recs)) + 1
			return c.at(Truncation, id, len(b), "the segment has %d bytes and was made with %d", len(b), capacity)
		}
		if f := c.batch(&x); f != nil {
			return f
		}
		off = x.at
	}
}

// gap tells whether the records after the last good one were taken out or moved.
func (c *checker) gap(to int64, off int) *Fault {
	next := c.edge.size + 1
	if c.later != nil && c.later(next) {
		return c.at(Reordering, next, off, "r%d stands here, and r%d further on", to+1, next)
	}
	return c.at(Deletion, next, off, "the log goes on at r%d", to+1).through(to)
}

// otherPast tells an edited header from a segment of another history that the
// same key signed.
func (c *checker) otherPast(b []byte, off int, h segHeader) *Fault {
	x := nextBatch(b, off)
	if x.err == nil && x.seal.cp.verifyOwn(c.key) == nil {
		e := h.edge.clone()
		for _, l := range x.seal.leaves {
			e.add(l)
		}
		if e.size == x.seal.cp.Size && e.root() == x.seal.cp.Root {
			return c.at(Fork, c.edge.size+1, 0, "this segment goes on from another history that the same key signed")
		}
	}
	return c.at(Edit, c.edge.size+1, 0, "the segment's header does not hold the tree of the records before it")
}

// batch checks a whole batch and takes it in.
func (c *checker) batch(x *batch) *Fault {
	s, next := &x.seal, c.edge.size+1
	if s.start() != c.edge.size {
		return c.misplaced(x)
	}
	e := c.edge.clone()
	for i := range s.leaves {
		if len(c.nodes) > 0 {
			c.nodes.note(&e, s.leaves[i])
		}
		e.add(s.leaves[i])
		if _, want := c.roots[e.size]; want {
			c.roots[e.size] = e.root()
		}
	}
	if e.root() != s.cp.Root {
		return c.wrongRoot(x)
	}
	if f := c.align(x); f != nil {
		return f
	}
	for i, r := range x.recs {
		if f := c.record(next+int64(i), r); f != nil {
			return f
		}
	}
	c.edge, c.lastOff, c.lastRecord = e, x.off, x.recs[len(x.recs)-1].payload
	return c.sealed(x)
}

// want fills in a wanted root of the tree as it stands.
func (c *checker) want() {
	if _, ok := c.roots[c.edge.size]; ok {
		c.roots[c.edge.size] = c.edge.root()
	}
}

// record parses one record whose hash is right.
func (c *checker) record(id int64, s span) *Fault {
	if c.onRecord == nil {
		return nil
	}
	r, err := ParseRecord(s.payload)
	if err != nil {
		return c.at(Invalid, id, s.off, "%v", err)
	}
	if r.ID != ambit.RecordID(id) {
		return c.at(Invalid, id, s.off, "the record calls itself %v", r.ID)
	}
	c.onRecord(&r)
	if c.onRaw != nil {
		c.onRaw(&r, s.payload)
	}
	return nil
}

const signatureBatch = 512 // checkpoints whose signatures are checked together

func (c *checker) sealed(x *batch) *Fault {
	if !c.signatures {
		c.unchecked = c.unchecked[:0] // the newest vouches for those before
	}
	cp := x.seal.cp
	cp.Signed = append([]byte(nil), cp.Signed...) // the segment's buffer is used again
	c.last = cp
	c.unchecked = append(c.unchecked, sealed{cp, x.seal.start(), x.at, c.seq})
	if len(c.unchecked) < signatureBatch {
		return nil
	}
	return c.checkSignatures()
}

// checkSignatures checks all that wait, on all processors, and reports the
// first that is bad.
func (c *checker) checkSignatures() *Fault {
	errs := make([]error, len(c.unchecked))
	var wg sync.WaitGroup
	n := min(runtime.GOMAXPROCS(0), len(errs))
	for w := range n {
		wg.Go(func() {
			for i := w; i < len(errs); i += n {
				errs[i] = c.unchecked[i].cp.verifyOwn(c.key)
			}
		})
	}
	wg.Wait()
	defer func() { c.unchecked = c.unchecked[:0] }()
	for i, err := range errs {
		if err == nil {
			continue
		}
		u, kind := c.unchecked[i], Edit
		if errors.Is(err, errOtherKey) {
			kind = Foreign
		}
		f := c.at(kind, u.start+1, u.off, "the checkpoint that seals it: %v", err).through(u.cp.Size)
		f.Segment = u.seq
		return f
	}
	return nil
}
