package kernel

import (
	"syscall"
	"unsafe"
)

const (
	sysPidfdOpen  = 434
	sysPidfdGetfd = 438

	sigSetMask = 2 // SIG_SETMASK
)

// Span is memory of another process: struct iovec of process_vm_readv(2).
type Span struct{ Base, Len uintptr }

// ReadMemory copies another process's memory into buf, which must be as long as
// the spans together, and returns how many bytes came: process_vm_readv(2).
func ReadMemory(pid int, buf []byte, from []Span) (int, error) {
	if len(buf) == 0 || len(from) == 0 {
		return 0, nil
	}
	local := syscall.Iovec{Base: &buf[0]}
	local.SetLen(len(buf))
	n, _, e := syscall.Syscall6(sysVMReadv, uintptr(pid), uintptr(unsafe.Pointer(&local)), 1,
		uintptr(unsafe.Pointer(&from[0])), uintptr(len(from)), 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// PidfdOpen is pidfd_open(2).
func PidfdOpen(pid int) (int, error) { return descriptor(sysPidfdOpen, uintptr(pid), 0) }

// PidfdGetfd copies another process's descriptor: pidfd_getfd(2).
func PidfdGetfd(pidfd, fd int) (int, error) {
	return descriptor(sysPidfdGetfd, uintptr(pidfd), uintptr(fd))
}

// descriptor makes a call without flags that returns a descriptor.
func descriptor(nr, a, b uintptr) (int, error) {
	fd, _, e := syscall.Syscall(nr, a, b, 0)
	if e != 0 {
		return -1, e
	}
	return int(fd), nil
}

type pollFD struct {
	fd              int32
	events, revents int16
}

// HungUp says whether whoever was at the other end of a descriptor is gone: ppoll(2)
// for POLLHUP, POLLERR and POLLNVAL, which need not be asked for. With wait it
// blocks until that is so; a signal ends the wait with EINTR.
func HungUp(fd int, wait bool) (bool, error) {
	p := pollFD{fd: int32(fd)}
	var now syscall.Timespec
	until := &now
	if wait {
		until = nil
	}
	n, _, e := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(until)), 0, 0, 0)
	if e != 0 {
		return false, e
	}
	return n > 0 && p.revents != 0, nil
}

// BlockSignals blocks every signal on the calling thread, which must be locked:
// rt_sigprocmask(2).
func BlockSignals() error {
	all := ^uint64(0)
	_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigSetMask, uintptr(unsafe.Pointer(&all)), 0, unsafe.Sizeof(all), 0, 0)
	return done(e)
}
