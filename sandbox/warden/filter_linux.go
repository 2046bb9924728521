//go:build amd64 || arm64

package warden

import (
	"syscall"

	"ambit/sandbox/kernel"
)

// Offsets in struct seccomp_data (linux/seccomp.h). Both architectures are
// little endian, so an argument's low half comes first.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

// What a filter answers (linux/seccomp.h).
const (
	retAllow  = 0x7fff0000 // SECCOMP_RET_ALLOW
	retNotify = 0x7fc00000 // SECCOMP_RET_USER_NOTIF
	retError  = 0x00050000 // SECCOMP_RET_ERRNO
)

// Calls of ioctl(2), by type and number, that make a named directory past
// every Landlock hook: a snapshot of a directory of the agent's could get any
// protected name (linux/btrfs.h, fs/bcachefs/bcachefs_ioctl.h).
const (
	btrfsSnapCreate     = 0x9401
	btrfsSubvolCreate   = 0x940e
	btrfsSnapCreateV2   = 0x9417
	btrfsSubvolCreateV2 = 0x9418
	bcachefsSubvol      = 0xbc10
	bcachefsSubvolV2    = 0xbc1d
)

func ret(v uint32) kernel.Instruction {
	return kernel.Instruction{Code: syscall.BPF_RET | syscall.BPF_K, K: v}
}

func retErrno(e syscall.Errno) kernel.Instruction { return ret(retError | uint32(e)) }

func load(off uint32) kernel.Instruction {
	return kernel.Instruction{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: off}
}

// when makes a jump that goes on for a match and skips n instructions else.
func when(test uint16, k uint32, n uint8) kernel.Instruction {
	return kernel.Instruction{Code: syscall.BPF_JMP | syscall.BPF_K | test, K: k, Jf: n}
}

// Filter returns the warden's seccomp program, for stacking over the walls'
// own: a refusal by either wins, then the warden's notification.
func Filter() []kernel.Instruction {
	p := []kernel.Instruction{
		load(offArch),
		{Code: syscall.BPF_JMP | syscall.BPF_K | syscall.BPF_JEQ, K: nativeArch, Jt: 1},
		retErrno(syscall.ENOSYS),
		load(offNr),
	}
	if foreignBit != 0 {
		p = append(p, when(syscall.BPF_JGE, foreignBit, 1), retErrno(syscall.ENOSYS))
	}
	for _, nr := range notified() {
		p = append(p, when(syscall.BPF_JEQ, nr, 1), ret(retNotify))
	}
	p = append(p, opens(syscall.SYS_OPENAT, 2)...)
	for nr, arg := range legacyOpens() {
		p = append(p, opens(nr, arg)...)
	}
	// openat2 keeps its flags in memory, where a filter cannot see them;
	// callers fall back to openat, as on Linux before 5.6.
	p = append(p, when(syscall.BPF_JEQ, kernel.SysOpenat2, 1), retErrno(syscall.ENOSYS))
	// A domain that the agent nests would not bind the warden, who makes files
	// for it: better no second sandbox than one that only seems to hold.
	p = append(p, when(syscall.BPF_JEQ, kernel.SysLandlockCreate, 1), retErrno(syscall.EOPNOTSUPP))
	p = append(p, when(syscall.BPF_JEQ, kernel.SysLandlockRestrict, 1), retErrno(syscall.EOPNOTSUPP))
	p = append(p, ioctls()...)
	return append(p, ret(retAllow))
}

// notified are the calls that always go to the warden.
func notified() []uint32 {
	return append(legacyCalls(), syscall.SYS_MKDIRAT, syscall.SYS_MKNODAT, syscall.SYS_SYMLINKAT, syscall.SYS_LINKAT,
		syscall.SYS_RENAMEAT, kernel.SysRenameat2, syscall.SYS_BIND)
}

// opens sends an open to the warden when it may make a file. O_TMPFILE makes
// no name, so the kernel's own checks are enough for it.
func opens(nr uint32, flagArg int) []kernel.Instruction {
	return []kernel.Instruction{
		when(syscall.BPF_JEQ, nr, 4),
		load(uint32(offArgs + 8*flagArg)),
		when(syscall.BPF_JSET, syscall.O_CREAT, 1),
		ret(retNotify),
		ret(retAllow),
	}
}

func ioctls() []kernel.Instruction {
	var tests []kernel.Instruction
	for _, cmd := range []uint32{btrfsSnapCreate, btrfsSubvolCreate, btrfsSnapCreateV2, btrfsSubvolCreateV2,
		bcachefsSubvol, bcachefsSubvolV2} {
		tests = append(tests, when(syscall.BPF_JEQ, cmd, 1), retErrno(syscall.EPERM))
	}
	p := []kernel.Instruction{when(syscall.BPF_JEQ, syscall.SYS_IOCTL, uint8(len(tests)+3)), load(offArgs + 8),
		{Code: syscall.BPF_ALU | syscall.BPF_AND | syscall.BPF_K, K: 0xffff}}
	p = append(p, tests...)
	return append(p, ret(retAllow))
}
