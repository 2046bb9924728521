//go:build amd64 || arm64

package warden

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The tests build a real sandbox of three processes: the test, a PID 1 in its
// own user, mount and PID namespaces that runs the warden, and an agent behind
// Landlock and the filter. The agent is this test binary again in the role
// "attack", or any other program.
const roleEnv, setupEnv = "WARDEN_TEST_ROLE", "WARDEN_TEST_SETUP"

// setup is what the three processes share.
type setup struct {
	Who   int
	Tree  Tree
	Free  string // a directory where Landlock grants everything
	Argv  []string
	Dir   string
	Plain bool // no warden: what the kernel does by itself
}

// outcome is what came of it.
type outcome struct {
	Out     string
	Code    int
	Denied  []string
	Refused uint64
	Served  string // Serve's error
	Late    bool   // Serve did not return though the agent had ended
}

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleEnv); role {
	case "":
		os.Exit(m.Run())
	case "init":
		err = beInit()
	case "agent":
		err = beAgent()
	case "attack":
		err = beAttacker(os.Args[1], os.Args[2:])
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "warden test:", err)
		os.Exit(99)
	}
	os.Exit(0)
}

func readSetup() (s setup, err error) {
	return s, json.Unmarshal([]byte(os.Getenv(setupEnv)), &s)
}

// users are who a test runs as: root and an ordinary user, or whoever runs it.
func users() []int {
	if os.Geteuid() == 0 {
		return []int{0, 12345}
	}
	return []int{os.Geteuid()}
}

// ground is a fresh directory that belongs to who, with the tree's root "ws"
// and the free directory "free" inside.
func ground(t testing.TB, who int) (root, free string) {
	t.Helper()
	top, err := os.MkdirTemp("", "warden-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(top); err != nil {
			t.Error(err)
		}
	})
	must(t, os.Chmod(top, 0o755))
	root, free = filepath.Join(top, "ws"), filepath.Join(top, "free")
	for _, d := range []string{root, free} {
		must(t, os.Mkdir(d, 0o755))
		must(t, os.Chown(d, who, who))
	}
	return root, free
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plant makes files for who, with their directories; a name that ends with a
// slash is a directory, "a -> b" a symbolic link.
func plant(t testing.TB, who int, root string, names ...string) {
	t.Helper()
	for _, n := range names {
		link, target, isLink := strings.Cut(n, " -> ")
		at := filepath.Join(root, link)
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		switch {
		case isLink:
			must(t, os.Symlink(target, at))
		case strings.HasSuffix(n, "/"):
			must(t, os.MkdirAll(at, 0o755))
		default:
			must(t, os.WriteFile(at, []byte("original "+n), 0o644))
		}
	}
	must(t, filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, who, who)
	}))
}

// start runs the sandbox to its end.
func start(t testing.TB, s setup) outcome {
	t.Helper()
	b, err := json.Marshal(s)
	must(t, err)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"=init", setupEnv+"="+string(b), "HOME="+s.Free, "TMPDIR="+s.Free)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.ExtraFiles = []*os.File{w}
	one := []syscall.SysProcIDMap{{ContainerID: s.Who, HostID: s.Who, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: one, GidMappings: one, AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}, Pdeathsig: unix.SIGKILL,
		Credential: &syscall.Credential{Uid: uint32(s.Who), Gid: uint32(s.Who), NoSetGroups: true},
	}
	must(t, cmd.Start())
	w.Close()
	var o outcome
	if err := json.NewDecoder(r).Decode(&o); err != nil {
		_ = cmd.Wait()
		t.Fatalf("the sandbox gave no report (%v):\n%s", err, out.String())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the sandbox: %v\n%s", err, out.String())
	}
	o.Out = out.String()
	if o.Served != "" || o.Late {
		t.Errorf("Serve: %q, late %v", o.Served, o.Late)
	}
	return o
}

// beInit is the sandbox's PID 1.
func beInit() error {
	s, err := readSetup()
	if err != nil {
		return err
	}
	if err := mounts(s.Tree); err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", s.Argv...)
	cmd.Env = append(os.Environ(), roleEnv+"=agent")
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "sock")}
	if err := cmd.Start(); err != nil {
		return err
	}
	var o outcome
	serve := func() error { return nil }
	if !s.Plain {
		if serve, err = warden(pair[0], s.Tree, &o); err != nil {
			return err
		}
	}
	served := make(chan error, 1)
	go func() { served <- serve() }()
	_ = cmd.Wait()
	o.Code = cmd.ProcessState.ExitCode()
	return finish(&o, served)
}

func warden(sock int, tree Tree, o *outcome) (func() error, error) {
	fd, err := ReceiveListener(sock)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	w, err := New(fd, Rules{Trees: []Tree{tree}, Denied: func(p string) {
		mu.Lock()
		defer mu.Unlock()
		o.Denied = append(o.Denied, p)
	}})
	if err != nil {
		return nil, err
	}
	return func() error {
		err := w.Serve()
		mu.Lock()
		defer mu.Unlock()
		o.Refused = w.Refused()
		return err
	}, nil
}

// finish ends what the agent left behind, and reports.
func finish(o *outcome, served <-chan error) error {
	_ = unix.Kill(-1, unix.SIGKILL)
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
			break
		}
	}
	if err := <-served; err != nil {
		o.Served = err.Error()
	}
	return json.NewEncoder(os.NewFile(3, "report")).Encode(o)
}

func mounts(t Tree) error {
	type step struct {
		from, to, kind string
		flags          uintptr
	}
	steps := []step{{"", "/", "", unix.MS_REC | unix.MS_PRIVATE}, {t.Root, t.Root, "", unix.MS_BIND}}
	for _, m := range t.Mounts {
		at := filepath.Join(t.Root, m)
		steps = append(steps, step{at, at, "", unix.MS_BIND},
			step{"", at, "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY})
	}
	steps = append(steps, step{"proc", "/proc", "proc", 0})
	for _, m := range steps {
		if err := unix.Mount(m.from, m.to, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.to, err)
		}
	}
	return nil
}

// beAgent puts the walls around itself and becomes the agent.
func beAgent() error {
	runtime.LockOSThread()
	s, err := readSetup()
	if err != nil {
		return err
	}
	var none [2]unix.CapUserData
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	unix.CloseOnExec(3)
	if !s.Plain {
		if err := confine(s); err != nil {
			return err
		}
	}
	exe, err := exec.LookPath(s.Argv[0])
	if err != nil {
		return err
	}
	if err := os.Setenv(roleEnv, "attack"); err != nil {
		return err
	}
	return unix.Exec(exe, s.Argv, os.Environ())
}

func confine(s setup) error {
	if err := landlock(map[string]uint64{"/": allRights &^ Withheld, s.Free: allRights}); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	if err := Prove(s.Tree.Root); err != nil {
		return err
	}
	fd, err := Install()
	if err != nil {
		return err
	}
	return SendListener(3, fd)
}

const allRights = uint64(0x7fff) // Landlock's third version

func landlock(rules map[string]uint64) error {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: allRights}
	set, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), 8, 0)
	if e != 0 {
		return e
	}
	for path, rights := range rules {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// struct landlock_path_beneath_attr is packed: 12 bytes.
		rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
		if _, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, set, unix.LANDLOCK_RULE_PATH_BENEATH,
			uintptr(unsafe.Pointer(&rule)), 0, 0, 0); e != 0 {
			return e
		}
		unix.Close(fd)
	}
	if _, _, e := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, set, 0, 0); e != 0 {
		return e
	}
	return unix.Close(int(set))
}
