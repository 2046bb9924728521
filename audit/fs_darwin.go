package audit

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// SyncData is os.File.Sync, which is F_FULLFSYNC here.
func (f osFile) SyncData() error { return f.Sync() }

// Allocate only sets the size: a full disk then shows at the write.
func (f osFile) Allocate(size int64) error { return f.Truncate(size) }

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errLocked
	}
	return nil, err
}
