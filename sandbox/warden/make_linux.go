//go:build amd64 || arm64

package warden

import (
	"golang.org/x/sys/unix"
)

// open makes the file that an open with O_CREAT would make, and opens it with
// the caller's own flags. What exists already the kernel opens.
func (c *call) open(dirfd, path uint64, flags int, mode uint32) answer {
	if flags&unix.O_CREAT == 0 || flags&(unix.O_DIRECTORY|unix.O_PATH) != 0 {
		return pass()
	}
	p, ok := c.place(dirfd, path, flags&(unix.O_EXCL|unix.O_NOFOLLOW) == 0)
	if !ok || p.tail != "" || p.there {
		return pass()
	}
	c.w.moves.RLock()
	defer c.w.moves.RUnlock()
	if a, ok := c.mayMake(p, thing{inert: true}); !ok {
		return a
	}
	fd, err := unix.Openat(p.dir, p.name, flags|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err == unix.EEXIST {
		return pass() // somebody else made it meanwhile
	}
	if _, ok := c.keep(fd, err); !ok {
		return result(err)
	}
	return answer{how: injected, fd: fd, flags: uint32(flags & unix.O_CLOEXEC), undo: func() { remove(p, fd) }}
}

// remove takes back a file that was made for a caller who could not take it.
func remove(p place, fd int) {
	var mine, there unix.Stat_t
	if unix.Fstat(fd, &mine) == nil && unix.Fstatat(p.dir, p.name, &there, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		mine.Ino == there.Ino && mine.Dev == there.Dev && mine.Size == 0 {
		_ = unix.Unlinkat(p.dir, p.name, 0)
	}
}

func (c *call) mkdir(dirfd, path uint64, mode uint32) answer {
	return c.make(dirfd, path, thing{fresh: true}, func(p place) error { return unix.Mkdirat(p.dir, p.name+p.tail, mode) })
}

// mknod makes files, pipes and sockets; devices are left to the kernel, which
// refuses them.
func (c *call) mknod(dirfd, path uint64, mode uint32) answer {
	switch mode & unix.S_IFMT {
	case 0, unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK:
		return c.make(dirfd, path, thing{inert: true}, func(p place) error { return unix.Mknodat(p.dir, p.name+p.tail, mode, 0) })
	}
	return pass()
}

func (c *call) symlink(text, dirfd, path uint64) answer {
	target, ok := c.readString(text)
	if !ok || target == "" {
		return pass()
	}
	return c.make(dirfd, path, thing{}, func(p place) error { return unix.Symlinkat(target, p.dir, p.name+p.tail) })
}

// make performs act at a place where something may come into being.
func (c *call) make(dirfd, path uint64, t thing, act func(place) error) answer {
	p, ok := c.place(dirfd, path, false)
	if !ok {
		return pass()
	}
	c.w.moves.RLock()
	defer c.w.moves.RUnlock()
	if a, ok := c.mayMake(p, t); !ok {
		return a
	}
	return result(act(p))
}

// mayMake decides about making a name, and readies the thread to make it. When
// the answer is no, it is the call's answer. The moves lock must be held.
func (c *call) mayMake(p place, t thing) (answer, bool) {
	s, in := c.spot(p)
	switch {
	case in == outside:
		return pass(), false
	case in == lost:
		return answer{}, false
	case in == sealed || !s.tree.mayMake(s.rel, t):
		return c.refuse(p), false
	case !c.readStatus() || !c.valid():
		return answer{}, false
	}
	unix.Umask(c.umask)
	return answer{}, true
}

// refuse answers and reports a protected name, unless it exists: about that
// the kernel judges.
func (c *call) refuse(p place) answer {
	if !absent(p) {
		return pass()
	}
	at, _ := c.pathOf(p.dir)
	c.w.refuse(at + "/" + p.name)
	return answer{}
}

// absent says whether nothing has the place's name.
func absent(p place) bool {
	var st unix.Stat_t
	return unix.Fstatat(p.dir, p.name, &st, unix.AT_SYMLINK_NOFOLLOW) == unix.ENOENT
}
