//go:build amd64 || arm64

package warden

import (
	"syscall"
	"unsafe"

	"ambit/sandbox/kernel"
)

// Calls of ioctl(2) on the listener, and their flags (linux/seccomp.h).
const (
	noticeReceive  = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	noticeSend     = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	noticeValid    = 0x40082102 // SECCOMP_IOCTL_NOTIF_ID_VALID
	noticeAddFD    = 0x40182103 // SECCOMP_IOCTL_NOTIF_ADDFD
	noticeSetFlags = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS

	wakeSync      = 1 // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
	replyContinue = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE
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

func ioctl(fd int, cmd uintptr, arg unsafe.Pointer) (int, syscall.Errno) {
	r, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), cmd, uintptr(arg))
	return int(r), e
}

// receive blocks until a notice comes. ENOENT means that its sender died, or
// that nobody is left to send.
func receive(listener int, n *notice) syscall.Errno {
	for {
		*n = notice{} // the kernel refuses a buffer that is not zeroed
		_, e := ioctl(listener, noticeReceive, unsafe.Pointer(n))
		if e != syscall.EINTR {
			return e
		}
	}
}

// hungUp says whether no process with the filter is left.
func hungUp(listener int) bool {
	gone, err := kernel.HungUp(listener, false)
	return err == nil && gone
}

// awaitHangUp blocks until no process with the filter is left.
func awaitHangUp(listener int) {
	for {
		if _, err := kernel.HungUp(listener, true); err != syscall.EINTR {
			return
		}
	}
}

// syncWake asks the kernel to wake warden and agent on one processor, which
// halves the way there and back; kernels before 6.6 do not know it.
func syncWake(listener int) bool {
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(listener), noticeSetFlags, wakeSync)
	return e == 0
}
