package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	x32Bit    = 0
)

func archAllowed() []uint32 { return []uint32{unix.SYS_NEWFSTATAT} }

func archModeRules() []rule { return nil }

func archDangerous() []uint32 { return []uint32{unix.SYS_KEXEC_FILE_LOAD} }

func archProcesses() []uint32 { return nil }

func archMetadata() []uint32 { return nil }

func pins(uint32) []rule { return nil }
