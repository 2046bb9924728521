package audit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// walked is what a walk over the segments found.
type walked struct {
	seq   int    // the newest segment that holds anything, 0 when none does
	end   int    // where its zeros begin
	data  []byte // its bytes
	count int    // segments there are
}

// walk checks the segments from number first on. A fault with tail set is one
// that a crash can have left. Where the newest begins is settled before any is
// read: the writer has left all before it for good, and what it begins later
// does not count.
func (c *checker) walk(d fsys, dir string, first int) (walked, *Fault, error) {
	count, err := segments(d, dir)
	if err != nil && !errors.Is(err, errGap) {
		return walked{}, nil, err
	}
	w := walked{count: count}
	newest, whole, err := newestBegun(d, dir, first, count)
	for seq := first; seq <= newest && err == nil; seq++ {
		var b []byte
		b, err = readAll(d, segmentPath(dir, seq), MaxSegment)
		if errors.Is(err, fs.ErrNotExist) {
			whole, err = false, nil
			continue
		}
		if err != nil {
			break
		}
		end, f := c.segment(seq, b)
		if f != nil {
			return w, f.leftBehind(newest), nil
		}
		if end == 0 {
			continue
		}
		w.seq, w.end, w.data = seq, end, b
	}
	if err != nil || whole && count-newest <= 1 && (newest < first || w.seq == newest) {
		return w, nil, err
	}
	c.seq = w.seq
	return w, c.at(Truncation, c.edge.size+1, w.end, "a segment that held it is missing or was emptied"), nil
}

// newestBegun finds the last segment that holds anything, first-1 when none
// does. It looks at the last one first: those before what it finds had been
// left by then. Whole says that none is missing behind it.
func newestBegun(d fsys, dir string, first, count int) (seq int, whole bool, err error) {
	whole = true
	for seq = count; seq >= first; seq-- {
		begun, err := hasBegun(d, segmentPath(dir, seq))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			whole = false
		case begun || err != nil:
			return seq, whole, err
		}
	}
	return seq, whole, nil
}

func hasBegun(d fsys, name string) (bool, error) {
	f, err := d.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return false, err
	}
	b, err := readPrefix(f, frameHeader)
	if err = errors.Join(err, f.Close()); err != nil || !allZero(b) {
		return true, err
	}
	b, err = readAll(d, name, MaxSegment)
	return !allZero(b), err
}

// leftBehind notes that the writer had left the segment before it was read, and
// withdraws the benefit of the doubt then: it goes on only from a batch that is
// durable.
func (f *Fault) leftBehind(newest int) *Fault {
	f.left = f.Segment < newest
	if !f.left || !f.tail {
		return f
	}
	f.tail = false
	if f.Kind == Torn {
		f.Kind = Edit
		if f.cut {
			f.Kind = Deletion
		}
	}
	return f
}

// covered names what a tail's fault is when a checkpoint says that its records
// were durable.
func (f *Fault) covered(size int64) {
	if !f.tail || int64(f.Record) > size {
		return
	}
	f.tail = false
	if f.Kind == Torn {
		f.Kind = Edit
		if f.cut {
			f.Kind = Truncation
		}
	}
}

// laterIn returns a function that looks for a record's id in the frames from
// segment seq on, and in what is whole of them.
func laterIn(d fsys, dir string, seq func() int) func(id int64) bool {
	return func(id int64) bool {
		for s := seq(); ; s++ {
			b, err := readAll(d, segmentPath(dir, s), MaxSegment)
			if err != nil {
				return false
			}
			for off := 0; ; {
				kind, p, next, err := nextFrame(b, off)
				if err != nil {
					break
				}
				if r, err := ParseRecord(p); kind == kindRecord && err == nil && int64(r.ID) == id {
					return true
				}
				off = next
			}
		}
	}
}

func readCheckpoint(d fsys, dir string) (Checkpoint, error) {
	b, err := readAll(d, filepath.Join(dir, checkpointFile), maxForeign)
	if err != nil {
		return Checkpoint{}, err
	}
	return parseCheckpoint(b)
}
