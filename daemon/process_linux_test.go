package daemon

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ambit"
	"ambit/audit"
	"ambit/config"
	"ambit/console"
	"ambit/store/row"
)

// TestAProcessIsKnownByMoreThanItsNumber: a number that means another process,
// or nobody knows in which namespace, says nothing about the old one's life.
func TestAProcessIsKnownByMoreThanItsNumber(t *testing.T) {
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	one := row.Task{PID: c.Process.Pid, Process: process(c.Process.Pid)}
	ns, start, _ := strings.Cut(one.Process, " ")
	if ns == "" || start == "" || gatekeeperGone(&one) {
		t.Errorf("a live process is gone: %+v", one)
	}
	another := row.Task{PID: one.PID, Process: ns + " 1"}
	if !gatekeeperGone(&another) {
		t.Error("a process that began later is taken for the one before")
	}
	for name, u := range map[string]row.Task{
		"another namespace": {PID: 1 << 30, Process: "pid:[1] " + start}, "no name": {PID: 1 << 30}, "no number": {Process: one.Process},
	} {
		if gatekeeperGone(&u) {
			t.Errorf("%s: nothing is known, and it is called gone", name)
		}
	}
	c.Process.Kill()
	eventually(t, "the zombie is gone", func() bool { return gatekeeperGone(&one) })
	c.Wait()
	if !gatekeeperGone(&one) {
		t.Error("a process that is no longer there lives")
	}
	if process(0) != "" || process(1<<30) != "" {
		t.Error("a process that does not exist has a name")
	}
}

const keeperEnv = "AMBIT_TEST_GATEKEEPER"

// TestAnotherGatekeeper is, when it is asked to be, another process that has a
// task until it is killed.
func TestAnotherGatekeeper(t *testing.T) {
	dir := os.Getenv(keeperEnv)
	if dir == "" {
		return
	}
	x := &house{t: t, home: config.Home{Dir: dir}}
	fmt.Println("task", x.enrol("gone").got.Task)
	io.Copy(io.Discard, os.Stdin)
}

// another starts a gatekeeper in a process of its own.
func (x *house) another() (c *exec.Cmd, id ambit.TaskID) {
	x.t.Helper()
	c = exec.Command(os.Args[0], "-test.run=^TestAnotherGatekeeper$")
	c.Env = append(os.Environ(), keeperEnv+"="+x.home.Dir)
	in, err := c.StdinPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { in.Close(); c.Process.Kill(); c.Wait() })
	if _, err := fmt.Fscanf(out, "task %s\n", &id); err != nil {
		x.t.Fatal(err)
	}
	return c, id
}

// TestATaskThatEndedWhileTheDaemonWasAway: it never shows as live, and no exit
// status is made up; one whose gatekeeper lives but has not come back is unknown,
// and over as soon as that is known to be.
func TestATaskThatEndedWhileTheDaemonWasAway(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	c, gone := x.another()
	away := x.enrol("away")
	if got := state(t, x.desk(), away.got.Task); got.State != "live" {
		t.Fatalf("the task is %s", got.State)
	}
	x.end()
	away.Close() // it does not come back, and its process, this one, lives
	c.Process.Kill()
	c.Wait()
	y := start(t, h)
	d := y.desk()
	if got := state(t, d, gone); got.State != "ended" || got.Status != -1 {
		t.Errorf("the task that ended is %s, exit status %d", got.State, got.Status)
	}
	if got := state(t, d, away.got.Task); got.State != console.StateUnknown {
		t.Errorf("the task of which nobody knows is %s", got.State)
	}
	var said string
	for _, r := range records(t, y, audit.TaskEnd) {
		if r.Task == string(gone) {
			said += r.Detail
		}
	}
	if !strings.Contains(said, "while the daemon was away") {
		t.Errorf("the log says %q", said)
	}
}

func state(t *testing.T, d *console.Client, id ambit.TaskID) console.Task {
	t.Helper()
	ts, err := d.Tasks(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range ts {
		if k.ID == id {
			return k
		}
	}
	t.Fatal("the task is not listed")
	return console.Task{}
}
