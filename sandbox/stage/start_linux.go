package stage

import (
	"runtime"
	"slices"
	"syscall"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
)

// Init is a sandbox's init that waits for its plan.
type Init struct {
	PID     int
	Control int // our end of its socket; it ends when this is closed
}

// initCaps are the capabilities that init has in its own namespaces until the
// walls are up: capabilities(7) by number, DAC_OVERRIDE, SETPCAP,
// NET_BIND_SERVICE, NET_ADMIN and SYS_ADMIN. An overlay keeps its mounter's, and
// needs the first to work in directories of mode 0.
const initCaps = 1<<1 | 1<<8 | 1<<10 | 1<<12 | 1<<21

const newCgroup = 0x02000000 // CLONE_NEWCGROUP

// Start starts an init in its namespaces, with the three descriptors as 0, 1 and
// 2. Init dies with the calling thread, which must be locked and stay. An error
// of the kernel's is a [kernel.SpawnError].
func Start(std [3]int) (Init, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return Init{}, err
	}
	defer syscall.Close(pair[1])
	uid, gid := Inner()
	s := kernel.Spawn{
		Path: "/proc/self/exe", Argv: []string{plan.Name}, Env: []string{"GOMAXPROCS=1"}, UID: uid, GID: gid, Caps: initCaps,
		Namespaces: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS | newCgroup,
		Files: []int{std[0], std[1], std[2], pair[1]},
	}
	pid, err := s.Start()
	if err != nil {
		syscall.Close(pair[0])
		return Init{}, err
	}
	return Init{PID: pid, Control: pair[0]}, nil
}

// Inner returns the user and group that the agent is inside: the caller's own,
// and 1000 for the host's root, so that nothing inside is root.
func Inner() (uid, gid int) {
	uid, gid = syscall.Geteuid(), syscall.Getegid()
	if uid == 0 {
		uid = rootInside
	}
	if gid == 0 {
		gid = rootInside
	}
	return uid, gid
}

const rootInside = 1000

// early is the init of a program whose command line asks for a sandbox. It
// starts beside the initialisation of the program's packages, which takes as
// long as its own.
var early chan started

type started struct {
	init Init
	err  error
}

// soon says whether the command line is one of `ambit run`. A mistake costs an
// init that ends with the program, or one that starts later.
func soon() bool {
	var b [512]byte
	if !runs(commandLine(b[:])) {
		return false
	}
	inside, _ := syscall.Getenv("AMBIT_SOCKET")
	return inside == ""
}

// runs says of the beginning of a command line whether its first argument is
// "run" and there is one more.
func runs(line []byte) bool {
	const run = "run\x00"
	end := slices.Index(line, 0)
	if end < 0 {
		return false
	}
	rest := line[end+1:]
	return len(rest) > len(run) && string(rest[:len(run)]) == run
}

// commandLine reads the beginning of the process's arguments, each with a NUL
// behind it (proc_pid_cmdline(5)), into b. Package os has them only when it is
// initialised.
func commandLine(b []byte) []byte {
	fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	n, err := syscall.Read(fd, b)
	if err != nil {
		return nil
	}
	return b[:n]
}

// startLateness is by how much timers may be late at the start, where several
// threads take work from each other, in nanoseconds.
const startLateness = 2_000_000

func startEarly() {
	kernel.CoarseTimers(startLateness) // now, while there are few threads
	early = make(chan started, 1)
	go func() {
		runtime.LockOSThread() // init dies with the thread, and this one stays
		i, err := Start([3]int{0, 1, 2})
		early <- started{i, err}
		close(early)
		select {}
	}()
}

// Early returns the init that was started with this program, once, and nothing
// in a program that did not ask for one. Its standard files are the program's.
func Early() (i Init, ok bool, err error) {
	if early == nil {
		return Init{}, false, nil
	}
	s, ok := <-early
	return s.init, ok, s.err
}
