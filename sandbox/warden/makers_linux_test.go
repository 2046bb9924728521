//go:build amd64 || arm64

package warden

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// maker is one system call that makes a name.
type maker struct {
	what string
	make func(path string) error
}

// clean takes away what a maker made, where it did.
func (maker) clean(name string) {
	_ = unix.Unlink(name)
	_ = unix.Rmdir(name)
}

func opener(flags int) func(string) error {
	return func(p string) error {
		fd, err := unix.Openat(unix.AT_FDCWD, p, flags, 0o644)
		if err == nil {
			return unix.Close(fd)
		}
		return err
	}
}

// makers are all calls that make a name, each in each of its forms. They use
// the file "seed" in the working directory.
func makers() []maker {
	const here = unix.AT_FDCWD
	m := []maker{
		{"openat", opener(unix.O_CREAT | unix.O_WRONLY)},
		{"openat-append", opener(unix.O_CREAT | unix.O_RDWR | unix.O_APPEND | unix.O_TRUNC)},
		{"openat-nofollow", opener(unix.O_CREAT | unix.O_RDONLY | unix.O_NOFOLLOW)},
		{"openat-excl", opener(unix.O_CREAT | unix.O_WRONLY | unix.O_EXCL)},
		{"openat2", func(p string) error {
			fd, err := unix.Openat2(here, p, &unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY, Mode: 0o644})
			if err == nil {
				unix.Close(fd)
			}
			return err
		}},
		{"mkdirat", func(p string) error { return unix.Mkdirat(here, p, 0o755) }},
		{"mkdirat-slash", func(p string) error { return unix.Mkdirat(here, p+"//", 0o755) }},
		{"mknodat-file", func(p string) error { return unix.Mknodat(here, p, unix.S_IFREG|0o644, 0) }},
		{"mknodat-pipe", func(p string) error { return unix.Mknodat(here, p, unix.S_IFIFO|0o644, 0) }},
		{"mknodat-socket", func(p string) error { return unix.Mknodat(here, p, unix.S_IFSOCK|0o644, 0) }},
		{"symlinkat", func(p string) error { return unix.Symlinkat("seed", here, p) }},
		{"linkat", func(p string) error { return unix.Linkat(here, "seed", here, p, 0) }},
		{"linkat-follow", func(p string) error { return linkByFD(p, unix.O_RDONLY, "seed") }},
		{"linkat-tmpfile", func(p string) error { return linkByFD(p, unix.O_TMPFILE|unix.O_WRONLY, ".") }},
		{"linkat-empty", linkEmpty},
		{"renameat2", func(p string) error { return moving(p, 0) }},
		{"renameat2-noreplace", func(p string) error { return moving(p, unix.RENAME_NOREPLACE) }},
		{"bind", bindTo},
	}
	return append(m, legacyMakers()...)
}

// linkByFD names a file by its descriptor, as open(2) says for O_TMPFILE.
func linkByFD(p string, flags int, from string) error {
	fd, err := unix.Open(from, flags, 0o644)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, p, unix.AT_SYMLINK_FOLLOW)
}

// linkEmpty names a file by its descriptor alone.
func linkEmpty(p string) error {
	fd, err := unix.Open(".", unix.O_TMPFILE|unix.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	return unix.Linkat(fd, "", unix.AT_FDCWD, p, unix.AT_EMPTY_PATH)
}

// moving renames a fresh file to p.
func moving(p string, flags uint) error {
	if err := os.WriteFile("mover", []byte("evil"), 0o644); err != nil {
		return fmt.Errorf("mover: %w", err)
	}
	defer unix.Unlink("mover")
	return unix.Renameat2(unix.AT_FDCWD, "mover", unix.AT_FDCWD, p, flags)
}

func bindTo(p string) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	return unix.Bind(s, &unix.SockaddrUnix{Name: p})
}

// list gives the state of a tree, one line a file: path, mode, and content or
// target.
func list(t testing.TB, root string) []string {
	t.Helper()
	var lines []string
	must(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		what := ""
		switch {
		case d.Type().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			what = string(b)
		case d.Type()&fs.ModeSymlink != 0:
			if what, err = os.Readlink(p); err != nil {
				return err
			}
		}
		rel, _ := filepath.Rel(root, p)
		lines = append(lines, fmt.Sprintf("%s %v %q", rel, st.Mode(), what))
		return nil
	}))
	return lines
}
