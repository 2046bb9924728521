package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ambit"
)

// Recovery says what Open dropped: an unfinished write of a crash, which was
// never acknowledged.
type Recovery struct {
	After   ambit.RecordID // the last record that is whole
	Segment int
	Offset  int // in bytes
	Bytes   int
	Why     string
}

// MarshalJSON writes the data of a record of type LogRecovered.
func (r Recovery) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"after": r.After.String(), "segment": r.Segment, "offset": r.Offset, "bytes": r.Bytes, "why": r.Why})
}

// Create makes a new, empty log in dir, which must not hold one, and opens it.
func Create(dir string, key *Key, opts Options) (*Log, error) {
	o, err := opts.filled()
	if err != nil {
		return nil, err
	}
	if key == nil || key.signer == nil {
		return nil, errors.New("cannot create log: there is no key")
	}
	if err := o.fs.Mkdir(dir); err != nil {
		return nil, fmt.Errorf("cannot create log %s: %w", dir, err)
	}
	lock, err := o.fs.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("cannot create log %s: %w", dir, err)
	}
	if err := create(dir, key, o); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return open(dir, key, o, lock)
}

// create makes the first segment and then the checkpoint of the empty log: a
// directory without a checkpoint and without records is no log yet.
func create(dir string, key *Key, o Options) error {
	if err := vacant(dir, o); err != nil {
		return err
	}
	err := emptySegment(o, dir, 1)
	var empty edge
	cp, err2 := key.sign(0, empty.root())
	if err = errors.Join(err, err2); err == nil {
		err = writeWhole(o.fs, filepath.Join(dir, checkpointFile), cp.Signed)
	}
	if err == nil {
		err = o.fs.SyncDir(filepath.Dir(dir))
	}
	if err != nil {
		return fmt.Errorf("cannot create log %s: %w", dir, err)
	}
	return nil
}

func vacant(dir string, o Options) error {
	if o.fs.Exists(filepath.Join(dir, checkpointFile)) {
		return fmt.Errorf("cannot create log %s: there is one", dir)
	}
	count, err := segments(o.fs, dir)
	if err != nil {
		return err
	}
	for seq := 1; seq <= count; seq++ {
		b, err := readAll(o.fs, segmentPath(dir, seq), MaxSegment)
		if err != nil || !allZero(b) {
			return fmt.Errorf("cannot create log %s: there is one whose file %s is gone; restore it, or keep the directory as evidence and use another", dir, checkpointFile)
		}
	}
	return nil
}

// Open opens a log to append to it. A second instance is refused. What a crash
// left at the end is dropped and recorded; anything else that is wrong is an
// error that holds a *[Fault].
func Open(dir string, key *Key, opts Options) (*Log, error) {
	o, err := opts.filled()
	if err != nil {
		return nil, err
	}
	if key == nil || key.signer == nil {
		return nil, errors.New("cannot open log: there is no key")
	}
	if !o.fs.Exists(filepath.Join(dir, checkpointFile)) {
		return nil, fmt.Errorf("cannot open log %s: it is gone, or its file %s is: restore the directory from a copy; if nothing was recorded yet, create it", dir, checkpointFile)
	}
	lock, err := o.fs.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("cannot open log %s: %w", dir, err)
	}
	return open(dir, key, o, lock)
}

// OpenOrCreate opens the log in dir with the key in keyFile, and makes both on
// the very first start. A key without its log, or a log without its key, is
// refused: one of them was deleted.
func OpenOrCreate(dir, keyFile, name string, opts Options) (*Log, error) {
	key, err := LoadKey(keyFile)
	if err == nil {
		return Open(dir, key, opts)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// Until the log exists the key has another name, so that a crash between
	// the two is no deletion.
	waiting := keyFile + ".new"
	if key, err = LoadKey(waiting); errors.Is(err, fs.ErrNotExist) {
		if (osFS{}).Exists(filepath.Join(dir, checkpointFile)) {
			return nil, fmt.Errorf("cannot open log %s: its key %s is gone; restore it, or move the log away as evidence and start a new one", dir, keyFile)
		}
		if key, err = NewKey(name); err == nil {
			err = key.Save(waiting)
		}
	}
	if err != nil {
		return nil, err
	}
	begin := Create
	if (osFS{}).Exists(filepath.Join(dir, checkpointFile)) {
		begin = Open
	}
	l, err := begin(dir, key, opts)
	if err != nil {
		return nil, err
	}
	err = os.Rename(waiting, keyFile)
	if err == nil {
		err = osFS{}.SyncDir(filepath.Dir(keyFile))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot keep log key: %w", err), l.Close())
	}
	return l, nil
}

func open(dir string, key *Key, o Options, lock io.Closer) (*Log, error) {
	l := &Log{dir: dir, key: key, opts: o, lock: lock}
	if err := l.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open log %s: %w", dir, err), lock.Close())
	}
	l.room = make(chan struct{}, maxPending)
	l.changed, l.wake = make(chan struct{}), make(chan struct{}, 1)
	l.k.start(l)
	if l.w.off > 0 {
		l.k.prepare(l.w.seq + 1)
	}
	l.writing.Go(l.run)
	if l.recovery == nil {
		return l, nil
	}
	data, err := json.Marshal(l.recovery)
	if err == nil {
		_, err = l.Append(context.Background(), Record{Type: LogRecovered, Detail: "an unfinished write was dropped", Data: data})
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// recover finds the end of the log and makes all before it durable again.
func (l *Log) recover() error {
	v, err := note.NewVerifier(l.key.public)
	if err != nil {
		return err
	}
	cp, err := readCheckpoint(l.opts.fs, l.dir)
	if err == nil {
		err = cp.verifyOwn(v)
	}
	if err != nil {
		return fmt.Errorf("its file %s: %w; restore it from a copy", checkpointFile, err)
	}
	c := &checker{key: v, roots: map[int64]tlog.Hash{cp.Size: {}}}
	c.later = laterIn(l.opts.fs, l.dir, func() int { return c.seq })
	first, err := l.firstToCheck(c)
	if err != nil {
		return err
	}
	begin := c.edge.size
	c.want()
	w, f, err := c.walk(l.opts.fs, l.dir, first)
	if err != nil {
		return err
	}
	if f = c.against(f, cp, begin); f != nil && !f.tail {
		return fmt.Errorf("%w; nothing was changed: copy the directory as evidence, run ambit verify on it, and restore it from a copy or start a new log", f)
	}
	return l.resume(c, w, f)
}

// against compares what a walk found with a checkpoint of the same key. The
// walk began after the records that the caller gives.
func (c *checker) against(f *Fault, cp Checkpoint, begin int64) *Fault {
	if f != nil {
		f.covered(cp.Size)
		if !f.tail {
			return f
		}
	}
	switch {
	case cp.Size > c.edge.size:
		g := c.at(Truncation, c.edge.size+1, 0, "a checkpoint says that the log had %d records, and it has %d", cp.Size, c.edge.size)
		g.Segment = 0
		return g.through(cp.Size)
	case cp.Size >= begin && c.roots[cp.Size] != cp.Root:
		g := c.at(Fork, 1, 0, "the key signed another history of the first %d records", cp.Size)
		g.Segment = 0
		return g.through(cp.Size)
	}
	return f
}

// firstToCheck returns 1, or with Recent the newest segment that holds a whole
// batch, and sets the checker's tree to what was before it.
func (l *Log) firstToCheck(c *checker) (int, error) {
	count, err := segments(l.opts.fs, l.dir)
	if err != nil || !l.opts.Recent {
		return 1, err
	}
	for seq := count; seq > 1; seq-- {
		f, err := l.opts.fs.OpenFile(segmentPath(l.dir, seq), os.O_RDONLY)
		if err != nil {
			return 0, err
		}
		b, err := readPrefix(f, maxWrite) // its first batch is within
		if err = errors.Join(err, f.Close()); err != nil {
			return 0, err
		}
		kind, p, off, err := nextFrame(b, 0)
		if err != nil || kind != kindSegment {
			continue
		}
		if h, err := parseHeader(p); err == nil && nextBatch(b, off).err == nil {
			c.edge = h.edge
			return seq, nil
		}
	}
	return 1, nil
}

// resume sets the writer behind the last whole batch. What a torn write left
// is overwritten with zeros, and the last batch with itself: it may be in
// memory only, when a sync had failed before.
func (l *Log) resume(c *checker, w walked, f *Fault) error {
	data, end, seq := w.data, w.end, w.seq
	if f != nil {
		torn, err := readAll(l.opts.fs, segmentPath(l.dir, f.Segment), MaxSegment)
		if err != nil {
			return err
		}
		l.recovery = &Recovery{ambit.RecordID(c.edge.size), f.Segment, f.from, len(bytes.TrimRight(torn[f.from:], "\x00")), f.Why}
		if f.from > 0 {
			data, seq, end = torn, f.Segment, f.from
		} else if err := emptySegment(l.opts, l.dir, f.Segment); err != nil {
			return err
		}
	}
	l.next, l.w.edge = c.edge.size, c.edge
	if seq == 0 {
		l.w.seq, l.w.cap = 1, int64(l.opts.Segment)
		var err error
		l.w.file, err = prepareSegment(l.opts, l.dir, 1)
		l.durable, err = l.fresh(err)
		return err
	}
	r, err := ParseRecord(c.lastRecord)
	if err != nil {
		return err
	}
	l.last, l.durable = r.Time, c.last
	l.w.seq, l.w.cap, l.w.off = seq, int64(len(data)), int64(end)
	return l.rewrite(data, end, c.lastOff)
}

func emptySegment(o Options, dir string, seq int) error {
	f, err := allocateSegment(o, dir, seq)
	if err != nil {
		return err
	}
	return f.Close()
}

func (l *Log) fresh(err error) (Checkpoint, error) {
	if err != nil {
		return Checkpoint{}, err
	}
	return l.key.sign(0, l.w.edge.root())
}

func (l *Log) rewrite(data []byte, end, from int) error {
	f, err := l.opts.fs.OpenFile(segmentPath(l.dir, l.w.seq), os.O_RDWR)
	if err != nil {
		return err
	}
	torn := len(bytes.TrimRight(data, "\x00"))
	clear(data[end:])
	_, err = f.WriteAt(data[from:max(end, torn)], int64(from))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.opts.fs.SyncDir(l.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.w.file = f
	return nil
}
