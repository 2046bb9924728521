package audit

import (
	"crypto/sha256"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of a Merkle tree (RFC 6962 section 2.1): the roots of
// the perfect subtrees that make it up, the largest and leftmost first. It is
// all that is needed to go on.
type edge struct {
	size  int64
	peaks []tlog.Hash
}

func (e *edge) add(leaf tlog.Hash) {
	e.peaks = append(e.peaks, leaf)
	for n := e.size; n&1 == 1; n >>= 1 {
		last := len(e.peaks) - 1
		e.peaks[last-1] = tlog.NodeHash(e.peaks[last-1], e.peaks[last])
		e.peaks = e.peaks[:last]
	}
	e.size++
}

func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		return sha256.Sum256(nil)
	}
	h := e.peaks[len(e.peaks)-1]
	for _, p := range slices.Backward(e.peaks[:len(e.peaks)-1]) {
		h = tlog.NodeHash(p, h)
	}
	return h
}

func (e *edge) clone() edge { return edge{e.size, slices.Clone(e.peaks)} }

func (e *edge) equal(o edge) bool { return e.size == o.size && slices.Equal(e.peaks, o.peaks) }

// peakCount is how many peaks a tree of n leaves has.
func peakCount(n int64) int { return bits.OnesCount64(uint64(n)) }
