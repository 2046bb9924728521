package daemon

import (
	"fmt"
	"os"
	"sync"
	"time"

	"ambit"
	"ambit/audit"
	"ambit/daemon/wire"
	"ambit/identity"
	"ambit/store/row"
)

// beginning is what is known of the start of a task that an earlier daemon enrolled.
type beginning int

const (
	startUnknown  beginning = iota
	startRecorded           // its command may have run
	startNever              // its command never ran: it goes when its start is durable
)

// tailRecords is how far back the log is read for starts: a fraction of a second's work,
// when a task is left over.
const tailRecords = 1 << 15

// written is the end of the log that the daemons before have written.
type written struct {
	starts, ends map[ambit.TaskID]bool
	whole        bool      // it is all of the log
	since        time.Time // of its first record
	back         bool      // the clock was set back within it
}

// logTail reads the end of the log when it is first asked for.
func (d *Daemon) logTail() func() *written {
	size := d.log.Size()
	return sync.OnceValue(func() *written {
		t := &written{starts: map[ambit.TaskID]bool{}, ends: map[ambit.TaskID]bool{}, whole: size <= tailRecords}
		for r, err := range audit.Read(d.home.Log(), ambit.RecordID(max(1, size-tailRecords)), audit.Filter{}) {
			if err != nil {
				fmt.Fprintln(stderr(), "ambit daemon: cannot look for the starts of tasks:", err)
				return &written{back: true}
			}
			if int64(r.ID) > int64(size) {
				break
			}
			if t.since.IsZero() {
				t.since = r.Time
			}
			t.back = t.back || r.Clock != ""
			switch r.Type {
			case audit.TaskStart:
				t.starts[ambit.TaskID(r.Task)] = true
			case audit.TaskEnd:
				t.ends[ambit.TaskID(r.Task)] = true
			}
		}
		return t
	})
}

// begun says whether an earlier daemon recorded a task's start. The end of the log says
// it for certain of tasks that were enrolled not long before; of others what is kept
// from the start on tells it.
//
// Never is a word about an agent that may have done much, so it wants proof. A log that
// is younger than the task is none: the one with its start was lost. Nor is one that is
// not whole, when something was kept: a task's time is the authority's, which can stand
// ahead of the log's by as much as the clock was once wrong.
func (d *Daemon) begun(t *identity.Task) beginning {
	l := d.tail()
	if l.starts[t.ID] {
		return startRecorded
	}
	_, err := os.Stat(d.keptAt(t.ID))
	kept := err == nil
	switch {
	case !l.back && l.since.Before(t.Started) && (l.whole || !kept):
		return startNever
	case kept:
		return startRecorded
	}
	return startUnknown
}

// finishLost ends a task whose gatekeeper is gone, and says what is known of its command.
func (d *Daemon) finishLost(t *identity.Task, why string) {
	s := d.begun(t)
	switch s {
	case startRecorded:
		why += ": how the command ended is not known"
	case startNever:
		why += ", and its start was never recorded: the command did not run"
	default:
		why += ": whether the command was started is not known"
	}
	d.finish(t.ID, wire.End{Status: -1, Detail: why}, s != startNever)
}

// endedApart records the end of a task that nobody else does: one that was revoked, or
// expired, while it had no gatekeeper here that would say so, or that ended just before
// its daemon did.
func (d *Daemon) endedApart(id ambit.TaskID) {
	if t, ok := d.ids.Task(id); ok {
		if t.State == row.TaskRevoked || t.State == row.TaskExpired {
			d.finishLost(&t, "it is "+string(t.State)+", and its gatekeeper was away")
		}
		return
	}
	if l := d.tail(); !l.starts[id] || l.ends[id] {
		return
	}
	t, err := d.store.Task(d.ctx, id)
	if err != nil || t.State == row.TaskLive {
		return // it is not known, or of another state's folder
	}
	d.record(audit.Record{
		Type: audit.TaskEnd, Task: string(id), Agent: t.Agent, Kind: "task", Resource: string(id),
		Detail: "it is " + string(t.State) + ", and its daemon ended before it was recorded",
		Data:   data(map[string]any{"exit_status": t.Exit, "state": t.State, "started": true}),
	})
}

// knows says whether this daemon could decide what the task does. It was told at the
// enrolment, or finds it in the task's folder, where it is kept from the start on: of
// a task that another daemon enrolled and did not live to start it knows nothing.
func (s *session) knows(id ambit.TaskID) error {
	s.mu.Lock()
	told := s.grants != nil || s.started
	s.mu.Unlock()
	if told {
		return nil
	}
	if _, err := s.d.kept(id); err != nil {
		return &wire.Error{Code: "not-known", Msg: "the daemon that enrolled the task ended before its start: run it again"}
	}
	return nil
}
