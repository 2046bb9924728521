//go:build amd64 || arm64

package warden

import (
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"ambit/sandbox/kernel"
)

// call is one notice being answered. What it reads of the caller is used only
// after valid has said that the caller was the one who asked all the while.
type call struct {
	*worker
	n    notice
	nr   int32 // of the modern twin
	args [6]uint64

	fds   []int // closed when the call is answered
	known bool
	tgid  int
	umask int
}

func (c *call) tid() int { return int(c.n.tid) }

// keep takes over a descriptor that was just opened.
func (c *call) keep(fd int, err error) (int, bool) {
	if err != nil {
		return -1, false
	}
	c.fds = append(c.fds, fd)
	return fd, true
}

func (c *call) close() {
	for _, fd := range c.fds {
		_ = syscall.Close(fd)
	}
	c.fds = nil // another worker may have the numbers already
}

// valid says whether the caller still waits for this answer. A thread id can
// be given to another process when its owner dies; what was read before valid
// was then perhaps another's.
func (c *call) valid() bool {
	_, e := ioctl(c.w.listener, noticeValid, unsafe.Pointer(&c.n.id))
	return e == 0
}

// base opens what the caller's relative paths start from.
func (c *call) base(dirfd int32) (int, bool) {
	at := strconv.Itoa(c.tid())
	if dirfd == kernel.AtFDCWD {
		at += "/cwd"
	} else {
		at += "/fd/" + strconv.Itoa(int(dirfd))
	}
	return c.keep(syscall.Openat(c.w.proc, at, kernel.OPath|syscall.O_CLOEXEC, 0))
}

// readString reads a path from the caller's memory: at most PATH_MAX bytes
// with the closing NUL. Whatever is wrong with it, the kernel will say.
func (c *call) readString(addr uint64) (string, bool) {
	b := c.readMemory(addr, c.buf[:])
	i := slices.Index(b, 0)
	if i < 0 {
		return "", false
	}
	return string(b[:i]), true
}

// readMemory reads up to len(buf) bytes, fewer when the memory ends.
func (c *call) readMemory(addr uint64, buf []byte) []byte {
	page := uint64(syscall.Getpagesize())
	var remote [3]kernel.Span // PATH_MAX touches two pages of 4096 bytes
	n, left := 0, uint64(len(buf))
	for ; left > 0 && n < len(remote); n++ {
		part := min(left, page-addr%page)
		remote[n] = kernel.Span{Base: uintptr(addr), Len: uintptr(part)}
		addr, left = addr+part, left-part
	}
	got, err := kernel.ReadMemory(c.tid(), buf[:len(buf)-int(left)], remote[:n])
	if err != nil {
		return nil
	}
	return buf[:got]
}

// readStatus learns the caller's process id and file mode mask.
func (c *call) readStatus() bool {
	if c.known {
		return true
	}
	b, ok := c.statusOf(c.tid())
	if ok {
		c.umask, c.tgid, c.known = parseStatus(b)
	}
	return c.known
}

// statusOf reads the head of a thread's status. The file of the last thread
// stays open: it belongs to the thread and not to its number, so that reading
// it fails once that thread is gone.
func (k *worker) statusOf(tid int) ([]byte, bool) {
	if k.statusFD > 0 && k.statusTID == tid {
		if n, err := syscall.Pread(k.statusFD, k.buf[:512], 0); err == nil {
			return k.buf[:n], true
		}
	}
	if k.statusFD > 0 {
		_ = syscall.Close(k.statusFD)
		k.statusFD = 0
	}
	fd, err := syscall.Openat(k.w.proc, strconv.Itoa(tid)+"/status", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	k.statusFD, k.statusTID = fd, tid
	n, err := syscall.Pread(fd, k.buf[:512], 0)
	return k.buf[:max(n, 0)], err == nil
}

// parseStatus reads the head of /proc/PID/status (proc_pid_status(5)). The
// name comes first and cannot forge a line: the kernel escapes its newlines.
func parseStatus(b []byte) (umask, tgid int, ok bool) {
	mask, ok1 := field(b, "\nUmask:\t", 8)
	id, ok2 := field(b, "\nTgid:\t", 10)
	return int(mask), int(id), ok1 && ok2 && id > 0 && mask <= 0o777
}

func field(b []byte, key string, base int) (uint64, bool) {
	for len(b) >= len(key) && string(b[:len(key)]) != key {
		b = b[1:]
	}
	if len(b) < len(key) {
		return 0, false
	}
	word := b[len(key):]
	end := slices.Index(word, '\n')
	if end < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(word[:end]), base, 31)
	return n, err == nil
}
