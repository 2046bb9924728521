package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ambit"
	"ambit/daemon/wire"
	"ambit/identity"
)

const (
	// attachGrace is how long a new daemon goes to the doors of tasks that were live.
	attachGrace = 10 * time.Second
	knockEvery  = 100 * time.Millisecond
	// leaveTime is how long the gatekeeper of a task that is over has to end by
	// itself. Nothing passes it any more: its task is not live.
	leaveTime = time.Second
	// lingerTime is how long a gatekeeper may stay after it has said that its task has
	// ended: what its command wrote may still go out to a terminal that is held up.
	lingerTime = 5 * time.Minute
)

// folder is a task's throw-away folder.
func (d *Daemon) folder(id ambit.TaskID) string { return filepath.Join(d.home.Tasks(), string(id)) }

// knock goes to the door of a task. An error says that nobody is there.
func (d *Daemon) knock(id ambit.TaskID) (*session, error) {
	c, err := dial(d.ctx, d.folder(id), doorSocket)
	if err != nil {
		return nil, err
	}
	return newVisit(d, c, id), nil
}

// recall has the gatekeeper of a live task that an earlier daemon left take this
// one for its daemon. The task is ended when its gatekeeper is known to be gone, or
// does not come back within the grace.
func (d *Daemon) recall(t identity.Task) {
	late := time.NewTimer(attachGrace)
	defer late.Stop()
	again := time.NewTicker(knockEvery)
	defer again.Stop()
	var s *session
	for d.ids.Live(t.ID) == nil {
		if s.hungUp() {
			s, _ = d.knock(t.ID) // nil: nobody is there yet, or any more
		}
		select {
		case <-s.back():
			return
		case <-again.C:
			d.endGone(&t)
		case <-late.C:
			if d.attached(t.ID) {
				return
			}
			d.finishLost(&t, "its gatekeeper did not come back")
		case <-d.ctx.Done():
			s.hangUp()
			return
		}
	}
	select {
	case <-s.back(): // its session says that it ended
	default:
		d.endedApart(t.ID)
	}
	s.hangUp()
	d.dismiss(t.ID)
}

// dismiss removes what is left of a task that is over. A gatekeeper that lives on
// is told so at its door, and killed when it does not end: its sandbox dies with it.
func (d *Daemon) dismiss(id ambit.TaskID) {
	if _, err := ambit.ParseTaskID(string(id)); err != nil {
		return
	}
	if s, err := d.knock(id); err == nil {
		select {
		case <-s.conn.Done():
		case <-time.After(leaveTime):
			s.kill()
			select {
			case <-s.conn.Done():
			case <-time.After(leaveTime):
				s.hangUp()
			}
		case <-d.ctx.Done():
			s.hangUp()
			return // the next daemon goes on
		}
	}
	d.clean(id)
}

// seeOff ends a gatekeeper that stays after its task. One that was taken over would say
// that its task has ended and go on, beyond the expiry and where `ambit tasks` shows and
// `ambit revoke` finds nothing, with what it has in its memory; and keep the daemon.
func (s *session) seeOff() {
	late := time.NewTimer(lingerTime)
	defer late.Stop()
	select {
	case <-s.conn.Done():
	case <-late.C:
		s.kill()
		s.hangUp()
	}
}

// kill ends the gatekeeper at once.
func (s *session) kill() {
	// The open connection keeps the process's number from meaning another.
	if s.pid > 1 && s.pid != os.Getpid() { // a daemon does not end itself
		syscall.Kill(s.pid, syscall.SIGKILL)
	}
}

// back is closed when the session has its task; nil, which never is, when
// there is no session.
func (s *session) back() <-chan struct{} {
	if s == nil {
		return nil
	}
	return s.taken
}

func (s *session) hangUp() {
	if s != nil {
		s.conn.Close()
	}
}

func (s *session) hungUp() bool {
	if s == nil {
		return true
	}
	select {
	case <-s.conn.Done():
		return true
	default:
		return false
	}
}

// who shows the gatekeeper at whose door this daemon is that it is its own.
func (s *session) who(in wire.Who) answer {
	var n identity.Nonce
	if len(in.Nonce) != len(n) {
		return fail(errors.New("the nonce has another length"))
	}
	sig, err := s.d.ids.Introduce(s.door, identity.Nonce(in.Nonce))
	return give(wire.Introduction{Signature: sig}, err)
}
