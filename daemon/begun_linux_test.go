package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/audit"
	"ambit/daemon/wire"
)

// endOf is what the log says of a task's end.
func endOf(t *testing.T, x *house, id string) (r audit.Record) {
	t.Helper()
	eventually(t, "the end of task "+id+" is recorded, once", func() bool {
		n := 0
		for _, e := range records(t, x, audit.TaskEnd) {
			if e.Task == id {
				r = e
				n++
			}
		}
		return n == 1
	})
	return r
}

// TestATaskThatNeverStarted: a daemon that ends between a task's enrolment and the
// record of its start leaves an identity. The next one ends it, and says in the log and
// the list that its command did not run; of one that had started it says no such thing.
func TestATaskThatNeverStarted(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	c, never := x.another() // enrols, and no more
	begun, started := x.another()
	a := x.enrol("here")
	if _, err := a.Start(t.Context(), wire.Start{Walls: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	x.end()
	// What is in the log decides: what is kept of the second is as if it had started.
	if err := os.WriteFile((&Daemon{home: h}).keptAt(started), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []interface{ Kill() error }{c.Process, begun.Process} {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	c.Wait()
	begun.Wait()
	y := start(t, h)
	d := y.desk()
	state(t, d, never) // answered when all that is known to be over is ended
	for _, id := range []string{string(never), string(started)} {
		r := endOf(t, y, id)
		if !strings.Contains(r.Detail, "the command did not run") || !strings.Contains(string(r.Data), `"started":false`) {
			t.Errorf("the log says %q, %s", r.Detail, r.Data)
		}
	}
	if got := state(t, d, never); got.State != "ended" || got.Status != -1 || !strings.Contains(got.Why, "never started") {
		t.Errorf("the list says %+v", got)
	}
	eventually(t, "the link is back", func() bool { return a.Live() == nil })
	if err := a.End(t.Context(), wire.End{Status: 3}); err != nil {
		t.Error(err)
	}
	if r := endOf(t, y, string(a.got.Task)); !strings.Contains(string(r.Data), `"started":true`) {
		t.Errorf("the log says of one that ran %s", r.Data)
	}
	if got := state(t, d, a.got.Task); got.Status != 3 || got.Why != "" {
		t.Errorf("the list says of one that ran %+v", got)
	}
	eventually(t, "their folders are gone", func() bool {
		_, err := os.Lstat(filepath.Join(h.Tasks(), string(never)))
		return os.IsNotExist(err)
	})
}

// begun is a task whose start is recorded, and what is kept of it.
func (x *house) begun() (a *agent, kept string) {
	x.t.Helper()
	a = x.enrol("here")
	if _, err := a.Start(x.t.Context(), wire.Start{Walls: []byte("{}")}); err != nil {
		x.t.Fatal(err)
	}
	kept = (&Daemon{home: x.home}).keptAt(a.got.Task)
	eventually(x.t, "it is kept", func() bool { _, err := os.Stat(kept); return err == nil })
	return a, kept
}

// TestAStartedTaskIsNotCalledUnstarted: its command may have run, and nobody knows how
// it ended; not even when what is kept of it is lost.
func TestAStartedTaskIsNotCalledUnstarted(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	a, kept := x.begun()
	x.end()
	a.Close()
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	y := start(t, h)
	eventually(t, "it is ended", func() bool { return state(t, y.desk(), a.got.Task).State == "ended" })
	if r := endOf(t, y, string(a.got.Task)); !strings.Contains(r.Detail, "how the command ended is not known") {
		t.Errorf("the log says %q", r.Detail)
	}
	if got := state(t, y.desk(), a.got.Task); got.Why != "" {
		t.Errorf("the list says %+v", got)
	}
}

// TestAStartOfAnotherDaemonsTask: a task that another daemon enrolled and did not start is
// not started by one that does not know what it may do.
func TestAStartOfAnotherDaemonsTask(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	a := x.enrol("here")
	x.end()
	y := start(t, h)
	eventually(t, "the link is back", func() bool { return a.Live() == nil })
	if _, err := a.Start(t.Context(), wire.Start{Walls: []byte("{}")}); err == nil || !strings.Contains(err.Error(), "run it again") {
		t.Errorf("it was started: %v", err)
	}
	if _, err := os.Stat((&Daemon{home: h}).keptAt(a.got.Task)); !os.IsNotExist(err) {
		t.Errorf("kept: %v", err)
	}
	if err := a.End(t.Context(), wire.End{Status: -1, Detail: "cannot record the start"}); err != nil {
		t.Error(err)
	}
	if got := state(t, y.desk(), a.got.Task); !strings.Contains(got.Why, "never started: cannot record the start") {
		t.Errorf("the list says %+v", got)
	}
	for _, r := range records(t, y, audit.TaskStart) {
		t.Errorf("a start is recorded: %+v", r)
	}
}
