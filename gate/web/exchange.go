package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"ambit"
	"ambit/pipeline"
)

// exchange is one request on its way through the pipeline, with its response.
type exchange struct {
	g    *Gate
	in   *inbound
	w    http.ResponseWriter
	out  *out1 // HTTP/1.x only
	r    *route
	acts []ambit.Action

	push     *push  // nil for all but a push of git whose commands were read
	prefix   []byte // of the body, read already
	whole    bool   // prefix is the whole body
	digest   bool   // the body was read because what it says matters
	bound    bool   // the actions' arguments hold the body's digest
	asked    bool   // a person was asked
	charged  int64  // bytes taken from the gate's budget
	started  bool   // the response's head was written
	upgraded bool   // the connection is no longer HTTP
	blanked  bool   // a placeholder was taken out of prefix

	record  ambit.RecordID // of the intent
	outcome ambit.Outcome
	detail  string
}

// handle takes one request the whole way and answers it. It says whether the
// agent's connection can carry another.
func (g *Gate) handle(ctx context.Context, in *inbound, w http.ResponseWriter) bool {
	x := &exchange{g: g, in: in, w: w}
	x.out, _ = w.(*out1)
	defer func() { g.buffered.Add(-x.charged) }()
	if bad := x.prepare(ctx); bad != nil {
		last := bad.alert != "" || bad.code == CodeNoRoute
		x.announceClose(last)
		x.write(g.refuse(ctx, in.plainAction(), bad), http.StatusForbidden)
		return !last
	}
	if x.push != nil {
		return x.answer(ctx, x.doPush(ctx))
	}
	return x.answer(ctx, x.do(ctx, x.acts))
}

// prepare checks the request, finds its route and makes its actions.
func (x *exchange) prepare(ctx context.Context) *refusal {
	if len(x.in.conn.routes) == 0 {
		x.in.url, _ = parseTarget(x.in.method, x.in.target, false) // for the record only
		return noRoute(x.in.conn.at)
	}
	if bad := x.in.check(); bad != nil {
		return bad
	}
	if x.out != nil && x.in.hop.close {
		x.out.close = true
	}
	if bad := x.readSmall(); bad != nil {
		return bad
	}
	if bad := x.classify(); bad != nil {
		return bad
	}
	if bad := x.readPush(ctx); bad != nil {
		return bad
	}
	if x.r.HasCredential {
		if bad := x.g.checkForeign(x.r.Service, x.in); bad != nil {
			return bad
		}
	}
	if bad := x.checkFound(); bad != nil {
		return bad
	}
	// Where the agent has nothing of its own, what is too short to be told from a
	// tool's dummy, and a session's cookie, could still be somebody's.
	if x.r.HasCredential || x.r.NoOwn {
		if bad := x.r.stripCredentials(x.in.header, &x.in.url); bad != nil {
			return bad
		}
	}
	if x.r.Conversation && x.g.placeholders.scrub(x.prefix) {
		x.blanked = true
	}
	if bad := x.g.checkPlaceholders(x.in, x.prefix); bad != nil {
		return bad
	}
	endToEnd(x.in.header, x.in.hop)
	return x.bind()
}

// do takes the actions through the pipeline, one inside the other: the request
// is sent when the last of them is permitted, and never in part.
func (x *exchange) do(ctx context.Context, acts []ambit.Action) error {
	preview := func() string {
		x.asked = true
		return x.preview()
	}
	if len(acts) == 1 {
		return x.g.c.Do.Do(ctx, acts[0], preview, x.perform)
	}
	return x.g.c.Do.Do(ctx, acts[0], preview, func(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		if err := p.Check(); err != nil {
			return ambit.Refused, "no permit", err
		}
		x.outcome, x.detail = ambit.Refused, "another part of the request was refused"
		err := x.do(ctx, acts[1:])
		outcome, detail := x.became(&acts[0])
		return outcome, detail, err
	})
}

// perform is the only place where an upstream is contacted.
func (x *exchange) perform(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
	var err error
	x.outcome, x.detail, err = x.send(ctx, p)
	a := p.Action()
	outcome, detail := x.became(&a)
	return outcome, detail, err
}

// answer tells the agent how it ended, when the response did not already.
func (x *exchange) answer(ctx context.Context, err error) bool {
	switch {
	case err == nil && x.started:
		return !x.upgraded
	case x.started || ctx.Err() != nil:
		x.abort()
		return false
	}
	if p, ok := errors.AsType[*pipeline.Refusal](err); ok {
		x.g.unrecorded(ctx, p)
		x.announceClose(false)
		x.write(told(p, time.Now()), http.StatusForbidden)
		return true
	}
	e := answerError{Refused: describe(&x.acts[0]), Code: CodeUpstream, Why: "the request was allowed, but it failed", Record: x.record.String()}
	status := http.StatusBadGateway
	if err == nil {
		// Do says that all is well, but nothing was sent: never a silent 200.
		e.Code, e.Why, status = pipeline.CodeBroken, "nothing was performed", http.StatusForbidden
	}
	if bad, ok := errors.AsType[*refusal](err); ok {
		e.Code, e.Why, e.Instead = bad.code, bad.why, bad.instead
		if !bad.gateway {
			status = http.StatusForbidden
		}
	}
	x.announceClose(false)
	x.write(e, status)
	return true
}

// write tells the agent of a refusal, in git's own words where git asked.
func (x *exchange) write(e answerError, status int) {
	switch {
	case x.push != nil && x.report(e):
	case x.asksForRefs():
		e.writeText(x.w, status)
	case x.isLFS():
		e.writeLFS(x.w, status)
	default:
		e.write(x.w, status)
	}
}

// announceClose tells the agent that the connection ends with this answer:
// after an attack, or when too much of the request's body is unread.
func (x *exchange) announceClose(last bool) {
	unread := x.in.body != nil && !x.whole && (x.push == nil || !x.push.CanReport()) && (x.in.length == unknownLength || x.in.length > maxDrain)
	if x.out != nil && (last || unread) {
		x.out.close = true
	}
}

// abort makes the agent notice that a response is cut.
func (x *exchange) abort() {
	if x.out != nil {
		x.out.err = io.ErrUnexpectedEOF
		return
	}
	panic(http.ErrAbortHandler) // net/http resets the stream, and expects this
}
