package git

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

// Bounds of what is read of a pack. Beyond them, commits are not known.
const (
	MaxPrefix   = 4 << 20  // bytes of a pack that are looked at
	maxObjects  = 50_000   // entries
	maxObject   = 1 << 20  // bytes of one commit
	maxInflated = 64 << 20 // bytes of all entries together
	maxKept     = 8 << 20  // bytes that are kept as bases of deltas
)

// Types of a pack's entries (gitformat-pack).
const (
	typeCommit   = 1
	typeTag      = 4
	typeOffset   = 6 // a delta against an earlier entry of the pack
	typeNamed    = 7 // a delta against an object by its name
	packHeader   = 12
	maxDeltaHops = 64
)

// Commits are the commits that a pack begins with, by name.
type Commits struct {
	byID map[string]Commit
	// Full says that something else than commits and tags was seen, or the end
	// of the pack: more bytes would show no more.
	Full bool
}

// Get returns a commit.
func (c *Commits) Get(id string) (Commit, bool) {
	x, ok := c.byID[id]
	return x, ok
}

// Len is how many commits are known.
func (c *Commits) Len() int { return len(c.byID) }

// ReadCommits reads the commits at the beginning of a pack: git writes them
// before all trees and blobs. Each is named by the hash of its own bytes, so that
// none can be claimed. What is broken, too large or in another order ends the
// reading; the commits before it are as true as they are.
func ReadCommits(f Format, pack []byte) *Commits {
	r := &packReader{format: f, hash: f.hash(), all: pack, kept: make(map[int]entry), named: make(map[string]int),
		found: &Commits{byID: make(map[string]Commit)}}
	r.read()
	return r.found
}

// entry is an object that later deltas can build on.
type entry struct {
	kind    int // typeCommit or typeTag
	content []byte
}

type packReader struct {
	format   Format
	hash     hash.Hash
	all      []byte
	src      bytes.Reader
	zip      io.ReadCloser
	kept     map[int]entry  // by offset
	named    map[string]int // offsets by name
	size     int            // bytes in kept
	inflated int
	found    *Commits
}

var errStop = errors.New("no more commits")

func (r *packReader) read() {
	if len(r.all) < packHeader {
		return
	}
	// Versions 2 and 3 are read alike (gitformat-pack).
	if string(r.all[:4]) != "PACK" || r.all[4]|r.all[5]|r.all[6] != 0 || r.all[7] != 2 && r.all[7] != 3 {
		r.found.Full = true
		return
	}
	// How many there are is the sender's word, and only ever ends the reading.
	count := uint64(r.all[8])<<24 | uint64(r.all[9])<<16 | uint64(r.all[10])<<8 | uint64(r.all[11])
	at := packHeader
	for n := uint64(0); n < min(count, maxObjects); n++ {
		next, err := r.entry(at)
		switch {
		case errors.Is(err, ErrShort):
			return
		case err != nil:
			r.found.Full = true
			return
		}
		at = next
	}
	r.found.Full = true
}

// entry reads the entry at an offset and returns where the next one is.
func (r *packReader) entry(at int) (int, error) {
	kind, size, body, err := r.head(at)
	if err != nil {
		return 0, err
	}
	base := entry{}
	switch kind {
	case typeCommit, typeTag:
		base.kind = kind
	case typeOffset:
		back, n, err := offset(r.all[body:])
		if err != nil {
			return 0, err
		}
		if body += n; back > at {
			return 0, errStop
		}
		base = r.kept[at-back]
	case typeNamed:
		n := r.format.bytes()
		if len(r.all)-body < n {
			return 0, ErrShort
		}
		if off, ok := r.named[hex.EncodeToString(r.all[body:body+n])]; ok {
			base = r.kept[off]
		}
		body += n
	}
	// A tree, a blob, or a delta of which nobody knows what it is: commits come first.
	if base.kind == 0 {
		return 0, errStop
	}
	content, next, err := r.inflate(body, size)
	if err != nil {
		return 0, err
	}
	if kind == typeOffset || kind == typeNamed {
		if content, err = r.undelta(base.content, content); err != nil {
			return 0, err
		}
	}
	return next, r.keep(at, entry{base.kind, content})
}

// keep takes in an object.
func (r *packReader) keep(at int, e entry) error {
	if e.kind == typeCommit {
		c, ok := readCommit(r.format, r.hash, e.content)
		if !ok {
			return errStop
		}
		r.found.byID[c.ID] = c
		r.named[c.ID] = at
	}
	if r.size += len(e.content); r.size <= maxKept {
		r.kept[at] = e
	}
	return nil
}

// head reads an entry's type and size (gitformat-pack, "n-byte type and length").
func (r *packReader) head(at int) (kind, size, body int, err error) {
	if at >= len(r.all) {
		return 0, 0, 0, ErrShort
	}
	c := r.all[at]
	kind, size = int(c>>4&7), int(c&15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if at++; at >= len(r.all) {
			return 0, 0, 0, ErrShort
		}
		c = r.all[at]
		// A size that needs more bits is none that is read.
		if shift > 4+3*7 {
			return kind, 0, 0, errStop
		}
		size |= int(c&0x7f) << shift
	}
	if size > maxObject {
		return kind, 0, 0, errStop
	}
	return kind, size, at + 1, nil
}

// offset reads how far back a delta's base is (gitformat-pack, "offset encoding").
func offset(b []byte) (back, n int, err error) {
	for n < 5 {
		if n == len(b) {
			return 0, 0, ErrShort
		}
		c := b[n]
		if n++; n > 1 {
			back++
		}
		back = back<<7 | int(c&0x7f)
		if c&0x80 == 0 {
			return back, n, nil
		}
	}
	return 0, 0, errStop
}

// inflate unpacks exactly size bytes, whatever the packed ones would give.
func (r *packReader) inflate(at, size int) (content []byte, next int, err error) {
	if r.inflated += size; r.inflated > maxInflated {
		return nil, 0, errStop
	}
	r.src.Reset(r.all[at:])
	if r.zip == nil {
		r.zip, err = zlib.NewReader(&r.src)
	} else {
		err = r.zip.(zlib.Resetter).Reset(&r.src, nil) // what zlib.NewReader returns can be reset
	}
	if err != nil {
		return nil, 0, ended(err)
	}
	content = make([]byte, size)
	if _, err := io.ReadFull(r.zip, content); err != nil {
		return nil, 0, ended(err)
	}
	var more [1]byte
	switch n, err := r.zip.Read(more[:]); {
	case n > 0:
		return nil, 0, errStop
	case err != io.EOF:
		return nil, 0, ended(err)
	}
	return content, len(r.all) - r.src.Len(), nil
}

// ended tells packed bytes that are cut off from those that are wrong. Fewer bytes
// than announced are wrong too: io.ReadFull then saw the end of the packed ones,
// and more of the pack changes nothing; the bytes left tell them apart for nobody,
// and ErrShort only makes the caller read on to its bound.
func ended(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrShort
	}
	return errStop
}
