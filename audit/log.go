package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"ambit"
)

// Options of a log. The zero value is the strictest.
type Options struct {
	// Segment is the size of new segments in bytes, DefaultSegment when zero.
	Segment int
	// Recent makes Open check only the newest segment, so that its cost does
	// not grow with the log. Verify the rest some other time.
	Recent bool
	// Checkpoint is how long the file checkpoint may lag behind the log, one
	// second when zero.
	Checkpoint time.Duration
	// Now is the clock, time.Now when nil.
	Now func() time.Time

	fs fsys // osFS when nil
}

func (o Options) filled() (Options, error) {
	if o.Segment == 0 {
		o.Segment = DefaultSegment
	}
	if o.Checkpoint == 0 {
		o.Checkpoint = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.fs == nil {
		o.fs = osFS{}
	}
	if o.Segment < MinSegment || o.Segment > MaxSegment || o.Checkpoint < 0 {
		return o, fmt.Errorf("cannot open log: segments of %d bytes are not between %d and %d", o.Segment, MinSegment, MaxSegment)
	}
	return o, nil
}

// ErrClosed is the error of a log that was closed in order.
var ErrClosed = errors.New("cannot record: the log is closed")

// Log is the single writer of a log. After any failure to write it refuses all
// records until it is opened again. The zero value refuses.
type Log struct {
	dir  string
	key  *Key
	opts Options
	lock io.Closer
	w    writer
	k    keeper

	room chan struct{} // one token for each record not yet durable

	mu        sync.Mutex
	scratch   []byte
	queue     []*pending // batches not yet taken, oldest first
	next      int64      // records accepted
	last      time.Time  // of the newest record accepted
	broken    error
	closed    bool
	lingering bool // a timer will wake the writer
	durable   Checkpoint
	changed   chan struct{} // closed when durable moves on, or the log ends
	wake      chan struct{}
	writing   sync.WaitGroup
	recovery  *Recovery
}

// pending is a batch that gathers while the one before it is written.
type pending struct {
	frames []byte
	leaves []tlog.Hash
	calls  []func() // told when the batch is durable, or is not
	done   chan struct{}
	err    error
}

const maxPending = 4 * maxBatchRecords // records accepted and not yet durable

// Append records r and returns when the record is durable. An error means that
// the record must be taken as not recorded; after ctx ended it may be in the
// log all the same.
func (l *Log) Append(ctx context.Context, r Record) (ambit.RecordID, error) {
	id, p, err := l.enqueue(ctx, &r, 0)
	if err != nil {
		return 0, err
	}
	return p.wait(ctx, id)
}

// Enqueue takes r in order and returns before it is durable; wait tells when it
// is. A later record that is durable proves that this one is. Enqueue itself
// waits only while thousands of records are not yet durable.
func (l *Log) Enqueue(r Record) (wait func(context.Context) (ambit.RecordID, error)) {
	return l.later(&r, 0)
}

// EnqueueFunc is Enqueue, or with lazily EnqueueLazily, for a caller that does
// not wait: done is called once, by the writer or at once, and must not wait.
func (l *Log) EnqueueFunc(r Record, lazily bool, done func(ambit.RecordID, error)) {
	linger := time.Duration(0)
	if lazily {
		linger = Linger
	}
	id, p, err := l.enqueue(context.Background(), &r, linger)
	if err != nil {
		done(0, err)
		return
	}
	l.mu.Lock()
	select {
	case <-p.done:
		l.mu.Unlock()
		l.tell(p, id, done)
	default:
		p.calls = append(p.calls, func() { l.tell(p, id, done) })
		l.mu.Unlock()
	}
}

func (l *Log) tell(p *pending, id ambit.RecordID, done func(ambit.RecordID, error)) {
	if p.err != nil {
		id = 0
	}
	done(id, p.err)
}

// Linger is how long EnqueueLazily lets a record wait for company.
const Linger = 3 * time.Millisecond

// EnqueueLazily is Enqueue for a record that nobody waits for, an outcome say:
// it becomes durable together with the next record that somebody does wait
// for, or after [Linger], and so costs no sync of its own.
func (l *Log) EnqueueLazily(r Record) (wait func(context.Context) (ambit.RecordID, error)) {
	return l.later(&r, Linger)
}

func (l *Log) later(r *Record, linger time.Duration) func(context.Context) (ambit.RecordID, error) {
	id, p, err := l.enqueue(context.Background(), r, linger)
	if err != nil {
		return func(context.Context) (ambit.RecordID, error) { return 0, err }
	}
	return func(ctx context.Context) (ambit.RecordID, error) { return p.wait(ctx, id) }
}

func (p *pending) wait(ctx context.Context, id ambit.RecordID) (ambit.RecordID, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
	}
	select {
	case <-p.done:
		if p.err != nil {
			return 0, p.err
		}
		return id, nil
	default:
		return 0, fmt.Errorf("cannot tell whether %v is recorded: %w", id, ctx.Err())
	}
}

func (l *Log) enqueue(ctx context.Context, r *Record, linger time.Duration) (ambit.RecordID, *pending, error) {
	if l == nil || l.room == nil {
		return 0, nil, errors.New("cannot record: there is no log")
	}
	if r.ID != 0 || !r.Time.IsZero() || r.Clock != "" {
		return 0, nil, errors.New("cannot record: the record brings its own id, time or clock, which belong to the log")
	}
	data, err := canonicalData(r.Data)
	if err != nil {
		return 0, nil, err
	}
	if err := ctx.Err(); err != nil {
		return 0, nil, fmt.Errorf("cannot record: %w", err)
	}
	select {
	case l.room <- struct{}{}:
	case <-ctx.Done():
		return 0, nil, fmt.Errorf("cannot record: the disk is too slow: %w", ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := l.add(r, data)
	if err != nil {
		<-l.room
		return 0, nil, err
	}
	if linger == 0 {
		l.rouse()
	} else if !l.lingering {
		l.lingering = true
		time.AfterFunc(linger, l.lingered)
	}
	return r.ID, p, nil
}

// rouse wakes the writer; l.mu is held and the log is not closed.
func (l *Log) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// lingered wakes the writer for records that have waited long enough.
func (l *Log) lingered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lingering = false
	if !l.closed {
		l.rouse()
	}
}

// add puts the record into the newest batch, or a new one when it is full.
func (l *Log) add(r *Record, data []byte) (*pending, error) {
	switch {
	case l.broken != nil:
		return nil, l.broken
	case l.closed:
		return nil, ErrClosed
	}
	r.ID = ambit.RecordID(l.next + 1)
	r.Time = l.opts.Now().UTC().Truncate(time.Microsecond)
	if r.Time.Before(l.last) {
		r.Clock = ClockBack
	}
	p, err := l.place(r, data)
	if err != nil {
		return nil, err
	}
	l.next++
	l.last = r.Time
	return p, nil
}

// place encodes the record and appends it to the batch that still has room.
func (l *Log) place(r *Record, data []byte) (*pending, error) {
	frame, err := appendRecordFrame(l.scratch[:0], r, data)
	if err != nil {
		return nil, err
	}
	l.scratch = frame[:0]
	if n := len(frame) + tlog.HashSize; n > l.batchLimit() {
		return nil, fmt.Errorf("cannot record: the record takes %d bytes, too many for segments of %d", n, l.opts.Segment)
	}
	p := l.gathering(len(frame))
	p.frames = append(p.frames, frame...)
	p.leaves = append(p.leaves, tlog.RecordHash(frame[frameHeader:]))
	return p, nil
}

// gathering returns the newest batch, or a new one when n more bytes would not
// fit.
func (l *Log) gathering(n int) *pending {
	if q := len(l.queue); q > 0 {
		p := l.queue[q-1]
		if c := len(p.leaves) + 1; c <= maxBatchRecords && len(p.frames)+n+c*tlog.HashSize <= l.batchLimit() {
			return p
		}
	}
	return l.newBatch()
}

func (l *Log) newBatch() *pending {
	p := &pending{done: make(chan struct{})}
	l.queue = append(l.queue, p)
	return p
}

func appendRecordFrame(b []byte, r *Record, data []byte) ([]byte, error) {
	at := len(b)
	b = beginFrame(b, kindRecord)
	b, err := appendChecked(b, r, data)
	if err != nil {
		return nil, err
	}
	endFrame(b, at)
	return b, nil
}

// batchLimit bounds a batch so that it fits a fresh segment with its header
// and seal.
func (l *Log) batchLimit() int { return min(maxBatchBytes, l.opts.Segment/2) }

// Size returns how many records are durable.
func (l *Log) Size() int64 { return l.Durable().Size }

// Durable returns the newest checkpoint whose records are all durable.
func (l *Log) Durable() Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Err returns why the log refuses, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// Recovered says what Open had to drop, nil when it was nothing.
func (l *Log) Recovered() *Recovery { return l.recovery }

// Close makes all that was accepted durable, writes the last checkpoint and
// lets go of the log.
func (l *Log) Close() error {
	if l == nil || l.room == nil {
		return nil
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.wake)
	l.mu.Unlock()
	l.writing.Wait()
	l.k.stop()
	err := l.Err()
	if err == nil {
		err = l.k.write(l.Durable())
	}
	l.mu.Lock()
	close(l.changed)
	l.changed = nil
	l.mu.Unlock()
	return errors.Join(err, l.w.file.Close(), l.lock.Close())
}
