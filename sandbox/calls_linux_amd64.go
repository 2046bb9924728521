package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	x32Bit    = 0x40000000 // set in the numbers of x32's calls, which many filters forget
)

// archAllowed are the older spellings of allowed calls, and what only this
// architecture has.
func archAllowed() []uint32 {
	return []uint32{
		unix.SYS_STAT, unix.SYS_LSTAT, unix.SYS_NEWFSTATAT, unix.SYS_ACCESS, unix.SYS_READLINK, unix.SYS_GETDENTS, unix.SYS_MKDIR,
		unix.SYS_RMDIR, unix.SYS_UNLINK, unix.SYS_RENAME, unix.SYS_LINK, unix.SYS_SYMLINK, unix.SYS_CHOWN, unix.SYS_LCHOWN,
		unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT, unix.SYS_DUP2, unix.SYS_PIPE, unix.SYS_INOTIFY_INIT, unix.SYS_POLL, unix.SYS_SELECT,
		unix.SYS_EPOLL_CREATE, unix.SYS_EPOLL_WAIT, unix.SYS_EVENTFD, unix.SYS_SIGNALFD, unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_GETPGRP, unix.SYS_ALARM,
		unix.SYS_PAUSE, unix.SYS_TIME, unix.SYS_ARCH_PRCTL, unix.SYS_MAP_SHADOW_STACK,
	}
}

func archModeRules() []rule {
	return []rule{{unix.SYS_OPEN, checkOpen(1)}, {unix.SYS_CREAT, checkMode(1)}, {unix.SYS_CHMOD, checkMode(1)}, {unix.SYS_MKNOD, checkMode(1)}}
}

func archDangerous() []uint32 {
	return []uint32{unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS}
}

// archProcesses make processes or names, and are not for the gatekeeper.
func archProcesses() []uint32 {
	return []uint32{unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_LINK, unix.SYS_SYMLINK}
}

// archMetadata change files that need not be opened, and are not for the gatekeeper.
func archMetadata() []uint32 {
	return []uint32{unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT, unix.SYS_MKNOD, unix.SYS_INOTIFY_INIT}
}

// pins keep a descriptor's number from being given to another.
func pins(fd uint32) []rule {
	return []rule{{unix.SYS_DUP2, append(code{arg(1)}, noneOf(actEPERM, fd)...)}}
}
