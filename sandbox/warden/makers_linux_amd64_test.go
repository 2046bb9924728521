package warden

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// legacyMakers are the calls without a directory descriptor; the unix package
// does not make them itself.
func legacyMakers() []maker {
	seed := cstring("seed")
	one := func(nr uintptr, a, b uintptr) func(string) error {
		return func(p string) error {
			path := cstring(p)
			r, _, e := unix.Syscall(nr, uintptr(unsafe.Pointer(path)), a, b)
			runtime.KeepAlive(path)
			if e != 0 {
				return e
			}
			if nr == unix.SYS_OPEN || nr == unix.SYS_CREAT {
				return unix.Close(int(r))
			}
			return nil
		}
	}
	two := func(nr uintptr, from *byte) func(string) error {
		return func(p string) error {
			path := cstring(p)
			_, _, e := unix.Syscall(nr, uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(path)), 0)
			runtime.KeepAlive(path)
			if e != 0 {
				return e
			}
			return nil
		}
	}
	return []maker{
		{"open", one(unix.SYS_OPEN, unix.O_CREAT|unix.O_WRONLY, 0o644)},
		{"creat", one(unix.SYS_CREAT, 0o644, 0)},
		{"mkdir", one(unix.SYS_MKDIR, 0o755, 0)},
		{"mknod", one(unix.SYS_MKNOD, unix.S_IFIFO|0o644, 0)},
		{"symlink", two(unix.SYS_SYMLINK, seed)},
		{"link", two(unix.SYS_LINK, seed)},
		{"rename", func(p string) error {
			if err := os.WriteFile("mover", []byte("evil"), 0o644); err != nil {
				return fmt.Errorf("mover: %w", err)
			}
			defer unix.Unlink("mover")
			return two(unix.SYS_RENAME, cstring("mover"))(p)
		}},
		{"renameat", func(p string) error {
			if err := os.WriteFile("mover", []byte("evil"), 0o644); err != nil {
				return fmt.Errorf("mover: %w", err)
			}
			defer unix.Unlink("mover")
			from, to := cstring("mover"), cstring(p)
			here := unix.AT_FDCWD
			_, _, e := unix.Syscall6(unix.SYS_RENAMEAT, uintptr(here), uintptr(unsafe.Pointer(from)), uintptr(here),
				uintptr(unsafe.Pointer(to)), 0, 0)
			runtime.KeepAlive(from)
			runtime.KeepAlive(to)
			if e != 0 {
				return e
			}
			return nil
		}},
	}
}

func cstring(s string) *byte {
	b, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	return b
}
