// Package store keeps the daemon's durable state: agents, tasks, questions,
// leases and revocations, in one SQLite file with one writer.
//
// The log is the truth and the store only indexes it: a store that is lost or
// damaged loses no evidence, and every task, question and lease that it knew
// is then unknown and refused. So a damaged file is put aside with
// [Store.Reset] and never repaired by guessing.
//
// Nothing here has a place for a secret, and nothing is opened before the
// first use.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// readers is how many connections read beside the one that writes.
const readers = 4

// Store is the durable state in one file. Make it with [New]; the zero value
// refuses. It is safe for use by many goroutines.
type Store struct {
	path string

	mu     sync.Mutex
	open   *handles
	closed bool
}

// handles are what an open file has: one connection that writes and a few that
// can only read.
type handles struct {
	write, read   *sql.DB
	writes, reads prepared
	file          os.FileInfo // as it was opened
}

// New names the store's file, "AMBIT_HOME/state.db" say. The file is opened,
// or made with mode 0600, at the first use; its folder must exist.
func New(path string) *Store { return &Store{path: path} }

// Path returns the file's path.
func (s *Store) Path() string { return s.path }

// Ready opens the file now, so that a fault in it is known before it is
// needed.
func (s *Store) Ready(ctx context.Context) error {
	_, err := s.handles(ctx)
	return err
}

// Close ends all use. A store that was closed refuses.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.shut()
}

// Reset moves the file aside, to the same name with ".set-aside-" and the time
// in UTC, and returns the new name; the next use begins an empty store. All
// tasks, questions and leases of before are unknown from then on.
func (s *Store) Reset(now time.Time) (aside string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A file that cannot be closed cleanly is the very reason to put it aside.
	_ = s.shut()
	aside = fmt.Sprintf("%s.set-aside-%s", s.path, now.UTC().Format("20060102T150405.000000Z"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Rename(s.path+suffix, aside+suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("cannot put %s aside: %w: move it away by hand", s.path+suffix, err)
		}
	}
	return aside, syncDir(filepath.Dir(s.path))
}

func (s *Store) shut() error {
	h := s.open
	s.open = nil
	if h == nil {
		return nil
	}
	return errors.Join(h.read.Close(), h.write.Close())
}

// handles opens the file when it is not open yet. A failure is not remembered,
// so that what the user repairs works at once.
func (s *Store) handles(ctx context.Context) (*handles, error) {
	if s == nil || s.path == "" {
		return nil, errors.New("cannot open the store: it has no path")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("cannot use %s: it was closed", s.path)
	}
	if s.open == nil {
		h, err := openFile(ctx, s.path)
		if err != nil {
			return nil, err
		}
		s.open = h
	}
	return s.open, nil
}

// write runs f in one transaction that is durable when write returns nil.
func (s *Store) write(ctx context.Context, what string, f func(*sql.Tx) error) error {
	h, err := s.handles(ctx)
	if err != nil {
		return err
	}
	// SQLite goes on writing to a file that was deleted or replaced: what it
	// calls durable would be gone at the next start.
	if fi, err := os.Stat(s.path); err != nil || !os.SameFile(fi, h.file) {
		return fmt.Errorf("cannot %s: %s was removed or replaced while in use: start the daemon again", what, s.path)
	}
	tx, err := h.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(what, err)
	}
	defer tx.Rollback() // does nothing after a commit
	if err := f(tx); err != nil {
		return s.explain(what, err)
	}
	if err := tx.Commit(); err != nil {
		return s.explain(what, err)
	}
	h.writes.fill(ctx, h.write)
	return nil
}

// exec is what runs in a transaction of write, for statements that a task waits for.
func (s *Store) exec(ctx context.Context, tx *sql.Tx, q string, args ...any) (sql.Result, error) {
	h, err := s.handles(ctx)
	if err != nil {
		return nil, err
	}
	return h.exec(ctx, tx, q, args...)
}

// query runs q on a connection that cannot write and scans every row.
func (s *Store) query(ctx context.Context, what string, scan func(scanner) error, q string, args ...any) error {
	h, err := s.handles(ctx)
	if err != nil {
		return err
	}
	rows, err := h.query(ctx, q, args...)
	if err != nil {
		return s.explain(what, err)
	}
	defer h.reads.fill(ctx, h.read)
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return s.explain(what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return s.explain(what, err)
	}
	return nil
}

type scanner interface{ Scan(dest ...any) error }
