package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ambit"
)

// Inclusion proves to whoever holds the public key that one record is in the
// log, without the rest of the log.
type Inclusion struct {
	Record     json.RawMessage  `json:"record"`     // canonical; its leaf has the number of its id less one
	Hashes     tlog.RecordProof `json:"hashes"`     // RFC 6962 section 2.1.1
	Checkpoint string           `json:"checkpoint"` // the signed note that it leads to
}

// Consistency proves that the log of one checkpoint is the beginning of the
// log of a later one.
type Consistency struct {
	Old    string         `json:"old"` // signed notes
	New    string         `json:"new"`
	Hashes tlog.TreeProof `json:"hashes"` // RFC 6962 section 2.1.2
}

// MaxProof bounds a proof that is read, in bytes.
const MaxProof = 256 << 10

// Prove makes the proof that a record is in the log of the file checkpoint. It
// reads the log once and fails when the log does not verify up to there.
func Prove(dir, publicKey string, id ambit.RecordID) (Inclusion, error) {
	var p Inclusion
	h, cp, err := hashesFor(dir, publicKey, func(cp Checkpoint, r tlog.HashReader) error {
		if id == 0 || int64(id) > cp.Size {
			return fmt.Errorf("%v is not among the %d records of the newest checkpoint", id, cp.Size)
		}
		_, err := tlog.ProveRecord(cp.Size, int64(id)-1, r)
		return err
	}, func(r *Record, raw []byte) {
		if r.ID == id {
			p.Record = append(json.RawMessage(nil), raw...)
		}
	})
	if err == nil {
		p.Checkpoint = string(cp.Signed)
		p.Hashes, err = tlog.ProveRecord(cp.Size, int64(id)-1, h)
	}
	if err != nil {
		return Inclusion{}, fmt.Errorf("cannot prove %v: %w", id, err)
	}
	return p, nil
}

// ProveConsistency makes the proof that an earlier checkpoint's log is the
// beginning of the log in dir.
func ProveConsistency(dir, publicKey string, earlier []byte) (Consistency, error) {
	old, err := OpenCheckpoint(earlier, publicKey)
	if err != nil {
		return Consistency{}, err
	}
	if old.Size == 0 {
		return Consistency{}, errors.New("cannot prove consistency: every log begins with the empty one")
	}
	h, cp, err := hashesFor(dir, publicKey, func(cp Checkpoint, r tlog.HashReader) error {
		if old.Size > cp.Size {
			return fmt.Errorf("the log has %d records and the earlier checkpoint %d", cp.Size, old.Size)
		}
		_, err := tlog.ProveTree(cp.Size, old.Size, r)
		return err
	}, nil)
	p := Consistency{Old: string(old.Signed), New: string(cp.Signed)}
	if err == nil {
		p.Hashes, err = tlog.ProveTree(cp.Size, old.Size, h)
	}
	if err == nil {
		err = tlog.CheckTree(p.Hashes, cp.Size, cp.Root, old.Size, old.Root)
	}
	if err != nil {
		return Consistency{}, fmt.Errorf("cannot prove consistency: %w", err)
	}
	return p, nil
}

// Check verifies the proof and returns the record.
func (p *Inclusion) Check(publicKey string) (Record, error) {
	cp, err := OpenCheckpoint([]byte(p.Checkpoint), publicKey)
	if err != nil {
		return Record{}, err
	}
	r, err := ParseRecord(p.Record)
	if err != nil {
		return Record{}, err
	}
	if int64(r.ID) < 1 || int64(r.ID) > cp.Size {
		return Record{}, fmt.Errorf("cannot trust proof: %v is not among the %d records of its checkpoint", r.ID, cp.Size)
	}
	if err := tlog.CheckRecord(p.Hashes, cp.Size, cp.Root, int64(r.ID)-1, tlog.RecordHash(p.Record)); err != nil {
		return Record{}, fmt.Errorf("cannot trust proof: the record is not in that log: %w", err)
	}
	return r, nil
}

// Check verifies the proof and returns both checkpoints.
func (p *Consistency) Check(publicKey string) (older, newer Checkpoint, err error) {
	if older, err = OpenCheckpoint([]byte(p.Old), publicKey); err != nil {
		return Checkpoint{}, Checkpoint{}, err
	}
	if newer, err = OpenCheckpoint([]byte(p.New), publicKey); err != nil {
		return Checkpoint{}, Checkpoint{}, err
	}
	if older.Size == 0 || older.Size > newer.Size {
		return Checkpoint{}, Checkpoint{}, fmt.Errorf("cannot trust proof: its sizes are %d and %d", older.Size, newer.Size)
	}
	if err := tlog.CheckTree(p.Hashes, newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return Checkpoint{}, Checkpoint{}, fmt.Errorf("cannot trust proof: the two are of different histories: %w", err)
	}
	return older, newer, nil
}

// ReadInclusion reads a proof as JSON of at most MaxProof bytes. It is not
// checked yet.
func ReadInclusion(r io.Reader) (Inclusion, error) {
	var p Inclusion
	err := readProof(r, &p)
	return p, err
}

// ReadConsistency reads a proof as JSON of at most MaxProof bytes. It is not
// checked yet.
func ReadConsistency(r io.Reader) (Consistency, error) {
	var p Consistency
	err := readProof(r, &p)
	return p, err
}

func readProof(r io.Reader, p any) error {
	b, err := io.ReadAll(io.LimitReader(r, MaxProof+1))
	if err == nil && len(b) > MaxProof {
		err = fmt.Errorf("it is longer than %d bytes", MaxProof)
	}
	if err == nil {
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.DisallowUnknownFields()
		err = d.Decode(p)
	}
	if err != nil {
		return fmt.Errorf("cannot read proof: %w", err)
	}
	return nil
}

// hashesFor goes through the log once, verifying it, and returns the tree's
// hashes that need asks its reader for. Each record is shown to see.
func hashesFor(dir, publicKey string, need func(Checkpoint, tlog.HashReader) error, see func(*Record, []byte)) (tlog.HashReader, Checkpoint, error) {
	v, err := note.NewVerifier(strings.TrimSpace(publicKey))
	if err != nil {
		return nil, Checkpoint{}, fmt.Errorf("cannot read public key: %w", err)
	}
	cp, err := readCheckpoint(osFS{}, dir)
	if err == nil {
		err = cp.verifyOwn(v)
	}
	if err != nil {
		return nil, cp, err
	}
	want := wanted{}
	if err := need(cp, want); err != nil && !errors.Is(err, errOnlyAsked) {
		return nil, cp, err
	}
	c := &checker{key: v, roots: map[int64]tlog.Hash{cp.Size: {}}, nodes: want}
	if see != nil {
		c.onRaw = see
		c.onRecord = func(*Record) {}
	}
	c.want()
	_, f, err := c.walk(osFS{}, dir, 1)
	// What comes after the checkpoint may be under way, where the writer was at work. The
	// checkpoint is held against what comes before it all the same: it may be of a fork.
	if f != nil && !f.left && int64(f.Record) > cp.Size {
		f = nil
	}
	if f = c.against(f, cp, 0); f != nil && !f.tail {
		err = errors.Join(err, f)
	}
	return want, cp, err
}

// wanted holds nodes of the tree by their storage index. Asked for a node that
// it does not know, it notes that it is wanted.
type wanted map[int64]tlog.Hash

var errOnlyAsked = errors.New("the hashes are not known yet")

// ReadHashes returns the nodes, or notes those that are not known.
func (w wanted) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out, err := make([]tlog.Hash, len(indexes)), error(nil)
	for i, x := range indexes {
		h := w[x]
		if out[i] = h; h == (tlog.Hash{}) {
			w[x] = h
			err = errOnlyAsked
		}
	}
	return out, err
}

// note keeps the nodes that adding a leaf to e completes.
func (w wanted) note(e *edge, leaf tlog.Hash) {
	n, h, peaks := e.size, leaf, e.peaks
	for level := 0; ; level++ {
		if x := tlog.StoredHashIndex(level, n); w.has(x) {
			w[x] = h
		}
		if n&1 == 0 {
			return
		}
		h = tlog.NodeHash(peaks[len(peaks)-1], h)
		peaks, n = peaks[:len(peaks)-1], n>>1
	}
}

func (w wanted) has(x int64) bool { _, ok := w[x]; return ok }
