package gatetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"ambit"
	"ambit/gate"
	"ambit/pipeline"
)

// person answers questions: an approval is for one digest, once.
type person struct {
	mu       sync.Mutex
	approved map[ambit.Digest]bool
	asked    []pipeline.Question
}

func (p *person) ask(_ context.Context, q pipeline.Question) (pipeline.Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.approved[q.Digest] {
		delete(p.approved, q.Digest)
		return pipeline.Answer{Approved: true, By: "ann"}, nil
	}
	p.asked = append(p.asked, q)
	return pipeline.Answer{Pending: true, Ticket: "ticket-1", Until: time.Now().Add(time.Minute)}, nil
}

// approve says yes to every question so far.
func (p *person) approve() (questions int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.asked {
		p.approved[q.Digest] = true
	}
	return len(p.asked)
}

// approvals is the human gate: the identical action once, and no other.
func (b battery) approvals(t *testing.T) {
	for _, e := range effects() {
		t.Run(e.String(), func(t *testing.T) {
			h := b.start(t)
			p := &person{approved: make(map[ambit.Digest]bool)}
			h.set(stages{decide: askAll, ask: p.ask})
			one, two := mark("one"), mark("two")
			h.mustBeRefused(h.attempt(t.Context(), e, one), one, pipeline.CodePending)
			if p.approve() == 0 {
				t.Fatal("nobody was asked")
			}
			// Other bytes than those that were approved.
			h.mustBeRefused(h.attempt(t.Context(), e, two), two, pipeline.CodePending)
			// Those bytes, and then a second time.
			h.mustWork(e, one)
			again := h.attempt(t.Context(), e, one)
			if n := h.times(one); n != 1 || again.Done {
				t.Errorf("one approval let %q through %d times", one, n)
			}
			h.mustBeStopped(Result{}, two)
			h.settled()
			for _, i := range h.intents {
				if i.Approval != "ann" {
					t.Errorf("the intent says that %q approved it", i.Approval)
				}
			}
		})
	}
}

// doer is a pipeline that is not one.
type doer func(ctx context.Context, a ambit.Action, perform pipeline.Perform) error

// Do calls the function.
func (d doer) Do(ctx context.Context, a ambit.Action, _ func() string, perform pipeline.Perform) error {
	return d(ctx, a, perform)
}

// liars are pipelines that answer wrongly: what performs looks at its permit, and
// a gate claims nothing that was not performed.
func (b battery) liars(t *testing.T) {
	broken := errors.New("broken")
	for name, d := range map[string]func(*testing.T) gate.Doer{
		"no permit": func(*testing.T) gate.Doer {
			return doer(func(ctx context.Context, _ ambit.Action, perform pipeline.Perform) error {
				_, _, err := perform(ctx, pipeline.Permit{})
				return err
			})
		},
		"no permit, and says that all is well": func(*testing.T) gate.Doer {
			return doer(func(ctx context.Context, _ ambit.Action, perform pipeline.Perform) error {
				_, _, _ = perform(ctx, pipeline.Permit{})
				return nil
			})
		},
		"a dead permit": func(t *testing.T) gate.Doer {
			dead := deadPermit(t)
			return doer(func(ctx context.Context, _ ambit.Action, perform pipeline.Perform) error {
				_, _, err := perform(ctx, dead)
				return err
			})
		},
		"performs nothing": func(*testing.T) gate.Doer {
			return doer(func(context.Context, ambit.Action, pipeline.Perform) error { return nil })
		},
		"an unknown error": func(*testing.T) gate.Doer {
			return doer(func(context.Context, ambit.Action, pipeline.Perform) error { return broken })
		},
		"an empty refusal": func(*testing.T) gate.Doer {
			return doer(func(context.Context, ambit.Action, pipeline.Perform) error { return &pipeline.Refusal{} })
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{t: t, b: b, task: gate.Task{ID: ambit.NewTaskID(), Agent: "gate-tester"}}
			h.open(d(t))
			for _, e := range effects() {
				m := mark("lied-%v", e)
				h.mustBeStopped(h.attempt(t.Context(), e, m), m)
			}
		})
	}
}

// deadPermit is one whose action has ended.
func deadPermit(t *testing.T) pipeline.Permit {
	t.Helper()
	h := &house{t: t, task: gate.Task{ID: ambit.NewTaskID(), Agent: "gate-tester"}}
	p, err := pipeline.New(pipeline.Config{Task: h.task.ID, Agent: h.task.Agent, Identity: h, Decider: h, Asker: h, Recorder: h, Minter: h, Freeze: func(error) {}})
	if err != nil {
		t.Fatal(err)
	}
	var dead pipeline.Permit
	a := ambit.Action{Task: h.task.ID, Agent: h.task.Agent, Service: "s", Operation: "o", Effect: ambit.Read, Resource: ambit.Resource{Kind: "k"}}
	err = p.Do(t.Context(), a, nil, func(_ context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		dead = p
		return ambit.Performed, "", nil
	})
	if err != nil || dead.Check() == nil {
		t.Fatalf("no dead permit: %v, %v", err, dead.Check())
	}
	return dead
}

// held is an action that the upstream is at work on.
type held struct {
	mark    string
	got     chan Result
	cut     chan struct{} // closed when the gate lets go of the upstream
	release chan struct{}
	hangUp  context.CancelFunc
}

// hold starts an action and waits until the upstream has it.
func (h *house) hold(e ambit.Effect) *held {
	h.t.Helper()
	x := &held{mark: mark("held-%v", e), got: make(chan Result, 1), cut: make(chan struct{}), release: make(chan struct{})}
	begun := make(chan struct{}, 1)
	h.set(stages{saw: func(ctx context.Context, s Seen) {
		if s.Mark != x.mark {
			return
		}
		begun <- struct{}{}
		select {
		case <-ctx.Done():
			close(x.cut)
		case <-x.release:
		}
	}})
	ctx, cancel := context.WithCancel(h.t.Context())
	x.hangUp = cancel
	h.t.Cleanup(cancel)
	h.t.Cleanup(sync.OnceFunc(func() { close(x.release) }))
	go func() { x.got <- h.attempt(ctx, e, x.mark) }()
	h.wait(begun, "action that reaches the upstream")
	return x
}

// revoked cuts what is under way, on both sides, and refuses what follows.
func (b battery) revoked(t *testing.T) {
	for _, e := range effects() {
		t.Run(e.String(), func(t *testing.T) {
			h := b.start(t)
			x := h.hold(e)
			h.gate.Revoke()
			select {
			case r := <-x.got:
				if r.Done {
					t.Error("the agent was told of success")
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the agent's connection was not cut")
			}
			h.wait(x.cut, "cut on the upstream's side")
			h.settled()
			if o := h.ends[len(h.ends)-1].Outcome; o == ambit.Refused {
				t.Errorf("what the upstream had begun is recorded as %v", o)
			}
			m := mark("after")
			h.mustBeStopped(h.attempt(t.Context(), e, m), m)
		})
	}
}

// hangUp is an agent that goes away in the middle: the outcome is recorded all
// the same, and the gate serves on.
func (b battery) hangUp(t *testing.T) {
	for _, e := range effects() {
		t.Run(e.String(), func(t *testing.T) {
			h := b.start(t)
			x := h.hold(e)
			x.hangUp()
			if r := <-x.got; r.Done {
				t.Error("the agent was told of success")
			}
			h.wait(x.cut, "end of the upstream's connection")
			h.settled()
			if n := h.times(x.mark); n != 1 {
				t.Errorf("it reached the upstream %d times", n)
			}
			if o := h.ends[len(h.ends)-1].Outcome; o == ambit.Refused || o == ambit.Performed {
				t.Errorf("what nobody saw the end of is recorded as %v", o)
			}
			h.set(stages{})
			h.mustWork(e, mark("twin"))
		})
	}
}
