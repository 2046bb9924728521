package warden

import "golang.org/x/sys/unix"

const nativeArch = unix.AUDIT_ARCH_X86_64

// foreignBit marks the x32 calls, which share the architecture's name.
const foreignBit = 0x40000000

// legacyCalls are the calls without a directory descriptor.
func legacyCalls() []uint32 {
	return []uint32{unix.SYS_CREAT, unix.SYS_MKDIR, unix.SYS_MKNOD, unix.SYS_RENAME, unix.SYS_LINK, unix.SYS_SYMLINK}
}

// legacyOpens are the calls that make a file when the flags in the given
// argument say so.
func legacyOpens() map[uint32]int { return map[uint32]int{unix.SYS_OPEN: 1} }

// modern rewrites a legacy call as its modern twin.
func modern(nr int32, a [6]uint64) (int32, [6]uint64) {
	const here = uint64(0xffffff9c) // AT_FDCWD as an int
	switch nr {
	case unix.SYS_OPEN:
		return unix.SYS_OPENAT, [6]uint64{here, a[0], a[1], a[2]}
	case unix.SYS_CREAT:
		return unix.SYS_OPENAT, [6]uint64{here, a[0], unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC, a[1]}
	case unix.SYS_MKDIR:
		return unix.SYS_MKDIRAT, [6]uint64{here, a[0], a[1]}
	case unix.SYS_MKNOD:
		return unix.SYS_MKNODAT, [6]uint64{here, a[0], a[1], a[2]}
	case unix.SYS_RENAME:
		return unix.SYS_RENAMEAT2, [6]uint64{here, a[0], here, a[1]}
	case unix.SYS_LINK:
		return unix.SYS_LINKAT, [6]uint64{here, a[0], here, a[1]}
	case unix.SYS_SYMLINK:
		return unix.SYS_SYMLINKAT, [6]uint64{a[0], here, a[1]}
	case unix.SYS_RENAMEAT:
		return unix.SYS_RENAMEAT2, [6]uint64{a[0], a[1], a[2], a[3]}
	}
	return nr, a
}
