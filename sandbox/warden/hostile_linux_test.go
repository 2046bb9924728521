//go:build amd64 || arm64

package warden

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ok runs an attack that checks everything itself, and then that the warden
// still serves.
func ok(t *testing.T, attack string) {
	as(t, func(t *testing.T, who int) {
		root, free := ground(t, who)
		plant(t, who, root, "seed")
		o := run(t, who, Tree{Root: root, Names: []string{".envrc"}, Paths: []string{".git/hooks"}}, free, attack)
		if o.Code != 0 {
			t.Errorf("exit %d:\n%s", o.Code, o.Out)
		}
		if _, err := os.Lstat(root + "/.envrc"); err == nil {
			t.Error(".envrc was made")
		}
		if _, err := os.Lstat(root + "/last"); err != nil {
			t.Errorf("the warden does not serve any more: %v\n%s", err, o.Out)
		}
	})
}

func last() error { return os.WriteFile("last", nil, 0o644) }

func TestHidden(t *testing.T)      { ok(t, "hidden") }
func TestDying(t *testing.T)       { ok(t, "dying") }
func TestThreads(t *testing.T)     { ok(t, "threads") }
func TestInterrupted(t *testing.T) { ok(t, "interrupted") }
func TestNoRoom(t *testing.T)      { ok(t, "noroom") }
func TestPipes(t *testing.T)       { ok(t, "pipes") }
func TestLongPaths(t *testing.T)   { ok(t, "long") }
func TestBadMemory(t *testing.T)   { ok(t, "memory") }
func TestSideDoors(t *testing.T)   { ok(t, "doors") }
func TestSockets(t *testing.T)     { ok(t, "sockets") }

// attackHidden makes itself unreadable. The warden cannot see what such a
// process asks for, so that the kernel refuses it; elsewhere it may work.
func attackHidden([]string) error {
	if err := last(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return err
	}
	for _, p := range []string{"x", ".envrc"} {
		for _, m := range makers() {
			if err := m.make(p); err == nil {
				return fmt.Errorf("%s %s: made", m.what, p)
			}
		}
	}
	if err := os.WriteFile(os.Getenv("HOME")+"/x", nil, 0o644); err != nil {
		return fmt.Errorf("not in the free directory either: %w", err)
	}
	return nil
}

// attackDying kills processes in the middle of their calls.
func attackDying([]string) error {
	for i := range 25 {
		cmd := exec.Command("/bin/sh", "-c", "while :; do : > d$$; mkdir m$$; mv m$$ n$$; rmdir n$$; : > .envrc; done 2>/dev/null")
		if err := cmd.Start(); err != nil {
			return err
		}
		time.Sleep(time.Duration(i) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return last()
}

func attackThreads([]string) error {
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for n := range 16 {
		wg.Go(func() {
			for i := range 100 {
				dir := fmt.Sprintf("d%d", i%7)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					errs <- err
					return
				}
				name := fmt.Sprintf("%s/%d-%d", dir, n, i)
				if err := errors.Join(os.WriteFile(name, []byte("x"), 0o600), os.Rename(name, name+"m")); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	for n := range 16 {
		for i := range 100 {
			if _, err := os.Stat(fmt.Sprintf("d%d/%d-%dm", i%7, n, i)); err != nil {
				return err
			}
		}
	}
	return last()
}

// attackInterrupted makes names while signals arrive: none may be made twice.
func attackInterrupted([]string) error {
	timer := unix.Itimerval{Interval: unix.Timeval{Usec: 300}, Value: unix.Timeval{Usec: 300}}
	if _, err := unix.Setitimer(unix.ITIMER_REAL, timer); err != nil {
		return err
	}
	for i := range 500 {
		if err := unix.Mkdir("i"+strconv.Itoa(i), 0o755); err != nil {
			return fmt.Errorf("mkdir %d: %w", i, err)
		}
		fd, err := unix.Open("f"+strconv.Itoa(i), unix.O_CREAT|unix.O_EXCL|unix.O_RDWR, 0o644)
		if err != nil {
			return fmt.Errorf("open %d: %w", i, err)
		}
		_ = unix.Close(fd)
	}
	_, _ = unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{})
	return last()
}

// attackNoRoom has no descriptor left: the call fails and leaves no file.
func attackNoRoom([]string) error {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		return err
	}
	_, err := unix.Open("x", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644)
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if err != unix.EMFILE {
		return fmt.Errorf("open: %v", err)
	}
	if _, err := os.Lstat("x"); err == nil {
		return errors.New("x was left")
	}
	return last()
}

// attackPipes blocks in the opening of pipes, which must hold up nobody else.
func attackPipes([]string) error {
	if err := unix.Mkfifo("p", 0o600); err != nil {
		return err
	}
	for range 12 {
		go func() { _, _ = unix.Open("p", unix.O_CREAT|unix.O_WRONLY, 0o600) }()
	}
	time.Sleep(50 * time.Millisecond)
	return last()
}

// attackLong goes deeper than a path can be long.
func attackLong([]string) error {
	name := strings.Repeat("n", 200)
	depth := 0
	for ; depth < 40; depth++ {
		if err := os.Mkdir(name, 0o755); err != nil {
			break
		}
		if err := os.Chdir(name); err != nil {
			return err
		}
		if err := os.WriteFile(".envrc", nil, 0o644); err == nil {
			return fmt.Errorf(".envrc made at depth %d", depth)
		}
	}
	if depth < 18 || depth > 21 {
		return fmt.Errorf("went %d deep", depth)
	}
	if err := os.WriteFile(strings.Repeat("x", 256), nil, 0o644); !errors.Is(err, unix.ENAMETOOLONG) {
		return fmt.Errorf("a long name: %v", err)
	}
	for range depth {
		if err := os.Chdir(".."); err != nil {
			return err
		}
	}
	slow := "/proc/self/cwd/" + strings.Repeat("./", 2030)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				_ = os.WriteFile(slow+".envrc", nil, 0o644)
			}
		})
	}
	wg.Wait()
	for _, p := range []string{strings.Repeat("./", 2040) + "x", slow + "y"} {
		if err := os.WriteFile(p, nil, 0o644); err != nil {
			return err
		}
	}
	return last()
}

// attackMemory gives paths that are not there, or end at a page that is not.
func attackMemory([]string) error {
	page := os.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	if err := unix.Mprotect(mem[page:], unix.PROT_NONE); err != nil {
		return err
	}
	here := unix.AT_FDCWD
	mkdir := func(at uintptr) unix.Errno {
		_, _, e := unix.Syscall(unix.SYS_MKDIRAT, uintptr(here), at, 0o755)
		return e
	}
	end := func(s string) uintptr {
		return uintptr(unsafe.Pointer(&mem[page-copy(mem[page-len(s):page], s)]))
	}
	if e := mkdir(end("fits\x00")); e != 0 {
		return fmt.Errorf("at the end of memory: %w", e)
	}
	for what, at := range map[string]uintptr{"unended": end("unended"), "null": 0, "high": ^uintptr(0) - 2, "kernel": 1 << 63,
		"none": uintptr(unsafe.Pointer(&mem[page]))} {
		if e := mkdir(at); e != unix.EFAULT {
			return fmt.Errorf("%s: %v", what, e)
		}
	}
	return last()
}

// attackDoors tries what would make names past the warden.
func attackDoors([]string) error {
	if _, err := unix.Openat2(unix.AT_FDCWD, "x", &unix.OpenHow{Flags: unix.O_CREAT | unix.O_RDWR, Mode: 0o600}); err != unix.ENOSYS {
		return fmt.Errorf("openat2: %v", err)
	}
	if err := landlock(nil); err != unix.EOPNOTSUPP {
		return fmt.Errorf("landlock: %v", err)
	}
	for _, cmd := range []uintptr{0x50009401, 0x5000940e, 0x50009417, 0x50009418, 0x4020bc10} {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, 0, cmd, 0); e != unix.EPERM {
			return fmt.Errorf("ioctl %#x: %v", cmd, e)
		}
	}
	if err := unix.Mknod("null", unix.S_IFCHR|0o600, 0x103); err == nil {
		return errors.New("made a device")
	}
	if err := unix.Mknod("white", unix.S_IFCHR|0o600, 0); err == nil {
		return errors.New("made a whiteout")
	}
	if err := unix.Kill(1, unix.SIGKILL); err != nil {
		return fmt.Errorf("kill: %w", err) // has no effect on PID 1, as the rest shows
	}
	return last()
}

func attackSockets([]string) error {
	if err := bindTo(".envrc"); err != unix.EACCES {
		return fmt.Errorf("bind: %v", err)
	}
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := unix.Bind(s, &unix.SockaddrUnix{Name: wd + "/sock"}); err != nil {
		return err
	}
	name, err := unix.Getsockname(s)
	if u, ok := name.(*unix.SockaddrUnix); err != nil || !ok || u.Name != wd+"/sock" {
		return fmt.Errorf("getsockname: %v, %v", name, err)
	}
	return last()
}
