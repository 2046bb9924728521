package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"golang.org/x/mod/sumdb/tlog"
)

// A segment is a row of frames, then zeros to its end. A frame is
//
//	length  uint32, little-endian, of the payload
//	kind    4 bytes: "seg\n", "rec\n", "sig\n"
//	crc     uint32, little-endian: CRC-32C of length, kind and payload
//	payload
//
// A canonical record holds no line feed, so no record can look like a frame.
const (
	frameHeader = 12
	kindSegment = "seg\n"
	kindRecord  = "rec\n"
	kindSeal    = "sig\n"
)

// Bounds of a batch: what one write carries.
const (
	maxBatchRecords = 1024
	maxBatchBytes   = 1 << 20 // of its record frames and leaf hashes
	maxSeal         = 4 + maxBatchRecords*tlog.HashSize + maxNote
	maxHeader       = 4 << 10
)

func frameCRC(head, payload []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli) // built once by the library
	return crc32.Update(crc32.Checksum(head, t), t, payload)
}

// beginFrame appends an empty frame header; endFrame fills it in once the
// payload has been appended.
func beginFrame(b []byte, kind string) []byte {
	b = append(b, 0, 0, 0, 0)
	b = append(b, kind...)
	return append(b, 0, 0, 0, 0)
}

func endFrame(b []byte, start int) {
	payload := b[start+frameHeader:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+8:], frameCRC(b[start:start+8], payload))
}

var (
	errEnd  = errors.New("no frame follows") // twelve zeros, or fewer to the end of the file
	errCRC  = errors.New("its check sum is wrong")
	errCut  = errors.New("it is cut short")
	errKind = errors.New("its frame is of no known kind or too long")
)

// nextFrame reads the frame at off.
func nextFrame(b []byte, off int) (kind string, payload []byte, next int, err error) {
	if off+frameHeader > len(b) {
		if allZero(b[off:]) {
			return "", nil, off, errEnd
		}
		return "", nil, off, errCut
	}
	h := b[off : off+frameHeader]
	if allZero(h) {
		return "", nil, off, errEnd
	}
	n, kind := binary.LittleEndian.Uint32(h), string(h[4:8])
	switch {
	case kind == kindRecord && n <= MaxRecord:
	case kind == kindSeal && n <= maxSeal:
	case kind == kindSegment && n <= maxHeader:
	default:
		return kind, nil, off, errKind
	}
	next = off + frameHeader + int(n)
	if next > len(b) {
		return kind, nil, off, errCut
	}
	payload = b[off+frameHeader : next]
	if frameCRC(h[:8], payload) != binary.LittleEndian.Uint32(h[8:]) {
		return kind, payload, off, errCRC
	}
	return kind, payload, next, nil
}

// seal is the last frame of a batch: the leaf hashes of its records and the
// checkpoint that they lead to.
type seal struct {
	leaves []tlog.Hash
	cp     Checkpoint
}

// start is the size of the log before the batch.
func (s *seal) start() int64 { return s.cp.Size - int64(len(s.leaves)) }

func appendSeal(b []byte, leaves []tlog.Hash, signed []byte) []byte {
	at := len(b)
	b = beginFrame(b, kindSeal)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(leaves)))
	for i := range leaves {
		b = append(b, leaves[i][:]...)
	}
	b = append(b, signed...)
	endFrame(b, at)
	return b
}

func parseSeal(p []byte) (seal, error) {
	var s seal
	if len(p) < 4 {
		return s, errors.New("cannot read seal: it is too short")
	}
	n := binary.LittleEndian.Uint32(p)
	if p = p[4:]; n == 0 || n > maxBatchRecords || len(p) < int(n)*tlog.HashSize {
		return s, fmt.Errorf("cannot read seal: it cannot hold %d leaf hashes", n)
	}
	s.leaves = make([]tlog.Hash, n)
	for i := range s.leaves {
		s.leaves[i] = tlog.Hash(p[:tlog.HashSize])
		p = p[tlog.HashSize:]
	}
	var err error
	if s.cp, err = parseCheckpoint(p); err == nil && s.start() < 0 {
		err = errors.New("cannot read seal: it counts more records than its checkpoint")
	}
	return s, err
}

// span is a record frame's payload and where the frame begins.
type span struct {
	off     int
	payload []byte
}

// batch is what nextBatch found.
type batch struct {
	recs []span
	off  int  // where the batch begins
	at   int  // where reading stopped: after the batch, or at the frame that err is about
	seal seal // when err is nil
	err  error
}

// nextBatch reads records up to their seal. Its err is errEnd when nothing or
// only records without a seal came before the zeros.
func nextBatch(b []byte, off int) batch {
	x := batch{off: off, at: off}
	for total := 0; ; {
		kind, payload, next, err := nextFrame(b, x.at)
		if err != nil {
			x.err = err
			return x
		}
		switch kind {
		case kindRecord:
			total += next - x.at + tlog.HashSize
			if len(x.recs) == maxBatchRecords || total > maxBatchBytes+MaxRecord {
				x.err = errors.New("the batch is too long")
				return x
			}
			x.recs = append(x.recs, span{x.at, payload})
		case kindSeal:
			if x.seal, x.err = parseSeal(payload); x.err == nil {
				x.at = next
			}
			return x
		default:
			x.err = errKind
			return x
		}
		x.at = next
	}
}

// sealsAfter finds the whole seals that follow off, wherever they begin, at
// most two.
func sealsAfter(b []byte, off int) []seal {
	var out []seal
	for len(out) < 2 && off < len(b) {
		i := bytes.Index(b[off:], []byte(kindSeal))
		if i < 0 {
			break
		}
		at := off + i - 4
		off += i + 1
		if at < 0 {
			continue
		}
		if kind, p, next, err := nextFrame(b, at); err == nil && kind == kindSeal {
			if s, err := parseSeal(p); err == nil {
				out = append(out, s)
				off = next
			}
		}
	}
	return out
}

func allZero(b []byte) bool { return firstNonZero(b) < 0 }

func firstNonZero(b []byte) int {
	var zeros [512]byte
	for off := 0; off < len(b); off += len(zeros) {
		part := b[off:min(off+len(zeros), len(b))]
		if bytes.Equal(part, zeros[:len(part)]) {
			continue
		}
		for i, c := range part {
			if c != 0 {
				return off + i
			}
		}
	}
	return -1
}
