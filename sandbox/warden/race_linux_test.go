//go:build amd64 || arm64

package warden

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const raceTime = 1500 * time.Millisecond

// attackFlip changes the bytes of a path while calls with it are under way:
// between a harmless name and a protected one, and between two directories.
func attackFlip([]string) error {
	pairs := [][2]string{{"xenvrc", ".envrc"}, {"gh/workflow_", "gh/workflows"}, {"hb/workflows", "gh/workflows"}, {"sub/x", "sub/."},
		{"sub/.github/workflow_", "sub/.github/workflows"}, {"sub/_github/agents", "sub/.github/agents"}, {"sub/_local", "sub/.local"}}
	var stop atomic.Bool
	var tries atomic.Uint64
	var all sync.WaitGroup
	var paths [][]byte
	for _, pair := range pairs {
		mem := append([]byte(pair[0]), 0)
		paths = append(paths, mem)
		all.Go(func() {
			for !stop.Load() {
				hammer(&mem[0])
				tries.Add(1)
				_ = os.RemoveAll(pair[0])
			}
		})
	}
	all.Go(func() {
		for i := 0; !stop.Load(); i++ {
			for k, pair := range pairs {
				copyRacing(paths[k], pair[i/(k+1)%2])
			}
			if i%64 == 0 {
				runtime.Gosched()
			}
		}
	})
	time.Sleep(raceTime)
	stop.Store(true)
	all.Wait()
	fmt.Println("tries", tries.Load())
	return nil
}

// copyRacing writes a path byte by byte, while the kernel and the warden read.
//
//go:norace
func copyRacing(mem []byte, s string) {
	for i := range len(s) {
		if mem[i] != s[i] {
			*(*byte)(unsafe.Pointer(&mem[i])) = s[i]
		}
	}
}

// hammer makes every call that could make a file at the path in memory.
func hammer(path *byte) {
	here := unix.AT_FDCWD
	at, p := uintptr(here), uintptr(unsafe.Pointer(path))
	seed := []byte("seed\x00")
	s := uintptr(unsafe.Pointer(&seed[0]))
	for _, flags := range []uintptr{unix.O_CREAT | unix.O_RDWR, unix.O_CREAT | unix.O_EXCL | unix.O_RDWR, unix.O_CREAT | unix.O_NOFOLLOW} {
		flags |= unix.O_NONBLOCK // a pipe may be there
		if fd, _, e := unix.Syscall6(unix.SYS_OPENAT, at, p, flags, 0o644, 0, 0); e == 0 {
			_ = unix.Close(int(fd))
		}
	}
	_, _, _ = unix.Syscall(unix.SYS_MKDIRAT, at, p, 0o755)
	_, _, _ = unix.Syscall6(unix.SYS_MKNODAT, at, p, unix.S_IFIFO|0o644, 0, 0, 0)
	_, _, _ = unix.Syscall(unix.SYS_SYMLINKAT, s, at, p)
	_, _, _ = unix.Syscall6(unix.SYS_LINKAT, at, s, at, p, 0, 0)
	if os.WriteFile("moved", nil, 0o644) == nil {
		moved := []byte("moved\x00")
		_, _, _ = unix.Syscall6(unix.SYS_RENAMEAT2, at, uintptr(unsafe.Pointer(&moved[0])), at, p, 0, 0)
		runtime.KeepAlive(moved)
	}
	runtime.KeepAlive(seed)
	runtime.KeepAlive(path)
}

// watch looks at the tree from outside all the while, and tells of each
// protected path that it sees. What is gone again in between counts as well.
func watch(root string, protected func(rel string) bool) (stop func() []string) {
	var seen []string
	var done atomic.Bool
	var wg sync.WaitGroup
	look := func() {
		_ = filepath.WalkDir(root, func(p string, _ fs.DirEntry, _ error) error {
			if rel, err := filepath.Rel(root, p); err == nil && protected(rel) && len(seen) < 10 {
				if now, ok := pathNow(root, rel); ok && protected(now) {
					seen = append(seen, now)
				}
			}
			return nil
		})
	}
	wg.Go(func() {
		for !done.Load() {
			look()
			time.Sleep(time.Millisecond)
		}
	})
	return func() []string {
		done.Store(true)
		wg.Wait()
		look()
		return seen
	}
}

// pathNow returns what the kernel calls the file at rel, at one moment. The names
// that a walk has collected may never have been one path: a directory that is
// being listed can be moved meanwhile.
func pathNow(root, rel string) (string, bool) {
	fd, err := unix.Open(filepath.Join(root, rel), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	at, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil || strings.HasSuffix(at, " (deleted)") {
		return "", false
	}
	now, err := filepath.Rel(root, at)
	return now, err == nil
}

func TestFlippedPath(t *testing.T) {
	as(t, func(t *testing.T, who int) {
		root, free := ground(t, who)
		plant(t, who, root, "seed", "gh/", "hb/", "sub/.github/", "sub/_github/")
		tree := Tree{Root: root, Names: []string{".envrc", ".github/workflows", ".github/agents", ".local/bin"}, Paths: []string{"gh/workflows"}}
		stop := watch(root, func(rel string) bool {
			link, _ := os.Readlink(filepath.Join(root, rel))
			return strings.Contains(rel, ".envrc") || strings.HasPrefix(rel, "gh/workflows") || strings.Contains(rel, ".github/workflows") ||
				strings.Contains(rel, ".github/agents") || rel == "sub/.local" && link != ""
		})
		o := run(t, who, tree, free, "flip")
		if seen := stop(); len(seen) > 0 {
			t.Errorf("made %q", seen)
		}
		if o.Code != 0 || o.Refused == 0 || !strings.HasPrefix(o.Out, "tries ") {
			t.Errorf("exit %d, %d refused: %s", o.Code, o.Refused, o.Out)
		}
		t.Logf("%s refused %d", o.Out, o.Refused)
	})
}

// attackSwap moves directories, and links to them, while names are made below.
func attackSwap([]string) error {
	var stop atomic.Bool
	var all sync.WaitGroup
	var made atomic.Uint64
	loop := func(f func()) {
		all.Go(func() {
			for !stop.Load() {
				f()
			}
		})
	}
	const here = unix.AT_FDCWD
	rename := func(a, b string, flags uint) { _ = unix.Renameat2(here, a, here, b, flags) }
	loop(func() {
		rename("g", ".github", 0)
		rename("g", "h", 0)
		_ = os.Mkdir("g", 0o755)
		_ = os.Remove(".github")
	})
	loop(func() {
		rename("h", ".github", 0)
		rename("h", "g", 0)
		_ = os.RemoveAll("h")
		_ = os.Mkdir("h", 0o755)
	})
	loop(func() { rename("g", "h", unix.RENAME_EXCHANGE); rename(".github", "g", unix.RENAME_EXCHANGE) })
	loop(func() { _ = os.Mkdir(".github", 0o755); _ = os.Remove(".github") })
	loop(func() {
		_ = os.Remove("p")
		_ = os.Symlink("g", "p")
		_ = os.Remove("p")
		_ = os.Symlink(".github", "p")
	})
	for _, dir := range []string{"g", "h", "p", ".github"} {
		loop(func() {
			if os.Mkdir(dir+"/workflows", 0o755) == nil {
				made.Add(1)
			}
			_ = os.WriteFile(dir+"/workflows/ci.yml", []byte("evil"), 0o644)
		})
		loop(func() {
			if fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0); err == nil {
				_ = unix.Mkdirat(fd, "workflows", 0o755)
				_ = unix.Renameat2(here, "tmp", fd, "workflows", 0)
				_ = unix.Close(fd)
				_ = os.Mkdir("tmp", 0o755)
			}
		})
	}
	time.Sleep(raceTime)
	stop.Store(true)
	all.Wait()
	fmt.Println("made", made.Load())
	return nil
}

func TestSwappedParents(t *testing.T) {
	for what, tree := range map[string]Tree{
		"here":     {Paths: []string{".github/workflows"}},
		"anywhere": {Names: []string{".github/workflows"}},
	} {
		t.Run(what, func(t *testing.T) {
			as(t, func(t *testing.T, who int) {
				root, free := ground(t, who)
				tree.Root = root
				stop := watch(root, func(rel string) bool { return strings.HasPrefix(rel, ".github/workflows") })
				o := run(t, who, tree, free, "swap")
				if seen := stop(); len(seen) > 0 {
					t.Errorf("made %q", seen)
				}
				if o.Code != 0 || o.Refused == 0 || !strings.HasPrefix(o.Out, "made ") || strings.HasPrefix(o.Out, "made 0\n") {
					t.Errorf("exit %d, %d refused: %s", o.Code, o.Refused, o.Out)
				}
				t.Logf("%s refused %d", o.Out, o.Refused)
			})
		})
	}
}
