package kernel

import (
	"syscall"
	"unsafe"
)

const (
	hugePage   = 2 << 20
	adviseHuge = 14 // MADV_HUGEPAGE
	collapse   = 25 // MADV_COLLAPSE, Linux 6.1
	worthwhile = 256 << 10
)

// HugeHeap puts what Go's heap touches next into huge pages (madvise(2)): a process
// that starts touches hundreds of small ones for the first time, and each is a fault
// that in a virtual machine costs more than what is then done there. Where the kernel
// cannot, nothing changes.
func HugeHeap() {
	at := uintptr(unsafe.Pointer(newest()))
	first := at &^ (hugePage - 1)
	syscall.RawSyscall(syscall.SYS_MADVISE, first+hugePage, 2*hugePage, adviseHuge)
	if first+hugePage-at >= worthwhile {
		syscall.RawSyscall(syscall.SYS_MADVISE, first, hugePage, collapse)
	}
	// It refuses where nothing was touched, which needs the advice only.
	syscall.RawSyscall(syscall.SYS_MADVISE, first+hugePage, hugePage, collapse)
}

// newest returns something new on the heap, about where it grows.
//
//go:noinline
func newest() *[64]byte { return new([64]byte) }
