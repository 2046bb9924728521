package daemon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ambit/config"
	"ambit/console"
	"ambit/daemon/wire"
	"ambit/sandbox"
)

const fallenEnv = "AMBIT_TEST_FALLEN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(fallenEnv); dir != "" {
		beFallen(config.Home{Dir: dir}, len(os.Args) > 1 && os.Args[1] == "confined")
		return
	}
	os.Exit(m.Run())
}

// beFallen is a gatekeeper that was taken over, before or after it was confined:
// it tries to be the person, and to start a task that reads a file of theirs.
func beFallen(h config.Home, confined bool) {
	if confined {
		if _, err := sandbox.Confine(sandbox.ConfineSpec{ReadFiles: []string{h.Run()}}); err != nil {
			fmt.Println("cannot confine:", err)
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := console.NewClient(dialer(h, personSocket)).Tasks(ctx, true)
	fmt.Println("person:", err)
	c, err := dial(ctx, h.Run(), gateSocket)
	if err != nil {
		fmt.Println("gate:", err)
		return
	}
	w := wire.NewConn(c, nil)
	e := wire.Enrol{Build: "test", Agent: "x", TTL: time.Hour, Secrets: map[string]wire.Secret{"api": {Kind: "http", File: "/etc/hostname"}}}
	fmt.Println("enrol:", w.Call(ctx, wire.MethodEnrol, e, nil))
}

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
	if out := try("free"); !strings.Contains(out, "person: <nil>") || strings.Contains(out, "confined") {
		t.Errorf("a person's process: %s", out)
	}
	out := try("confined")
	if strings.Contains(out, "linked with cgo") {
		t.Skip("a program linked with cgo cannot confine all of its threads")
	}
	if strings.Contains(out, "person: <nil>") || !strings.Contains(out, "is confined") {
		t.Errorf("a confined process: %s", out)
	}
	// It may be a person in a container: that one is told why, and what to do.
	for l := range strings.Lines(out) {
		if !strings.Contains(l, "system call filters and the daemon behind") || !strings.Contains(l, "AMBIT_HOME") {
			t.Errorf("said to a confined process: %s", l)
		}
	}
}
