//go:build amd64 || arm64

package warden

import (
	"slices"
	"strconv"
	"syscall"

	"ambit/sandbox/kernel"
)

// place is where a name is, or would be: an open directory and a last name.
// The tail is the slashes that followed the name.
type place struct {
	dir        int
	name, tail string
	there      bool // something that is no link was seen there
}

// spot is a place inside a guarded tree.
type spot struct {
	tree *tree
	rel  string // from the tree's root
}

func (s spot) path() string { return s.tree.root + "/" + s.rel }

// place reads a path argument and resolves all but its last name, as the
// kernel would for the caller. When follow is set, a symbolic link at the last
// name is followed too, also to nowhere. It answers false for whatever the
// kernel should judge itself.
func (c *call) place(dirfd, ptr uint64, follow bool) (place, bool) {
	p, ok := c.readString(ptr)
	if !ok || p == "" {
		return place{}, false
	}
	base := c.w.slash
	if p[0] != '/' {
		if base, ok = c.base(int32(dirfd)); !ok {
			return place{}, false
		}
	}
	return c.lookup(base, p, follow)
}

// lookup resolves p from base.
func (c *call) lookup(base int, p string, follow bool) (place, bool) {
	for range maxLinks {
		if p != "" && p[0] == '/' {
			base = c.w.slash
		}
		way, name, tail := cut(p)
		dir, ok := c.walk(base, way)
		if !ok || name == "" || name == "." || name == ".." || follow && tail != "" {
			return place{}, false
		}
		here := place{dir: dir, name: name, tail: tail}
		if !follow {
			return here, true
		}
		text, e := readlink(dir, name)
		if e == syscall.EINVAL || e == syscall.ENOENT {
			here.there = e == syscall.EINVAL
			return here, true
		}
		// A link in /proc leads to what is open already, never to a new name.
		if e != 0 || inProc(dir) {
			return place{}, false
		}
		base, p = dir, text
	}
	return place{}, false
}

// cut splits a path into the way to the last name, that name, and the slashes
// behind it.
func cut(p string) (way, name, tail string) {
	end := len(p)
	for end > 0 && p[end-1] == '/' {
		end--
	}
	i := lastIndex(p[:end], '/') + 1
	return p[:i], p[i:end], p[end:]
}

// walk opens the directory at way. Links of /proc that jump are left to
// walkSlowly: for the warden itself they lead elsewhere than for the caller, or,
// when it has no descriptor of that number, nowhere.
func (c *call) walk(base int, way string) (int, bool) {
	if way == "" {
		return base, true
	}
	fd, err := kernel.Open2(base, way, kernel.OPath|syscall.O_DIRECTORY, kernel.ResolveNoMagic)
	if err == syscall.ELOOP || err == syscall.ENOENT {
		return c.walkSlowly(base, way)
	}
	return c.keep(fd, err)
}

// walkSlowly goes name by name and reads /proc/self as the caller's own.
func (c *call) walkSlowly(base int, way string) (int, bool) {
	links, from := 0, base
	for way != "" {
		if way[0] == '/' {
			base, way = c.w.slash, withoutSlashes(way)
			continue
		}
		name, rest := before(way, '/')
		fd, ok := c.keep(syscall.Openat(base, name, kernel.OPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0))
		if !ok {
			return -1, false
		}
		way = withoutSlashes(rest)
		text, e := readlink(fd, "")
		if e != 0 { // not a link
			c.leave(base, from)
			base = fd
			continue
		}
		c.leave(fd, from)
		if links++; links > maxLinks || len(way) > kernel.PathMax {
			return -1, false
		}
		if !inProc(base) {
			way = text + "/" + way
		} else if text, ok = c.selfLink(base, name); ok {
			way = text + "/" + way
		} else if base, ok = c.jump(base, name); !ok {
			return -1, false
		}
	}
	return base, true
}

// leave closes a directory on the way that is not needed any more, so that a
// path of two thousand names does not use up the descriptors of PID 1.
func (c *call) leave(fd, from int) {
	if fd == from || fd == c.w.slash {
		return
	}
	if i := slices.Index(c.fds, fd); i >= 0 {
		_ = syscall.Close(fd)
		c.fds = slices.Delete(c.fds, i, i+1)
	}
}

// selfLink returns what /proc/self and /proc/thread-self hold for the caller.
func (c *call) selfLink(dir int, name string) (string, bool) {
	if at, ok := c.pathOf(dir); !ok || at != "/proc" || !c.readStatus() {
		return "", false
	}
	switch name {
	case "self":
		return strconv.Itoa(c.tgid), true
	case "thread-self":
		return strconv.Itoa(c.tgid) + "/task/" + strconv.Itoa(c.tid()), true
	}
	return "", false
}

// jump follows a link of /proc, when it is the caller's own: the warden could
// follow those of processes, its own among them, that the caller cannot.
func (c *call) jump(dir int, name string) (int, bool) {
	at, ok := c.pathOf(dir)
	if !ok || !c.readStatus() {
		return -1, false
	}
	own := "/proc/" + strconv.Itoa(c.tgid)
	task := own + "/task/" + strconv.Itoa(c.tid())
	switch at {
	case own, own + "/fd", task, task + "/fd":
		return c.keep(syscall.Openat(dir, name, kernel.OPath|syscall.O_CLOEXEC, 0))
	}
	return -1, false
}

// where a place is, asked while the moves lock is held.
type where int

const (
	outside where = iota // in no guarded tree: the kernel judges
	inside
	sealed // on a read-only mount that protects a path
	lost   // on a tree's mount, but not below its root's path
)

// locate finds the guarded tree that the directory fd is in.
func (c *call) locate(fd int) (*tree, string, where) {
	m, err := kernel.MountOf(fd, "", kernel.AtEmptyPath)
	if err != nil {
		return nil, "", outside
	}
	t := c.w.trees[m.ID]
	if t == nil {
		if c.w.sealed[m.ID] {
			return nil, "", sealed
		}
		return nil, "", outside
	}
	at, ok := c.pathOf(fd)
	rel, below := t.relative(at)
	if !ok || !below {
		return t, "", lost
	}
	return t, rel, inside
}

// spot locates a place.
func (c *call) spot(p place) (spot, where) {
	t, rel, in := c.locate(p.dir)
	if in != inside {
		return spot{}, in
	}
	if rel != "" {
		rel += "/"
	}
	return spot{t, rel + p.name}, inside
}

// pathOf returns the present path of an open file, as the kernel writes it.
func (c *call) pathOf(fd int) (string, bool) {
	s, e := readlink(c.w.ownFDs, strconv.Itoa(fd))
	return s, e == 0 && hasPrefix(s, "/")
}

// readlink returns what a symbolic link holds; EINVAL means that it is none.
// With an empty name dir is the link itself, and "none" is ENOENT.
func readlink(dir int, name string) (string, syscall.Errno) {
	var buf [kernel.PathMax]byte
	n, err := kernel.ReadLink(dir, name, buf[:])
	if err != nil {
		e, _ := err.(syscall.Errno)
		return "", e
	}
	if n == len(buf) {
		return "", syscall.ENAMETOOLONG
	}
	return string(buf[:n]), 0
}

const procMagic = 0x9fa0 // PROC_SUPER_MAGIC

// inProc says whether a directory is in a process file system.
func inProc(dir int) bool {
	var fs syscall.Statfs_t
	return syscall.Fstatfs(dir, &fs) != nil || fs.Type == procMagic
}
