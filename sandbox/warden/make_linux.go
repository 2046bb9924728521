//go:build amd64 || arm64

package warden

import (
	"syscall"

	"ambit/sandbox/kernel"
)

// open makes the file that an open with O_CREAT would make, and opens it with
// the caller's own flags. What exists already the kernel opens.
func (c *call) open(dirfd, path uint64, flags int, mode uint32) answer {
	if flags&syscall.O_CREAT == 0 || flags&(syscall.O_DIRECTORY|kernel.OPath) != 0 {
		return pass()
	}
	p, ok := c.place(dirfd, path, flags&(syscall.O_EXCL|syscall.O_NOFOLLOW) == 0)
	if !ok || p.tail != "" || p.there {
		return pass()
	}
	c.w.moves.RLock()
	defer c.w.moves.RUnlock()
	if a, ok := c.mayMake(p, thing{inert: true}); !ok {
		return a
	}
	fd, err := syscall.Openat(p.dir, p.name, flags|syscall.O_EXCL|syscall.O_CLOEXEC, mode)
	if err == syscall.EEXIST {
		return pass() // somebody else made it meanwhile
	}
	if _, ok := c.keep(fd, err); !ok {
		return result(err)
	}
	return answer{how: injected, fd: fd, flags: uint32(flags & syscall.O_CLOEXEC), undo: func() { remove(p, fd) }}
}

// remove takes back a file that was made for a caller who could not take it.
func remove(p place, fd int) {
	var mine, there syscall.Stat_t
	if syscall.Fstat(fd, &mine) == nil && kernel.Stat(p.dir, p.name, &there) == nil &&
		mine.Ino == there.Ino && mine.Dev == there.Dev && mine.Size == 0 {
		_ = kernel.Unlink(p.dir, p.name, 0)
	}
}

func (c *call) mkdir(dirfd, path uint64, mode uint32) answer {
	return c.make(dirfd, path, thing{fresh: true}, func(p place) error { return syscall.Mkdirat(p.dir, p.name+p.tail, mode) })
}

// mknod makes files, pipes and sockets; devices are left to the kernel, which
// refuses them.
func (c *call) mknod(dirfd, path uint64, mode uint32) answer {
	switch mode & syscall.S_IFMT {
	case 0, syscall.S_IFREG, syscall.S_IFIFO, syscall.S_IFSOCK:
		return c.make(dirfd, path, thing{inert: true}, func(p place) error { return syscall.Mknodat(p.dir, p.name+p.tail, mode, 0) })
	}
	return pass()
}

func (c *call) symlink(text, dirfd, path uint64) answer {
	target, ok := c.readString(text)
	if !ok || target == "" {
		return pass()
	}
	return c.make(dirfd, path, thing{}, func(p place) error { return kernel.Symlink(target, p.dir, p.name+p.tail) })
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
	syscall.Umask(c.umask)
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
	var st syscall.Stat_t
	return kernel.Stat(p.dir, p.name, &st) == syscall.ENOENT
}
