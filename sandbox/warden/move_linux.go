//go:build amd64 || arm64

package warden

import (
	"strconv"
	"syscall"

	"ambit/sandbox/kernel"
)

// rename moves a name inside one guarded tree. Between two trees, or a tree
// and the rest, the kernel answers EXDEV by itself: a tree is a mount.
func (c *call) rename(oldDir, oldPath, newDir, newPath uint64, flags uint) answer {
	from, ok1 := c.place(oldDir, oldPath, false)
	to, ok2 := c.place(newDir, newPath, false)
	if !ok1 || !ok2 || flags&^(kernel.RenameNoReplace|kernel.RenameExchange) != 0 {
		return pass()
	}
	c.w.moves.Lock()
	defer c.w.moves.Unlock()
	a, b, answer, ok := c.bothSpots(from, to)
	if !ok {
		return answer
	}
	moved, there := look(from)
	if !there {
		return result(syscall.ENOENT)
	}
	if bad, ok := mayRename(a, b, moved); !ok {
		return c.refuseAt(bad)
	}
	if flags&kernel.RenameExchange != 0 {
		back, _ := look(to)
		if bad, ok := mayRename(b, a, back); !ok {
			return c.refuseAt(bad)
		}
	}
	if !c.valid() {
		return answer
	}
	return result(kernel.Rename(from.dir, from.name+from.tail, to.dir, to.name+to.tail, flags))
}

// mayRename says whether a thing may go from one spot to another, and else
// which of them forbids it.
func mayRename(from, to spot, t thing) (spot, bool) {
	if !from.tree.mayMove(from.rel) {
		return from, false
	}
	return to, to.tree.mayMake(to.rel, t)
}

// bothSpots locates two places that must be in one tree. When they are not,
// it gives the call's answer.
func (c *call) bothSpots(from, to place) (a, b spot, no answer, ok bool) {
	a, inA := c.spot(from)
	b, inB := c.spot(to)
	switch {
	case inA == lost || inB == lost:
		return a, b, answer{}, false
	case inA != inside || inB != inside || a.tree != b.tree:
		return a, b, pass(), false
	}
	return a, b, answer{}, true
}

// refuseAt reports the end of a move that forbids it.
func (c *call) refuseAt(s spot) answer {
	c.w.refuse(s.path())
	return answer{}
}

// link gives a file in a guarded tree another name in it.
func (c *call) link(oldDir, oldPath, newDir, newPath uint64, flags int) answer {
	if flags&^(kernel.AtFollow|kernel.AtEmptyPath) != 0 {
		return pass()
	}
	source, ok1 := c.source(oldDir, oldPath, flags)
	to, ok2 := c.place(newDir, newPath, false)
	if !ok1 || !ok2 {
		return pass()
	}
	c.w.moves.Lock()
	defer c.w.moves.Unlock()
	if !absent(to) {
		return pass()
	}
	t, rel, in := c.locate(source)
	b, inB := c.spot(to)
	if in == lost || inB == lost {
		return answer{}
	}
	if in != inside || inB != inside || t != b.tree {
		return pass()
	}
	if !t.mayLink(rel) {
		return c.refuseAt(spot{t, rel})
	}
	if !t.mayMake(b.rel, thing{inert: isInert(source)}) {
		return c.refuseAt(b)
	}
	if !c.valid() {
		return answer{}
	}
	from := "/proc/self/fd/" + strconv.Itoa(source)
	return result(kernel.Link(kernel.AtFDCWD, from, to.dir, to.name+to.tail, kernel.AtFollow))
}

// source opens the file that is to be linked, and nothing else: what it is
// called may change, the file cannot.
func (c *call) source(dirfd, path uint64, flags int) (int, bool) {
	text, ok := c.readString(path)
	if !ok {
		return -1, false
	}
	if text == "" {
		if flags&kernel.AtEmptyPath == 0 || int32(dirfd) == kernel.AtFDCWD {
			return -1, false
		}
		return c.base(int32(dirfd))
	}
	if flags&kernel.AtFollow != 0 {
		if fd, ok := c.ownFD(dirfd, text); ok {
			return fd, true
		}
	}
	p, ok := c.place(dirfd, path, flags&kernel.AtFollow != 0)
	if !ok || p.tail != "" {
		return -1, false
	}
	return c.keep(syscall.Openat(p.dir, p.name, kernel.OPath|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0))
}

// ownFD opens what "/proc/self/fd/N" is to the caller: how open(2) says to
// name a file made with O_TMPFILE.
func (c *call) ownFD(dirfd uint64, text string) (int, bool) {
	base, ok := c.w.slash, true
	if text[0] != '/' {
		base, ok = c.base(int32(dirfd))
	}
	way, name, tail := cut(text)
	if !ok || tail != "" || way == "" {
		return -1, false
	}
	dir, ok := c.walkSlowly(base, way)
	if !ok || !inProc(dir) {
		return -1, false
	}
	return c.jump(dir, name)
}
