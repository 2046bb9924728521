package store

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ncruces/go-sqlite3"

	"ambit/store/row"
)

// Errors of the disk. Each comes wrapped in a sentence that names the file and
// the next step.
var (
	// ErrDamaged is a file that is not, or no longer, a sound database.
	ErrDamaged = errors.New("the file is damaged")
	// ErrFull is a disk, quota or file size that is used up.
	ErrFull = errors.New("the disk is full")
	// ErrReadOnly is a file or folder that cannot be written.
	ErrReadOnly = errors.New("it cannot be written")
	// ErrBusy is a file that another process kept locked.
	ErrBusy = errors.New("another process uses it")
)

// Result codes (https://www.sqlite.org/rescode.html); the low byte is the
// primary code.
const (
	codePerm              = 3
	codeBusy              = 5
	codeLocked            = 6
	codeReadOnly          = 8
	codeIOErr             = 10
	codeCorrupt           = 11
	codeFull              = 13
	codeCantOpen          = 14
	codeNotADB            = 26
	codeConstraintKey     = 1555 // SQLITE_CONSTRAINT_PRIMARYKEY
	codeConstraintUnique  = 2067 // SQLITE_CONSTRAINT_UNIQUE
	codeConstraintTrigger = 1811 // SQLITE_CONSTRAINT_TRIGGER
	codeShmSize           = 4874 // SQLITE_IOERR_SHMSIZE: no room for the file beside it
)

func (s *Store) explain(what string, err error) error { return explain(s.path, what, err) }

// explain turns an error of SQLite or the file system into one with a next
// step. Errors of this package's own pass through under the same sentence.
func explain(path, what string, err error) error {
	next, kind := classify(err)
	if kind == nil {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	return fmt.Errorf("cannot %s: %s: %w%s (%w)", what, path, kind, next, err)
}

func classify(err error) (next string, kind error) {
	const (
		damaged  = ": put it aside and begin a new one; the log keeps what happened"
		full     = ": make room on that disk; nothing is performed until then"
		readOnly = ": make it and its folder writable, on a disk with room, or set AMBIT_HOME to a folder that is"
		busy     = ": end the other process and try again"
	)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", row.ErrMissing
	case errors.Is(err, fs.ErrNotExist):
		return ": make its folder, or set AMBIT_HOME to one that is there", fs.ErrNotExist
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return readOnly, ErrReadOnly
	}
	e, ok := errors.AsType[sqlite3.ExtendedErrorCode](err)
	if !ok {
		return "", nil
	}
	switch e {
	case codeConstraintKey, codeConstraintUnique:
		return "", row.ErrExists
	case codeConstraintTrigger:
		return "", row.ErrMoved
	case codeShmSize:
		return full, ErrFull
	}
	switch e.Code() {
	case codeCorrupt, codeNotADB:
		return damaged, ErrDamaged
	case codeFull:
		return full, ErrFull
	case codeReadOnly, codePerm, codeCantOpen:
		return readOnly, ErrReadOnly
	case codeBusy, codeLocked:
		return busy, ErrBusy
	case codeIOErr:
		return ": look at the disk it is on, then put the file aside", ErrDamaged
	}
	return "", nil
}
