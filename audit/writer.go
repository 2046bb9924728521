package audit

import (
	"fmt"
	"runtime"
	"slices"
)

// writer holds the open segment. Only the log's write goroutine uses it.
type writer struct {
	seq  int
	file file
	cap  int64
	off  int64
	edge edge
	buf  []byte
}

// run writes batch after batch until the log is closed.
func (l *Log) run() {
	for range l.wake {
		l.drain()
	}
	// The last record may have come between the last drain and the close.
	l.drain()
}

func (l *Log) drain() {
	for p := l.take(); p != nil; p = l.take() {
		l.finish(p, l.commit(p))
		// Those who waited for this batch run now, so that their next records
		// share one.
		runtime.Gosched()
	}
}

func (l *Log) take() *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	p := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	return p
}

// finish tells the callers of one batch, and lets as many others in.
func (l *Log) finish(p *pending, err error) {
	p.err = err
	l.mu.Lock()
	close(p.done)
	calls := p.calls
	l.mu.Unlock()
	for _, f := range calls {
		f()
	}
	for range p.leaves {
		<-l.room
	}
}

// commit makes one batch durable: one write, one fdatasync.
func (l *Log) commit(p *pending) error {
	if err := l.Err(); err != nil {
		return err
	}
	cp, err := l.writeBatch(p)
	if err != nil {
		return l.breakWith(err)
	}
	l.mu.Lock()
	l.durable = cp
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	l.k.touch()
	return nil
}

// breakWith makes the log refuse for good: after a failed write or sync nobody
// knows what the disk holds, and a retried fsync can succeed without the data.
func (l *Log) breakWith(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = fmt.Errorf("cannot record: the log %s failed, and nothing is performed until it is opened again: %w", l.dir, err)
	}
	return l.broken
}

func (l *Log) writeBatch(p *pending) (Checkpoint, error) {
	w := &l.w
	e := w.edge.clone()
	for _, h := range p.leaves {
		e.add(h)
	}
	cp, err := l.key.sign(e.size, e.root())
	if err != nil {
		return cp, err
	}
	body := len(p.frames) + frameHeader + 4 + len(p.leaves)*len(p.leaves[0]) + len(cp.Signed)
	if w.off > 0 && w.off+int64(body) > w.cap {
		if err := l.advance(); err != nil {
			return cp, err
		}
	}
	fresh := w.off == 0
	w.buf = w.buf[:0]
	if fresh {
		w.buf = segHeader{w.seq, w.cap, w.edge}.appendFrame(w.buf)
	}
	w.buf = append(w.buf, p.frames...)
	w.buf = appendSeal(w.buf, p.leaves, cp.Signed)
	if err := w.put(segmentPath(l.dir, w.seq)); err != nil {
		return cp, err
	}
	w.edge = e
	if fresh {
		l.k.prepare(w.seq + 1)
	}
	return cp, nil
}

// put writes the buffer and makes it durable in the file that others will
// find at path.
func (w *writer) put(path string) error {
	if w.off+int64(len(w.buf)) > w.cap {
		return fmt.Errorf("a batch of %d bytes does not fit a segment of %d", len(w.buf), w.cap)
	}
	if _, err := w.file.WriteAt(w.buf, w.off); err != nil {
		return err
	}
	if err := w.file.SyncData(); err != nil {
		return err
	}
	// A log that somebody deleted, moved or cut would take records that nobody
	// can ever read.
	if err := w.file.Current(path, w.cap); err != nil {
		return err
	}
	w.off += int64(len(w.buf))
	return nil
}

// advance goes over to the segment that the keeper prepared.
func (l *Log) advance() error {
	f, err := l.k.take(l.w.seq + 1)
	if err != nil {
		return err
	}
	old := l.w.file
	l.w.file, l.w.seq, l.w.cap, l.w.off = f, l.w.seq+1, int64(l.opts.Segment), 0
	return old.Close()
}
