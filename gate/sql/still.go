package sql

import (
	"context"
	"io"
	"sync"
	"time"
)

// stillness keeps the sessions of one database still while a statement has the rights of
// an owner. They are all of one role, and would have them too: what one of them runs
// meanwhile, also a function that an allowed statement calls, would do as the owner does.
// Between two statements a session has nothing to run: so it is enough that none begins
// anything, and that all that began has ended. The zero value is ready.
type stillness struct {
	mu      sync.Mutex
	busy    int           // sessions that the database works for
	alone   bool          // one of them runs alone, or waits for it
	changed chan struct{} // closed at the next change; nil when nobody waits
}

// change tells those who wait. The caller holds the lock.
func (q *stillness) change() {
	if q.changed != nil {
		close(q.changed)
		q.changed = nil
	}
}

// until waits, with the lock held before and after, until ok says so.
func (q *stillness) until(end <-chan struct{}, ok func() bool) bool {
	for !ok() {
		if q.changed == nil {
			q.changed = make(chan struct{})
		}
		c := q.changed
		q.mu.Unlock()
		select {
		case <-c:
			q.mu.Lock()
		case <-end:
			q.mu.Lock()
			return false
		}
	}
	return true
}

// enter counts a session as one that the database works for, when nobody runs alone;
// false when end comes before that.
func (q *stillness) enter(end <-chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.until(end, func() bool { return !q.alone }) {
		return false
	}
	q.busy++
	return true
}

func (q *stillness) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	q.change()
}

// only waits until a session is the only one, and keeps it so until open is called.
// inside says that it has entered, in the middle of a batch: then another that wants to
// be the only one waits for it, and both would wait for ever.
func (q *stillness) only(end <-chan struct{}, inside bool) (open func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.alone && inside || !q.until(end, func() bool { return !q.alone }) {
		return nil, false
	}
	q.alone = true
	open = func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.alone = false
		q.change()
	}
	own := 0
	if inside {
		own = 1
	}
	if !q.until(end, func() bool { return q.busy <= own }) {
		q.alone = false
		q.change()
		return nil, false
	}
	q.busy = 1
	return open, true
}

// enter makes the session one that the database works for, until it is ready again.
func (s *session) enter() error {
	if s.inside {
		return nil
	}
	if !s.still.enter(s.end) {
		return errEnded
	}
	s.inside = true
	return nil
}

// rest says that the database does nothing for the session.
func (s *session) rest() {
	if s.inside {
		s.inside = false
		s.still.leave()
	}
}

// outlived waits until the database has ended a session that its agent left in the middle
// of something, for a while. What was sent may still be on its way: it runs when it comes
// there, and until then nobody sees it, neither here nor there.
func (s *session) outlived() {
	c, ok := s.up.Net.(interface{ CloseWrite() error }) // of TCP and of TLS
	if !s.inside || !ok || s.up.Net.SetDeadline(time.Now().Add(2*s.g.c.Limits.Still)) != nil || c.CloseWrite() != nil {
		return
	}
	_, _ = io.Copy(io.Discard, s.up.Net)
}

// alone waits until no other session of the database does anything and nothing of this
// one's batch is under way, and keeps it so until the function that it returns is called.
func (s *session) alone(ctx context.Context) (open func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, s.g.c.Limits.Still)
	defer cancel()
	if open, ok := s.still.only(ctx.Done(), s.inside); ok {
		s.inside, s.lone = true, true
		return func() {
			s.lone = false
			if !s.sent {
				s.rest() // nothing was sent, or all of it is over
			}
			open()
		}, nil
	}
	return nil, &refusal{code: CodeBusy, state: stateRefused, why: "it needs the rights of an owner, and other connections of the task do not come to rest meanwhile",
		instead: "Let the statements of the other connections end, and send it again."}
}

// calm runs what needs a connection of its own to the database, between others' turns.
func (s *session) calm(ctx context.Context, f func() error) error {
	if s.inside {
		return f() // nobody can be alone before this session rests
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.g.c.Limits.Still+time.Minute)
	defer cancel()
	if !s.still.enter(ctx.Done()) {
		return errEnded
	}
	defer s.still.leave()
	return f()
}
