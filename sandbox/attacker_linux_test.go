package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the test binary does inside the sandbox. Every attempt is a real one.

func attack(argv []string) int {
	f, ok := attacks[argv[0]]
	if !ok {
		fmt.Println("SUCCEEDED: no such attack, which would have gone unnoticed:", argv[0])
		return 2
	}
	f(argv[1:])
	return 0
}

var attacks = map[string]func([]string){
	"read": attackRead, "swap": attackSwap, "write": attackWrite, "proc": attackProc, "calls": attackCalls,
	"compat": attackCompat, "x32": attackX32, "sockets": attackSockets, "dial": attackDial, "environ": attackEnviron,
	"fork": attackFork, "memory": attackMemory, "descriptors": attackDescriptors, "signal": attackSignal, "fds": attackFDs, "setuid": attackSetuid, "sti": attackSTI,
	"hand": attackHand,
}

// result prints what came of an attempt that must fail.
func result(what string, err error) {
	if err == nil {
		fmt.Println("SUCCEEDED:", what)
		return
	}
	fmt.Println("refused:", what+":", err)
}

func attackRead(paths []string) {
	for _, p := range paths {
		f, err := os.Open(p)
		if err == nil {
			_, err = f.Read(make([]byte, 1))
			if errors.Is(err, unix.EISDIR) {
				_, err = f.ReadDir(1)
			}
			f.Close()
		}
		result("read "+p, err)
	}
}

// attackSwap swaps a link between a harmless file and the target, and opens it
// again and again.
func attackSwap(a []string) {
	dir, target := a[0], a[1]
	harmless := filepath.Join(dir, "harmless")
	_ = os.WriteFile(harmless, []byte("harmless"), 0o600)
	link, next := filepath.Join(dir, "link"), filepath.Join(dir, "next")
	stop := time.Now().Add(300 * time.Millisecond)
	go func() {
		for i := 0; time.Now().Before(stop); i++ {
			to := harmless
			if i%2 == 0 {
				to = target
			}
			_ = os.Symlink(to, next)
			_ = os.Rename(next, link)
		}
	}()
	for time.Now().Before(stop) {
		if b, err := os.ReadFile(link); err == nil && string(b) != "harmless" {
			fmt.Printf("SUCCEEDED: read %q through a swapped link\n", b)
			return
		}
	}
	fmt.Println("refused: swap")
}

// attackWrite tries every way to change or replace an existing file.
func attackWrite(paths []string) {
	for _, p := range paths {
		for _, flags := range []int{os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND} {
			f, err := os.OpenFile(p, flags, 0)
			if err == nil {
				f.Close()
			}
			result(fmt.Sprintf("open %s with %#x", p, flags), err)
		}
		result("truncate "+p, os.Truncate(p, 0))
		result("remove "+p, os.Remove(p))
		result("rename "+p, os.Rename(p, p+".moved"))
		result("move to /tmp "+p, os.Rename(p, "/tmp/moved"))
		result("link "+p, os.Link(p, "/tmp/linked"))
		result("chmod "+p, os.Chmod(p, 0o777))
		result("set an attribute of "+p, unix.Setxattr(p, "user.x", []byte("x"), 0))
	}
}

// attackProc reaches for other processes and for the host through /proc.
func attackProc(a []string) {
	for _, pid := range []string{"1", fmt.Sprint(os.Getppid())} {
		for _, f := range []string{"root/etc/shadow", "cwd/etc/shadow", "environ", "mem", "maps", "auxv", "exe", "fd/0", "map_files", "stack", "syscall"} {
			attackRead([]string{"/proc/" + pid + "/" + f})
		}
	}
	for _, f := range []string{"kcore", "keys", "kmsg", "kallsyms", "timer_list", "kpageflags", "slabinfo", "vmallocinfo", "bus", "self/root/etc/shadow",
		"thread-self/root" + a[0], "self/cwd/../../../.." + a[0], "self/root" + a[0]} {
		attackRead([]string{"/proc/" + f})
	}
	for _, f := range []string{"sysrq-trigger", "sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/vm/overcommit_memory", "sys/net/ipv4/ip_forward", "self/oom_score_adj"} {
		w, err := os.OpenFile("/proc/"+f, os.O_WRONLY, 0)
		if err == nil {
			w.Close()
		}
		result("write /proc/"+f, err)
	}
	// The loader by hand, a copied program and one that exists in memory only run,
	// and are behind the same walls.
	for name, argv := range map[string][]string{
		"loader": {loader(), "/bin/cat", a[0]}, "copy": {copyOf("/bin/cat"), a[0]}, "memory": {memoryCopy("/bin/cat"), a[0]},
	} {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err == nil && len(out) == 0 {
			err = errors.New("it printed nothing")
		}
		result(name+" "+strings.TrimSpace(string(out)), err)
	}
}

func loader() string {
	for _, l := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"} {
		if _, err := os.Stat(l); err == nil {
			return l
		}
	}
	return "/lib/ld-musl-x86_64.so.1"
}

func copyOf(file string) string {
	b, _ := os.ReadFile(file)
	_ = os.WriteFile("/tmp/copied", b, 0o755)
	return "/tmp/copied"
}

func memoryCopy(file string) string {
	b, _ := os.ReadFile(file)
	fd, err := unix.MemfdCreate("x", 0)
	if err != nil {
		return "/nonexistent"
	}
	_, _ = unix.Write(fd, b)
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
}

// attackCalls makes system calls that must not work. Those with a pointer to
// something are given something, so that EFAULT does not hide a call that works.
func attackCalls([]string) {
	page := make([]byte, 4096)
	at := uintptr(unsafe.Pointer(&page[0]))
	self := uintptr(os.Getpid())
	type c struct {
		name string
		nr   uintptr
		a    [6]uintptr
	}
	for _, x := range []c{
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [6]uintptr{8, at}},
		{"ptrace traceme", unix.SYS_PTRACE, [6]uintptr{0}},
		{"ptrace seize init", unix.SYS_PTRACE, [6]uintptr{0x4206, 1}},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, [6]uintptr{self, at, 0, at, 0}},
		{"process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, [6]uintptr{self, at, 0, at, 0}},
		{"keyctl", unix.SYS_KEYCTL, [6]uintptr{0, ^uintptr(2), 0}},
		{"add_key", unix.SYS_ADD_KEY, [6]uintptr{at, at, at, 1, ^uintptr(2)}},
		{"request_key", unix.SYS_REQUEST_KEY, [6]uintptr{at, at, 0, 0}},
		{"bpf", unix.SYS_BPF, [6]uintptr{0, at, 64}},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, [6]uintptr{at, 0, 0, ^uintptr(0), 0}},
		{"userfaultfd", unix.SYS_USERFAULTFD, [6]uintptr{1}},
		{"unshare user", unix.SYS_UNSHARE, [6]uintptr{unix.CLONE_NEWUSER}},
		{"unshare mounts", unix.SYS_UNSHARE, [6]uintptr{unix.CLONE_NEWNS}},
		{"unshare time", unix.SYS_UNSHARE, [6]uintptr{unix.CLONE_NEWTIME}},
		{"clone user", unix.SYS_CLONE, [6]uintptr{unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD)}},
		{"clone network", unix.SYS_CLONE, [6]uintptr{unix.CLONE_NEWNET | uintptr(unix.SIGCHLD)}},
		{"clone3", unix.SYS_CLONE3, [6]uintptr{at, 88}},
		{"setns", unix.SYS_SETNS, [6]uintptr{0, 0}},
		{"mount", unix.SYS_MOUNT, [6]uintptr{at, at, at, 0, 0}},
		{"umount", unix.SYS_UMOUNT2, [6]uintptr{at, 2}},
		{"pivot_root", unix.SYS_PIVOT_ROOT, [6]uintptr{at, at}},
		{"chroot", unix.SYS_CHROOT, [6]uintptr{at}},
		{"open_tree", unix.SYS_OPEN_TREE, [6]uintptr{^uintptr(99), at, 1}},
		{"fsopen", unix.SYS_FSOPEN, [6]uintptr{at, 0}},
		{"mount_setattr", unix.SYS_MOUNT_SETATTR, [6]uintptr{^uintptr(99), at, 0, at, 32}},
		{"name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, [6]uintptr{^uintptr(99), at, at, at, 0}},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, [6]uintptr{3, at, 0}},
		{"fanotify_init", unix.SYS_FANOTIFY_INIT, [6]uintptr{0, 0}},
		{"personality", unix.SYS_PERSONALITY, [6]uintptr{0x40000}},
		{"kexec_load", unix.SYS_KEXEC_LOAD, [6]uintptr{0, 0, at, 0}},
		{"init_module", unix.SYS_INIT_MODULE, [6]uintptr{at, 1, at}},
		{"finit_module", unix.SYS_FINIT_MODULE, [6]uintptr{0, at, 0}},
		{"delete_module", unix.SYS_DELETE_MODULE, [6]uintptr{at, 0}},
		{"swapon", unix.SYS_SWAPON, [6]uintptr{at, 0}},
		{"reboot", unix.SYS_REBOOT, [6]uintptr{0xfee1dead, 672274793, 0x1234567, at}},
		{"syslog", unix.SYS_SYSLOG, [6]uintptr{3, at, 4096}},
		{"sethostname", unix.SYS_SETHOSTNAME, [6]uintptr{at, 1}},
		{"kcmp", unix.SYS_KCMP, [6]uintptr{self, 1, 0, 0, 0}},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD, [6]uintptr{3, 0, 0}},
		{"acct", unix.SYS_ACCT, [6]uintptr{0}},
		{"tiocsti", unix.SYS_IOCTL, [6]uintptr{0, unix.TIOCSTI, at}},
		{"tioclinux", unix.SYS_IOCTL, [6]uintptr{0, 0x541c, at}},
		{"tiocsti, high bits set", unix.SYS_IOCTL, [6]uintptr{0, 0xffffffff00000000 | unix.TIOCSTI, at}},
		{"mknod device", unix.SYS_MKNODAT, [6]uintptr{^uintptr(99), uintptr(unsafe.Pointer(&[]byte("/tmp/disk\x00")[0])), unix.S_IFBLK | 0o600, 0xfe00}},
		{"setuid 0", unix.SYS_SETUID, [6]uintptr{0}},
		{"process_madvise", unix.SYS_PROCESS_MADVISE, [6]uintptr{3, at, 0, 0, 0}},
		{"a number of the future", 1000, [6]uintptr{}},
	} {
		_, _, e := syscall.RawSyscall6(x.nr, x.a[0], x.a[1], x.a[2], x.a[3], x.a[4], x.a[5])
		switch {
		case e == unix.EPERM, e == unix.ENOSYS, e == unix.EINVAL && x.name == "setuid 0", e == unix.EACCES && x.name == "mknod device":
			fmt.Println("refused:", x.name+":", e)
		case e == 0:
			fmt.Println("SUCCEEDED:", x.name)
		default:
			fmt.Println("SUCCEEDED: reached the kernel:", x.name, e)
		}
	}
	status, _ := os.ReadFile("/proc/self/status")
	for _, want := range []string{"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "CapInh:\t0000000000000000",
		"CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !bytes.Contains(status, []byte(want)) {
			fmt.Println("SUCCEEDED: status lacks", want)
		}
	}
	var core unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	if core.Max != 0 {
		fmt.Println("SUCCEEDED: core files are possible")
	}
}

func attackX32([]string) {
	_, _, e := syscall.RawSyscall(0x40000000+39, 0, 0, 0)
	fmt.Println("SUCCEEDED: an x32 call returned", e)
}

// attackSockets makes sockets of families that lead around the network namespace
// or into the kernel.
func attackSockets([]string) {
	for name, s := range map[string][3]int{
		"netlink": {unix.AF_NETLINK, unix.SOCK_RAW, 0}, "packet": {unix.AF_PACKET, unix.SOCK_RAW, 0}, "vsock": {unix.AF_VSOCK, unix.SOCK_STREAM, 0},
		"alg": {unix.AF_ALG, unix.SOCK_SEQPACKET, 0}, "raw ip": {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP}, "raw ip6": {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_RAW},
		"icmp": {unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP}, "sctp": {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP},
		"mptcp": {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, "bluetooth": {unix.AF_BLUETOOTH, unix.SOCK_RAW, 0}, "xdp": {unix.AF_XDP, unix.SOCK_RAW, 0},
		"tipc": {unix.AF_TIPC, unix.SOCK_STREAM, 0}, "key": {unix.AF_KEY, unix.SOCK_RAW, 2}, "can": {unix.AF_CAN, unix.SOCK_RAW, 1}, "rds": {unix.AF_RDS, unix.SOCK_SEQPACKET, 0},
	} {
		fd, err := unix.Socket(s[0], s[1], s[2])
		if err == nil {
			unix.Close(fd)
		}
		result("socket "+name, err)
	}
	_, err := unix.Socketpair(unix.AF_TIPC, unix.SOCK_SEQPACKET, 0)
	result("socketpair tipc", err)
}

// attackDial tries to reach "network address" pairs.
func attackDial(a []string) {
	for i := 0; i+1 < len(a); i += 2 {
		c, err := net.DialTimeout(a[i], a[i+1], 2*time.Second)
		if err == nil && strings.HasPrefix(a[i], "udp") {
			_ = c.SetDeadline(time.Now().Add(500 * time.Millisecond))
			_, _ = c.Write([]byte("x"))
			_, err = c.Read(make([]byte, 1))
		}
		if err == nil {
			c.Close()
		}
		result("dial "+a[i]+" "+a[i+1], err)
	}
}

func attackEnviron([]string) {
	for _, e := range os.Environ() {
		fmt.Println(e)
	}
}

// attackFork makes processes until it may not.
func attackFork([]string) {
	n := 0
	for range 2000 {
		pid, _, e := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
		if e != 0 {
			fmt.Println("stopped after", n, "processes:", e)
			return
		}
		if pid == 0 {
			for {
				syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
			}
		}
		n++
	}
	fmt.Println("SUCCEEDED: made", n, "processes")
}

func attackMemory([]string) {
	var hold [][]byte
	for range 64 {
		b := make([]byte, 16<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		hold = append(hold, b)
	}
	fmt.Println("SUCCEEDED: used 1 GiB", len(hold))
}

func attackDescriptors([]string) {
	for n := range 100_000 {
		if _, err := unix.Dup(0); err != nil {
			fmt.Println("stopped after", n, "descriptors:", err)
			return
		}
	}
	fmt.Println("SUCCEEDED: unlimited descriptors")
}

func attackSignal([]string) {
	for _, s := range []syscall.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGSTOP, unix.SIGSEGV} {
		result("signal init", unix.Kill(1, s))
	}
}

// attackFDs lists the descriptors that it inherited.
func attackFDs([]string) {
	for fd := range 1024 {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil {
			if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
				fmt.Println("inherited", fd)
			}
		}
	}
}

// attackSetuid tries every way to give a file the setuid bit.
func attackSetuid(a []string) {
	file, new := filepath.Join(a[0], "file"), filepath.Join(a[0], "new")
	at := func(s string) uintptr { p, _ := syscall.BytePtrFromString(s); return uintptr(unsafe.Pointer(p)) }
	result("chmod", unix.Chmod(file, 0o4755))
	result("fchmodat", unix.Fchmodat(unix.AT_FDCWD, file, 0o4755, 0))
	_, _, e := syscall.Syscall6(unix.SYS_FCHMODAT2, ^uintptr(99), at(file), 0o4755, 0, 0, 0)
	result("fchmodat2", errnoOrNil(e))
	fd, err := unix.Open(file, unix.O_RDWR, 0o4755) // the mode does not count here
	if err != nil {
		fmt.Println("SUCCEEDED in breaking: an ordinary open:", err)
	}
	result("fchmod", unix.Fchmod(fd, 0o4755))
	_, err = unix.Open(new, unix.O_CREAT|unix.O_RDWR, 0o4755)
	result("open", err)
	_, err = unix.Open(a[0], unix.O_TMPFILE|unix.O_RDWR, 0o4755)
	result("open without a name", err)
	_, err = unix.Openat2(unix.AT_FDCWD, new, &unix.OpenHow{Flags: unix.O_CREAT | unix.O_RDWR, Mode: 0o4755})
	result("openat2", err)
	result("mknod", unix.Mknod(new, unix.S_IFREG|0o4755, 0))
}

// attackSTI puts a command into the terminal's input.
func attackSTI([]string) {
	for _, c := range []byte("touch /tmp/pwned\n") {
		_, _, e := syscall.Syscall(unix.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
		if e != unix.EPERM {
			fmt.Println("SUCCEEDED: TIOCSTI", e)
		}
	}
}
