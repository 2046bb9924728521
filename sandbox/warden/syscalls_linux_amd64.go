package warden

import (
	"syscall"

	"ambit/sandbox/kernel"
)

const nativeArch = 0xc000003e // AUDIT_ARCH_X86_64

// foreignBit marks the x32 calls, which share the architecture's name.
const foreignBit = 0x40000000

// legacyCalls are the calls without a directory descriptor.
func legacyCalls() []uint32 {
	return []uint32{syscall.SYS_CREAT, syscall.SYS_MKDIR, syscall.SYS_MKNOD, syscall.SYS_RENAME, syscall.SYS_LINK, syscall.SYS_SYMLINK}
}

// legacyOpens are the calls that make a file when the flags in the given
// argument say so.
func legacyOpens() map[uint32]int { return map[uint32]int{syscall.SYS_OPEN: 1} }

// modern rewrites a legacy call as its modern twin.
func modern(nr int32, a [6]uint64) (int32, [6]uint64) {
	const here = uint64(0xffffff9c) // AT_FDCWD as an int
	switch nr {
	case syscall.SYS_OPEN:
		return syscall.SYS_OPENAT, [6]uint64{here, a[0], a[1], a[2]}
	case syscall.SYS_CREAT:
		return syscall.SYS_OPENAT, [6]uint64{here, a[0], syscall.O_CREAT | syscall.O_WRONLY | syscall.O_TRUNC, a[1]}
	case syscall.SYS_MKDIR:
		return syscall.SYS_MKDIRAT, [6]uint64{here, a[0], a[1]}
	case syscall.SYS_MKNOD:
		return syscall.SYS_MKNODAT, [6]uint64{here, a[0], a[1], a[2]}
	case syscall.SYS_RENAME:
		return kernel.SysRenameat2, [6]uint64{here, a[0], here, a[1]}
	case syscall.SYS_LINK:
		return syscall.SYS_LINKAT, [6]uint64{here, a[0], here, a[1]}
	case syscall.SYS_SYMLINK:
		return syscall.SYS_SYMLINKAT, [6]uint64{a[0], here, a[1]}
	case syscall.SYS_RENAMEAT:
		return kernel.SysRenameat2, [6]uint64{a[0], a[1], a[2], a[3]}
	}
	return nr, a
}
