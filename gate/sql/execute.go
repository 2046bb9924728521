package sql

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/catalog/sql"
	"ambit/pipeline"
)

// run is one execution on its way through the pipeline.
type run struct {
	s      *session
	list   []sql.Statement
	acts   []ambit.Action
	params parameters
	of     *prepared // nil for a simple query
	send   func() (last event, err error)

	whole    bool       // the arguments hold all of it, so that a person sees what is approved
	unseen   string     // why a person cannot see what they would approve
	needs    []sql.Need // of all that a person is asked about
	asked    bool
	approved []pipeline.Permit // of the actions that a person approved
	began    bool              // it was sent to the database
	outcome  ambit.Outcome
	detail   string
	record   ambit.RecordID
}

// do takes the actions through the pipeline, one inside the other: the statement is
// sent when the last of them is permitted, and never in part.
func (r *run) do(ctx context.Context, acts []ambit.Action) error {
	asked := false
	preview := func() string {
		asked, r.asked = true, true
		return r.preview(ctx)
	}
	return r.s.g.c.Do.Do(ctx, acts[0], preview, func(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		if err := p.Check(); err != nil {
			return ambit.Refused, "no permit", err
		}
		if asked {
			r.approved = append(r.approved, p)
		}
		if len(acts) == 1 {
			return r.perform(ctx, p)
		}
		r.outcome, r.detail = ambit.Refused, "another part of the statement was refused"
		err := r.do(ctx, acts[1:])
		return r.outcome, r.detail, err
	})
}

// perform is the only place where a statement is sent to the database.
func (r *run) perform(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
	if err := p.Check(); err != nil {
		return ambit.Refused, "no permit", err
	}
	if r.record = p.Record(); slices.ContainsFunc(r.approved, func(p pipeline.Permit) bool { return r.hides(p.Action()) }) {
		// The person approved what they could not see all of.
		r.outcome, r.detail = ambit.Refused, "asked without the whole statement"
		return r.outcome, r.detail, r.cannotAsk()
	}
	if bad := r.unlendable(); bad != nil {
		r.outcome, r.detail = ambit.Refused, "approved, and cannot be lent what it needs"
		return r.outcome, r.detail, bad
	}
	lower, err := r.elevateAll(ctx)
	if err != nil {
		// The cause names the database's address and its administrator: it is for the log.
		r.outcome, r.detail = ambit.Refused, "no right in the database: "+printable(err.Error(), 400)
		return r.outcome, r.detail, notElevated(err)
	}
	defer lower()
	r.began, r.s.ran = true, r.s.ran+1
	r.s.changes(r)
	last, err := r.send()
	switch {
	case err != nil:
		r.outcome, r.detail = ambit.OutcomeUnknown, err.Error()
	case last.kind == 'E':
		r.outcome, r.detail = ambit.Failed, "error "+last.state
	default:
		r.outcome, r.detail = ambit.Performed, last.tag
	}
	return r.outcome, r.detail, err
}

// perform performs the run and tells the agent when it was not. An error ends the
// session.
func (s *session) perform(ctx context.Context, r *run, simple bool) error {
	if bad := r.lendable(ctx); bad != nil {
		return s.stop(ctx, bad, simple)
	}
	err := r.do(ctx, r.acts)
	if r.began || ctx.Err() != nil {
		return err
	}
	if p, ok := errors.AsType[*pipeline.Refusal](err); ok {
		s.g.unrecorded(ctx, p)
		return s.fail(told(p), simple)
	}
	// Do says that all is well, or fails in its own way, and nothing was sent: never
	// a silent success.
	m := message(stateRefused, describe(&r.acts[0]), pipeline.CodeBroken, "nothing was performed", "", r.record)
	if bad, ok := errors.AsType[*refusal](err); ok {
		m = message(bad.state, describe(&r.acts[0]), bad.code, bad.why, bad.instead, r.record)
	}
	return s.fail(m, simple)
}

// query takes a simple query: one statement or several, all or none.
func (s *session) query(ctx context.Context, body []byte) error {
	var m pgproto3.Query
	raw, bad := decoded(&m, 'Q', body)
	if bad != nil {
		return s.fatal(ctx, bad)
	}
	if len(s.held) > 0 {
		return s.stop(ctx, leftBound(), true)
	}
	list, err := s.g.c.Reader.Parse(m.String)
	if err != nil {
		return s.stop(ctx, unread(err), true)
	}
	if bad := s.readable(m.String, list); bad != nil {
		return s.stop(ctx, bad, true)
	}
	if len(list) == 0 {
		return s.empty(raw)
	}
	list, named, bad := s.resolve(list)
	if bad == nil {
		bad = s.looksLate(len(list))
	}
	if bad != nil {
		return s.stop(ctx, bad, true)
	}
	for i := range list {
		if bad := s.unfit(&list[i]); bad != nil {
			return s.stop(ctx, bad, true)
		}
		s.forgetCursor(&list[i])
	}
	r := &run{s: s, list: list}
	if bad := r.actions(m.String); bad != nil {
		return s.stop(ctx, bad, true)
	}
	r.send = func() (event, error) {
		s.unname(list, named)
		last, err := s.sendQuery(raw)
		s.executed(list, last)
		if err == nil && last.kind != 'E' {
			s.rename(list, named)
		}
		return last, err
	}
	return s.perform(ctx, r, true)
}

func (s *session) sendQuery(raw []byte) (event, error) {
	s.listen(true)
	s.wbuf = append(s.wbuf, raw...)
	if err := s.write(); err != nil {
		return event{}, err
	}
	last, _, err := s.await("Z")
	return last, err
}

// empty answers a text of no statements. It ends what came before it, as any does; only
// when nothing did the database need not know of it.
func (s *session) empty(raw []byte) error {
	if s.sent {
		_, err := s.sendQuery(raw)
		return err
	}
	return s.out.send(true, &pgproto3.EmptyQueryResponse{}, &pgproto3.ReadyForQuery{TxStatus: s.status})
}

// execute runs a portal.
func (s *session) execute(ctx context.Context, body []byte) error {
	var m pgproto3.Execute
	raw, bad := decoded(&m, 'E', body)
	if bad != nil {
		return s.fatal(ctx, bad)
	}
	if bad := tooLong(m.Portal); bad != nil {
		return s.stop(ctx, bad, false)
	}
	p := s.lookupPortal(m.Portal)
	switch {
	case p == nil:
		return s.stop(ctx, &refusal{code: CodeUnknown, state: "34000", why: "there is no portal " + printable(m.Portal, 64)}, false)
	case p.of.stmt == nil:
		return s.later(raw, pending{}, len(s.held) > 0)
	}
	list, named, bad := s.resolve([]sql.Statement{*p.of.stmt})
	if bad == nil {
		bad = s.unfit(&list[0])
	}
	if bad == nil && !s.belongs(p) {
		bad = leftBound()
	}
	if bad != nil {
		return s.stop(ctx, bad, false)
	}
	s.forgetCursor(p.of.stmt)
	r := &run{s: s, list: list, params: p.params, of: p.of}
	if bad = r.actions(p.of.stmt.Text); bad != nil {
		return s.stop(ctx, bad, false)
	}
	if p.begun { // it goes on where it stopped; what it does was decided then
		r.acts = r.acts[:1]
		r.acts[0].Operation, r.acts[0].Effect, r.acts[0].Resource = "sql.fetch", ambit.Read, s.database()
	}
	r.send = func() (event, error) {
		s.unname(list, named)
		last, err := s.sendExecute(raw)
		if err == nil && last.kind == 'C' {
			s.rename(list, named)
		}
		// After an error it may not have begun at all: an agent that fails a message
		// before it, and rolls back to a savepoint, would run it later as a mere fetch.
		p.begun = p.begun || err == nil && strings.IndexByte("CIs", last.kind) >= 0
		s.executed(r.list, last)
		return last, err
	}
	return s.perform(ctx, r, false)
}

// sendExecute sends an Execute with what waited for it, and with the Sync that has
// come with it, if it has.
func (s *session) sendExecute(raw []byte) (last event, err error) {
	s.mu.Lock()
	if s.failed {
		s.mu.Unlock()
		s.dropHeld()
		s.skip = true
		return event{kind: 'E', state: "an earlier message of the batch failed"}, nil
	}
	s.expect = true
	s.pend = append(s.pend, s.heldPend...)
	s.mu.Unlock()
	s.wbuf = append(append(s.wbuf, s.held...), raw...)
	s.give(len(s.held))
	s.held, s.heldPend, s.sent, s.executes, s.binds = nil, nil, true, true, true
	until := "CIsE"
	if s.upcoming() == 'S' && !s.apart {
		_, _ = s.next()
		s.wbuf, until = append(s.wbuf, messageSync...), "Z"
	} else {
		s.wbuf = append(s.wbuf, messageFlush...)
	}
	if err := s.write(); err != nil {
		return event{}, err
	}
	last, ended, err := s.await(until)
	s.listen(false)
	if last.kind == 'E' && !ended {
		s.skip = true // as the database does
	}
	return last, err
}

// await waits until the database has sent one of the kinds of messages, and returns
// the last completion or the first error on the way, and whether it takes the next
// message. The data of a COPY is passed on meanwhile; its Sync was not seen by the
// database then, and another one follows.
func (s *session) await(kinds string) (last event, ended bool, err error) {
	for {
		ev, ok := <-s.events
		if ok && ev.kind == 'G' {
			if kinds == "Z" && s.sent {
				kinds = "CE"
			}
			if ev, ok, err = s.copyIn(); err != nil {
				return last, false, err
			}
			if ok && ev.kind == 0 {
				continue
			}
		}
		if !ok {
			return last, false, errEnded
		}
		if ev.kind == 'Z' {
			s.status, s.sent, s.unsure, s.executes, s.binds = ev.status, false, false, false, false
			s.wrote = s.wrote && ev.status != 'I'
			s.stale = s.stale && ev.status != 'I'
			s.rest()
			s.listen(false)
		} else if last.kind != 'E' {
			last = ev
		}
		if strings.IndexByte(kinds, ev.kind) >= 0 || ev.kind == 'Z' {
			return last, ev.kind == 'Z', nil
		}
	}
}

// copyIn passes the agent's data on until it ends, or until the database has had
// enough of it; then it returns what the database said.
func (s *session) copyIn() (ev event, ok bool, err error) {
	for {
		if len(s.queue) == 0 {
			if err := s.write(); err != nil {
				return ev, false, err
			}
			select {
			case ev, ok = <-s.events:
				return ev, ok, nil
			case fs, more := <-s.in:
				if !more {
					return ev, false, errTerminate
				}
				s.queue = fs
			}
		}
		f, _ := s.next()
		switch f.kind {
		case 'd', 'c', 'f':
			s.wbuf = appendFrame(s.wbuf, f.kind, f.body)
			if f.kind != 'd' && s.sent {
				// The Sync before is lost on the COPY, and without one the database keeps
				// the end to itself.
				s.wbuf = append(s.wbuf, messageFlush...)
			}
			if f.kind != 'd' || len(s.wbuf) > maxSmall {
				if err := s.write(); err != nil {
					return ev, false, err
				}
			}
			if f.kind != 'd' {
				return event{}, true, nil
			}
		case 'H', 'S': // the database ignores both here (section 53.2.6)
		default:
			return ev, false, errTerminate
		}
	}
}

func (s *session) hasFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// database is the resource of what has no table.
func (s *session) database() ambit.Resource {
	return ambit.Resource{Kind: "database", Segments: []string{s.db.Name}}
}
