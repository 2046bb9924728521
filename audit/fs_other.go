//go:build !linux && !darwin

package audit

import (
	"errors"
	"io"
)

// SyncData makes everything durable.
func (f osFile) SyncData() error { return f.Sync() }

// Allocate only sets the size: a full disk then shows at the write.
func (f osFile) Allocate(size int64) error { return f.Truncate(size) }

// Lock refuses: two writers of one log would fork it.
func (osFS) Lock(string) (io.Closer, error) {
	return nil, errors.New("this system has no file lock that Ambit uses; write the log on Linux or macOS")
}
