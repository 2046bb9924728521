//go:build amd64 || arm64

package warden

import (
	"runtime"
	"syscall"
	"unsafe"

	"ambit/sandbox/kernel"
)

// worker is one thread that answers notices. The thread has a file mode mask
// and a working directory of its own, takes over the caller's for each call,
// and has no capability with which to make what the caller could not.
type worker struct {
	w   *Warden
	buf [kernel.PathMax]byte

	statusFD, statusTID int // see statusOf; no descriptor when zero
}

// answer is what a call gets. The zero value refuses.
type answer struct {
	how   how
	errno syscall.Errno
	fd    int
	flags uint32 // O_CLOEXEC or 0, for fd
	undo  func() // when the caller has no room for fd
}

type how int

const (
	refused  how = iota // EACCES
	passed              // the kernel runs the call, inside the Landlock domain
	done                // the warden has performed it
	failed              // errno
	injected            // the caller gets fd
)

func pass() answer { return answer{how: passed} }

// result answers with what the kernel said to the warden.
func result(err error) answer {
	if err == nil {
		return answer{how: done}
	}
	if e, ok := err.(syscall.Errno); ok {
		return answer{how: failed, errno: e}
	}
	return answer{}
}

func (k *worker) serve() error {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	if err := k.shed(); err != nil {
		return err
	}
	var n notice
	for {
		switch e := receive(k.w.listener, &n); {
		case e == 0:
			k.handle(&n)
		case e != syscall.ENOENT:
			return because("cannot receive what the agent wants to create", e)
		case hungUp(k.w.listener):
			return nil
		}
	}
}

// deaf blocks all signals on the thread. One that interrupts the passing of a
// descriptor (SECCOMP_IOCTL_NOTIF_ADDFD) takes the descriptor back, or leaves it
// with the caller without an answer. Go's runtime sends such signals itself.
func deaf() error {
	if err := kernel.BlockSignals(); err != nil {
		return because("cannot guard the workspace: cannot block signals", err)
	}
	return nil
}

// shed takes the thread's own mask and directory, and drops its capabilities.
func (k *worker) shed() error {
	if err := deaf(); err != nil {
		return err
	}
	if err := syscall.Unshare(syscall.CLONE_FS); err != nil {
		return because("cannot guard the workspace: cannot have a file mode mask apart", err)
	}
	if err := kernel.DropCaps(); err != nil {
		return because("cannot guard the workspace: cannot drop capabilities", err)
	}
	return nil
}

func (k *worker) handle(n *notice) {
	c := &call{worker: k, n: *n}
	c.nr, c.args = modern(n.nr, n.args)
	defer c.close()
	c.send(c.dispatch())
}

func (c *call) dispatch() answer {
	a := c.args
	switch c.nr {
	case syscall.SYS_OPENAT:
		return c.open(a[0], a[1], int(int32(a[2])), uint32(a[3]))
	case syscall.SYS_MKDIRAT:
		return c.mkdir(a[0], a[1], uint32(a[2]))
	case syscall.SYS_MKNODAT:
		return c.mknod(a[0], a[1], uint32(a[2]))
	case syscall.SYS_SYMLINKAT:
		return c.symlink(a[0], a[1], a[2])
	case syscall.SYS_LINKAT:
		return c.link(a[0], a[1], a[2], a[3], int(int32(a[4])))
	case kernel.SysRenameat2:
		return c.rename(a[0], a[1], a[2], a[3], uint(uint32(a[4])))
	case syscall.SYS_BIND:
		return c.bind(int32(a[0]), a[1], a[2])
	}
	return answer{}
}

// send answers the notice. A caller that has died meanwhile gets nothing.
func (c *call) send(a answer) {
	r := reply{id: c.n.id}
	switch a.how {
	case passed:
		r.flags = replyContinue
	case done:
	case failed:
		r.errno = -int32(a.errno)
	case injected:
		fd, e := c.inject(a)
		if e == syscall.ENOENT {
			return
		}
		if e != 0 {
			a.undo()
			r.errno = -int32(e)
			break
		}
		// The file must not be open here any more when the caller goes on: a
		// program that it has just written would be "text file busy".
		c.close()
		r.val = int64(fd)
	default:
		r.errno = -int32(syscall.EACCES)
	}
	_, _ = ioctl(c.w.listener, noticeSend, unsafe.Pointer(&r))
}

// inject puts the descriptor into the caller's table and returns its number
// there. Between this and the answer only a fatal signal can interrupt the
// caller (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), whose table is gone then.
func (c *call) inject(a answer) (int, syscall.Errno) {
	add := addition{id: c.n.id, srcFD: uint32(a.fd), newFlags: a.flags}
	return ioctl(c.w.listener, noticeAddFD, unsafe.Pointer(&add))
}
