package gatetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ambit"
	"ambit/pipeline"
)

// benign is what must work: each effect when it is allowed, in the right order,
// with the credential that the agent never sees.
func (b battery) benign(t *testing.T) {
	for _, e := range effects() {
		t.Run(e.String(), func(t *testing.T) {
			h := b.start(t)
			m := mark("benign-%v", e)
			h.mustWork(e, m)
			h.settled()
			h.inOrder(m)
			for _, s := range h.seen {
				if s.Credential != canary && !b.h.NoCredential {
					t.Errorf("the upstream got the credential %q", s.Credential)
				}
			}
			for _, i := range h.intents {
				if i.Action.Effect.Worst() < e {
					t.Errorf("a %v was recorded as %v", e, i.Action.Effect)
				}
			}
			for _, end := range h.ends {
				if end.Outcome != ambit.Performed {
					t.Errorf("the outcome is %v (%s)", end.Outcome, end.Detail)
				}
			}
		})
	}
}

// inOrder sees that all intents come before the act, and all outcomes after it.
func (h *house) inOrder(m string) {
	h.t.Helper()
	events := h.history()
	at := slices.Index(events, "seen "+m)
	if at < 0 || slices.Index(events, "intent") < 0 || slices.Index(events, "outcome") < 0 {
		h.t.Errorf("the events are %v", events)
		return
	}
	if slices.Contains(events[at:], "intent") || slices.Contains(events[at:], "mint") || slices.Contains(events[:at], "outcome") {
		h.t.Errorf("the events are out of order: %v", events)
	}
}

// denied is every verdict that is not a yes, with a look-ahead that lies.
func (b battery) denied(t *testing.T) {
	for name, decide := range map[string]func(*ambit.Action) ambit.Decision{
		"deny":         deny,
		"zero":         func(*ambit.Action) ambit.Decision { return ambit.Decision{} },
		"out of range": func(*ambit.Action) ambit.Decision { return ambit.Decision{Verdict: ambit.Allow + 1} },
	} {
		for _, foreseen := range []ambit.Verdict{ambit.Deny, ambit.Allow} {
			t.Run(name+", foreseen "+foreseen.String(), func(t *testing.T) {
				h := b.start(t)
				h.set(stages{decide: decide, foresee: func(*ambit.Action) ambit.Verdict { return foreseen }})
				for _, e := range effects() {
					m := mark("denied-%v", e)
					h.mustBeRefused(h.attempt(t.Context(), e, m), m, pipeline.CodeDenied)
				}
				if i, r, _ := h.counts(); i != 0 || r < 3 {
					t.Errorf("%d intents and %d refusals recorded", i, r)
				}
				h.set(stages{})
				h.mustWork(ambit.Write, mark("twin"))
			})
		}
	}
}

// stages fails every stage before perform in every way that answers.
func (b battery) stages(t *testing.T) {
	for name, c := range failures() {
		t.Run(name, func(t *testing.T) {
			h := b.start(t)
			h.set(c.stages)
			for _, e := range effects() {
				m := mark("failed-%v", e)
				h.mustBeRefused(h.attempt(t.Context(), e, m), m, c.code)
			}
			h.settled()
			h.set(stages{})
			h.mustWork(ambit.Read, mark("twin"))
		})
	}
}

type failure struct {
	stages stages
	code   string
}

func failures() map[string]failure {
	broken := errors.New("the battery broke it")
	answers := func(a pipeline.Answer, err error) stages {
		return stages{decide: askAll, ask: func(context.Context, pipeline.Question) (pipeline.Answer, error) { return a, err }}
	}
	records := func(id ambit.RecordID, err error) stages {
		return stages{intent: func(context.Context) (ambit.RecordID, error) { return id, err }}
	}
	mints := func(s ambit.SecretValue, err error) stages {
		return stages{mint: func(context.Context) (ambit.SecretValue, error) { return s, err }}
	}
	yes := pipeline.Answer{Approved: true, By: "ann"}
	return map[string]failure{
		"identity":                  {stages{live: func() error { return broken }}, pipeline.CodeBroken},
		"asker":                     {answers(pipeline.Answer{}, broken), pipeline.CodeNoAnswer},
		"asker, with a yes":         {answers(yes, broken), pipeline.CodeNoAnswer},
		"asker, zero":               {answers(pipeline.Answer{}, nil), pipeline.CodeRejected},
		"asker, a no":               {answers(pipeline.Answer{By: "ann", Why: "no"}, nil), pipeline.CodeRejected},
		"asker, a yes of nobody":    {answers(pipeline.Answer{Approved: true}, nil), pipeline.CodeRejected},
		"asker, pending":            {answers(pipeline.Answer{Pending: true, Ticket: "t"}, nil), pipeline.CodePending},
		"asker, pending and a yes":  {answers(pipeline.Answer{Pending: true, Approved: true, By: "ann"}, nil), pipeline.CodePending},
		"recorder":                  {records(0, broken), pipeline.CodeNoRecord},
		"recorder, with an id":      {records(77, broken), pipeline.CodeNoRecord},
		"recorder, zero":            {records(0, nil), pipeline.CodeNoRecord},
		"minter":                    {mints(ambit.SecretValue{}, broken), pipeline.CodeNoCredential},
		"minter, with a credential": {mints(ambit.NewSecret([]byte(canary)), broken), pipeline.CodeNoCredential},
	}
}

// hangs is a stage that never answers: the agent gives up, the stage learns it,
// and nothing happens later.
func (b battery) hangs(t *testing.T) {
	for _, name := range []string{"asker", "recorder", "minter"} {
		t.Run(name, func(t *testing.T) {
			h := b.start(t)
			begun, left := make(chan struct{}, 1), make(chan struct{}, 1)
			hang := func(ctx context.Context) error {
				begun <- struct{}{}
				<-ctx.Done()
				left <- struct{}{}
				return nil // as if it had been in time after all
			}
			h.set(map[string]stages{
				"asker": {decide: askAll, ask: func(ctx context.Context, _ pipeline.Question) (pipeline.Answer, error) {
					return pipeline.Answer{Approved: true, By: "ann"}, hang(ctx)
				}},
				"recorder": {intent: func(ctx context.Context) (ambit.RecordID, error) { return 99, hang(ctx) }},
				"minter": {mint: func(ctx context.Context) (ambit.SecretValue, error) {
					return ambit.NewSecret([]byte(canary)), hang(ctx)
				}},
			}[name])
			m := mark("hung")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			got := make(chan Result, 1)
			go func() { got <- h.attempt(ctx, ambit.Irreversible, m) }()
			h.wait(begun, "attempt that reaches the stage")
			cancel()
			h.wait(left, "word to the stage that the agent hung up")
			h.set(stages{})
			h.mustBeStopped(<-got, m)
			h.mustWork(ambit.Irreversible, mark("twin"))
			h.mustBeStopped(Result{}, m)
		})
	}
}

func (h *house) wait(c <-chan struct{}, what string) {
	h.t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		h.t.Fatalf("there was no %s", what)
	}
}

// frozen is an outcome that cannot be recorded: what follows is refused.
func (b battery) frozen(t *testing.T) {
	h := b.start(t)
	h.set(stages{outcome: func(context.Context) error { return errors.New("the disk is full") }})
	h.mustWorkOnce(ambit.Write, mark("unrecorded"))
	h.eventually("freeze", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.frozen == 1
	})
	h.set(stages{})
	for _, e := range effects() {
		m := mark("after-%v", e)
		h.mustBeRefused(h.attempt(t.Context(), e, m), m, pipeline.CodeBroken)
	}
	if h.frozen != 1 {
		t.Errorf("the task froze %d times", h.frozen)
	}
}

// mustWorkOnce is an action that happens, whatever the agent is told of it.
func (h *house) mustWorkOnce(e ambit.Effect, m string) {
	h.t.Helper()
	h.attempt(h.t.Context(), e, m)
	if n := h.times(m); n != 1 {
		h.t.Errorf("%q reached the upstream %d times", m, n)
	}
}

// ended is a task that ends between two actions, and while a person is asked.
func (b battery) ended(t *testing.T) {
	h := b.start(t)
	h.mustWork(ambit.Read, mark("before"))
	over := func() error { return errors.New("the task was revoked") }
	h.set(stages{live: over})
	m := mark("after")
	h.mustBeRefused(h.attempt(t.Context(), ambit.Read, m), m, pipeline.CodeBroken)
	h.set(stages{decide: askAll, ask: func(context.Context, pipeline.Question) (pipeline.Answer, error) {
		h.set(stages{decide: askAll, live: over})
		return pipeline.Answer{Approved: true, By: "ann"}, nil
	}})
	m = mark("meanwhile")
	h.mustBeRefused(h.attempt(t.Context(), ambit.Irreversible, m), m, pipeline.CodeBroken)
}

// many is 64 agents' worth at once, every second one refused.
func (b battery) many(t *testing.T) {
	h := b.start(t)
	h.set(stages{decide: func(a *ambit.Action) ambit.Decision {
		if a.Effect.Worst() != ambit.Read {
			return deny(a)
		}
		return allow(a)
	}})
	var wg sync.WaitGroup
	results := make([]Result, 64)
	for i := range results {
		wg.Go(func() {
			e := []ambit.Effect{ambit.Read, ambit.Write}[i%2]
			results[i] = h.attempt(t.Context(), e, mark("many-%d", i))
		})
	}
	wg.Wait()
	h.settled()
	records := make(map[string]bool)
	for i, r := range results {
		m := mark("many-%d", i)
		if i%2 == 1 {
			h.mustBeRefused(r, m, pipeline.CodeDenied)
			records[r.Record] = true
		} else if !r.Done || h.times(m) != 1 || !strings.Contains(string(r.Received), m) {
			t.Errorf("%q: done %v, reached the upstream %d times, %q", m, r.Done, h.times(m), r.Received)
		}
	}
	if !b.h.Mute && len(records) != 32 {
		t.Errorf("32 refusals named %d records", len(records))
	}
}
