package audit

import (
	"errors"
	"fmt"
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

// Current looks at the file and at its name, and never at their times: ext4 and
// others write an inode anew at the next fdatasync, if its times were read since
// they changed (multigrain timestamps, Linux 6.13).
func (f osFile) Current(name string, size int64) error {
	var a, b unix.Statx_t
	err := retry(func() error { return unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO, &a) })
	if err == nil {
		err = retry(func() error {
			return unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE|unix.STATX_INO|unix.STATX_SIZE, &b)
		})
	}
	switch {
	case err != nil:
		return &os.PathError{Op: "statx", Path: name, Err: err}
	case a.Ino != b.Ino || a.Dev_major != b.Dev_major || a.Dev_minor != b.Dev_minor:
		return fmt.Errorf("%s is another file now", name)
	case int64(b.Size) != size:
		return changed(name, int64(b.Size), size)
	}
	return nil
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
