package kernel

// Numbers of system calls that package syscall does not have here.
const (
	SysSeccomp   = 317
	SysRenameat2 = 316

	sysStatx    = 332
	sysVMReadv  = 310
	sysNewfstat = 262 // newfstatat
)
