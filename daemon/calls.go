package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"ambit"
	"ambit/approval"
	"ambit/audit"
	"ambit/broker"
	"ambit/daemon/wire"
	"ambit/identity"
)

// reserve chooses the task's id. A connection has one.
func (s *session) reserve() answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserved == "" {
		s.reserved = ambit.NewTaskID()
	}
	return give(wire.Reserved{Task: s.reserved}, nil)
}

// enrol makes a task, its identity and its credentials.
func (s *session) enrol(ctx context.Context, in wire.Enrol) (any, error) {
	if in.Build != s.d.build {
		return nil, &wire.Error{Code: "build", Msg: fmt.Sprintf("the live daemon is another build of Ambit (%s, not %s); stop it with `ambit daemon stop` when its tasks have ended", s.d.build, in.Build)}
	}
	if err := s.d.log.Err(); err != nil {
		return nil, fmt.Errorf("%w; it is opened again when no task is left, or at once after `ambit daemon stop`", err)
	}
	// A gatekeeper enrols before it confines itself.
	if err := checkFree(s.pid); err != nil {
		return nil, &wire.Error{Code: "confined", Msg: err.Error()}
	}
	s.mu.Lock()
	id := s.reserved
	s.mu.Unlock()
	e, err := s.d.ids.Enrol(ctx, identity.Request{
		ID: id, Audiences: in.Audiences,
		Agent: in.Agent, Owner: in.Owner, Purpose: in.Purpose, OnBehalfOf: in.OnBehalfOf, Parent: in.Parent, TTL: in.TTL,
		CSR: in.CSR, Command: in.Command, Workspace: in.Workspace, PID: s.pid, Process: process(s.pid), Grants: in.Digest,
	})
	if err != nil {
		return nil, err
	}
	k := kept{Name: in.File, Home: in.Home, Source: in.Grants}
	err = s.take(e.Task, func() {
		s.grants, s.judge = &k, s.d.newJudge(e.Task.ID, func() (kept, error) { return k, nil })
	})
	if err != nil {
		s.d.finish(e.Task.ID, wire.End{Status: -1, Detail: "it was not taken up"}, false)
		s.d.clean(e.Task.ID)
		return nil, err
	}
	marks, err := s.register(ctx, e.Task, in)
	if err != nil {
		s.finish(wire.End{Status: -1, Detail: "it could not be set up"})
		return nil, err
	}
	roots, err := s.d.ids.Bundle()
	if err != nil {
		return nil, err
	}
	return wire.Enrolled{
		Task: e.Task.ID, SPIFFEID: e.Task.SPIFFE, SVID: [][]byte{e.SVID}, Bundle: [][]byte{roots.PEM}, TrustDomain: s.d.settings.TrustDomain,
		Expires: e.Task.Expires, Placeholders: marks, Daemon: s.d.ids.Public(),
	}, nil
}

// register gives the broker what the person handed over, and returns what the
// agent holds instead.
func (s *session) register(ctx context.Context, t identity.Task, in wire.Enrol) (map[string]string, error) {
	marks := map[string]string{}
	for service, w := range in.Secrets {
		if err := s.registerOne(ctx, t, service, w, in.Writable); err != nil {
			return nil, err
		}
		marks[service] = broker.Placeholder(w.Kind)
	}
	return marks, nil
}

// attach begins the proof that a gatekeeper's task is its own.
func (s *session) attach(in wire.Attach) answer {
	// The authority has few challenges: only a task that lost its gatekeeper gets
	// one, and a connection has one at a time.
	if err := s.missed(in); err != nil {
		return fail(&wire.Error{Code: "not-proved", Msg: err.Error()})
	}
	c, err := s.d.ids.Challenge()
	if err != nil {
		return fail(err)
	}
	s.mu.Lock()
	s.challenge, s.claim = &c, in
	s.mu.Unlock()
	return give(wire.Challenge{Nonce: c[:]}, nil)
}

// missed says whether the claim is of a live task that has no gatekeeper, and
// the connection may make one.
func (s *session) missed(in wire.Attach) error {
	s.mu.Lock()
	again := s.challenge != nil
	s.mu.Unlock()
	if again {
		return errors.New("the connection has a challenge already: answer it")
	}
	if len(in.SVID) == 0 {
		return errors.New("it shows no identity")
	}
	t, err := s.d.ids.VerifyX509(in.SVID[0])
	if err != nil {
		return err
	}
	if t.ID != in.Task || t.ID != s.door {
		return errors.New("the identity is another task's")
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.sessions[t.ID] != nil {
		return errors.New("the task has a gatekeeper already")
	}
	return nil
}

func (s *session) prove(in wire.Prove) answer {
	s.mu.Lock()
	c, claim := s.challenge, s.claim
	s.challenge = nil
	s.mu.Unlock()
	if c == nil || len(claim.SVID) == 0 {
		return fail(&wire.Error{Code: "no-challenge", Msg: "attach first"})
	}
	t, err := s.d.ids.Prove(*c, claim.SVID[0], in.Signature)
	if err == nil && t.ID != claim.Task {
		err = fmt.Errorf("the identity is another task's")
	}
	if err == nil {
		err = s.take(t, func() {
			s.judge = s.d.newJudge(t.ID, func() (kept, error) { return s.d.kept(t.ID) })
			_, missing := os.Stat(s.d.keptAt(t.ID)) // it is written when the start is recorded
			s.started = missing == nil || s.d.begun(&t) != startNever
		})
	}
	if err == nil {
		err = s.d.ids.Live(t.ID) // it may have been revoked before it had a gatekeeper to tell
	}
	if err != nil {
		return fail(&wire.Error{Code: "not-proved", Msg: err.Error()})
	}
	return give(struct{}{}, nil)
}

func (s *session) lease(ctx context.Context, in wire.Lease) (any, error) {
	t := s.taskID()
	if err := s.d.ids.Live(t); err != nil {
		return nil, err
	}
	l, err := s.d.broker.Mint(ctx, t, in.Service)
	if err != nil {
		return nil, err
	}
	return wire.Leased{ID: l.ID, Secret: l.Secret.Reveal(), Expires: l.Expires}, nil
}

// ask puts a question to people and holds the answer back, for as long as the
// settings say.
func (s *session) ask(ctx context.Context, in wire.Ask) (any, error) {
	a, g, err := s.parse(in.Action)
	if err != nil {
		return nil, err
	}
	if in.Decision.Verdict != ambit.Ask {
		return nil, errors.New("cannot ask: the verdict is not ask")
	}
	d, err := s.judge.decision(&a, in.Decision, time.Now())
	if err != nil {
		_, lerr := s.d.log.Append(ctx, doubt(&a, g, in.Decision, err))
		return nil, errors.Join(fmt.Errorf("cannot ask: %w", err), lerr)
	}
	r := audit.ForAction(audit.Question, &a, d, g)
	r.Data = args(&a)
	if _, err := s.d.log.Append(ctx, r); err != nil {
		return nil, err
	}
	hold := min(time.Duration(s.d.settings.Hold), approval.MaxHold)
	ans, err := s.d.desk.Ask(ctx, approval.Question{Action: a, Digest: g, Decision: d, Preview: in.Preview}, hold)
	if err != nil {
		return nil, err
	}
	if ans.Approved {
		s.judge.grant(g, ans.By, d, time.Now())
	}
	return wire.Answer{Approved: ans.Approved, Pending: ans.Pending, By: ans.By, Ticket: ans.Ticket, Why: ans.Why, Until: ans.Until}, nil
}

func (s *session) jwt(ctx context.Context, in wire.JWT) (any, error) {
	r := audit.Record{Type: audit.Lease, Task: string(s.taskID()), Agent: s.agent, Detail: "requested", Data: data(map[string]any{"provider": "jwt-svid", "audience": in.Audience})}
	if _, err := s.d.log.Append(ctx, r); err != nil {
		return nil, err
	}
	token, err := s.d.ids.JWT(s.taskID(), []string{in.Audience}, 0)
	if err != nil {
		return nil, err
	}
	c, err := s.d.ids.VerifyJWT(token, in.Audience)
	if err != nil {
		return nil, err
	}
	return wire.JWTAnswer{Token: token, Expires: c.Expiry.Time()}, nil
}

// end takes what comes after it for too late, whatever is still on its way.
func (s *session) end(in wire.End) answer {
	s.mu.Lock()
	first := !s.ended
	s.ended = true
	s.mu.Unlock()
	if first {
		go s.seeOff()
	}
	return wire.Waits(func(context.Context) (any, error) { return struct{}{}, s.finish(in) })
}

// finish ends a task's leases, questions and identity, and records the end. started
// is false for one whose command certainly never ran.
func (d *Daemon) finish(id ambit.TaskID, e wire.End, started bool) error {
	ctx := context.Background()
	t, _ := d.ids.Task(id)
	d.broker.End(ctx, id)
	d.desk.End(ctx, id)
	exit := e.Status
	if exit < 0 || exit > 255 {
		exit = -1
	}
	if d.ids.Live(id) == nil {
		end := func() error { return d.ids.End(ctx, id, exit) }
		if !started {
			end = func() error {
				return d.ids.EndUnstarted(ctx, id, approval.SafeLines(e.Detail, 400))
			}
		}
		if err := end(); err != nil {
			fmt.Fprintln(stderr(), "ambit daemon:", err)
		}
	}
	_, err := d.log.Append(ctx, audit.Record{
		Type: audit.TaskEnd, Task: string(id), Agent: t.Agent, Kind: "task", Resource: string(id), Detail: e.Detail,
		Data: data(map[string]any{"exit_status": e.Status, "state": d.state(id), "started": started}),
	})
	return err
}

func (d *Daemon) state(id ambit.TaskID) string {
	t, ok := d.ids.Task(id)
	if !ok {
		return "unknown"
	}
	return string(t.State)
}

// username names a person of this machine.
func username(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return "uid " + strconv.Itoa(uid)
	}
	return u.Username
}

// actionOf reads an action that the approval kept.
func actionOf(raw []byte) (a ambit.Action) {
	json.Unmarshal(raw, &a)
	return a
}

// decisionOf reads a decision that the approval kept.
func decisionOf(raw []byte) (d ambit.Decision) {
	json.Unmarshal(raw, &d)
	return d
}
