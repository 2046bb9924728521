package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"ambit"
)

var errBroken = errors.New("broken")

func newPipeline(t *testing.T, h *house) *Pipeline {
	t.Helper()
	p, err := New(h.config())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// done performs and says so.
func (h *house) perform(_ context.Context, p Permit) (ambit.Outcome, string, error) {
	if err := p.Check(); err != nil {
		return ambit.Refused, "", err
	}
	h.note("perform")
	return ambit.Performed, "200", nil
}

func verdict(v ambit.Verdict) func(*ambit.Action) ambit.Decision {
	return func(*ambit.Action) ambit.Decision { return ambit.Decision{Verdict: v, By: "f:1:1", Why: "because"} }
}

func TestOrder(t *testing.T) {
	for v, want := range map[ambit.Verdict][]string{
		ambit.Allow: {"decide", "intent", "mint", "perform", "outcome performed"},
		ambit.Ask:   {"decide", "ask", "intent", "mint", "perform", "outcome performed"},
		ambit.Deny:  {"decide", "refusal"},
	} {
		h := &house{decide: verdict(v)}
		err := newPipeline(t, h).Do(t.Context(), action(), nil, h.perform)
		if (err == nil) != (v != ambit.Deny) {
			t.Errorf("%v: %v", v, err)
		}
		if diff := cmp.Diff(want, h.events); diff != "" {
			t.Errorf("%v: %s", v, diff)
		}
	}
}

// hang is a stage that never answers by itself.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// Every stage before perform, with everything that can be wrong with it.
func failures() map[string]struct {
	set  func(*house)
	code string
} {
	type c = struct {
		set  func(*house)
		code string
	}
	askFor := func(f func(context.Context, Question) (Answer, error)) func(*house) {
		return func(h *house) { h.decide, h.ask = verdict(ambit.Ask), f }
	}
	answer := func(a Answer) func(*house) {
		return askFor(func(context.Context, Question) (Answer, error) { return a, nil })
	}
	return map[string]c{
		"identity: ended":             {func(h *house) { h.live = func() error { return errBroken } }, CodeBroken},
		"decider: zero":               {func(h *house) { h.decide = func(*ambit.Action) ambit.Decision { return ambit.Decision{} } }, CodeDenied},
		"decider: deny":               {func(h *house) { h.decide = verdict(ambit.Deny) }, CodeDenied},
		"decider: out of range":       {func(h *house) { h.decide = verdict(ambit.Allow + 1) }, CodeDenied},
		"asker: zero":                 {answer(Answer{}), CodeRejected},
		"asker: no":                   {answer(Answer{By: "ann", Why: "not now"}), CodeRejected},
		"asker: approved by nobody":   {answer(Answer{Approved: true}), CodeRejected},
		"asker: approved and pending": {answer(Answer{Approved: true, Pending: true, By: "ann"}), CodePending},
		"asker: pending":              {answer(Answer{Pending: true, Ticket: "t1"}), CodePending},
		"asker: fails, with a yes": {askFor(func(context.Context, Question) (Answer, error) {
			return Answer{Approved: true, By: "ann"}, errBroken
		}), CodeNoAnswer},
		"asker: hangs": {askFor(func(ctx context.Context, _ Question) (Answer, error) { return Answer{}, hang(ctx) }), CodeNoAnswer},
		"asker: the task ended meanwhile": {func(h *house) {
			asked := false
			h.live = func() error {
				if asked {
					return errBroken
				}
				return nil
			}
			askFor(func(context.Context, Question) (Answer, error) {
				asked = true
				return Answer{Approved: true, By: "ann"}, nil
			})(h)
		}, CodeBroken},
		"recorder: fails": {func(h *house) {
			h.intent = func(context.Context, Intent) (ambit.RecordID, error) { return 0, errBroken }
		}, CodeNoRecord},
		"recorder: fails, with a record": {func(h *house) {
			h.intent = func(context.Context, Intent) (ambit.RecordID, error) { return 9, errBroken }
		}, CodeNoRecord},
		"recorder: zero": {func(h *house) {
			h.intent = func(context.Context, Intent) (ambit.RecordID, error) { return 0, nil }
		}, CodeNoRecord},
		"recorder: hangs": {func(h *house) {
			h.intent = func(ctx context.Context, _ Intent) (ambit.RecordID, error) { return 0, hang(ctx) }
		}, CodeNoRecord},
		"minter: fails": {func(h *house) {
			h.mint = func(context.Context, *ambit.Action) (ambit.SecretValue, error) { return ambit.SecretValue{}, errBroken }
		}, CodeNoCredential},
		"minter: fails, with a secret": {func(h *house) {
			h.mint = func(context.Context, *ambit.Action) (ambit.SecretValue, error) {
				return ambit.NewSecret([]byte(canary)), errBroken
			}
		}, CodeNoCredential},
		"minter: hangs": {func(h *house) {
			h.mint = func(ctx context.Context, _ *ambit.Action) (ambit.SecretValue, error) {
				return ambit.SecretValue{}, hang(ctx)
			}
		}, CodeNoCredential},
		"minter: the task ended meanwhile": {func(h *house) {
			minted := false
			h.live = func() error {
				if minted {
					return errBroken
				}
				return nil
			}
			h.mint = func(context.Context, *ambit.Action) (ambit.SecretValue, error) {
				minted = true
				return ambit.NewSecret([]byte(canary)), nil
			}
		}, CodeBroken},
	}
}

func TestEveryStageThatFailsRefuses(t *testing.T) {
	for name, c := range failures() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				h := &house{}
				c.set(h)
				err := newPipeline(t, h).Do(ctx, action(), nil, h.perform)
				r, ok := errors.AsType[*Refusal](err)
				if !ok {
					t.Fatalf("it returned %v", err)
				}
				if r.Code != c.code {
					t.Errorf("code %s, want %s", r.Code, c.code)
				}
				checkStopped(t, h, r)
			})
		})
	}
}

func checkStopped(t *testing.T, h *house, r *Refusal) {
	t.Helper()
	if slices.Contains(h.events, "perform") {
		t.Error("it was performed")
	}
	if r.Record == 0 || r.Action.Operation != "http.delete" || strings.Contains(r.Error(), canary) {
		t.Errorf("the refusal is %+v", r)
	}
	// The refusal is recorded, by its own record or as the intent's outcome.
	intents, refusals, ends := h.counts()
	switch {
	case intents == 0 && refusals == 1 && ends == 0:
		if !strings.HasPrefix(h.whys[0], r.Code+": ") {
			t.Errorf("recorded as %q", h.whys[0])
		}
	case intents == 1 && refusals == 0 && ends == 1:
		if h.ends[0].Outcome != ambit.Refused || h.ends[0].Intent != r.Record {
			t.Errorf("recorded as %+v", h.ends[0])
		}
	default:
		t.Errorf("%d intents, %d refusals, %d outcomes", intents, refusals, ends)
	}
}

func TestBadActionsAreRefused(t *testing.T) {
	edit := func(f func(*ambit.Action)) ambit.Action { a := action(); f(&a); return a }
	for name, a := range map[string]ambit.Action{
		"zero value":    {},
		"no operation":  edit(func(a *ambit.Action) { a.Operation = "" }),
		"another task":  edit(func(a *ambit.Action) { a.Task = "bbbbbbbbbbbbbbbbbbbbbbbbbb" }),
		"another agent": edit(func(a *ambit.Action) { a.Agent = "other" }),
		"no resource":   edit(func(a *ambit.Action) { a.Resource = ambit.Resource{} }),
		"climbing":      edit(func(a *ambit.Action) { a.Resource.Segments = []string{"h.test", ".."} }),
	} {
		h := &house{}
		err := newPipeline(t, h).Do(t.Context(), a, nil, h.perform)
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != CodeBroken {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]string{"refusal"}, h.events); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	h := &house{}
	if err := newPipeline(t, h).Do(t.Context(), action(), nil, nil); err == nil || slices.Contains(h.events, "intent") {
		t.Errorf("nothing to perform: %v, %v", err, h.events)
	}
}

func TestZeroPipelineRefuses(t *testing.T) {
	h := &house{}
	for name, p := range map[string]*Pipeline{"zero": {}, "nil": nil} {
		err := p.Do(t.Context(), action(), nil, h.perform)
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != CodeBroken {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(h.events) != 0 {
		t.Errorf("it did %v", h.events)
	}
}

func TestNewNamesEveryStage(t *testing.T) {
	for name, f := range map[string]func(*Config){
		"task": func(c *Config) { c.Task = "" }, "agent": func(c *Config) { c.Agent = "" },
		"identity": func(c *Config) { c.Identity = nil }, "decider": func(c *Config) { c.Decider = nil },
		"asker": func(c *Config) { c.Asker = nil }, "recorder": func(c *Config) { c.Recorder = nil },
		"minter": func(c *Config) { c.Minter = nil }, "freeze": func(c *Config) { c.Freeze = nil },
	} {
		c := (&house{}).config()
		f(&c)
		if p, err := New(c); err == nil || p != nil {
			t.Errorf("made a pipeline without %s", name)
		}
	}
}

func TestPermit(t *testing.T) {
	if err := (Permit{}).Check(); !errors.Is(err, ErrNoPermit) {
		t.Errorf("the zero permit: %v", err)
	}
	if z := (Permit{}); !z.Secret().Empty() || z.Record() != 0 || z.Action().Operation != "" {
		t.Error("the zero permit holds something")
	}
	h := &house{}
	var kept Permit
	err := newPipeline(t, h).Do(t.Context(), action(), nil, func(_ context.Context, p Permit) (ambit.Outcome, string, error) {
		kept = p
		if string(p.Secret().Reveal()) != canary || p.Record() != 1 || p.Action().Operation != "http.delete" || p.Check() != nil {
			t.Errorf("the live permit is %v, %v, %v", p.Record(), p.Action(), p.Check())
		}
		return ambit.Performed, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Check(); !errors.Is(err, ErrPermitEnded) || !kept.Secret().Empty() {
		t.Errorf("the permit outlived its action: %v", err)
	}
	if s := fmt.Sprintf("%v %+v %#v", kept, kept, kept); strings.Contains(s, canary) {
		t.Errorf("a permit prints its secret: %s", s)
	}
}

// What perform says is what is recorded, and its error comes back.
func TestOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		perform Perform
		want    End
		err     error
	}{
		"performed": {func(context.Context, Permit) (ambit.Outcome, string, error) { return ambit.Performed, "200", nil },
			End{1, ambit.Performed, "200"}, nil},
		"zero": {func(context.Context, Permit) (ambit.Outcome, string, error) { return 0, "", nil }, End{1, ambit.OutcomeUnknown, ""}, nil},
		"failed": {func(context.Context, Permit) (ambit.Outcome, string, error) { return ambit.Failed, "502", errBroken },
			End{1, ambit.Failed, "502"}, errBroken},
		"failed, zero": {func(context.Context, Permit) (ambit.Outcome, string, error) { return 0, "", errBroken },
			End{1, ambit.OutcomeUnknown, ""}, errBroken},
	} {
		h := &house{}
		if err := newPipeline(t, h).Do(t.Context(), action(), nil, c.perform); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]End{c.want}, h.ends); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A perform that panics leaves a dead permit and the record that nobody knows.
func TestPanic(t *testing.T) {
	for name, set := range map[string]func(*house) Perform{
		"perform": func(*house) Perform {
			return func(context.Context, Permit) (ambit.Outcome, string, error) { panic("boom") }
		},
		"minter": func(h *house) Perform {
			h.mint = func(context.Context, *ambit.Action) (ambit.SecretValue, error) { panic("boom") }
			return h.perform
		},
		"decider": func(h *house) Perform {
			h.decide = func(*ambit.Action) ambit.Decision { panic("boom") }
			return h.perform
		},
		"recorder": func(h *house) Perform {
			h.intent = func(context.Context, Intent) (ambit.RecordID, error) { panic("boom") }
			return h.perform
		},
	} {
		h := &house{}
		perform := set(h)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the panic was swallowed", name)
				}
			}()
			_ = newPipeline(t, h).Do(t.Context(), action(), nil, perform)
		}()
		if slices.Contains(h.events, "perform") {
			t.Errorf("%s: performed", name)
		}
		intents, _, ends := h.counts()
		if intents != ends || ends == 1 && h.ends[0].Outcome != ambit.OutcomeUnknown {
			t.Errorf("%s: %d intents, outcomes %+v", name, intents, h.ends)
		}
	}
}

func TestUnrecordedOutcomeFreezes(t *testing.T) {
	h := &house{outcome: func(context.Context, End) error { return errBroken }}
	p := newPipeline(t, h)
	if err := p.Do(t.Context(), action(), nil, h.perform); err != nil {
		t.Fatal(err)
	}
	h.outcome, h.events = nil, nil
	for range 2 {
		err := p.Do(t.Context(), action(), nil, h.perform)
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != CodeBroken || !strings.Contains(r.Why, "frozen") {
			t.Errorf("after it: %v", err)
		}
	}
	if diff := cmp.Diff([]string{"refusal", "refusal"}, h.events); diff != "" {
		t.Error(diff)
	}
	if len(h.frozen) != 1 || !errors.Is(h.frozen[0], errBroken) {
		t.Errorf("froze %d times: %v", len(h.frozen), h.frozen)
	}
}

// Freezing stops also what was on its way: asked, or past its intent.
func TestFreezeReachesWhatIsUnderWay(t *testing.T) {
	for _, stage := range []string{"ask", "mint"} {
		synctest.Test(t, func(t *testing.T) {
			h := &house{decide: verdict(ambit.Ask)}
			p := newPipeline(t, h)
			held := make(chan struct{})
			if stage == "ask" {
				h.ask = func(context.Context, Question) (Answer, error) { <-held; return Answer{Approved: true, By: "ann"}, nil }
			} else {
				h.mint = func(context.Context, *ambit.Action) (ambit.SecretValue, error) {
					<-held
					return ambit.SecretValue{}, nil
				}
			}
			got := make(chan error)
			go func() { got <- p.Do(t.Context(), action(), nil, h.perform) }()
			synctest.Wait()
			p.frozen.Store(&errBroken) // another action's outcome was lost
			close(held)
			if r, ok := errors.AsType[*Refusal](<-got); !ok || r.Code != CodeBroken || slices.Contains(h.events, "perform") {
				t.Errorf("%s: %+v, %v", stage, r, h.events)
			}
		})
	}
}

// A refusal that cannot be recorded stays a refusal and says so.
func TestUnrecordedRefusal(t *testing.T) {
	h := &house{decide: verdict(ambit.Deny), refuse: func(context.Context, Intent, string) (ambit.RecordID, error) { return 0, errBroken }}
	err := newPipeline(t, h).Do(t.Context(), action(), nil, h.perform)
	if r, ok := errors.AsType[*Refusal](err); !ok || !errors.Is(r.Unrecorded, errBroken) || r.Record != 0 {
		t.Errorf("%+v", err)
	}
}

// The agent hangs up at any moment: nothing new begins, and the outcome of what
// had begun is recorded all the same.
func TestHangUp(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		h := &house{}
		err := newPipeline(t, h).Do(ctx, action(), nil, h.perform)
		if r, ok := errors.AsType[*Refusal](err); !ok || slices.Contains(h.events, "perform") {
			t.Errorf("%+v, %v", r, h.events)
		}
	})
	t.Run("meanwhile", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := &house{}
		h.outcome = func(ctx context.Context, e End) error {
			if ctx.Err() != nil {
				t.Error("the record's own context ended")
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.ends = append(h.ends, e)
			return nil
		}
		err := newPipeline(t, h).Do(ctx, action(), nil, func(ctx context.Context, _ Permit) (ambit.Outcome, string, error) {
			cancel()
			return ambit.Failed, "cut", ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || len(h.ends) != 1 || h.ends[0].Outcome != ambit.Failed {
			t.Errorf("%v, %+v", err, h.ends)
		}
	})
}

func TestQuestion(t *testing.T) {
	var got Question
	h := &house{decide: verdict(ambit.Ask), ask: func(_ context.Context, q Question) (Answer, error) {
		got = q
		return Answer{Approved: true, By: "ann"}, nil
	}}
	long := strings.Repeat("é", MaxPreview)
	a := action()
	if err := newPipeline(t, h).Do(t.Context(), a, func() string { return "x" + long }, h.perform); err != nil {
		t.Fatal(err)
	}
	want, err := a.Digest()
	if err != nil || got.Digest != want || got.Decision.By != "f:1:1" {
		t.Errorf("asked about %v (%v), want %v", got.Digest, got.Decision, want)
	}
	if len(got.Preview) > MaxPreview || !utf8.ValidString(got.Preview) {
		t.Errorf("a preview of %d bytes, whole characters: %v", len(got.Preview), utf8.ValidString(got.Preview))
	}
	if h.intents[0].Approval != "ann" || h.intents[0].Digest != want {
		t.Errorf("the intent is %+v", h.intents[0])
	}
}

func TestDetailIsBounded(t *testing.T) {
	h := &house{}
	err := newPipeline(t, h).Do(t.Context(), action(), nil, func(context.Context, Permit) (ambit.Outcome, string, error) {
		return ambit.Failed, "x" + strings.Repeat("é", MaxDetail), nil
	})
	if d := h.ends[0].Detail; err != nil || len(d) > MaxDetail || !utf8.ValidString(d) {
		t.Errorf("%v, a detail of %d bytes", err, len(d))
	}
}

func TestConcurrent(t *testing.T) {
	h := &house{decide: func(a *ambit.Action) ambit.Decision {
		return ambit.Decision{Verdict: map[bool]ambit.Verdict{true: ambit.Allow}[len(a.Resource.Segments[1])%2 == 0]}
	}}
	p := newPipeline(t, h)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			a := action()
			a.Resource.Segments = []string{"h.test", strings.Repeat("a", i+1)}
			err := p.Do(t.Context(), a, nil, func(_ context.Context, pm Permit) (ambit.Outcome, string, error) {
				if len(pm.Action().Resource.Segments[1]) != i+1 {
					t.Errorf("%d was given another action's permit", i)
				}
				return ambit.Performed, "", nil
			})
			if (err == nil) != (i%2 == 1) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if i, r, e := h.counts(); i != 32 || r != 32 || e != 32 {
		t.Errorf("%d intents, %d refusals, %d outcomes", i, r, e)
	}
}
