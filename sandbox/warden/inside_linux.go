//go:build amd64 || arm64

package warden

import (
	"syscall"

	"ambit/sandbox/kernel"
)

// look says what has a place's name, if anything. While the moves lock is held
// for writing, a directory can lose names meanwhile and gain none.
func look(p place) (t thing, there bool) {
	var st syscall.Stat_t
	if err := kernel.Stat(p.dir, p.name, &st); err != nil {
		return thing{}, err != syscall.ENOENT
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		t.holds = func(rest []string) bool { return holds(p.dir, p.name, rest) }
		t.fresh = !hasName(p.dir, p.name, func(int, string) bool { return true })
	case syscall.S_IFLNK:
	default:
		t.inert = true
	}
	return t, true
}

// isInert says of an open file that it is neither a directory nor a link.
func isInert(fd int) bool {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return false
	}
	kind := st.Mode & syscall.S_IFMT
	return kind != syscall.S_IFDIR && kind != syscall.S_IFLNK
}

// holds says whether a path of folded names is inside the directory name in
// dir, or behind a link that is on the way there.
func holds(dir int, name string, rest []string) bool {
	return hasName(dir, name, func(fd int, n string) bool {
		if fold(n) != rest[0] {
			return false
		}
		if len(rest) == 1 {
			return true
		}
		t, there := look(place{dir: fd, name: n})
		return there && !t.inert && t.may(rest[1:])
	})
}

// hasName says whether the directory name in dir holds a name that is wanted,
// which is asked with the open directory. One that cannot be read counts as
// holding it: the agent can take its own directories' modes away.
func hasName(dir int, name string, wanted func(fd int, name string) bool) bool {
	fd, err := syscall.Openat(dir, name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer syscall.Close(fd)
	var buf [4096]byte
	n, err := syscall.Getdents(fd, buf[:])
	for err == nil && n > 0 {
		_, _, names := syscall.ParseDirent(buf[:n], -1, nil)
		for _, s := range names {
			if wanted(fd, s) {
				return true
			}
		}
		n, err = syscall.Getdents(fd, buf[:])
	}
	return err != nil
}
