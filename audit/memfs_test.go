package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func verifier(t testing.TB, k *Key) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// memFS is a file system in memory that forgets on a crash what was not
// synced, and fails or crashes at a chosen step.
type memFS struct {
	mu      sync.Mutex
	names   map[string]*inode // as the running system sees them
	durable map[string]*inode // the names that a crash leaves for certain
	locks   map[string]bool

	steps   int   // operations that changed something, so far
	failAt  int   // the step that fails, 0 for none
	failed  bool  // it has come to it
	failErr error // nil for a crash: then every later operation fails too
	short   int   // for a failing write: how many bytes of it are written all the same
}

type inode struct {
	now     []byte
	durable []byte
	writes  []written // since the last sync
}

type written struct {
	off  int
	data []byte
}

var errCrashed = errors.New("the machine is off")

func newMemFS() *memFS {
	return &memFS{names: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]bool{}}
}

func (m *memFS) put(name string, b []byte) {
	n := &inode{now: slices.Clone(b), durable: slices.Clone(b)}
	m.names[name], m.durable[name] = n, n
}

// step counts one changing operation; the caller holds the lock.
func (m *memFS) step() error {
	if m.failed && m.failErr == nil {
		return errCrashed
	}
	m.steps++
	if m.steps != m.failAt {
		return nil
	}
	m.failed = true
	if m.failErr == nil {
		return errCrashed
	}
	return m.failErr
}

// crash returns what a machine finds after the power came back: each unsynced
// write is there, not there, or there up to some byte; unsynced names likewise.
func (m *memFS) crash(r *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := newMemFS()
	names := maps.Clone(m.durable)
	for n, i := range m.names {
		if m.durable[n] != i && r.IntN(2) == 0 {
			names[n] = i
		}
	}
	// Sorted, so that a seed always means the same crash.
	for _, n := range slices.Sorted(maps.Keys(names)) {
		i := names[n]
		b := slices.Clone(i.durable)
		if len(i.now) > len(b) && r.IntN(2) == 0 {
			b = append(b, make([]byte, len(i.now)-len(b))...)
		}
		for _, w := range i.writes {
			b = w.survive(b, r)
		}
		out.put(n, b)
	}
	return out
}

// survive applies the part of a write that reached the disk. Sectors reach it
// in any order.
func (w written) survive(b []byte, r *rand.Rand) []byte {
	keep := func(from, to int) {
		if end := w.off + to; end > len(b) {
			b = append(b, make([]byte, end-len(b))...)
		}
		copy(b[w.off+from:w.off+to], w.data[from:to])
	}
	switch r.IntN(4) {
	case 0: // nothing
	case 1:
		keep(0, len(w.data))
	case 2: // up to some byte
		keep(0, r.IntN(len(w.data)+1))
	case 3: // some sectors
		const sector = 512
		for at := 0; at < len(w.data); {
			next := min(len(w.data), (w.off+at)/sector*sector+sector-w.off)
			if r.IntN(2) == 0 {
				keep(at, next)
			}
			at = next
		}
	}
	return b
}

func (m *memFS) OpenFile(name string, flag int) (file, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.names[name]
	if i == nil && flag&os.O_CREATE == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if i == nil || flag&os.O_TRUNC != 0 {
		if err := m.step(); err != nil {
			return nil, err
		}
	}
	if i == nil {
		i = &inode{}
		m.names[name] = i
	}
	if flag&os.O_TRUNC != 0 {
		i.now, i.durable, i.writes = nil, nil, nil
	}
	return &memFile{m, i}, nil
}

func (m *memFS) Exists(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[name] != nil
}

func (m *memFS) Names(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for n := range m.names {
		if filepath.Dir(n) == dir {
			out = append(out, filepath.Base(n))
		}
	}
	slices.Sort(out)
	return out, nil
}

func (m *memFS) Mkdir(string) error { return nil }

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return err
	}
	m.names[to] = m.names[from]
	delete(m.names, from)
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return err
	}
	delete(m.names, name)
	return nil
}

func (m *memFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return err
	}
	maps.DeleteFunc(m.durable, func(n string, _ *inode) bool { return filepath.Dir(n) == dir && m.names[n] == nil })
	for n, i := range m.names {
		if filepath.Dir(n) == dir {
			m.durable[n] = i
		}
	}
	return nil
}

func (m *memFS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, errLocked
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	m    *memFS
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

type memFile struct {
	m *memFS
	i *inode
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.i.now)) {
		return 0, io.EOF
	}
	n := copy(b, f.i.now[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.m.step()
	if err != nil && !f.m.failed || errors.Is(err, errCrashed) && f.m.steps != f.m.failAt {
		return 0, err
	}
	if err != nil {
		b = b[:min(len(b), f.m.short)]
	}
	if end := int(off) + len(b); end > len(f.i.now) {
		f.i.now = append(f.i.now, make([]byte, end-len(f.i.now))...)
	}
	copy(f.i.now[off:], b)
	f.i.writes = append(f.i.writes, written{int(off), slices.Clone(b)})
	return len(b), err
}

// sync makes the writes since the last one durable. One that fails loses them
// for good, although they can still be read: so does Linux.
func (f *memFile) sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.step(); err != nil {
		if f.m.failErr != nil {
			f.i.writes = nil
		}
		return err
	}
	for len(f.i.durable) < len(f.i.now) {
		f.i.durable = append(f.i.durable, 0)
	}
	for _, w := range f.i.writes {
		copy(f.i.durable[w.off:], w.data)
	}
	f.i.writes = nil
	return nil
}

func (f *memFile) SyncData() error { return f.sync() }
func (f *memFile) Sync() error     { return f.sync() }
func (f *memFile) Close() error    { return nil }

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.i.now)), nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.step(); err != nil {
		return err
	}
	f.i.resize(size)
	return nil
}

func (f *memFile) Allocate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.step(); err != nil {
		return err
	}
	if int(size) > len(f.i.now) {
		f.i.resize(size)
	}
	return nil
}

// resize takes part in no crash of its own: a file that shrinks loses its
// unsynced writes, one that grows reads as zero.
func (i *inode) resize(size int64) {
	for int64(len(i.now)) < size {
		i.now = append(i.now, 0)
	}
	if int64(len(i.now)) > size {
		i.now = i.now[:size]
		i.durable = i.durable[:min(int64(len(i.durable)), size)]
		i.writes = nil
	}
}

func (f *memFile) Current(name string, size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.m.names[name] != f.i {
		return fmt.Errorf("%s is another file now", name)
	}
	if n := int64(len(f.i.now)); n != size {
		return changed(name, n, size)
	}
	return nil
}

func (m *memFS) String() string {
	return strings.Join(slices.Sorted(maps.Keys(m.names)), " ")
}
