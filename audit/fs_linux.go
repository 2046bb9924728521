package audit

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

func (f osFile) SyncData() error { return retry(func() error { return unix.Fdatasync(int(f.Fd())) }) }

func (f osFile) Allocate(size int64) error {
	err := retry(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return f.Truncate(size) // the file system has none: the first write to each block allocates
	}
	return err
}

func (osFS) Lock(name string) (io.Closer, error) { return lockFile(name) }

func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errLocked
	}
	return nil, err
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
