package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
)

// Confine puts the calling process, with all its threads and for good, behind
// walls of its own: it can open no file but those named, run no program, make no
// process and no Unix socket, listen on no new TCP port, and nobody but root can read
// its memory. What it opened stays open, what it inherited beyond its streams is
// closed; IP sockets can be made and connected. Call it after Begin: a confined process
// can start no sandbox. [Sandbox.Seal] does the rest once the walls are up.
//
// When it fails, the process may be half confined and must end. It fails in a
// program that is linked with cgo, because Go cannot reach all of its threads.
func Confine(spec ConfineSpec) (Report, error) {
	r := Report{System: system()}
	abi := kernel.LandlockABI()
	if abi < minABI {
		return r, fmt.Errorf("cannot confine the gatekeeper: the kernel's Landlock has version %d, and %d is needed", abi, minABI)
	}
	if err := errors.Join(ownDescriptors(), hideSelf()); err != nil {
		return r, err
	}
	rs, err := confineRules(spec, abi)
	if err != nil {
		return r, err
	}
	defer unix.Close(rs)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The filter takes this to the other threads: seccomp(2), SECCOMP_FILTER_FLAG_TSYNC.
	if err := kernel.NoNewPrivs(); err != nil {
		return r, fmt.Errorf("cannot confine the gatekeeper: cannot forbid it new privileges: %w", err)
	}
	if err := filterThreads(gatekeeperFilter(os.Getpid())); err != nil {
		return r, fmt.Errorf("cannot confine the gatekeeper: %w", err)
	}
	if err := everyThread(kernel.SysLandlockRestrict, uintptr(rs), 0, 0, "put it under Landlock"); err != nil {
		return r, err
	}
	r.add("gatekeeper's memory", true, "not dumpable, no core files")
	r.add("gatekeeper's files", true, fmt.Sprintf("Landlock ABI %d on every thread: %d paths to read, %d to write", abi, len(spec.ReadFiles), len(spec.WriteFiles)))
	r.add("gatekeeper's system calls", true, "seccomp allow-list on every thread: no programs, no processes, no namespaces, no signals to others")
	r.add("gatekeeper's Unix sockets", true, "seccomp: none can be made, none is handed over once the command runs; those that it has are connected or listen")
	if abi >= 4 {
		r.add("gatekeeper's listeners", true, "no new TCP listener (Landlock)")
	} else {
		r.add("gatekeeper's listeners", false, "a kernel with Landlock ABI 4 (Linux 6.7) is needed to forbid new TCP listeners")
	}
	return r, nil
}

// filterThreads puts every thread of this process behind a filter.
func filterThreads(c code) error {
	thread, err := kernel.Filter(c, kernel.FilterAllThreads)
	if err == nil && thread != 0 { // seccomp(2): the one that could not be
		err = fmt.Errorf("thread %d has a filter of its own", thread)
	}
	if err != nil {
		return fmt.Errorf("cannot filter its system calls: %w", err)
	}
	return nil
}

func hideSelf() error {
	if err := kernel.Undumpable(); err != nil {
		return fmt.Errorf("cannot confine the gatekeeper: cannot hide its memory: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot confine the gatekeeper: cannot forbid core files: %w", err)
	}
	return nil
}

func everyThread(nr, a, b, c uintptr, what string) error {
	_, _, e := syscall.AllThreadsSyscall(nr, a, b, c)
	switch {
	case e == 0:
		return nil
	case errors.Is(e, syscall.ENOTSUP):
		return fmt.Errorf("cannot confine the gatekeeper: cannot %s on every thread: this program is linked with cgo; build it with CGO_ENABLED=0", what)
	}
	return fmt.Errorf("cannot confine the gatekeeper: cannot %s: %w", what, e)
}

func confineRules(spec ConfineSpec, abi int) (int, error) {
	var net, scoped uint64
	if abi >= 4 {
		net = kernel.LLBindTCP
	}
	if abi >= 6 {
		// Not signals, too: the kernel would take init's parent-death signal for one
		// that this process sends, and withhold it. The filter forbids sending any.
		scoped = kernel.LLScopeAbstract
	}
	handled := kernel.LandlockHandled(abi)
	rs, err := kernel.NewRuleset(handled, net, scoped)
	if err != nil {
		return -1, fmt.Errorf("cannot confine the gatekeeper: cannot make a Landlock ruleset: %w", err)
	}
	const read = kernel.LLReadFile | kernel.LLReadDir
	const write = read | kernel.LLWriteFile | kernel.LLTruncate | kernel.LLMakeReg | kernel.LLRemoveFile
	for rights, list := range map[uint64][]string{read: spec.ReadFiles, write: spec.WriteFiles} {
		for _, path := range list {
			if err := confineRule(rs, path, rights&handled); err != nil {
				unix.Close(rs)
				return -1, err
			}
		}
	}
	return rs, nil
}

func confineRule(rs int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot confine the gatekeeper: cannot keep %s: %w", path, err)
	}
	defer unix.Close(fd)
	if dir, err := kernel.IsDir(fd); err != nil {
		return fmt.Errorf("cannot confine the gatekeeper: cannot keep %s: %w", path, err)
	} else if !dir {
		rights &= kernel.LLFile
	}
	if err := kernel.AllowPath(rs, fd, rights); err != nil {
		return fmt.Errorf("cannot confine the gatekeeper: cannot keep %s: %w", path, err)
	}
	return nil
}

// gatekeeperFilter is the agent's filter without what makes programs, processes
// and names that others would use, and without what acts on other processes or
// on files that it cannot open: the person's are not in another namespace, and
// Landlock looks at the opening only.
func gatekeeperFilter(pid int) code {
	not := slices.Concat(archProcesses(), archMetadata(), ownedByOthers())
	var rules []rule
	for _, nr := range slices.Concat(allowedCalls(), archAllowed()) {
		if !slices.Contains(not, nr) && nr != unix.SYS_FCNTL && nr != unix.SYS_PRLIMIT64 && nr != unix.SYS_TGKILL {
			rules = append(rules, rule{nr, doAllow})
		}
	}
	for _, nr := range slices.Concat(not, dangerousCalls(), archDangerous(), foreignMemory()) {
		rules = append(rules, rule{nr, doEPERM})
	}
	for _, r := range append(archModeRules(), rule{unix.SYS_OPENAT, checkOpen(2)}) {
		if !slices.Contains(not, r.nr) {
			rules = append(rules, r)
		}
	}
	rules = append(rules,
		rule{unix.SYS_TGKILL, append(code{arg(0)}, append(oneOf(actEPERM, uint32(pid)), ret(actAllow))...)}, // Go's runtime preempts its own threads
		rule{unix.SYS_PRLIMIT64, append(code{arg(0)}, append(oneOf(actEPERM, 0, uint32(pid)), ret(actAllow))...)},
		rule{unix.SYS_FCNTL, checkFcntl()},
		rule{unix.SYS_CLONE, checkThread()}, rule{unix.SYS_IOCTL, checkOwnIoctl()},
		rule{unix.SYS_SOCKET, checkOwnSocket()}, rule{unix.SYS_SOCKETPAIR, doEPERM},
		rule{unix.SYS_PERSONALITY, checkPersonality()})
	return assemble(rules, actENOSY)
}

// ownedByOthers are the calls that reach processes, queues and files which are
// not the gatekeeper's.
func ownedByOthers() []uint32 {
	return []uint32{
		unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_SEND_SIGNAL,
		unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_MEMFD_CREATE, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_SETPGID, unix.SYS_SETSID,
		unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETATTR,
		unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT, unix.SYS_MKNODAT,
		unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
		unix.SYS_INOTIFY_INIT1, unix.SYS_INOTIFY_ADD_WATCH,
		// The gatekeeper is in the IPC namespace of the person's programs.
		unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SHMDT, unix.SYS_SHMCTL, unix.SYS_SEMGET, unix.SYS_SEMOP, unix.SYS_SEMCTL, unix.SYS_SEMTIMEDOP, unix.SYS_MSGGET,
		unix.SYS_MSGSND, unix.SYS_MSGRCV, unix.SYS_MSGCTL, unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK,
	}
}

// checkFcntl refuses to have the kernel send signals in the gatekeeper's name
// when a descriptor is ready (fcntl(2), "Managing signals"): it would send any
// signal to any process of the person's.
func checkFcntl() code {
	return append(code{arg(1)}, noneOf(actEPERM, unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG)...)
}

// checkOwnIoctl is checkIoctl without what does the same as checkFcntl's, or
// signals those whose terminal it is.
func checkOwnIoctl() code {
	return append(code{arg(1)}, noneOf(actEPERM, unix.TIOCSTI, tiocLinux, unix.TIOCSETD, unix.TIOCCONS,
		fioSetOwn, siocSPgrp, unix.TIOCSPGRP, unix.TIOCSIG, unix.TIOCSCTTY, unix.TIOCNOTTY)...)
}

// ioctl(2) operations of sockets that set who gets their signals.
const (
	fioSetOwn = 0x8901
	siocSPgrp = 0x8902
)

// checkThread allows new threads only.
func checkThread() code {
	return code{arg(0), {Code: opSet, K: anyNamespace, Jf: 1}, ret(actEPERM), {Code: opSet, K: unix.CLONE_THREAD, Jt: 1}, ret(actEPERM), ret(actAllow)}
}
