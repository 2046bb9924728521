package kernel

import (
	"syscall"
	"unsafe"
)

// Flags of the calls on names: linkat(2), unlinkat(2), fstatat(2), renameat2(2).
const (
	AtNoFollow      = 0x100 // AT_SYMLINK_NOFOLLOW
	AtRemoveDir     = 0x200
	AtFollow        = 0x400 // AT_SYMLINK_FOLLOW
	RenameNoReplace = 1
	RenameExchange  = 2
)

// PathMax is the length of the longest path with its closing NUL: path_resolution(7).
const PathMax = 4096

// done turns a system call's error number into an error.
func done(e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

// Symlink is symlinkat(2).
func Symlink(target string, dir int, name string) error {
	to, at, err := twoNames(target, name)
	if err != nil {
		return err
	}
	_, _, e := syscall.Syscall(syscall.SYS_SYMLINKAT, uintptr(unsafe.Pointer(to)), uintptr(dir), uintptr(unsafe.Pointer(at)))
	return done(e)
}

// twoNames are names as the kernel reads them; EINVAL when one has a NUL byte.
func twoNames(a, b string) (first, second *byte, err error) {
	if first, err = syscall.BytePtrFromString(a); err == nil {
		second, err = syscall.BytePtrFromString(b)
	}
	return first, second, err
}

// Link is linkat(2); flags are AtFollow and AtEmptyPath.
func Link(fromDir int, from string, toDir int, to string, flags int) error {
	f, t, err := twoNames(from, to)
	if err != nil {
		return err
	}
	_, _, e := syscall.Syscall6(syscall.SYS_LINKAT, uintptr(fromDir), uintptr(unsafe.Pointer(f)),
		uintptr(toDir), uintptr(unsafe.Pointer(t)), uintptr(flags), 0)
	return done(e)
}

// Rename is renameat2(2); flags are RenameNoReplace and RenameExchange.
func Rename(fromDir int, from string, toDir int, to string, flags uint) error {
	f, t, err := twoNames(from, to)
	if err != nil {
		return err
	}
	_, _, e := syscall.Syscall6(SysRenameat2, uintptr(fromDir), uintptr(unsafe.Pointer(f)),
		uintptr(toDir), uintptr(unsafe.Pointer(t)), uintptr(flags), 0)
	return done(e)
}

// Unlink is unlinkat(2); with AtRemoveDir it removes an empty directory.
func Unlink(dir int, name string, flags int) error {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	_, _, e := syscall.Syscall(syscall.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(flags))
	return done(e)
}

// ReadLink is readlinkat(2): it returns how many bytes of what a symbolic link
// holds are now in buf, which must not be empty. With an empty name dir is the
// link itself.
func ReadLink(dir int, name string, buf []byte) (int, error) {
	if len(buf) == 0 {
		return 0, syscall.EINVAL
	}
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	n, _, e := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	return int(n), done(e)
}

// BindPath binds a Unix socket to a path: bind(2), unix(7). Package syscall would take
// a first "@" for the abstract name space.
func BindPath(sock int, path string) error {
	a := syscall.RawSockaddrUnix{Family: syscall.AF_UNIX}
	if path == "" || len(path) >= len(a.Path) {
		return syscall.EINVAL
	}
	for i := range len(path) {
		if path[i] == 0 {
			return syscall.EINVAL
		}
		a.Path[i] = int8(path[i])
	}
	size := unsafe.Offsetof(a.Path) + uintptr(len(path)) + 1
	_, _, e := syscall.Syscall(syscall.SYS_BIND, uintptr(sock), uintptr(unsafe.Pointer(&a)), size)
	return done(e)
}

// Stat is fstatat(2) of what has the name itself: a symbolic link is not followed.
func Stat(dir int, name string, st *syscall.Stat_t) error {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	_, _, e := syscall.Syscall6(sysNewfstat, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(st)), AtNoFollow, 0, 0)
	return done(e)
}

// Mount is what statx(2) says of the mount that a file is on.
type Mount struct {
	ID  uint64 // 0 from a kernel that does not say (before Linux 5.8)
	Top bool   // the file is the mount's root
}

// The parts of struct statx (linux/stat.h) that are of use here.
type statx struct {
	mask       uint32
	_          uint32
	attributes uint64
	_          [128]byte
	mountID    uint64
	_          [104]byte
}

const (
	statxMountID   = 0x1000
	statxMountRoot = 0x2000
)

// MountOf returns the mount that the file at path is on; with AtEmptyPath and an
// empty path, the one of dir itself.
func MountOf(dir int, path string, flags int) (Mount, error) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return Mount{}, err
	}
	var st statx
	_, _, e := syscall.Syscall6(sysStatx, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(flags), statxMountID,
		uintptr(unsafe.Pointer(&st)), 0)
	if e != 0 || st.mask&statxMountID == 0 {
		return Mount{}, done(e)
	}
	return Mount{ID: st.mountID, Top: st.attributes&statxMountRoot != 0}, nil
}
