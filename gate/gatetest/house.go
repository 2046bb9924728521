package gatetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"ambit"
	"ambit/gate"
	"ambit/pipeline"
)

// canary is the secret that the broker mints. Its odd bytes show whether a gate
// looks for a secret in its other spellings, too.
const canary = "canary/7Jq2+xW9=ambit&0123456789"

// stages replace what works; nil works.
type stages struct {
	live    func() error
	decide  func(a *ambit.Action) ambit.Decision
	foresee func(a *ambit.Action) ambit.Verdict
	ask     func(ctx context.Context, q pipeline.Question) (pipeline.Answer, error)
	intent  func(ctx context.Context) (ambit.RecordID, error)
	outcome func(ctx context.Context) error
	mint    func(ctx context.Context) (ambit.SecretValue, error)
	saw     func(ctx context.Context, s Seen)
}

// house is a task's whole house in memory, with a gate in front.
type house struct {
	t    *testing.T
	b    battery
	gate Gate
	pipe *pipeline.Pipeline
	task gate.Task

	mu       sync.Mutex
	s        stages
	events   []string // "intent", "mint", "seen MARK", "outcome"
	seen     []Seen
	last     ambit.RecordID
	intents  []pipeline.Intent
	refusals []pipeline.Intent
	whys     []string
	records  []ambit.RecordID // of refusals
	ends     []pipeline.End
	alerts   []string
	frozen   int
	live     int                     // permits
	opening  map[ambit.RecordID]bool // intents that only open a connection
	opened   []pipeline.End          // how those ended
	results  []Result
	errs     []error
	asked    []pipeline.Question
}

// start makes a house in which everything works and everything is allowed.
func (b battery) start(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, b: b, task: gate.Task{ID: ambit.NewTaskID(), Agent: "gate-tester"}}
	p, err := pipeline.New(pipeline.Config{Task: h.task.ID, Agent: h.task.Agent, Identity: h, Decider: h, Asker: h,
		Recorder: h, Minter: h, Freeze: func(error) { h.lock(func() { h.frozen++ }) }})
	if err != nil {
		t.Fatal(err)
	}
	h.pipe = p
	h.open(watched{h})
	return h
}

// open starts the gate in front of a doer.
func (h *house) open(d gate.Doer) {
	h.t.Helper()
	h.gate = h.b.h.Start(h.t, Setup{Task: h.task, Do: d, Foresee: h.foresee, Alert: h.alert, Saw: h.saw})
	h.t.Cleanup(h.searchForSecret)
}

func (h *house) lock(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// set replaces stages.
func (h *house) set(s stages) { h.lock(func() { h.s = s }) }

func (h *house) get() stages {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.s
}

// Live is the pipeline's Identity.
func (h *house) Live() error {
	if f := h.get().live; f != nil {
		return f()
	}
	return nil
}

// Decide is the pipeline's Decider. What names no service is denied, as gates
// record their own refusals in that way.
func (h *house) Decide(a *ambit.Action) ambit.Decision {
	if a.Service == "" {
		return ambit.Decision{By: "no-service", Why: "no service has this name"}
	}
	if f := h.get().decide; f != nil && !h.opens(a) {
		return f(a)
	}
	return allow(a)
}

// opens says whether an action only opens a connection.
func (h *house) opens(a *ambit.Action) bool { return h.b.h.Opens != nil && h.b.h.Opens(a) }

// Remedy is a line.
func (h *house) Remedy(*ambit.Action) string { return "a line that would allow it" }

func (h *house) foresee(a *ambit.Action) ambit.Verdict {
	if f := h.get().foresee; f != nil {
		return f(a)
	}
	return h.Decide(a).Verdict
}

// Ask is the pipeline's Asker.
func (h *house) Ask(ctx context.Context, q pipeline.Question) (pipeline.Answer, error) {
	h.lock(func() { h.asked = append(h.asked, q) })
	if f := h.get().ask; f != nil {
		return f(ctx, q)
	}
	return pipeline.Answer{}, errors.New("nobody is there")
}

// Intent is the pipeline's Recorder.
func (h *house) Intent(ctx context.Context, i pipeline.Intent) (ambit.RecordID, error) {
	if f := h.get().intent; f != nil {
		return f(ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	if h.opens(&i.Action) {
		if h.opening == nil {
			h.opening = map[ambit.RecordID]bool{}
		}
		h.opening[h.last] = true
		return h.last, nil
	}
	h.events, h.intents = append(h.events, "intent"), append(h.intents, i)
	return h.last, nil
}

// Refusal is the pipeline's Recorder.
func (h *house) Refusal(_ context.Context, i pipeline.Intent, why string) (ambit.RecordID, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	h.refusals, h.whys, h.records = append(h.refusals, i), append(h.whys, why), append(h.records, h.last)
	return h.last, nil
}

// Outcome is the pipeline's Recorder.
func (h *house) Outcome(ctx context.Context, e pipeline.End) error {
	if f := h.get().outcome; f != nil {
		if err := f(ctx); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.opening[e.Intent] {
		h.opened = append(h.opened, e)
		return nil
	}
	h.events, h.ends = append(h.events, "outcome"), append(h.ends, e)
	return nil
}

// Mint is the pipeline's Minter.
func (h *house) Mint(ctx context.Context, a *ambit.Action) (ambit.SecretValue, error) {
	if f := h.get().mint; f != nil {
		return f(ctx)
	}
	if !h.opens(a) {
		h.lock(func() { h.events = append(h.events, "mint") })
	}
	return ambit.NewSecret([]byte(canary)), nil
}

func (h *house) alert(kind, detail string) {
	h.lock(func() { h.alerts = append(h.alerts, kind+": "+detail) })
}

// saw is called by the upstream.
func (h *house) saw(ctx context.Context, s Seen) {
	var live int
	h.lock(func() {
		live = h.live
		h.seen, h.events = append(h.seen, s), append(h.events, "seen "+s.Mark)
	})
	if live == 0 {
		h.t.Errorf("%q reached the upstream while no permit was live", s.Mark)
	}
	if f := h.get().saw; f != nil {
		f(ctx, s)
	}
}

// watched is the pipeline, with an eye on every permit.
type watched struct{ h *house }

// Do counts the live permits and sees that each dies.
func (w watched) Do(ctx context.Context, a ambit.Action, preview func() string, perform pipeline.Perform) error {
	var kept pipeline.Permit
	err := w.h.pipe.Do(ctx, a, preview, func(ctx context.Context, p pipeline.Permit) (ambit.Outcome, string, error) {
		kept = p
		if !w.h.opens(&a) {
			w.h.lock(func() { w.h.live++ })
			defer w.h.lock(func() { w.h.live-- })
		}
		return perform(ctx, p)
	})
	if kept.Check() == nil {
		w.h.t.Errorf("the permit of %s outlived its action", a.Operation)
	}
	if err != nil {
		w.h.lock(func() { w.h.errs = append(w.h.errs, err) })
	}
	return err
}

// attempt makes one action and keeps what the agent got.
func (h *house) attempt(ctx context.Context, e ambit.Effect, mark string) Result {
	r := h.gate.Attempt(ctx, e, mark)
	h.lock(func() { h.results = append(h.results, r) })
	return r
}

// times is how often an action with the mark reached the upstream.
func (h *house) times(mark string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, s := range h.seen {
		if s.Mark == mark {
			n++
		}
	}
	return n
}

func (h *house) counts() (intents, refusals, ends int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.intents), len(h.refusals), len(h.ends)
}

func (h *house) history() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

func allow(*ambit.Action) ambit.Decision {
	return ambit.Decision{Verdict: ambit.Allow, By: "test.yaml:1:1", Why: "the battery allows it"}
}

func deny(*ambit.Action) ambit.Decision {
	return ambit.Decision{Verdict: ambit.Deny, By: "no-grant", Why: "the battery denies it"}
}

func askAll(*ambit.Action) ambit.Decision {
	return ambit.Decision{Verdict: ambit.Ask, By: "test.yaml:2:1", Why: "the battery asks"}
}

// mark makes a mark that no other test uses.
func mark(format string, args ...any) string { return "mark-" + fmt.Sprintf(format, args...) }
