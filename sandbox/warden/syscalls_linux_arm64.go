package warden

import (
	"syscall"

	"ambit/sandbox/kernel"
)

const nativeArch = 0xc00000b7 // AUDIT_ARCH_AARCH64

// foreignBit is not needed here: no other table shares the architecture's name.
const foreignBit = 0

// legacyCalls are the calls without a directory descriptor: none here.
func legacyCalls() []uint32 { return nil }

// legacyOpens are the opens without a directory descriptor: none here.
func legacyOpens() map[uint32]int { return nil }

// modern rewrites a legacy call as its modern twin.
func modern(nr int32, a [6]uint64) (int32, [6]uint64) {
	if nr == syscall.SYS_RENAMEAT {
		return kernel.SysRenameat2, [6]uint64{a[0], a[1], a[2], a[3]}
	}
	return nr, a
}
