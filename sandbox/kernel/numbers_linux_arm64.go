package kernel

// Numbers of system calls that package syscall does not have, or not under this
// name.
const (
	SysSeccomp   = 277
	SysRenameat2 = 276

	sysStatx    = 291
	sysVMReadv  = 270
	sysNewfstat = 79 // newfstatat, also called fstatat
)
