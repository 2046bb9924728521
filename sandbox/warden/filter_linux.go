//go:build amd64 || arm64

package warden

import "golang.org/x/sys/unix"

// Offsets in struct seccomp_data (linux/seccomp.h). Both architectures are
// little endian, so an argument's low half comes first.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
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

func ret(v uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v}
}

func retErrno(e unix.Errno) unix.SockFilter { return ret(unix.SECCOMP_RET_ERRNO | uint32(e)) }

func load(off uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: off}
}

// when makes a jump that goes on for a match and skips n instructions else.
func when(test uint16, k uint32, n uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_K | test, K: k, Jf: n}
}

// Filter returns the warden's seccomp program, for stacking over the walls'
// own: a refusal by either wins, then the warden's notification.
func Filter() []unix.SockFilter {
	p := []unix.SockFilter{
		load(offArch),
		{Code: unix.BPF_JMP | unix.BPF_K | unix.BPF_JEQ, K: nativeArch, Jt: 1},
		retErrno(unix.ENOSYS),
		load(offNr),
	}
	if foreignBit != 0 {
		p = append(p, when(unix.BPF_JGE, foreignBit, 1), retErrno(unix.ENOSYS))
	}
	for _, nr := range notified() {
		p = append(p, when(unix.BPF_JEQ, nr, 1), ret(unix.SECCOMP_RET_USER_NOTIF))
	}
	p = append(p, opens(unix.SYS_OPENAT, 2)...)
	for nr, arg := range legacyOpens() {
		p = append(p, opens(nr, arg)...)
	}
	// openat2 keeps its flags in memory, where a filter cannot see them;
	// callers fall back to openat, as on Linux before 5.6.
	p = append(p, when(unix.BPF_JEQ, unix.SYS_OPENAT2, 1), retErrno(unix.ENOSYS))
	// A domain that the agent nests would not bind the warden, who makes files
	// for it: better no second sandbox than one that only seems to hold.
	p = append(p, when(unix.BPF_JEQ, unix.SYS_LANDLOCK_CREATE_RULESET, 1), retErrno(unix.EOPNOTSUPP))
	p = append(p, when(unix.BPF_JEQ, unix.SYS_LANDLOCK_RESTRICT_SELF, 1), retErrno(unix.EOPNOTSUPP))
	p = append(p, ioctls()...)
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}

// notified are the calls that always go to the warden.
func notified() []uint32 {
	return append(legacyCalls(), unix.SYS_MKDIRAT, unix.SYS_MKNODAT, unix.SYS_SYMLINKAT, unix.SYS_LINKAT,
		unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_BIND)
}

// opens sends an open to the warden when it may make a file. O_TMPFILE makes
// no name, so the kernel's own checks are enough for it.
func opens(nr uint32, flagArg int) []unix.SockFilter {
	return []unix.SockFilter{
		when(unix.BPF_JEQ, nr, 4),
		load(uint32(offArgs + 8*flagArg)),
		when(unix.BPF_JSET, unix.O_CREAT, 1),
		ret(unix.SECCOMP_RET_USER_NOTIF),
		ret(unix.SECCOMP_RET_ALLOW),
	}
}

func ioctls() []unix.SockFilter {
	var tests []unix.SockFilter
	for _, cmd := range []uint32{btrfsSnapCreate, btrfsSubvolCreate, btrfsSnapCreateV2, btrfsSubvolCreateV2,
		bcachefsSubvol, bcachefsSubvolV2} {
		tests = append(tests, when(unix.BPF_JEQ, cmd, 1), retErrno(unix.EPERM))
	}
	p := []unix.SockFilter{when(unix.BPF_JEQ, unix.SYS_IOCTL, uint8(len(tests)+3)), load(offArgs + 8),
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0xffff}}
	p = append(p, tests...)
	return append(p, ret(unix.SECCOMP_RET_ALLOW))
}
