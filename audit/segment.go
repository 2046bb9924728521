package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Sizes of a segment, in bytes.
const (
	DefaultSegment = 8 << 20
	MinSegment     = 16 << 10
	MaxSegment     = 64 << 20
)

const (
	checkpointFile = "checkpoint"
	lockName       = "lock"
	segmentSuffix  = ".seg"
	formatLine     = "ambit log 1"
)

func segmentPath(dir string, seq int) string {
	return filepath.Join(dir, fmt.Sprintf("%06d%s", seq, segmentSuffix))
}

// segments returns how many segments a directory has, and refuses a gap.
func segments(d fsys, dir string) (int, error) {
	names, err := d.Names(dir)
	if err != nil {
		return 0, fmt.Errorf("cannot read log %s: %w", dir, err)
	}
	count, most := 0, 0
	for _, n := range names {
		num, ok := strings.CutSuffix(n, segmentSuffix)
		seq, err := strconv.Atoi(num)
		if !ok || err != nil || seq < 1 || segmentPath("", seq) != n {
			continue
		}
		count, most = count+1, max(most, seq)
	}
	if count != most {
		return most, errGap
	}
	return count, nil
}

var errGap = errors.New("a segment is missing")

// segHeader is the first frame of a segment. Everything in it follows from
// what came before, so that none of it can be changed unseen.
type segHeader struct {
	seq      int   // from 1
	capacity int64 // of the file, in bytes
	edge     edge  // of the tree before the segment
}

// encode writes the header's payload: five kinds of lines.
func (h segHeader) encode() []byte {
	b := fmt.Appendf(nil, "%s\nsegment %d\ncapacity %d\nsize %d\n", formatLine, h.seq, h.capacity, h.edge.size)
	for _, p := range h.edge.peaks {
		b = append(base64.StdEncoding.AppendEncode(b, p[:]), '\n')
	}
	return b
}

func (h segHeader) appendFrame(b []byte) []byte {
	at := len(b)
	b = beginFrame(b, kindSegment)
	b = append(b, h.encode()...)
	endFrame(b, at)
	return b
}

func parseHeader(p []byte) (segHeader, error) {
	var h segHeader
	lines := strings.Split(string(p), "\n")
	if lines[0] != formatLine {
		return h, fmt.Errorf("cannot read segment header: it begins with %q, not %q; a newer ambit may read it", clip(lines[0]), formatLine)
	}
	if len(lines) < 5 {
		return h, errors.New("cannot read segment header: a line is missing")
	}
	h.seq = int(number(lines[1], "segment "))
	h.capacity = number(lines[2], "capacity ")
	h.edge.size = number(lines[3], "size ")
	if h.edge.size < 0 || h.edge.size > maxSize || len(lines) != 5+peakCount(h.edge.size) {
		return h, errors.New("cannot read segment header: its size and hashes do not agree")
	}
	for _, l := range lines[4 : len(lines)-1] {
		x, err := base64.StdEncoding.Strict().DecodeString(l)
		if err != nil || len(x) != tlog.HashSize {
			return h, errors.New("cannot read segment header: a hash is malformed")
		}
		h.edge.peaks = append(h.edge.peaks, tlog.Hash(x))
	}
	if string(h.encode()) != string(p) {
		return h, errors.New("cannot read segment header: it is not canonical")
	}
	return h, nil
}

// number reads the decimal after a prefix, or answers -1.
func number(line, prefix string) int64 {
	s, ok := strings.CutPrefix(line, prefix)
	n, err := strconv.ParseInt(s, 10, 64)
	if !ok || err != nil {
		return -1
	}
	return n
}
