package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ambit"
	"ambit/daemon/wire"
	"ambit/identity"
	"ambit/sandbox"
	"ambit/store/row"
)

func stderr() io.Writer { return os.Stderr }

// attachGrace is how long a new daemon waits for the gatekeepers of tasks that
// were live.
const attachGrace = 10 * time.Second

// left is what an earlier daemon left behind.
type left struct {
	tasks   []identity.Task // that were live
	folders []ambit.TaskID  // of tasks that are over
}

// look finds what is left behind, and ends the tasks that are known to be over.
// It comes before anybody can ask for the live tasks or begin one.
func (d *Daemon) look() left {
	l := left{tasks: d.ids.Tasks()}
	d.endGone(l.tasks)
	dirs, err := os.ReadDir(d.home.Tasks())
	if err != nil {
		fmt.Fprintln(stderr(), "ambit daemon: cannot look for what is left behind:", err)
	}
	for _, e := range dirs {
		if id := ambit.TaskID(e.Name()); d.ids.Live(id) != nil {
			l.folders = append(l.folders, id)
		}
	}
	return l
}

// reconcile brings what an earlier daemon left into order: folders of tasks
// that are over are removed, and live tasks whose gatekeeper does not come
// back are ended.
func (d *Daemon) reconcile(l left) {
	for _, id := range l.folders {
		d.clean(id)
	}
	if len(l.tasks) > 0 {
		go d.await(l.tasks)
	}
}

// await ends the tasks whose gatekeeper does not come back: at once when its
// process is known to be gone, and else after the grace.
func (d *Daemon) await(tasks []identity.Task) {
	over := time.NewTimer(attachGrace)
	defer over.Stop()
	look := time.NewTicker(lookForGone)
	defer look.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-look.C:
			for _, id := range d.endGone(tasks) {
				d.clean(id)
			}
			continue
		case <-over.C:
		}
		for _, t := range d.alone(tasks) {
			d.finish(t.ID, wire.End{Status: -1, Detail: "its gatekeeper did not come back"})
			d.clean(t.ID)
		}
		return
	}
}

const lookForGone = 200 * time.Millisecond

// alone are those of the tasks that are live and have no gatekeeper here.
func (d *Daemon) alone(tasks []identity.Task) (out []identity.Task) {
	for _, t := range tasks {
		if !d.attached(t.ID) && d.ids.Live(t.ID) == nil {
			out = append(out, t)
		}
	}
	return out
}

// attached says whether the task has a gatekeeper here.
func (d *Daemon) attached(id ambit.TaskID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sessions[id] != nil
}

// endGone ends those of an earlier daemon's tasks that ended while none was there,
// and returns them. How their commands ended nobody can say.
func (d *Daemon) endGone(tasks []identity.Task) (ended []ambit.TaskID) {
	for _, t := range d.alone(tasks) {
		if gatekeeperGone(&t) && !d.attached(t.ID) {
			d.finish(t.ID, wire.End{Status: -1, Detail: "its gatekeeper ended while the daemon was away: how the command ended is not known"})
			ended = append(ended, t.ID)
		}
	}
	return ended
}

// clean removes a task's throw-away folder. Its processes are dead.
func (d *Daemon) clean(id ambit.TaskID) {
	if _, err := ambit.ParseTaskID(string(id)); err != nil {
		return
	}
	dir := filepath.Join(d.home.Tasks(), string(id))
	if _, err := os.Lstat(dir); err != nil {
		return
	}
	if err := sandbox.Clean(dir); err != nil {
		fmt.Fprintln(stderr(), "ambit daemon: cannot remove what the task left:", err)
	}
}

// cutAfter is how long a gatekeeper has to end by itself.
const cutAfter = 120 * time.Millisecond

// changed is told of every task that begins or ends.
func (d *Daemon) changed(t identity.Task) {
	if t.State == row.TaskLive || t.State == row.TaskEnded {
		return
	}
	d.mu.Lock()
	s := d.sessions[t.ID]
	d.mu.Unlock()
	go func() {
		d.broker.End(context.Background(), t.ID)
		d.desk.End(context.Background(), t.ID)
	}()
	if s == nil {
		return
	}
	go s.cut(wire.Revoke{By: orElse(t.EndedBy, "the clock"), Why: orElse(t.EndWhy, "the task is "+string(t.State))})
}

// cut tells the gatekeeper to end, and kills it when it does not: its sandbox
// dies with it.
func (s *session) cut(r wire.Revoke) {
	s.conn.Send(wire.MethodRevoke, r)
	select {
	case <-s.conn.Done():
	case <-time.After(cutAfter):
		// The open connection keeps the process's number from meaning another.
		if s.pid > 1 {
			syscall.Kill(s.pid, syscall.SIGKILL)
		}
	}
}
