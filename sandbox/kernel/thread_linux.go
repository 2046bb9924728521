package kernel

import (
	"syscall"
	"unsafe"
)

// prctl(2) operations and seccomp(2) flags.
const (
	prSetPdeathsig  = 1
	prSetDumpable   = 4
	prCapbsetDrop   = 24
	prSetSecurebits = 28
	prSetTimerSlack = 29
	prNoNewPrivs    = 38
	prCapAmbient    = 47
	capAmbientClear = 4
	lastCapTried    = 63
	coarseSlack     = 10_000_000 // nanoseconds

	seccompSetFilter = 1

	// Flags of [Filter].
	FilterAllThreads   = 1
	FilterListener     = 8
	FilterWaitKillable = 32

	// SECBIT_NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE and their locks, and
	// the lock of KEEP_CAPS: capabilities(7).
	secureBits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6 | 1<<7
)

// Instruction is struct sock_filter: one step of a classic BPF program.
type Instruction = syscall.SockFilter

// Prctl is prctl(2).
func Prctl(op int, a ...uintptr) error {
	_, err := call(syscall.SYS_PRCTL, append([]uintptr{uintptr(op)}, a...)...)
	return err
}

// NoNewPrivs makes the thread and its children unable to gain privileges by exec.
func NoNewPrivs() error { return Prctl(prNoNewPrivs, 1) }

// CoarseTimers lets the kernel be late with the timers of every thread, of those
// to come and of the programs that they start, by so many nanoseconds. A program
// that is linked with cgo keeps the usual ones.
func CoarseTimers(lateness int64) {
	_, _, _ = syscall.AllThreadsSyscall(syscall.SYS_PRCTL, prSetTimerSlack, uintptr(lateness), 0)
}

// UsualTimers gives the thread, and what it starts, the timer slack that Linux
// gives a program which nobody changed (50 µs).
func UsualTimers() error { return Prctl(prSetTimerSlack, 50_000) }

// Undumpable hides the process's memory and /proc entries from its own user
// and forbids core dumps.
func Undumpable() error { return Prctl(prSetDumpable, 0) }

// DieWithParent ends the process when the thread that made it ends.
func DieWithParent() error { return Prctl(prSetPdeathsig, uintptr(syscall.SIGKILL)) }

// Filter installs a seccomp filter on the calling thread. With FilterListener
// it returns the notification descriptor.
func Filter(prog []Instruction, flags uintptr) (int, error) {
	if len(prog) == 0 || len(prog) > 4096 {
		return -1, syscall.EINVAL
	}
	p := syscall.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	return call(SysSeccomp, seccompSetFilter, flags, uintptr(unsafe.Pointer(&p)))
}

type capHeader struct {
	version uint32
	pid     int32
}

type capData struct{ effective, permitted, inheritable uint32 }

const capVersion3 = 0x20080522

// DropAllCaps empties the calling thread's ambient, bounding, inheritable,
// permitted and effective sets and locks its securebits.
func DropAllCaps() error {
	if err := Prctl(prCapAmbient, capAmbientClear, 0, 0, 0); err != nil {
		return err
	}
	for c := uintptr(0); c <= lastCapTried; c++ {
		if err := Prctl(prCapbsetDrop, c); err == syscall.EINVAL {
			break // past the last capability that this kernel knows
		} else if err != nil {
			return err
		}
	}
	if err := Prctl(prSetSecurebits, secureBits); err != nil {
		return err
	}
	return DropCaps()
}

// DropCaps empties the calling thread's effective, permitted and inheritable
// sets: capset(2).
func DropCaps() error {
	h := capHeader{version: capVersion3}
	var d [2]capData
	_, err := call(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&h)), uintptr(unsafe.Pointer(&d)))
	return err
}

// DropAllThreads empties the capability sets of every thread of the process.
// It fails with ENOTSUP in a program linked with cgo.
func DropAllThreads() error {
	h := &capHeader{version: capVersion3}
	d := new([2]capData)
	_, _, e := syscall.AllThreadsSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(h)), uintptr(unsafe.Pointer(d)), 0)
	if e != 0 {
		return e
	}
	return nil
}
