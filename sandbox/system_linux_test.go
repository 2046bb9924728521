package sandbox

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
	"ambit/sandbox/stage"
)

func TestDangerousSystemCalls(t *testing.T) {
	e := attempt(t, base(t), "calls")
	if !strings.Contains(e.out, "refused: a number of the future") {
		t.Errorf("the list was not gone through:\n%s", e.out)
	}
	attempt(t, base(t), "signal")
}

func TestForeignArchitecturesDie(t *testing.T) {
	if auditArch != unix.AUDIT_ARCH_X86_64 {
		t.Skip("this architecture has one kind of system call")
	}
	if e := attempt(t, base(t), "x32"); e.status.Signal != int(unix.SIGSYS) {
		t.Errorf("x32: %+v %s", e.status, e.out)
	}
	// A kernel built without 32-bit support faults before any filter.
	if e := attempt(t, base(t), "compat"); e.status.Exit() == 0 {
		t.Errorf("compat: %+v %s", e.status, e.out)
	}
}

func TestSocketFamilies(t *testing.T) { attempt(t, base(t), "sockets") }

func TestSetuidProgramsGainNothing(t *testing.T) {
	e := sh(t, base(t), `for f in $(find /usr -perm -4000 -type f 2>/dev/null); do echo had $f; done; grep -c nosuid /proc/mounts; (su -c id root </dev/null; sudo -n id; mount -t tmpfs x /mnt; newgrp) 2>&1; id -u`)
	uid, _ := stage.Inner()
	if !strings.HasSuffix(e.out, strconv.Itoa(uid)+"\n") || strings.Contains(e.out, "uid=0") {
		t.Error(e.out)
	}
}

// A file with the setuid bit, left in the workspace by a task of root's, would
// make everybody root.
func TestNoSetuidFilesAreLeft(t *testing.T) {
	ws := workspace(t, "file")
	s := base(t)
	s.Files, s.Dir = []File{{Path: ws, Access: Writable}}, ws
	attempt(t, s, "setuid", ws)
	s.Protect = protect()
	attempt(t, s, "setuid", ws)
	for name := range snapshot(t, ws) {
		if st, err := os.Lstat(ws + "/" + name); err != nil || st.Mode()&os.ModeSetuid != 0 {
			t.Errorf("%s has mode %v (%v)", name, st.Mode(), err)
		}
	}
	if e := sh(t, s, "chmod 2755 . && chmod 755 file && (umask 0; mkdir -m 2775 d) && mkfifo p && install -m 750 file g && echo fine"); e.out != "fine\n" {
		t.Error(e.out)
	}
}

func TestEnvironmentIsExact(t *testing.T) {
	t.Setenv("AMBIT_TEST_SECRET", "s3cret")
	s := base(t)
	s.Env = []string{"ONE=1", "TWO=a b"}
	e := attempt(t, s, "environ")
	if e.out != "ONE=1\nTWO=a b\n"+roleEnv+"=attack\n" {
		t.Errorf("%q", e.out)
	}
}

// A program that Ambit's own parent left open for it must not reach the agent.
func TestInheritedDescriptorsAreClosed(t *testing.T) {
	d, err := unix.Open("/", unix.O_RDONLY, 0) // without O_CLOEXEC
	must(t, err)
	defer unix.Close(d)
	sock, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(sock[0])
	defer unix.Close(sock[1])
	if e := attempt(t, base(t), "fds"); e.out != "inherited 0\ninherited 1\ninherited 2\n" {
		t.Errorf("%q", e.out)
	}
	root, err := os.Open("/")
	must(t, err)
	defer root.Close()
	s := base(t)
	s.Argv, s.Stdin = []string{"true"}, root
	if _, err := Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory as standard input: %v", err)
	}
}

func TestFork(t *testing.T) {
	s := base(t)
	s.Limits.Processes = 60
	e := attempt(t, s, "fork")
	if !enforced(e.report, "processes") {
		t.Skip("this machine cannot limit processes: " + e.report.String())
	}
	m := regexp.MustCompile(`stopped after (\d+)`).FindStringSubmatch(e.out)
	if m == nil && e.status.Exit() == 0 {
		t.Fatalf("%+v %s", e.status, e.out)
	}
	if m != nil {
		if n, _ := strconv.Atoi(m[1]); n > 60 {
			t.Errorf("%d processes", n)
		}
	}
}

func enforced(r Report, wall string) bool {
	for _, w := range r.Walls {
		if w.Name == wall {
			return w.Enforced
		}
	}
	return false
}

func TestMemory(t *testing.T) {
	s := base(t)
	s.Limits.Memory = 256 << 20
	e := attempt(t, s, "memory")
	if e.status.Exit() == 0 {
		t.Errorf("%+v %.300s", e.status, e.out)
	}
	s.Limits.DemandMemory = true
	s.Argv, s.Scratch = []string{"true"}, t.TempDir()
	box, err := Start(t.Context(), s)
	if enforced(e.report, "memory") != (err == nil) {
		t.Errorf("demanded memory: %v, but the report says %s", err, e.report)
	}
	if err == nil {
		must(t, box.Kill())
		box.Wait()
	} else if !strings.Contains(err.Error(), "memory") {
		t.Error(err)
	}
}

func TestTemporaryFilesAreBounded(t *testing.T) {
	s := base(t)
	s.Limits.Temporary = 8 << 20
	e := sh(t, s, "dd if=/dev/zero of=/tmp/big bs=1M count=64 2>&1; dd if=/dev/zero of=/dev/shm/big bs=1M count=64 2>&1; du -sm /tmp /dev/shm")
	if strings.Count(e.out, "No space left") != 2 {
		t.Error(e.out)
	}
}

func TestDescriptors(t *testing.T) {
	s := base(t)
	s.Limits.OpenFiles = 100
	if e := attempt(t, s, "descriptors"); !strings.Contains(e.out, "stopped after") {
		t.Error(e.out)
	}
}

func TestProcessorLimit(t *testing.T) {
	s := base(t)
	s.Limits.CPUs = 0.2
	e := sh(t, s, "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; cat /proc/self/stat > /dev/null; times")
	if !enforced(e.report, "processors") {
		t.Skip("this machine cannot limit processors: " + e.report.String())
	}
	if e.status.Code != 0 {
		t.Error(e.out)
	}
}

// The filter, run by hand on every number: each call does what the tables say.
func TestFilterMatchesItsTables(t *testing.T) {
	want := map[uint32]uint32{}
	for _, nr := range append(allowedCalls(), archAllowed()...) {
		want[nr] = actAllow
	}
	for _, nr := range append(append(dangerousCalls(), archDangerous()...), foreignMemory()...) {
		if _, twice := want[nr]; twice {
			t.Errorf("%d is both allowed and dangerous", nr)
		}
		want[nr] = actEPERM
	}
	for _, r := range modeRules() {
		want[r.nr] = actAllow
	}
	want[unix.SYS_CLONE], want[unix.SYS_IOCTL], want[unix.SYS_PERSONALITY] = actAllow, actAllow, actAllow
	want[unix.SYS_SOCKET], want[unix.SYS_SOCKETPAIR] = actAFNO, actAFNO // family 0
	for name, prog := range map[string]code{"agent": agentFilter()} {
		for nr := range uint32(600) {
			w, ok := want[nr]
			if !ok {
				w = actENOSY
			}
			if got := emulate(t, prog, nr, auditArch); got != w {
				t.Errorf("%s: call %d gives %#x, want %#x", name, nr, got, w)
			}
		}
		if got := emulate(t, prog, 0, 0x40000003); got != actKill {
			t.Errorf("%s: i386 gives %#x", name, got)
		}
	}
	for name, prog := range map[string]code{"init": initFilter(), "gatekeeper": gatekeeperFilter(os.Getpid())} {
		for _, nr := range []uint32{unix.SYS_MOUNT, unix.SYS_PTRACE, unix.SYS_BPF, unix.SYS_IO_URING_SETUP, unix.SYS_SETNS, unix.SYS_KEYCTL} {
			if got := emulate(t, prog, nr, auditArch); got != actEPERM {
				t.Errorf("%s: call %d gives %#x", name, nr, got)
			}
		}
	}
	if got := emulate(t, gatekeeperFilter(os.Getpid()), unix.SYS_EXECVE, auditArch); got != actEPERM {
		t.Errorf("gatekeeper: execve gives %#x", got)
	}
}

// emulate runs a filter on a call whose arguments are all zero.
func emulate(t *testing.T, prog []kernel.Instruction, nr, arch uint32) uint32 {
	t.Helper()
	var a uint32
	for pc := 0; pc < len(prog); pc++ {
		in := prog[pc]
		jump := func(yes bool) {
			if yes {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch int(in.Code) {
		case opLoad:
			a = map[uint32]uint32{offNr: nr, offArch: arch}[in.K]
		case opAnd:
			a &= in.K
		case opJump:
			pc += int(in.K)
		case opEq:
			jump(a == in.K)
		case opGE:
			jump(a >= in.K)
		case opSet:
			jump(a&in.K != 0)
		case opRet:
			return in.K
		default:
			t.Fatalf("unknown instruction %#x", in.Code)
		}
	}
	t.Fatal("the filter ran off its end")
	return 0
}

func TestDoctor(t *testing.T) {
	for _, f := range Doctor() {
		t.Logf("%v %s: %s %s", f.OK, f.Name, f.Found, f.Remedy)
		if !f.OK && f.Needed {
			t.Errorf("%s: %s", f.Name, f.Found)
		}
		if !f.OK && f.Remedy == "" {
			t.Errorf("%s: nothing is said to do", f.Name)
		}
	}
	want := "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile ambit \"/opt/a b/ambit\" flags=(unconfined) {\n  userns,\n\n  include if exists <local/ambit>\n}\n"
	if got := Profile("/opt/a b/ambit"); got != want {
		t.Errorf("profile:\n%s", got)
	}
}
