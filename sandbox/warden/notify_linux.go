//go:build amd64 || arm64

package warden

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// notice is struct seccomp_notif (linux/seccomp.h).
type notice struct {
	id    uint64
	tid   uint32 // the calling thread, in the warden's PID namespace
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// reply is struct seccomp_notif_resp.
type reply struct {
	id    uint64
	val   int64
	errno int32 // negative
	flags uint32
}

// addition is struct seccomp_notif_addfd.
type addition struct {
	id       uint64
	flags    uint32
	srcFD    uint32
	newFD    uint32
	newFlags uint32
}

func ioctl(fd int, cmd uintptr, arg unsafe.Pointer) (int, unix.Errno) {
	r, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), cmd, uintptr(arg))
	return int(r), e
}

// receive blocks until a notice comes. ENOENT means that its sender died, or
// that nobody is left to send.
func receive(listener int, n *notice) unix.Errno {
	for {
		*n = notice{} // the kernel refuses a buffer that is not zeroed
		_, e := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
		if e != unix.EINTR {
			return e
		}
	}
}

// hungUp says whether no process with the filter is left.
func hungUp(listener int) bool {
	p := []unix.PollFd{{Fd: int32(listener)}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// awaitHangUp blocks until no process with the filter is left.
func awaitHangUp(listener int) {
	for {
		p := []unix.PollFd{{Fd: int32(listener)}}
		if n, err := unix.Poll(p, -1); err != unix.EINTR || n > 0 {
			return
		}
	}
}

// syncWake asks the kernel to wake warden and agent on one processor, which
// halves the way there and back; kernels before 6.6 do not know it.
func syncWake(listener int) bool {
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS,
		unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	return e == 0
}
