package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"ambit"
	"ambit/audit"
	"ambit/daemon/wire"
	"ambit/identity"
)

// session is one gatekeeper's connection.
type session struct {
	d     *Daemon
	conn  *wire.Conn
	pid   int
	door  ambit.TaskID  // the task to whose door the connection was made; "" when the gatekeeper came
	taken chan struct{} // closed when the session has its task

	mu        sync.Mutex
	reserved  ambit.TaskID // before it is enrolled
	task      ambit.TaskID // once enrolled or proved
	agent     string
	challenge *identity.Challenge
	claim     wire.Attach
	open      map[ambit.RecordID]audit.Record // intents without an outcome
	approved  map[ambit.RecordID]ambit.Action // under way, and not widened for yet
	elevated  map[ambit.RecordID]elevation
	judge     *judge
	grants    *kept // until they are kept on the disk
	started   bool
	ended     bool // or ending: only outcomes are recorded from here on
	over      bool
	settled   func() // it is none of the connections without a task any more
}

func newSession(d *Daemon, c net.Conn) {
	if d.ending() {
		c.Close() // no task begins here any more: the next daemon is asked
		return
	}
	s := &session{d: d, pid: peerPID(c), taken: make(chan struct{}), open: map[ambit.RecordID]audit.Record{}}
	leave, ok := d.arrivals.admit(s.pid)
	if !ok {
		c.Close()
		return
	}
	late := time.AfterFunc(arrivalTime, func() {
		if s.taskID() == "" {
			c.Close()
		}
	})
	s.settled = func() { late.Stop(); leave() }
	s.serve(c)
}

// newVisit is the connection to the door of a task, which whoever made it bounds.
func newVisit(d *Daemon, c net.Conn, door ambit.TaskID) *session {
	s := &session{d: d, pid: peerPID(c), door: door, taken: make(chan struct{}), open: map[ambit.RecordID]audit.Record{}, settled: func() {}}
	s.serve(c)
	return s
}

func (s *session) serve(c net.Conn) {
	s.d.touch()
	known := make(chan struct{}) // the first call can come before the connection is noted
	s.conn = wire.NewConn(c, func(method string, body json.RawMessage) wire.Step {
		<-known
		return s.handle(method, body)
	})
	close(known)
	go func() {
		<-s.conn.Done()
		s.settled()
		s.gone()
	}()
}

// Errors of calls that come too early, too late or twice.
var (
	errOver    = &wire.Error{Code: wire.CodeOver, Msg: "the task has ended: only outcomes of what it had begun are recorded"}
	errStarted = &wire.Error{Code: "started", Msg: "the start of the task is recorded already"}
)

var errNoTask = &wire.Error{Code: "no-task", Msg: "the connection has no task: enrol or attach first"}

type answer = wire.Step

func give(v any, err error) answer {
	return wire.Replies(func(reply func(any, error)) { reply(v, err) })
}

func fail(err error) answer { return give(nil, err) }

// on reads a call's body and gives it to f; a body that is not strict ends the
// connection.
func on[In any](body json.RawMessage, f func(In) answer) answer {
	var in In
	if wire.Strict(body, &in) != nil {
		return nil
	}
	return f(in)
}

// later answers without keeping the order of calls.
func later[In any](body json.RawMessage, f func(context.Context, In) (any, error)) answer {
	return on(body, func(in In) answer {
		return wire.Waits(func(ctx context.Context) (any, error) { return f(ctx, in) })
	})
}

func (s *session) handle(method string, body json.RawMessage) wire.Step {
	// New tasks come to the daemon; to those of before the daemon comes.
	switch came := s.door == ""; {
	case came && method == wire.MethodReserve:
		return on(body, func(struct{}) answer { return s.reserve() })
	case came && method == wire.MethodEnrol:
		return later(body, s.enrol)
	case !came && method == wire.MethodWho:
		return on(body, s.who)
	case !came && method == wire.MethodAttach:
		return on(body, s.attach)
	case !came && method == wire.MethodProve:
		return on(body, s.prove)
	}
	if s.taskID() == "" {
		return fail(errNoTask)
	}
	if s.ending() && method != wire.MethodOutcome && method != wire.MethodEnd {
		return fail(errOver)
	}
	switch method {
	case wire.MethodStart:
		return on(body, s.start)
	case wire.MethodIntent:
		return on(body, s.intent)
	case wire.MethodRefusal:
		return on(body, s.refusal)
	case wire.MethodOutcome:
		return on(body, s.outcome)
	case wire.MethodAlert:
		return on(body, s.alert)
	case wire.MethodLease:
		return later(body, s.lease)
	case wire.MethodElevate:
		return later(body, s.elevate)
	case wire.MethodLower:
		return later(body, s.lower)
	case wire.MethodLendable:
		return later(body, s.lendable)
	case wire.MethodAsk:
		return later(body, s.ask)
	case wire.MethodJWT:
		return later(body, s.jwt)
	case wire.MethodEnd:
		return on(body, s.end)
	}
	return nil
}

func (s *session) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *session) taskID() ambit.TaskID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.task
}

// take makes the session the task's. A task has one gatekeeper.
// with sets what else the session has from then on; s.mu is held.
func (s *session) take(t identity.Task, with func()) error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.sessions[t.ID] != nil {
		return &wire.Error{Code: "taken", Msg: "the task has a gatekeeper already"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.task != "":
		return &wire.Error{Code: "enrolled", Msg: "the connection has a task already"}
	case s.ended: // nobody would ever end the task
		return &wire.Error{Code: "gone", Msg: "the gatekeeper is gone"}
	}
	s.task, s.agent = t.ID, t.Agent
	with()
	s.d.sessions[t.ID] = s
	s.settled()
	close(s.taken)
	return nil
}

// gone ends the task of a gatekeeper that is no longer there. Its sandbox died
// with it.
func (s *session) gone() {
	s.d.touch()
	s.mu.Lock()
	task, reserved := s.task, s.reserved
	s.mu.Unlock()
	if s.d.ending() {
		return // a daemon that ends leaves its tasks to the next one
	}
	s.finish(wire.End{Status: -1, Detail: "its gatekeeper is gone"})
	if reserved != task {
		s.d.clean(reserved)
	}
	if task == "" {
		return
	}
	s.d.mu.Lock()
	if s.d.sessions[task] == s {
		delete(s.d.sessions, task)
	}
	s.d.mu.Unlock()
	s.d.dismiss(task)
}

// finish ends the session's task, once. From here on the session takes none.
func (s *session) finish(e wire.End) error {
	s.mu.Lock()
	task, over, started := s.task, s.over, s.started || e.Status >= 0
	s.ended, s.over = true, true
	s.mu.Unlock()
	if over || task == "" {
		return nil
	}
	return s.d.finish(task, e, started)
}

// parse reads an action that the gatekeeper says is canonical and of this
// task. Bytes that are not canonical would have another digest for another
// reader.
func (s *session) parse(raw json.RawMessage) (ambit.Action, ambit.Digest, error) {
	a, g, err := ambit.ParseAction(raw)
	if err != nil {
		return a, g, err
	}
	if a.Task != s.taskID() || a.Agent != s.agent {
		return a, g, errors.New("cannot take the action: it names another task")
	}
	return a, g, a.Check()
}

// recorded answers with the record's id when it is durable.
func (s *session) recorded(r audit.Record, lazily bool, then func(ambit.RecordID)) wire.Replies {
	return func(reply func(any, error)) {
		s.d.log.EnqueueFunc(r, lazily, func(id ambit.RecordID, err error) {
			if err != nil {
				reply(nil, err)
				return
			}
			if then != nil {
				then(id)
			}
			reply(wire.Recorded{Record: id}, nil)
		})
	}
}

func (s *session) start(in wire.Start) answer {
	t, ok := s.d.ids.Task(s.taskID())
	if !ok {
		return fail(errNoTask)
	}
	if err := s.knows(t.ID); err != nil {
		return fail(err)
	}
	s.mu.Lock()
	again, k := s.started, s.grants
	s.started, s.grants = true, nil
	s.mu.Unlock()
	if again {
		return fail(errStarted)
	}
	rec := s.recorded(audit.Record{
		Type: audit.TaskStart, Task: string(t.ID), Agent: t.Agent, Kind: "task", Resource: string(t.ID), Digest: t.Grants.String(),
		Data: data(map[string]any{
			"walls": in.Walls, "pid": in.PID, "spiffe_id": t.SPIFFE, "command": t.Command, "workspace": t.Workspace,
			"on_behalf_of": t.OnBehalfOf, "owner": t.Owner, "purpose": t.Purpose, "expires": t.Expires.UTC().Format(time.RFC3339),
		}),
	}, false, nil)
	return wire.Replies(func(reply func(any, error)) {
		rec(reply)
		// While the record becomes durable.
		if k == nil {
			return
		}
		if err := s.d.keep(t.ID, *k); err != nil {
			fmt.Fprintln(stderr(), "ambit daemon: cannot keep the grants of a task, which another daemon could not take over:", err)
		}
	})
}

func (s *session) intent(in wire.Intent) answer {
	a, g, err := s.parse(in.Action)
	if err == nil {
		err = s.d.ids.Live(a.Task)
	}
	if err != nil {
		return fail(err)
	}
	s.mu.Lock()
	full := len(s.open) >= maxOpenIntents
	s.mu.Unlock()
	if full {
		return fail(fmt.Errorf("cannot take the action: %d actions have no outcome", maxOpenIntents))
	}
	d, err := s.judge.intent(&a, g, in, time.Now())
	if err != nil {
		return s.doubted(&a, g, in.Decision, err)
	}
	r := audit.ForAction(audit.Intent, &a, d, g)
	r.Approval, r.Data = in.Approval, args(&a)
	kept := r
	kept.Data = nil // the outcome does not say it again
	return s.recorded(r, false, func(id ambit.RecordID) {
		s.mu.Lock()
		s.open[id] = kept
		if in.Approval != "" && strings.HasPrefix(a.Operation, "sql.") {
			s.approve(id, a)
		}
		s.mu.Unlock()
	})
}

func (s *session) refusal(in wire.Intent) answer {
	a, g, err := s.parse(in.Action)
	if err != nil {
		return fail(err)
	}
	r := audit.ForAction(audit.Refusal, &a, in.Decision, g)
	r.Outcome, r.Detail, r.Data = ambit.Refused.String(), in.Why, args(&a)
	return s.recorded(r, false, nil)
}

// maxOpenIntents bounds what a session keeps of actions without an outcome. A
// gatekeeper has 4096 outcomes in hand at most.
const maxOpenIntents = 8192

func (s *session) outcome(in wire.Outcome) answer {
	s.mu.Lock()
	r, ok := s.open[in.Intent]
	delete(s.open, in.Intent)
	s.mu.Unlock()
	if !ok && s.d.othersIntent(s, in.Intent) {
		return nil
	}
	s.settle(in.Intent)
	if !ok {
		r = audit.Record{Task: string(s.taskID()), Agent: s.agent}
	}
	r.Type, r.Intent, r.Outcome, r.Detail, r.Data = audit.Outcome, in.Intent, in.Outcome.String(), in.Detail, nil
	return s.recorded(r, true, nil)
}

func (s *session) alert(in wire.Alert) answer {
	r := audit.Record{Type: audit.Alert, Task: string(s.taskID()), Agent: s.agent}
	if len(in.Action) > 0 {
		var a ambit.Action
		if wire.Strict(in.Action, &a) != nil {
			return nil
		}
		r = audit.ForAction(audit.Alert, &a, ambit.Decision{}, ambit.Digest{})
		r.Task, r.Agent, r.Verdict = string(s.taskID()), s.agent, ""
	}
	r.Detail = in.Kind + ": " + in.Detail
	return s.recorded(r, false, nil)
}

// data writes a record's extra fields.
func data(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // only values that JSON has come here
		return json.RawMessage(`{"error":"cannot write the data"}`)
	}
	return b
}

// args is what a record keeps of an action's arguments, in canonical form.
func args(a *ambit.Action) json.RawMessage {
	if len(a.Args) == 0 {
		return nil
	}
	return append(a.AppendArgs([]byte(`{"args":`)), '}')
}
