package kernel

import (
	"runtime"
	"syscall"
	"unsafe"
)

// Package syscall refuses to start a process in a new user namespace without
// copying the whole address space first, because it has the parent write the
// identity maps. For a process of some size that is the dearest part of
// starting a sandbox. Here the child writes the maps itself, which the kernel
// allows for one's own user and group, and so it can borrow the parent's memory
// until it calls exec, as in every other start of a process (vfork(2)).

// Spawn describes a process in namespaces of its own.
type Spawn struct {
	Path       string
	Argv, Env  []string
	Files      []int   // become descriptors 0, 1, 2, …
	Namespaces uintptr // CLONE_NEWUSER and more
	UID, GID   int     // of the caller, inside
	Caps       uint64  // capabilities that survive exec in the new namespaces, below 32
}

// SpawnError says which step failed.
type SpawnError struct {
	Step  string
	Errno syscall.Errno
}

func (e *SpawnError) Error() string { return e.Step + ": " + e.Errno.Error() }

// Unwrap returns the kernel's error.
func (e *SpawnError) Unwrap() error { return e.Errno }

// Steps of the child, in the order in which it takes them.
const (
	stepClone = iota
	stepMaps
	stepSession
	stepCaps
	stepParent
	stepFiles
	stepExec
)

func stepName(n uintptr) string {
	return [...]string{"make namespaces", "map the user", "begin a session", "keep capabilities", "tie it to its parent", "pass files on", "run the program"}[n]
}

type mapFile struct {
	path, data *byte
	n          uintptr
}

// child is all that the child needs. It allocates nothing and calls nothing that
// could grow the stack it shares with its parent.
type child struct {
	flags     uintptr
	maps      [3]mapFile
	capHeader capHeader
	capData   [2]capData
	path      *byte
	argv, env []*byte
	files     []int
	spare     uintptr // above every descriptor of files

	step, errno uintptr // written by the child when it fails
}

// Start starts the process and returns once it runs the program. The process
// dies with the thread that calls Start.
func (s *Spawn) Start() (int, error) {
	c, err := s.child()
	if err != nil {
		return 0, err
	}
	syscall.ForkLock.Lock()
	pid, errno := c.fork()
	afterFork()
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(c)
	if errno != 0 {
		return 0, &SpawnError{stepName(stepClone), syscall.Errno(errno)}
	}
	if c.errno != 0 {
		var st syscall.WaitStatus
		for {
			if _, err := syscall.Wait4(int(pid), &st, 0, nil); err != syscall.EINTR {
				break
			}
		}
		return 0, &SpawnError{stepName(c.step), syscall.Errno(c.errno)}
	}
	return int(pid), nil
}

func (s *Spawn) child() (*child, error) {
	c := &child{files: append([]int(nil), s.Files...)}
	var err error
	if c.path, err = syscall.BytePtrFromString(s.Path); err != nil {
		return nil, err
	}
	if c.argv, err = syscall.SlicePtrFromStrings(s.Argv); err != nil {
		return nil, err
	}
	if c.env, err = syscall.SlicePtrFromStrings(s.Env); err != nil {
		return nil, err
	}
	for i, m := range [...][2]string{
		{"/proc/self/setgroups", "deny"},
		{"/proc/self/gid_map", decimal(s.GID) + " " + decimal(syscall.Getegid()) + " 1"},
		{"/proc/self/uid_map", decimal(s.UID) + " " + decimal(syscall.Geteuid()) + " 1"},
	} {
		path, _ := syscall.BytePtrFromString(m[0]) // holds no NUL
		data, _ := syscall.BytePtrFromString(m[1])
		c.maps[i] = mapFile{path, data, uintptr(len(m[1]))}
	}
	c.capHeader.version = capVersion3
	all := uint32(s.Caps)
	c.capData[0] = capData{all, all, all}
	for _, f := range s.Files {
		c.spare = max(c.spare, uintptr(f)+1, uintptr(len(s.Files)))
	}
	c.flags = s.Namespaces | syscall.CLONE_VM | syscall.CLONE_VFORK | uintptr(syscall.SIGCHLD)
	return c, nil
}

func decimal(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return decimal(n/10) + string(rune('0'+n%10))
}

// fork makes the child and, as the child, goes on to exec. Both run in this
// frame; the parent leaves it at once, the child never.
//
//go:noinline
//go:norace
//go:nocheckptr
func (c *child) fork() (pid, errno uintptr) {
	var (
		i    int
		fd   uintptr
		e    syscall.Errno
		step uintptr
		m    *mapFile
	)
	beforeFork()
	pid, errno = vfork(syscall.SYS_CLONE, c.flags, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	afterForkInChild()

	step = stepMaps
	for i = 0; i < len(c.maps); i++ {
		m = &c.maps[i]
		fd, _, e = syscall.RawSyscall6(syscall.SYS_OPENAT, atFDCWD, uintptr(unsafe.Pointer(m.path)), syscall.O_WRONLY, 0, 0, 0)
		if e != 0 {
			goto failed
		}
		if _, _, e = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(m.data)), m.n); e != 0 {
			goto failed
		}
		syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
	}
	// Timers that may be late spare a virtual machine many wake-ups; that they are
	// not is no failure.
	syscall.RawSyscall6(syscall.SYS_PRCTL, prSetTimerSlack, coarseSlack, 0, 0, 0, 0)
	step = stepSession
	if _, _, e = syscall.RawSyscall(syscall.SYS_SETSID, 0, 0, 0); e != 0 {
		goto failed
	}
	step = stepCaps
	if _, _, e = syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&c.capHeader)), uintptr(unsafe.Pointer(&c.capData)), 0); e != 0 {
		goto failed
	}
	for i = 0; i < 32; i++ {
		if c.capData[0].inheritable&(1<<i) == 0 {
			continue
		}
		if _, _, e = syscall.RawSyscall6(syscall.SYS_PRCTL, prCapAmbient, capAmbientRaise, uintptr(i), 0, 0, 0); e != 0 {
			goto failed
		}
	}
	step = stepParent
	if _, _, e = syscall.RawSyscall6(syscall.SYS_PRCTL, prSetPdeathsig, uintptr(syscall.SIGKILL), 0, 0, 0, 0); e != 0 {
		goto failed
	}
	// First out of the way, so that no descriptor is overwritten before it is copied.
	step = stepFiles
	for i = 0; i < len(c.files); i++ {
		if fd, _, e = syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(c.files[i]), syscall.F_DUPFD_CLOEXEC, c.spare); e != 0 {
			goto failed
		}
		c.files[i] = int(fd)
	}
	for i = 0; i < len(c.files); i++ {
		if _, _, e = syscall.RawSyscall(syscall.SYS_DUP3, uintptr(c.files[i]), uintptr(i), 0); e != 0 {
			goto failed
		}
	}
	step = stepExec
	_, _, e = syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(c.path)), uintptr(unsafe.Pointer(&c.argv[0])), uintptr(unsafe.Pointer(&c.env[0])))

failed:
	c.step, c.errno = step, uintptr(e)
	for {
		syscall.RawSyscall(syscall.SYS_EXIT, 253, 0, 0)
	}
}

const (
	atFDCWD         = ^uintptr(0x64) + 1
	capAmbientRaise = 2
)

// vfork makes one system call of clone's kind; see the assembly.
//
//go:noescape
func vfork(nr, a1, a2, a3 uintptr) (r, errno uintptr)

// The runtime's hooks around a fork, which it offers to package syscall and to
// others that make processes.

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()
