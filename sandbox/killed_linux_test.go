package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// alive lists processes whose command line holds the mark.
func alive(mark string) []string {
	dirs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var out []string
	for _, d := range dirs {
		if b, err := os.ReadFile(d); err == nil && strings.Contains(string(b), mark) {
			out = append(out, d)
		}
	}
	return out
}

// gone waits until nothing with the mark runs, and fails after a while.
func gone(t *testing.T, mark string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if len(alive(mark)) == 0 {
			return
		}
	}
	t.Errorf("%s still runs: %v", mark, alive(mark))
}

// escape is a script that tries to outlive its task: in a session of its own, deaf
// to signals, with a parent that is gone.
func escape(mark string) string {
	return `trap '' TERM HUP INT; (setsid sh -c 'trap "" TERM HUP INT; sleep 1000 #` + mark + `; :' &) ; (setsid nohup sh -c 'while :; do sleep 1; done #` + mark + `' >/dev/null 2>&1 &) ; sleep 0.2; echo ready`
}

func TestNothingOutlivesTheCommand(t *testing.T) {
	mark := fmt.Sprintf("mark-%d-%d", os.Getpid(), time.Now().UnixNano())
	e := sh(t, base(t), escape(mark))
	if !strings.Contains(e.out, "ready") {
		t.Error(e.out)
	}
	gone(t, mark)
}

func TestContextEndsEverything(t *testing.T) {
	mark := fmt.Sprintf("mark-%d-%d", os.Getpid(), time.Now().UnixNano())
	s := base(t)
	s.Argv = []string{"/bin/sh", "-c", escape(mark) + "; sleep 1000"}
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	s.Stdout = w
	ctx, cancel := context.WithCancel(t.Context())
	box, err := Start(ctx, s)
	w.Close()
	must(t, err)
	must(t, box.Go())
	if line, err := bufio.NewReader(r).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	at := time.Now()
	cancel()
	st, err := box.Wait()
	if err != nil || st.Signal != int(unix.SIGKILL) {
		t.Errorf("%+v %v", st, err)
	}
	t.Logf("ended after %v", time.Since(at))
	gone(t, mark)
	if err := box.Signal(unix.SIGTERM); err == nil {
		t.Error("a signal to a sandbox that has ended was sent")
	}
}

// beGatekeeper is a process that runs a sandbox and waits to be killed.
func beGatekeeper(scratch string) int {
	s := Spec{Argv: []string{"/bin/sh", "-c", escape(os.Args[2]) + "; sleep 1000"}, Env: []string{testPath}, Scratch: scratch, Stdout: os.Stdout}
	box, err := Start(context.Background(), s)
	if err == nil {
		err = box.Go()
	}
	if err == nil {
		_, err = box.Wait()
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func TestKilledGatekeeperTakesTheAgentWithIt(t *testing.T) {
	mark := fmt.Sprintf("mark-%d-%d", os.Getpid(), time.Now().UnixNano())
	scratch := filepath.Join(t.TempDir(), "scratch")
	must(t, os.Mkdir(scratch, 0o700))
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe, scratch, mark)
	cmd.Env = append(os.Environ(), roleEnv+"=gatekeeper")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "ready\n" {
		t.Fatal(line, err)
	}
	if len(alive(mark)) < 3 {
		t.Errorf("only %v run", alive(mark))
	}
	must(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait()
	gone(t, mark)
	must(t, Clean(scratch))
	if groups := groupsOf(cmd.Process.Pid); len(groups) != 0 {
		t.Errorf("control groups are left: %v", groups)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	s := base(t)
	ws := workspace(t, "file")
	s.Files = []File{{Path: ws, Access: Writable}, {Path: ws, At: "/mnt/x", Access: CopyOnWrite}}
	s.Protect = protect()
	s.TCPPorts, s.Socket = []uint16{443}, "/run/ambit/agent.sock"
	before := openFiles(t)
	children := zombies(t)
	for range 3 {
		if e := sh(t, s, "cat "+ws+"/file; (sleep 100 &) ; mkdir /mnt/x/d; exit 7"); e.status.Code != 7 {
			t.Error(e)
		}
	}
	bad := s
	bad.Files = append(bad.Files, File{Path: ws, At: "/usr/share/no-such", Access: ReadOnly})
	bad.Argv = []string{"true"}
	bad.Scratch = t.TempDir()
	if _, err := Start(t.Context(), bad); err == nil {
		t.Error("it started")
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	if string(mounts) != string(after) {
		t.Error("the mounts have changed")
	}
	if n := openFiles(t); n > before {
		t.Errorf("%d descriptors are open, %d were", n, before)
	}
	if n := zombies(t); n > children {
		t.Errorf("%d children are left, %d were", n, children)
	}
	if groups := groupsOf(os.Getpid()); len(groups) != 0 {
		t.Errorf("control groups are left: %v", groups)
	}
	if got := snapshot(t, ws); len(got) != 2 {
		t.Errorf("the workspace holds %v", got)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(list)
}

func zombies(t *testing.T) int {
	t.Helper()
	n := 0
	list, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range list {
		b, _ := os.ReadFile(f)
		n += len(strings.Fields(string(b)))
	}
	return n
}

func TestOutputEndsWhenTheCommandClosesIt(t *testing.T) {
	s := base(t)
	s.Argv = []string{"/bin/sh", "-c", "echo out; exec >&- 2>&-; read x <&-; sleep 1000"}
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	s.Stdout, s.Stderr = w, w
	box, err := Start(t.Context(), s)
	w.Close()
	must(t, err)
	must(t, box.Go())
	must(t, r.SetReadDeadline(time.Now().Add(time.Minute)))
	if b, err := io.ReadAll(r); err != nil || !strings.HasPrefix(string(b), "out\n") {
		t.Errorf("%q %v", b, err)
	}
	must(t, box.Kill())
	box.Wait()
}

func TestExitCodesAndSignals(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 42": 42, "kill -9 $$": 137, "kill -TERM $$": 143, "kill -SEGV $$": 139} {
		if got := sh(t, base(t), script).status.Exit(); got != want {
			t.Errorf("%s: %d, want %d", script, got, want)
		}
	}
}

func TestCommandThatIsNotThere(t *testing.T) {
	for _, argv := range [][]string{{"no-such-command"}, {"/no/such"}, {"/etc/passwd"}, {"./relative"}} {
		s := base(t)
		s.Argv = argv
		box, err := Start(t.Context(), s)
		must(t, err)
		if err := box.Go(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v: %v", argv, err)
		}
		box.Wait()
	}
	s := base(t)
	s.Argv, s.Dir = []string{"true"}, "/no/such/dir"
	box, err := Start(t.Context(), s)
	must(t, err)
	if err := box.Go(); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "/no/such/dir") {
		t.Errorf("a directory that is not there is no missing command: %v", err)
	}
	box.Wait()
}

func TestSignalReachesTheCommandsGroup(t *testing.T) {
	s := base(t)
	s.Argv = []string{"/bin/sh", "-c", `trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done`}
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	s.Stdout = w
	box, err := Start(t.Context(), s)
	w.Close()
	must(t, err)
	must(t, box.Go())
	lines := bufio.NewReader(r)
	if l, _ := lines.ReadString('\n'); l != "ready\n" {
		t.Fatal(l)
	}
	must(t, box.Signal(syscall.SIGTERM))
	if l, _ := lines.ReadString('\n'); l != "got it\n" {
		t.Error(l)
	}
	if st, err := box.Wait(); st.Code != 3 || err != nil {
		t.Error(st, err)
	}
}

// beConfined confines itself with a sandbox running, and tries what it may and
// may not do. It prints a line for each surprise.
func beConfined(a []string) int {
	scratch, tcp, sock, kept := a[0], a[1], a[2], a[3]
	s := Spec{Argv: []string{"/bin/sh", "-c", "read x; exit 5"}, Env: []string{testPath}, Scratch: scratch, TCPPorts: []uint16{443}}
	in, feed, _ := os.Pipe()
	s.Stdin = in
	box, err := Start(context.Background(), s)
	if err != nil {
		fmt.Println("start:", err)
		return 1
	}
	report, err := Confine(ConfineSpec{ReadFiles: []string{kept}})
	if err != nil {
		fmt.Println("confine:", err)
		return 1
	}
	fmt.Print(report)
	// It panics when one thread answers otherwise than the others.
	if r, _, e := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_GET_NO_NEW_PRIVS, 0, 0); r != 1 || e != 0 {
		fmt.Println("BROKEN: may take new privileges:", r, e)
	}
	if err := box.Go(); err != nil {
		fmt.Println("go:", err)
	}
	for what, err := range map[string]error{"tcp": dialOnce("tcp", tcp), "kept file": attackOpen(kept)} {
		if err != nil {
			fmt.Println("BROKEN:", what, err)
		}
	}
	_, lerr := net.Listen("tcp", "127.0.0.1:0")
	_, perr := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	_, _, ferr := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	_, uerr := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)
	for what, err := range map[string]error{"unix": dialOnce("unix", sock), "listen": lerr, "exec": perr, "fork": errnoOrNil(ferr), "netlink": uerr, "read /etc/passwd": attackOpen("/etc/passwd"),
		"read /proc/self/mem": attackOpen("/proc/self/mem"), "write /tmp": os.WriteFile(scratch+"/x", nil, 0o600),
		"ptrace": unix.PtraceAttach(1), "mount": unix.Mount("x", "/tmp", "tmpfs", 0, ""), "signal parent": unix.Kill(os.Getppid(), 0),
		"signal parent's thread": unix.Tgkill(os.Getppid(), os.Getppid(), 0), "signal through a pidfd": attackPidfd(os.Getppid()),
		"signal init": unix.Kill(box.process.pid, 0), "signal through a descriptor": attackOwner(unix.F_SETOWN, os.Getppid()),
		"choose a descriptor's signal": attackOwner(unix.F_SETSIG, int(unix.SIGKILL)), "a descriptor's owner by ioctl": attackIoctlOwner(os.Getppid()),
		"limit parent": unix.Prlimit(os.Getppid(), unix.RLIMIT_CORE, &unix.Rlimit{}, nil), "slow parent down": unix.Setpriority(unix.PRIO_PROCESS, os.Getppid(), 19),
		"chmod": unix.Chmod(scratch, 0o711), "fchmodat": unix.Fchmodat(unix.AT_FDCWD, scratch, 0o711, 0), "setxattr": unix.Setxattr(scratch, "user.x", []byte("y"), 0),
		"utimensat": unix.UtimesNanoAt(unix.AT_FDCWD, scratch, make([]unix.Timespec, 2), 0), "a queue of the host": attackQueue()} {
		result(what, err)
	}
	if a[4] == "die" {
		fmt.Printf("init %d\n", box.process.pid)
		select {}
	}
	if a[4] == "kill" {
		err = box.Kill() // it may send no signal out of its domain
	} else {
		err = feed.Close()
	}
	if err != nil {
		fmt.Println("BROKEN: end:", err)
	}
	st, err := box.Wait()
	fmt.Println("status", st.Exit(), err)
	return 0
}

func errnoOrNil(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

func dialOnce(network, addr string) error {
	c, err := net.DialTimeout(network, addr, time.Minute)
	if err == nil {
		c.Close()
	}
	return err
}

func attackOpen(path string) error {
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	return err
}

func attackPidfd(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	return unix.PidfdSendSignal(fd, 0, nil, 0)
}

// attackOwner makes the kernel send a signal to another process when there is
// something to read.
func attackOwner(op, arg int) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		fmt.Println("BROKEN: an IP socket:", err)
		return err
	}
	defer unix.Close(s)
	_, err = unix.FcntlInt(uintptr(s), op, arg)
	return err
}

func attackIoctlOwner(pid int) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		fmt.Println("BROKEN: an IP socket:", err)
		return err
	}
	defer unix.Close(s)
	return unix.IoctlSetPointerInt(s, fioSetOwn, pid)
}

func attackQueue() error {
	id, _, e := unix.Syscall(unix.SYS_MSGGET, unix.IPC_PRIVATE, 0o600, 0)
	if e == 0 {
		unix.Syscall(unix.SYS_MSGCTL, id, unix.IPC_RMID, 0)
	}
	return errnoOrNil(e)
}

// TestStoppedInitDiesWithItsGatekeeper has init unable to notice that its
// gatekeeper is gone: the kernel must end it.
func TestStoppedInitDiesWithItsGatekeeper(t *testing.T) {
	if cgo {
		t.Skip("a program linked with cgo cannot confine all of its threads")
	}
	dir := t.TempDir()
	scratch := filepath.Join(dir, "scratch")
	must(t, os.Mkdir(scratch, 0o700))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe, scratch, l.Addr().String(), filepath.Join(dir, "s"), scratch, "die")
	cmd.Env = append(os.Environ(), roleEnv+"=confined")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	pid := 0
	for sc := bufio.NewScanner(out); pid == 0 && sc.Scan(); {
		fmt.Sscanf(sc.Text(), "init %d", &pid)
	}
	if pid == 0 {
		t.Fatal("there is no init")
	}
	must(t, unix.Kill(pid, unix.SIGSTOP))
	must(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait()
	for end := time.Now().Add(time.Minute); unix.Kill(pid, 0) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			_ = unix.Kill(pid, unix.SIGKILL)
			t.Fatal("a stopped init outlived its gatekeeper")
		}
	}
}

func TestConfine(t *testing.T) {
	if cgo {
		t.Skip("a program linked with cgo cannot confine all of its threads")
	}
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	must(t, os.WriteFile(kept, []byte("x"), 0o600))
	scratch := filepath.Join(dir, "scratch")
	must(t, os.Mkdir(scratch, 0o700))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	u, err := net.Listen("unix", filepath.Join(dir, "s"))
	must(t, err)
	defer u.Close()
	exe, err := os.Executable()
	must(t, err)
	var pids []int
	for end, want := range map[string]string{"exit": "status 5 <nil>", "kill": "status 137 <nil>"} {
		own := filepath.Join(scratch, end)
		must(t, os.Mkdir(own, 0o700))
		cmd := exec.CommandContext(t.Context(), exe, own, l.Addr().String(), u.Addr().String(), kept, end)
		cmd.Env = append(os.Environ(), roleEnv+"=confined")
		out, err := cmd.CombinedOutput()
		pids = append(pids, cmd.Process.Pid)
		if err != nil || strings.Contains(string(out), "SUCCEEDED") || strings.Contains(string(out), "BROKEN") || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", end, err, out)
		}
	}
	// A confined gatekeeper may remove nothing: its control groups are left to
	// Clean, which finds them from the folder above, too.
	must(t, Clean(filepath.Join(scratch, "exit")))
	must(t, Clean(filepath.Join(scratch, "exit"))) // what is not there is clean
	must(t, os.Rename(filepath.Join(scratch, "kill"), filepath.Join(scratch, "scratch")))
	must(t, Clean(scratch))
	for _, pid := range pids {
		if groups := groupsOf(pid); len(groups) != 0 {
			t.Errorf("control groups are left: %v", groups)
		}
	}
}

// groupsOf lists the control groups that a gatekeeper has made.
func groupsOf(pid int) []string {
	var out []string
	own, _ := ownCgroups()
	for controller, path := range own {
		found, _ := filepath.Glob(fmt.Sprintf("%s/%s%s/%s%d-*", cgroupMount, controller, strings.TrimSuffix(path, "/"), cgroupName, pid))
		out = append(out, found...)
	}
	return out
}
