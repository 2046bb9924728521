package audit

import (
	"errors"
	"io/fs"
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
// that a crash can have left.
func (c *checker) walk(d fsys, dir string, first int) (walked, *Fault, error) {
	count, err := segments(d, dir)
	if err != nil && !errors.Is(err, errGap) {
		return walked{}, nil, err
	}
	w := walked{count: count}
	var missing, empty int
	for seq := first; seq <= count; seq++ {
		b, err := readAll(d, segmentPath(dir, seq), MaxSegment)
		if errors.Is(err, fs.ErrNotExist) {
			missing = seq
			continue
		}
		if err != nil {
			return w, nil, err
		}
		end, f := c.segment(seq, b)
		if f != nil {
			return w, c.settleTail(d, dir, f, count), nil
		}
		if end == 0 {
			empty++
			continue
		}
		w.seq, w.end, w.data, empty = seq, end, b, 0
	}
	if missing == 0 && empty <= 1 {
		return w, nil, nil
	}
	c.seq = w.seq
	return w, c.at(Truncation, c.edge.size+1, w.end, "a segment that held it is missing or was emptied"), nil
}

// settleTail withdraws the benefit of the doubt when later segments hold
// something: the writer goes there only from a batch that is durable.
func (c *checker) settleTail(d fsys, dir string, f *Fault, count int) *Fault {
	for seq := f.Segment + 1; f.tail && seq <= count; seq++ {
		b, err := readAll(d, segmentPath(dir, seq), MaxSegment)
		if err == nil && allZero(b) {
			continue
		}
		f.tail = false
		if f.Kind == Torn {
			f.Kind = Edit
			if f.cut {
				f.Kind = Deletion
			}
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
