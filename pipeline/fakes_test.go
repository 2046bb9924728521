package pipeline

import (
	"context"
	"fmt"
	"sync"

	"ambit"
)

const (
	testTask  = ambit.TaskID("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	testAgent = "tester"
	canary    = "canary-4f1c9b2e-secret"
)

// house is every stage in memory. Each func field replaces a stage; what is nil
// works. The events tell the order in which things happened.
type house struct {
	live    func() error
	decide  func(*ambit.Action) ambit.Decision
	ask     func(context.Context, Question) (Answer, error)
	intent  func(context.Context, Intent) (ambit.RecordID, error)
	refuse  func(context.Context, Intent, string) (ambit.RecordID, error)
	outcome func(context.Context, End) error
	mint    func(context.Context, *ambit.Action) (ambit.SecretValue, error)

	mu       sync.Mutex
	events   []string
	last     ambit.RecordID
	intents  []Intent
	refusals []Intent
	whys     []string
	ends     []End
	frozen   []error
}

func (h *house) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, fmt.Sprintf(format, args...))
}

func (h *house) Live() error {
	if h.live != nil {
		return h.live()
	}
	return nil
}

func (h *house) Decide(a *ambit.Action) ambit.Decision {
	h.note("decide")
	if h.decide != nil {
		return h.decide(a)
	}
	return ambit.Decision{Verdict: ambit.Allow, By: "f:1:1", Why: "because"}
}

func (h *house) Remedy(*ambit.Action) string { return "add this line" }

func (h *house) Ask(ctx context.Context, q Question) (Answer, error) {
	h.note("ask")
	if h.ask != nil {
		return h.ask(ctx, q)
	}
	return Answer{Approved: true, By: "ann"}, nil
}

func (h *house) Intent(ctx context.Context, i Intent) (ambit.RecordID, error) {
	h.note("intent")
	if h.intent != nil {
		return h.intent(ctx, i)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.intents = append(h.intents, i)
	h.last++
	return h.last, nil
}

func (h *house) Refusal(ctx context.Context, i Intent, why string) (ambit.RecordID, error) {
	h.note("refusal")
	if h.refuse != nil {
		return h.refuse(ctx, i, why)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusals, h.whys = append(h.refusals, i), append(h.whys, why)
	h.last++
	return h.last, nil
}

func (h *house) Outcome(ctx context.Context, e End) error {
	h.note("outcome %v", e.Outcome)
	if h.outcome != nil {
		return h.outcome(ctx, e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends = append(h.ends, e)
	return nil
}

func (h *house) Mint(ctx context.Context, a *ambit.Action) (ambit.SecretValue, error) {
	h.note("mint")
	if h.mint != nil {
		return h.mint(ctx, a)
	}
	return ambit.NewSecret([]byte(canary)), nil
}

func (h *house) config() Config {
	return Config{Task: testTask, Agent: testAgent, Identity: h, Decider: h, Asker: h, Recorder: h, Minter: h,
		Freeze: func(err error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.frozen = append(h.frozen, err)
		}}
}

func (h *house) counts() (intents, refusals, ends int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.intents), len(h.refusals), len(h.ends)
}

func action() ambit.Action {
	return ambit.Action{Task: testTask, Agent: testAgent, Service: "api", Operation: "http.delete", Effect: ambit.Irreversible,
		Resource: ambit.Resource{Kind: "http", Segments: []string{"h.test", "a"}}}
}
