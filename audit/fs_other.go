//go:build !linux && !darwin

package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// SyncData makes everything durable.
func (f osFile) SyncData() error { return f.Sync() }

// Allocate only sets the size: a full disk then shows at the write.
func (f osFile) Allocate(size int64) error { return f.Truncate(size) }

// Lock refuses: two writers of one log would fork it.
func (osFS) Lock(string) (io.Closer, error) {
	return nil, errors.New("this system has no file lock that Ambit uses; write the log on Linux or macOS")
}

// Current looks at the file and at its name.
func (f osFile) Current(name string, size int64) error {
	a, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if !os.SameFile(a, b) {
		return fmt.Errorf("%s is another file now", name)
	}
	if b.Size() != size {
		return changed(name, b.Size(), size)
	}
	return nil
}
