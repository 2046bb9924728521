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

// reconcile brings what an earlier daemon left into order: folders of tasks
// that are over are removed, and live tasks whose gatekeeper does not come
// back are ended.
func (d *Daemon) reconcile() {
	live := map[ambit.TaskID]bool{}
	for _, t := range d.ids.Tasks() {
		live[t.ID] = true
	}
	dirs, err := os.ReadDir(d.home.Tasks())
	if err != nil {
		fmt.Fprintln(stderr(), "ambit daemon: cannot look for what is left behind:", err)
	}
	for _, e := range dirs {
		if id := ambit.TaskID(e.Name()); !live[id] {
			d.clean(id)
		}
	}
	if len(live) == 0 {
		return
	}
	time.AfterFunc(attachGrace, func() {
		for id := range live {
			d.mu.Lock()
			back := d.sessions[id] != nil
			d.mu.Unlock()
			if !back && d.ids.Live(id) == nil {
				d.finish(id, wire.End{Status: -1, Detail: "its gatekeeper did not come back"})
				d.clean(id)
			}
		}
	})
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
