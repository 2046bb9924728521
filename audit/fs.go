package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// fsys is what the log needs of a file system. Tests put faults and crashes
// behind it. Names are whole paths.
type fsys interface {
	// OpenFile opens with flags of os.OpenFile; new files get mode 0600.
	OpenFile(name string, flag int) (file, error)
	Exists(name string) bool
	Names(dir string) ([]string, error) // sorted
	Mkdir(dir string) error             // mode 0700; a directory that exists is no error
	Rename(from, to string) error
	Remove(name string) error
	SyncDir(dir string) error
	// Lock takes a lock that ends with the process, or fails at once.
	Lock(name string) (io.Closer, error)
}

// file is an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Allocate(size int64) error // blocks for size bytes, reading as zero, size included
	SyncData() error           // contents durable, and the size when it changed
	Sync() error
	// Current fails unless name is still this very file, with this size.
	Current(name string, size int64) error
}

var errLocked = errors.New("another process holds the log")

type osFS struct{}

func (osFS) OpenFile(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Exists counts what cannot be looked at as existing, so that nothing is
// written over it.
func (osFS) Exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

func (osFS) Names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (osFS) Mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func changed(name string, is, want int64) error {
	return fmt.Errorf("%s has %d bytes, not %d: somebody changed it", name, is, want)
}

// writeWhole replaces a file durably: it has the old or the new content, never
// a mixture.
func writeWhole(d fsys, path string, b []byte) error {
	tmp := path + ".new"
	if err := writeSynced(d, tmp, b); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := d.Rename(tmp, path); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := d.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

func writeSynced(d fsys, path string, b []byte) error {
	f, err := d.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// readAll reads a whole file of at most limit bytes.
func readAll(d fsys, path string, limit int64) ([]byte, error) {
	f, err := d.OpenFile(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("cannot read %s: %d bytes, at most %d", path, n, limit)
	}
	return readPrefix(f, n)
}

// readPrefix reads the first n bytes of a file, or all when it is shorter.
func readPrefix(f file, n int64) ([]byte, error) {
	b := make([]byte, n)
	got, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return b[:got], nil
}
