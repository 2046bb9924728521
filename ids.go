package ambit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// TaskID names one run of an agent: 26 characters of lower-case base32
// (RFC 4648 section 6) over 128 random bits. The zero value is no task.
type TaskID string

const taskIDLen = 26

var taskIDEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewTaskID makes a fresh task id from the system's random source.
func NewTaskID() TaskID {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return TaskID(taskIDEncoding.EncodeToString(b[:]))
}

// ParseTaskID reads a whole task id and refuses anything else.
func ParseTaskID(s string) (TaskID, error) {
	if len(s) != taskIDLen {
		return "", fmt.Errorf("cannot read task id %q: it has %d characters, not %d", clip(s), len(s), taskIDLen)
	}
	b, err := taskIDEncoding.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("cannot read task id %q: %w", s, err)
	}
	// The decoder skips line ends and spare bits: one task would have many names.
	if taskIDEncoding.EncodeToString(b) != s {
		return "", fmt.Errorf("cannot read task id %q: it is not in its one spelling", s)
	}
	return TaskID(s), nil
}

// Digest is the SHA-256 of a canonical form.
type Digest [sha256.Size]byte

// String returns the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes the digest in lower-case hexadecimal.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (d *Digest) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(d) {
		return fmt.Errorf("cannot read digest: %d characters, not %d", len(b), 2*len(d))
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// RecordID is a record's place in the log, plus one; zero is no record.
// It prints as "r1", "r2", ….
type RecordID uint64

// String returns "r" and the number, or "none" for the zero value.
func (r RecordID) String() string {
	if r == 0 {
		return "none"
	}
	return "r" + strconv.FormatUint(uint64(r), 10)
}

// ParseRecordID reads "r17" or "17".
func ParseRecordID(s string) (RecordID, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "r"), 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("cannot read record id %q: want r1, r2, …", clip(s))
	}
	return RecordID(n), nil
}

// clip bounds what an error repeats of somebody's input.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
