package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"ambit"
	"ambit/daemon/wire"
	"ambit/identity"
	"ambit/sandbox"
	"ambit/store/row"
)

func stderr() io.Writer { return os.Stderr }

// left is what an earlier daemon left behind.
type left struct {
	tasks   []identity.Task // that were live
	folders []ambit.TaskID  // of tasks that are over
}

// look finds what is left behind, and ends the tasks that are known to be over.
// It comes before anybody can ask for the live tasks or begin one.
func (d *Daemon) look() (l left) {
	for _, t := range d.ids.Tasks() {
		if !d.endGone(&t) {
			l.tasks = append(l.tasks, t)
		}
	}
	dirs, err := os.ReadDir(d.home.Tasks())
	if err != nil {
		fmt.Fprintln(stderr(), "ambit daemon: cannot look for what is left behind:", err)
	}
	for _, e := range dirs {
		if id := ambit.TaskID(e.Name()); d.ids.Live(id) != nil {
			d.endedApart(id)
			l.folders = append(l.folders, id)
		}
	}
	return l
}

// reconcile brings what an earlier daemon left into order: the gatekeepers of
// live tasks are called back, and what is left of tasks that are over is removed.
func (d *Daemon) reconcile(l left) {
	for _, t := range l.tasks {
		go d.recall(t)
	}
	for _, id := range l.folders {
		go d.dismiss(id)
	}
}

// attached says whether the task has a gatekeeper here.
func (d *Daemon) attached(id ambit.TaskID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sessions[id] != nil
}

// endGone ends an earlier daemon's task when it is known to have ended while no
// daemon was there. How its command ended nobody can say.
func (d *Daemon) endGone(t *identity.Task) bool {
	if !gatekeeperGone(t) || d.attached(t.ID) {
		return false
	}
	d.finishLost(t, "its gatekeeper ended while the daemon was away")
	return true
}

// clean removes a task's throw-away folder. Its processes are dead.
func (d *Daemon) clean(id ambit.TaskID) {
	if _, err := ambit.ParseTaskID(string(id)); err != nil {
		return
	}
	dir := d.folder(id)
	if _, err := os.Lstat(dir); err != nil {
		return
	}
	if err := sandbox.Clean(dir); err != nil {
		fmt.Fprintln(stderr(), "ambit daemon: cannot remove what the task left:", err)
	}
}

const (
	// cutAfter is how long a gatekeeper has to end by itself when its task was revoked.
	cutAfter = 120 * time.Millisecond

	// expireAfter is how long it has when its task's time is over. Nothing passes it
	// any more, and its own clock ends its sandbox: one that a busy machine makes late
	// must live to say why.
	expireAfter = 5 * time.Second
)

// changed is told of every task that begins or ends.
func (d *Daemon) changed(t identity.Task) {
	if t.State == row.TaskLive {
		return
	}
	d.mu.Lock()
	s := d.sessions[t.ID]
	d.mu.Unlock()
	if t.State == row.TaskEnded && s != nil && s.ending() {
		return // its gatekeeper says so itself; else the task that started it has ended
	}
	go func() {
		d.broker.End(context.Background(), t.ID)
		d.desk.End(context.Background(), t.ID)
	}()
	if s == nil {
		return
	}
	grace, by := cutAfter, "the end of its parent"
	if t.State == row.TaskExpired {
		grace, by = expireAfter, "the clock"
	}
	go s.cut(grace, wire.Revoke{By: orElse(t.EndedBy, by), Why: orElse(t.EndWhy, "the task is "+string(t.State))})
}

// cut tells the gatekeeper to end, and kills it when it does not: its sandbox
// dies with it.
func (s *session) cut(grace time.Duration, r wire.Revoke) {
	s.conn.Send(wire.MethodRevoke, r)
	select {
	case <-s.conn.Done():
	case <-time.After(grace):
		s.kill()
	}
}
