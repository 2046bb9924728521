package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"time"

	"ambit"
)

// Read gives the records from id on (0 for all) that the filter chooses, of a
// live log or of a copied directory. It checks check sums and order and trusts
// them; Verify trusts nothing. Of an unfinished write at the end it gives
// nothing. An error is the last thing it gives.
func Read(dir string, from ambit.RecordID, filter Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		c := cursor{fs: osFS{}, dir: dir}
		defer c.close()
		c.emit(int64(from), math.MaxInt64, &filter, yield)
	}
}

// Follow is Read that goes on when the log grows, looking ten times a second,
// until ctx ends; then it ends without an error.
func Follow(ctx context.Context, dir string, from ambit.RecordID, filter Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		c := cursor{fs: osFS{}, dir: dir}
		defer c.close()
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for c.emit(int64(from), math.MaxInt64, &filter, yield) {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
	}
}

// Follow gives the records from id on as they become durable, and only then,
// until ctx ends or the log is closed or broken.
func (l *Log) Follow(ctx context.Context, from ambit.RecordID, filter Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		c := cursor{fs: l.opts.fs, dir: l.dir}
		defer c.close()
		for {
			l.mu.Lock()
			size, changed, broken := l.durable.Size, l.changed, l.broken
			l.mu.Unlock()
			if !c.emit(int64(from), size, &filter, yield) {
				return
			}
			if broken != nil {
				yield(Record{}, broken)
				return
			}
			if changed == nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
}

// cursor reads batch after batch.
type cursor struct {
	fs   fsys
	dir  string
	seq  int // 0 before the first
	file file
	off  int
	size int64 // records passed
	held []Record

	buf   []byte
	ahead []byte // the part of buf that begins at off
}

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close()
	}
}

// emit gives what there is up to record most, and says whether to come back
// for more.
func (c *cursor) emit(from, most int64, filter *Filter, yield func(Record, error) bool) bool {
	for {
		for len(c.held) > 0 && int64(c.held[0].ID) <= most {
			r := c.held[0]
			c.held = c.held[1:]
			if int64(r.ID) >= from && filter.Matches(&r) && !yield(r, nil) {
				return false
			}
		}
		if len(c.held) > 0 {
			return true
		}
		more, err := c.batch(from)
		if err != nil {
			yield(Record{}, fmt.Errorf("cannot read log %s after r%d: %w", c.dir, c.size, err))
			return false
		}
		if !more {
			return true
		}
	}
}

// batch holds the next batch's records, or answers false when there is none
// yet.
func (c *cursor) batch(from int64) (bool, error) {
	if c.seq == 0 {
		if err := c.seek(from); err != nil {
			return false, err
		}
		if c.file == nil {
			return false, nil // nothing is recorded yet
		}
	}
	for {
		x, err := c.peek()
		if err != nil {
			return false, err
		}
		if x.err == nil {
			return true, c.hold(&x)
		}
		next, err := c.enter(c.seq + 1)
		if err != nil {
			return false, err
		}
		if next {
			continue
		}
		// The tail of the newest segment: an unfinished write, or one that is
		// under way, unless something whole follows it.
		if len(x.rest) == 0 {
			return false, nil
		}
		if x, err = c.peek(); err == nil && x.err != nil {
			err = fmt.Errorf("%w; run ambit verify", x.err)
		}
		if err != nil {
			return false, err
		}
		// What follows was written while the first look went on.
	}
}

// peeked is a batch, or why there is none and what is sealed behind it.
type peeked struct {
	batch
	rest []seal
}

// peek looks for the next batch in what was read before, and then in the file:
// a little first and more only when there is more.
func (c *cursor) peek() (peeked, error) {
	if x := nextBatch(c.ahead, 0); x.err == nil {
		return peeked{batch: x}, nil
	}
	for n := 64 << 10; ; n *= 4 {
		if cap(c.buf) < n {
			c.buf = make([]byte, n)
		}
		got, err := c.file.ReadAt(c.buf[:n], int64(c.off))
		if err != nil && !errors.Is(err, io.EOF) {
			return peeked{}, err
		}
		c.ahead = c.buf[:got]
		x := peeked{batch: nextBatch(c.ahead, 0)}
		switch {
		case x.err == nil, errors.Is(x.err, errEnd) && len(x.recs) == 0 && allZero(c.ahead):
			return x, nil
		case got < n || n > maxWrite:
			for _, s := range sealsAfter(c.ahead, x.at) {
				if s.start() > c.size {
					x.rest = append(x.rest, s)
				}
			}
			return x, nil
		}
	}
}

func (c *cursor) hold(x *peeked) error {
	for i, s := range x.recs {
		r, err := ParseRecord(s.payload)
		if err != nil {
			return fmt.Errorf("%w; run ambit verify", err)
		}
		if want := ambit.RecordID(c.size + int64(i) + 1); r.ID != want {
			return fmt.Errorf("%v stands where %v should; run ambit verify", r.ID, want)
		}
		c.held = append(c.held, r)
	}
	c.size += int64(len(x.recs))
	c.off += x.at
	c.ahead = c.ahead[x.at:]
	return nil
}

// enter goes over to a segment, when it exists and has begun.
func (c *cursor) enter(seq int) (bool, error) {
	f, h, off, err := c.openSegment(seq)
	if f == nil || err != nil {
		return false, err
	}
	if c.seq > 0 && h.edge.size != c.size {
		f.Close()
		return c.raced(h.edge.size)
	}
	c.close()
	c.file, c.seq, c.off, c.size, c.ahead = f, seq, off, h.edge.size, nil
	return true, nil
}

// raced settles a next segment that begins later than where the cursor stands:
// the writer may have filled this one and begun the next since we looked.
func (c *cursor) raced(size int64) (bool, error) {
	x, err := c.peek()
	if err == nil && x.err != nil {
		err = fmt.Errorf("the next segment begins after r%d; run ambit verify", size)
	}
	return err == nil, err
}

// openSegment returns no file when the segment does not exist or is empty.
func (c *cursor) openSegment(seq int) (file, segHeader, int, error) {
	f, err := c.fs.OpenFile(segmentPath(c.dir, seq), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, segHeader{}, 0, nil
	}
	if err != nil {
		return nil, segHeader{}, 0, err
	}
	h, off, under, err := firstFrame(f)
	if err != nil && !under {
		// More may have been written while it was read.
		h, off, under, err = firstFrame(f)
	}
	switch {
	case err != nil && under:
		return nil, h, 0, f.Close()
	case err != nil:
		return nil, h, 0, errors.Join(fmt.Errorf("segment %06d: %w; run ambit verify", seq, err), f.Close())
	}
	return f, h, off, nil
}

// firstFrame reads a segment's header. With an error, under says that the
// header may be under way: it is one write with the first batch.
func firstFrame(f file) (h segHeader, off int, under bool, err error) {
	b, err := readPrefix(f, 64<<10)
	if err != nil {
		return h, 0, false, err
	}
	_, p, off, err := nextFrame(b, 0)
	if err != nil {
		return h, 0, len(sealsAfter(b, 0)) < 2, err
	}
	h, err = parseHeader(p)
	return h, off, false, err
}

// seek enters the last segment that begins before record from.
func (c *cursor) seek(from int64) error {
	count, err := segments(c.fs, c.dir)
	if err != nil {
		return err
	}
	if count == 0 || !c.fs.Exists(filepath.Join(c.dir, checkpointFile)) {
		return errors.New("there is no log")
	}
	for seq := count; seq >= 1; seq-- {
		f, h, off, err := c.openSegment(seq)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		if seq == 1 || h.edge.size < from {
			c.file, c.seq, c.off, c.size = f, seq, off, h.edge.size
			return nil
		}
		f.Close()
	}
	return nil
}
