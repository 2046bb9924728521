package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ambit/config"
	"ambit/console"
	"ambit/daemon/wire"
	"ambit/sandbox"
	"ambit/sandbox/kernel"
)

const fallenEnv = "AMBIT_TEST_FALLEN"

func TestMain(m *testing.M) {
	dir := os.Getenv(fallenEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	role, visits := strings.CutPrefix(os.Args[1], "visit")
	if err := confine(config.Home{Dir: dir}, strings.TrimPrefix(role, "-")); err != nil {
		fmt.Println("cannot confine:", err)
		return
	}
	if visits {
		beVisitor(os.Args[2])
		return
	}
	beFallen(config.Home{Dir: dir})
}

// confine puts this process behind a gatekeeper's walls, or behind a filter that
// refuses nothing.
func confine(h config.Home, how string) error {
	switch how {
	case "confined":
		_, err := sandbox.Confine(sandbox.ConfineSpec{ReadFiles: []string{h.Dir}})
		return err
	case "filtered":
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		const allow = 0x7fff0000 // SECCOMP_RET_ALLOW: seccomp(2)
		if err := kernel.NoNewPrivs(); err != nil {
			return err
		}
		_, err := kernel.Filter([]kernel.Instruction{{Code: 0x06, K: allow}}, kernel.FilterAllThreads)
		return err
	}
	return nil
}

// beFallen is a gatekeeper that was taken over: it tries to be the person, and to
// start a task that reads a file of theirs.
func beFallen(h config.Home) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := console.NewClient(dialer(h, personSocket)).Tasks(ctx, true)
	fmt.Println("person:", err)
	_, err = console.NewClient(dialer(h, personSocket)).WriteOff(ctx, console.WriteOff{Lease: "x", Because: "I say so"})
	fmt.Println("write-off:", err)
	c, err := dial(ctx, h.Run(), gateSocket)
	if err != nil {
		fmt.Println("gate:", err)
		return
	}
	w := wire.NewConn(c, nil)
	e := wire.Enrol{Build: "test", Agent: "x", TTL: time.Hour, Secrets: map[string]wire.Secret{"api": {Kind: "http", File: "/etc/hostname"}}}
	fmt.Println("enrol:", w.Call(ctx, wire.MethodEnrol, e, nil))
}

// TestConfinedPeersAreNobody: a confined process reaches neither socket, and one
// behind any other filter is not taken for the person.
func TestConfinedPeersAreNobody(t *testing.T) {
	h := config.Home{Dir: filepath.Join(t.TempDir(), "home")}
	start(t, h)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	try := func(how string) string {
		c := exec.CommandContext(t.Context(), exe, how)
		c.Env = append(os.Environ(), fallenEnv+"="+h.Dir)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := try("free"); !strings.Contains(out, "person: <nil>") || !strings.Contains(out, "write-off: cannot write off lease x: there is none") || strings.Contains(out, "confined") {
		t.Errorf("a person's process: %s", out)
	}
	out := try("filtered")
	if strings.Contains(out, "person: <nil>") || !strings.Contains(out, "is confined") {
		t.Errorf("a filtered process: %s", out)
	}
	// It may be a person in a container: that one is told why, and what to do.
	for l := range strings.Lines(out) {
		if !strings.Contains(l, "system call filters and the daemon behind") || !strings.Contains(l, "AMBIT_HOME") {
			t.Errorf("said to a filtered process: %s", l)
		}
	}
	out = try("confined")
	if strings.Contains(out, "linked with cgo") {
		t.Skip("a program linked with cgo cannot confine all of its threads")
	}
	if strings.Contains(out, "person: <nil>") || strings.Count(out, "address family not supported") != 3 {
		t.Errorf("a confined process: %s", out)
	}
}
