package audit

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// keeper does what must not be waited for: it prepares the next segment and
// keeps the file checkpoint fresh.
type keeper struct {
	l     *Log
	want  chan int // the segment to prepare
	ready chan prepared
	dirty chan struct{}
	quit  chan struct{}
	gone  chan struct{} // closed when the goroutine has ended
}

type prepared struct {
	seq  int
	file file
	err  error
}

func (k *keeper) start(l *Log) {
	k.l, k.want, k.ready = l, make(chan int, 1), make(chan prepared, 1)
	k.dirty, k.quit = make(chan struct{}, 1), make(chan struct{})
	k.gone = make(chan struct{})
	go k.run()
}

func (k *keeper) run() {
	defer close(k.gone)
	var due <-chan time.Time
	for {
		select {
		case <-k.quit:
			return
		case seq := <-k.want:
			f, err := prepareSegment(k.l.opts, k.l.dir, seq)
			k.ready <- prepared{seq, f, err}
		case <-k.dirty:
			if due == nil {
				due = time.After(k.l.opts.Checkpoint)
			}
		case <-due:
			due = nil
			if err := k.write(k.l.Durable()); err != nil {
				// Without it a cut at the end would not show.
				k.l.breakWith(err)
				return
			}
		}
	}
}

// stop ends the goroutine and drops a segment that was prepared and not used;
// the file stays for the next opening.
func (k *keeper) stop() {
	close(k.quit)
	<-k.gone
	select {
	case p := <-k.ready:
		if p.file != nil {
			p.file.Close()
		}
	default:
	}
}

func (k *keeper) touch() {
	select {
	case k.dirty <- struct{}{}:
	default:
	}
}

func (k *keeper) prepare(seq int) { k.want <- seq }

// take waits for the segment that prepare asked for.
func (k *keeper) take(seq int) (file, error) {
	select {
	case p := <-k.ready:
		if p.err == nil && p.seq != seq {
			p.err = errors.New("the prepared segment is not the next one")
		}
		return p.file, p.err
	case <-k.gone:
		return nil, k.l.Err()
	}
}

func (k *keeper) write(c Checkpoint) error {
	return writeWhole(k.l.opts.fs, filepath.Join(k.l.dir, checkpointFile), c.Signed)
}

const zeroChunk = 256 << 10

// prepareSegment makes an empty segment durable: blocks, size and name. It
// writes the zeros, for on most file systems the first write into blocks that
// are only reserved costs a journal entry at every fdatasync.
func prepareSegment(o Options, dir string, seq int) (file, error) {
	if f, ok := preparedBefore(o, dir, seq); ok {
		return f, nil
	}
	f, err := allocateSegment(o, dir, seq)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, min(zeroChunk, o.Segment))
	for off := 0; off < o.Segment && err == nil; off += len(zeros) {
		_, err = f.WriteAt(zeros[:min(len(zeros), o.Segment-off)], int64(off))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// preparedBefore opens an empty segment that an earlier process prepared whole.
func preparedBefore(o Options, dir string, seq int) (file, bool) {
	b, err := readAll(o.fs, segmentPath(dir, seq), MaxSegment)
	if err != nil || len(b) != o.Segment || !allZero(b) {
		return nil, false
	}
	f, err := o.fs.OpenFile(segmentPath(dir, seq), os.O_RDWR)
	if err != nil {
		return nil, false
	}
	// Its name may never have become durable.
	if errors.Join(f.Sync(), o.fs.SyncDir(dir)) != nil {
		f.Close()
		return nil, false
	}
	return f, true
}

// allocateSegment makes an empty segment durable without writing zeros.
func allocateSegment(o Options, dir string, seq int) (file, error) {
	f, err := o.fs.OpenFile(segmentPath(dir, seq), os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	// A segment left over from a crash may have another size.
	err = f.Truncate(0)
	if err == nil {
		err = f.Allocate(int64(o.Segment))
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = o.fs.SyncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
