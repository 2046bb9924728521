package kernel

import (
	"syscall"
	"unsafe"
)

// Numbers of system calls that are the same on every architecture since Linux 5.2.
const (
	sysOpenTree     = 428
	sysMoveMount    = 429
	sysFsopen       = 430
	sysFsconfig     = 431
	sysFsmount      = 432
	sysCloseRange   = 436
	sysMountSetattr = 442
)

// SysOpenat2 is openat2(2)'s number, for filters.
const SysOpenat2 = 437

// Flags of the mount calls: open_tree(2), move_mount(2), fsmount(2), mount_setattr(2).
const (
	AtFDCWD     = -0x64
	AtEmptyPath = 0x1000
	AtRecursive = 0x8000

	openTreeClone   = 1
	moveFromEmpty   = 0x4
	moveToEmpty     = 0x40
	fsconfigFlag    = 0
	fsconfigString  = 1
	fsconfigCreate  = 6
	AttrReadOnly    = 0x1
	AttrNoSuid      = 0x2
	AttrNoDev       = 0x4
	AttrNoExec      = 0x8
	AttrNoSymFollow = 0x200000
	msPrivate       = 1 << 18
)

// Flags of openat2(2).
const (
	OPath             = 0x200000
	ResolveNoMagic    = 0x02
	ResolveNoSymlinks = 0x04
	ResolveInRoot     = 0x10
)

type mountAttr struct{ set, clear, propagation, userns uint64 }

type openHow struct{ flags, mode, resolve uint64 }

// call makes a system call. Pointers that the caller converts to uintptr in the
// argument list stay alive and in place until it returns.
//
//go:uintptrescapes
func call(nr uintptr, a ...uintptr) (int, error) {
	var v [6]uintptr
	copy(v[:], a)
	r, _, e := syscall.Syscall6(nr, v[0], v[1], v[2], v[3], v[4], v[5])
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}

// CloneTree copies the mount at path, with all mounts below it, and returns a
// descriptor of the detached copy. With an empty path it copies dir itself.
func CloneTree(dir int, path string) (int, error) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	flags := uintptr(openTreeClone | syscall.O_CLOEXEC | AtRecursive)
	if path == "" {
		flags |= AtEmptyPath
	}
	return call(sysOpenTree, uintptr(dir), uintptr(unsafe.Pointer(p)), flags)
}

// SetTree sets attributes on the mount of fd and, when deep, on all below it,
// and cuts its ties to mounts made elsewhere later.
func SetTree(fd int, attrs uint64, deep bool) error {
	a := mountAttr{set: attrs, propagation: msPrivate}
	flags := uintptr(AtEmptyPath)
	if deep {
		flags |= AtRecursive
	}
	var empty [1]byte
	_, err := call(sysMountSetattr, uintptr(fd), uintptr(unsafe.Pointer(&empty)), flags,
		uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a))
	return err
}

// Attach puts the detached mount fd on the place that the descriptor at names.
func Attach(fd, at int) error {
	var empty [1]byte
	e := uintptr(unsafe.Pointer(&empty))
	_, err := call(sysMoveMount, uintptr(fd), e, uintptr(at), e, moveFromEmpty|moveToEmpty)
	return err
}

// AttachAt puts the detached mount fd on a path below dir.
func AttachAt(fd, dir int, path string) error {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return err
	}
	var empty [1]byte
	_, err = call(sysMoveMount, uintptr(fd), uintptr(unsafe.Pointer(&empty)), uintptr(dir), uintptr(unsafe.Pointer(p)), moveFromEmpty)
	return err
}

// Option is one setting of a new file system; without Value it is a flag.
type Option struct{ Key, Value string }

// NewFS makes a detached mount of a new file system.
func NewFS(kind string, attrs uint64, opts ...Option) (int, error) {
	k, err := syscall.BytePtrFromString(kind)
	if err != nil {
		return -1, err
	}
	fs, err := call(sysFsopen, uintptr(unsafe.Pointer(k)), 1)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(fs)
	for _, o := range opts {
		if err := configure(fs, o); err != nil {
			return -1, err
		}
	}
	if _, err := call(sysFsconfig, uintptr(fs), fsconfigCreate); err != nil {
		return -1, err
	}
	return call(sysFsmount, uintptr(fs), 1, uintptr(attrs))
}

func configure(fs int, o Option) error {
	k, err := syscall.BytePtrFromString(o.Key)
	if err != nil {
		return err
	}
	if o.Value == "" {
		_, err = call(sysFsconfig, uintptr(fs), fsconfigFlag, uintptr(unsafe.Pointer(k)))
		return err
	}
	v, err := syscall.BytePtrFromString(o.Value)
	if err != nil {
		return err
	}
	_, err = call(sysFsconfig, uintptr(fs), fsconfigString, uintptr(unsafe.Pointer(k)), uintptr(unsafe.Pointer(v)))
	return err
}

// Open2 is openat2(2); the descriptor is closed on exec.
func Open2(dir int, path string, flags, resolve uint64) (int, error) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	how := openHow{flags: flags | syscall.O_CLOEXEC, resolve: resolve}
	fd, _, e := syscall.Syscall6(SysOpenat2, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
	if e != 0 {
		return -1, e
	}
	return int(fd), nil
}

// CloseFrom closes every descriptor from first upwards (Linux 5.9).
func CloseFrom(first int) error {
	_, err := call(sysCloseRange, uintptr(first), ^uintptr(0)>>32, 0)
	return err
}
