package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ambit"
)

// VerifyOptions say what else a log is held against. The zero value checks
// everything that the directory itself can prove.
type VerifyOptions struct {
	// Against holds earlier checkpoints of the log that were kept elsewhere.
	// Only they can show that the directory was rolled back as a whole.
	Against [][]byte
	// Copy is the directory of another copy of the log: where both go on
	// differently, there is a fork.
	Copy string
	// NewestOnly checks the signature of the newest checkpoint alone, which
	// vouches for all records. It is faster, and overlooks a changed byte in
	// an older signature.
	NewestOnly bool

	fs fsys
}

// Result says what was verified.
type Result struct {
	Origin string       `json:"origin"`
	KeyID  string       `json:"key"` // eight hexadecimal digits
	Size   int64        `json:"size"`
	Root   ambit.Digest `json:"root"`
	First  time.Time    `json:"first,omitzero"`
	Last   time.Time    `json:"last,omitzero"` // of the last record
	Open   []Record     `json:"open,omitempty"`
	OpenN  int          `json:"open_intents"`
	Warn   []string     `json:"warnings,omitempty"`
	Proof  Checkpoint   `json:"-"` // the newest checkpoint
}

// Bounds of what a result lists.
const (
	MaxOpen     = 1000 // open intents; OpenN counts all
	MaxWarnings = 100
)

// Verify checks the whole log in dir with the public key alone: every byte of
// its segments and its checkpoint. When something is wrong the error holds a
// *[Fault] that names the first bad record, and the result covers what came
// before. It needs memory for one segment and for the open intents.
func Verify(dir, publicKey string, opts VerifyOptions) (Result, error) {
	v, err := note.NewVerifier(strings.TrimSpace(publicKey))
	if err != nil {
		return Result{}, fmt.Errorf("cannot read public key: %w", err)
	}
	if opts.fs == nil {
		opts.fs = osFS{}
	}
	res, err := verifySettled(dir, v, opts)
	if err != nil || opts.Copy == "" {
		return res, err
	}
	other := opts
	other.Copy = ""
	if _, err := verifySettled(opts.Copy, v, other); err != nil {
		return res, fmt.Errorf("cannot use the other copy %s: %w", opts.Copy, err)
	}
	f, err := compare(opts.fs, dir, opts.Copy)
	if f != nil {
		err = f
	}
	return res, err
}

// verifySettled verifies again while the log is written to: a fault where the
// writer may have been at work counts when it stays the same.
func verifySettled(dir string, v note.Verifier, opts VerifyOptions) (Result, error) {
	const tries = 50
	res, err := verifyOnce(dir, v, opts)
	for range tries {
		f, ok := errors.AsType[*Fault](err)
		if !ok || f.left {
			return res, err
		}
		time.Sleep(20 * time.Millisecond)
		again, err2 := verifyOnce(dir, v, opts)
		g, ok := errors.AsType[*Fault](err2)
		if ok && *f == *g {
			return res, err
		}
		res, err = again, err2
	}
	return res, err
}

func verifyOnce(dir string, v note.Verifier, opts VerifyOptions) (Result, error) {
	res := Result{Origin: v.Name(), KeyID: fmt.Sprintf("%08x", v.KeyHash())}
	// The checkpoints come first: a log that is written to only grows.
	cps, err := heldAgainst(v, opts)
	if err != nil {
		return res, err
	}
	own, lost := ownCheckpoint(dir, v, opts.fs)
	if lost != nil && lost.Kind != Truncation {
		return res, lost
	}
	if lost == nil {
		cps = append(cps, own)
	}
	t := tally{res: &res, open: map[ambit.RecordID]Record{}}
	c := &checker{key: v, roots: map[int64]tlog.Hash{}, signatures: !opts.NewestOnly, onRecord: t.record}
	c.later = laterIn(opts.fs, dir, func() int { return c.seq })
	for _, cp := range cps {
		c.roots[cp.Size] = tlog.Hash{}
	}
	c.want()
	w, f, err := c.walk(opts.fs, dir, 1)
	if err != nil {
		return res, err
	}
	t.finish(c)
	if w.count == 0 && f == nil {
		return res, &Fault{Kind: Truncation, Record: 1, Why: "there is not one segment"}
	}
	if f == nil && lost != nil {
		lost.Record = ambit.RecordID(c.edge.size + 1)
		f = lost
	}
	if f = c.againstAll(f, cps); f != nil {
		return res, f
	}
	return res, nil
}

// againstAll holds the log against every checkpoint, the smallest first, so
// that a fork is named as closely as they allow.
func (c *checker) againstAll(f *Fault, cps []Checkpoint) *Fault {
	slices.SortFunc(cps, func(a, b Checkpoint) int { return int(min(max(a.Size-b.Size, -1), 1)) })
	agreed := int64(0)
	for _, cp := range cps {
		if g := c.against(f, cp, 0); g != nil && g != f {
			if g.Kind == Fork {
				g.Record = ambit.RecordID(agreed + 1)
			}
			return g
		}
		agreed = cp.Size
	}
	return f
}

func heldAgainst(v note.Verifier, opts VerifyOptions) ([]Checkpoint, error) {
	var out []Checkpoint
	for i, b := range opts.Against {
		cp, err := parseCheckpoint(b)
		if err == nil {
			err = cp.verify(v)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot hold the log against checkpoint %d that was given: %w", i+1, err)
		}
		out = append(out, cp)
	}
	return out, nil
}

// ownCheckpoint reads the file checkpoint of the log.
func ownCheckpoint(dir string, v note.Verifier, d fsys) (Checkpoint, *Fault) {
	cp, err := readCheckpoint(d, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return cp, &Fault{Kind: Truncation, Record: 1, Why: "the file checkpoint is gone, which would show whether records at the end are"}
	}
	if err == nil {
		err = cp.verifyOwn(v)
	}
	switch {
	case errors.Is(err, errOtherKey):
		return cp, &Fault{Kind: Foreign, Record: 1, Why: "the file checkpoint: " + err.Error()}
	case err != nil:
		return cp, &Fault{Kind: Edit, Record: 1, Why: "the file checkpoint: " + err.Error()}
	}
	return cp, nil
}

// tally keeps what a result says of the records.
type tally struct {
	res  *Result
	open map[ambit.RecordID]Record
	last time.Time
}

func (t *tally) record(r *Record) {
	if r.ID == 1 {
		t.res.First = r.Time
	}
	switch back := r.Time.Before(t.last); {
	case back && r.Clock == ClockBack:
		t.warn("%v: the clock was set back, from %s to %s", r.ID, t.last.Format(TimeLayout), r.Time.Format(TimeLayout))
	case back || r.Clock == ClockBack:
		t.warn("%v: its time %s and its mark %q do not agree with the record before", r.ID, r.Time.Format(TimeLayout), r.Clock)
	}
	t.last = r.Time
	if r.Type == Intent {
		t.open[r.ID] = *r
	}
	if r.Intent == 0 || r.Type != Outcome {
		return
	}
	switch o, ok := t.open[r.Intent]; {
	case !ok:
		t.warn("%v: it closes %v, which is not an open intent", r.ID, r.Intent)
	case o.Task != r.Task:
		t.warn("%v: it closes %v, which is another task's intent and stays open", r.ID, r.Intent)
		return
	}
	delete(t.open, r.Intent)
}

func (t *tally) warn(format string, a ...any) {
	if len(t.res.Warn) < MaxWarnings {
		t.res.Warn = append(t.res.Warn, fmt.Sprintf(format, a...))
	}
}

func (t *tally) finish(c *checker) {
	r := t.res
	r.Size, r.Root, r.Last, r.OpenN, r.Proof = c.edge.size, ambit.Digest(c.edge.root()), t.last, len(t.open), c.last
	for _, o := range t.open {
		r.Open = append(r.Open, o)
	}
	slices.SortFunc(r.Open, func(a, b Record) int { return int(min(max(int64(a.ID)-int64(b.ID), -1), 1)) })
	r.Open = r.Open[:min(len(r.Open), MaxOpen)]
}

// compare looks for the first record that differs between two copies that both
// verify.
func compare(d fsys, dir, other string) (*Fault, error) {
	a, b := cursor{fs: d, dir: dir}, cursor{fs: d, dir: other}
	defer a.close()
	defer b.close()
	for id := int64(1); ; id++ {
		x, errX := a.raw()
		y, errY := b.raw()
		switch {
		case errX != nil || errY != nil:
			return nil, errors.Join(errX, errY)
		case x == nil && y != nil:
			return &Fault{Kind: Truncation, Record: ambit.RecordID(id), Why: "the other copy goes on with records that are missing here"}, nil
		case x == nil || y == nil:
			return nil, nil
		case string(x) != string(y):
			return &Fault{Kind: Fork, Record: ambit.RecordID(id), Why: "the key signed another record in the other copy"}, nil
		}
	}
}

// raw returns the next record's canonical bytes, nil at the end.
func (c *cursor) raw() ([]byte, error) {
	for len(c.held) == 0 {
		if more, err := c.batch(0); err != nil || !more {
			return nil, err
		}
	}
	r := c.held[0]
	c.held = c.held[1:]
	return appendRecord(nil, &r)
}
