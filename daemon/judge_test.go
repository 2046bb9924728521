package daemon

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"ambit"
	"ambit/audit"
	"ambit/console"
	"ambit/daemon/wire"
	"ambit/grants"
	"ambit/pipeline"
)

// asked is the action that the grants ask a person about.
func (a *agent) asked() pipeline.Intent {
	in := a.intent("http.delete")
	in.Action.Effect = ambit.Irreversible
	in.Digest, _ = in.Action.Digest()
	in.Decision = ambit.Decision{Verdict: ambit.Ask, By: "f:9:5", Why: "a person looks first"}
	return in
}

// approved puts the action to a person, who says yes.
func (x *house) approved(a *agent, in pipeline.Intent) pipeline.Answer {
	x.t.Helper()
	got := make(chan pipeline.Answer, 1)
	go func() {
		ans, err := a.Ask(context.Background(), pipeline.Question{Action: in.Action, Digest: in.Digest, Decision: in.Decision})
		if err != nil {
			x.t.Errorf("ask: %v", err)
		}
		got <- ans
	}()
	d := x.desk()
	var open []console.Question
	eventually(x.t, "the question is open", func() bool {
		open, _ = d.Questions(x.t.Context(), false)
		return len(open) == 1
	})
	if _, err := d.Resolve(x.t.Context(), console.Resolve{Ticket: open[0].Ticket, Approve: true, Digest: open[0].Digest}); err != nil {
		x.t.Fatal(err)
	}
	return <-got
}

// records returns the log's records of a type.
func records(t testing.TB, x *house, typ string) (out []audit.Record) {
	t.Helper()
	for r, err := range audit.Read(x.home.Log(), 0, audit.Filter{Types: []string{typ}}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// TestAGatekeeperIsNotBelieved: what a gatekeeper that was taken over says of a
// verdict or of an approval is held against the daemon's own grants and answers.
func TestAGatekeeperIsNotBelieved(t *testing.T) {
	x := start(t, newHome(t))
	a, other := x.enrol("worker"), x.enrol("other")
	elsewhere := a.intent("http.post")
	elsewhere.Action.Resource.Segments = []string{"api.test", "secrets"}
	denied := a.intent("http.post")
	denied.Decision.Verdict = ambit.Deny
	allowedDelete, unasked, invented, allowedByPerson := a.asked(), a.asked(), a.asked(), a.intent("http.post")
	allowedDelete.Decision.Verdict = ambit.Allow
	invented.Approval = "root"
	allowedByPerson.Approval = "root"
	ans := x.approved(other, other.asked())
	others := a.asked()
	others.Approval = ans.By // an approval of another task
	for name, in := range map[string]pipeline.Intent{
		"what no line gives":       elsewhere,
		"a refusal":                denied,
		"an ask as an allow":       allowedDelete,
		"an ask without a person":  unasked,
		"an invented approval":     invented,
		"another task's approval":  others,
		"an approval of an allow":  allowedByPerson,
		"an effect that is unsaid": func() pipeline.Intent { i := a.intent("http.post"); i.Action.Effect = 0; return i }(),
	} {
		if id, err := a.Intent(t.Context(), in); err == nil {
			t.Errorf("%s is recorded as %v", name, id)
		}
	}
	if got := len(records(t, x, audit.Alert)); got != 8 {
		t.Errorf("%d alerts, want one for each", got)
	}
	if got := records(t, x, audit.Intent); len(got) != 0 {
		t.Errorf("%d intents are recorded: %+v", len(got), got)
	}
	// Nor is a person asked about what no line gives.
	elsewhere.Decision.Verdict = ambit.Ask
	if _, err := a.Ask(t.Context(), pipeline.Question{Action: elsewhere.Action, Decision: elsewhere.Decision}); err == nil || !strings.Contains(err.Error(), "the grants say deny") {
		t.Errorf("asked about what no line gives: %v", err)
	}
	// The honest twin.
	if _, err := a.Intent(t.Context(), a.intent("http.post")); err != nil {
		t.Error(err)
	}
}

// TestAnApprovalIsForOneIntent: it is used once, and only by its own action.
func TestAnApprovalIsForOneIntent(t *testing.T) {
	x := start(t, newHome(t))
	a := x.enrol("worker")
	in := a.asked()
	in.Approval = x.approved(a, in).By
	near := in
	near.Action.Args = map[string]string{"method": "DELETE", "more": "1"}
	if _, err := a.Intent(t.Context(), near); err == nil {
		t.Error("the approval was used for another action")
	}
	wrong := in
	wrong.Approval = "somebody"
	if _, err := a.Intent(t.Context(), wrong); err == nil {
		t.Error("the approval was used in another's name")
	}
	in.Decision.By, in.Decision.Why = "f:1:1", "invented"
	if _, err := a.Intent(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Intent(t.Context(), in); err == nil {
		t.Error("the approval was used twice")
	}
	got := records(t, x, audit.Intent)
	if len(got) != 1 || got[0].Approval != in.Approval || !strings.HasPrefix(got[0].DecidedBy, "f:9:") {
		t.Errorf("recorded are %+v", got)
	}
}

// TestAnApprovalIsUsedInTime: one that was handed out long ago is none.
func TestAnApprovalIsUsedInTime(t *testing.T) {
	j, now, g := &judge{}, time.Now(), ambit.Digest{1}
	j.grant(g, "me", ambit.Decision{Verdict: ambit.Ask}, now)
	if _, err := j.use(g, "me", now.Add(useWithin)); err == nil {
		t.Error("an old approval was used")
	}
	if _, err := j.use(g, "me", now.Add(useWithin-1)); err != nil {
		t.Error(err)
	}
	for name, j := range map[string]*judge{"none": nil, "zero": {}} {
		if _, err := j.intent(&ambit.Action{}, g, wire.Intent{Decision: ambit.Decision{Verdict: ambit.Allow}}, now); err == nil {
			t.Errorf("%s lets an action pass", name)
		}
	}
}

// TestAWindowThatHasJustClosed: a decision is a moment old when it gets here.
func TestAWindowThatHasJustClosed(t *testing.T) {
	src := "agent: a\nservices: {api: {kind: http, host: api.test}}\nwrite:\n  - api: /items\n    during: 09:00-10:00 UTC\n    because: b\n"
	g, err := compile("f", []byte(src), "/", "/", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{read: func() (*grants.Grants, error) { return g, nil }}
	a := ambit.Action{Service: "api", Operation: "http.post", Effect: ambit.Write, Resource: ambit.Resource{Kind: "http", Segments: []string{"api.test", "items"}}}
	end := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	for after, want := range map[time.Duration]bool{-time.Minute: true, time.Second: true, time.Minute: false} {
		if _, err := j.atLeast(&a, ambit.Allow, end.Add(after)); (err == nil) != want {
			t.Errorf("%v after the window's end: %v", after, err)
		}
	}
}

// TestTheGrantsAreThoseOfTheEnrolment: other bytes under the digest, or none,
// allow nothing.
func TestTheGrantsAreThoseOfTheEnrolment(t *testing.T) {
	x := start(t, newHome(t))
	for name, change := range map[string]func(*wire.Enrol){
		"other grants": func(e *wire.Enrol) { e.Grants = append(e.Grants, "    # x\n  - api: /\n    because: b\n"...) },
		"no grants":    func(e *wire.Enrol) { e.Grants = nil },
	} {
		a, err := x.tryEnrol("worker", change)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Intent(t.Context(), a.intent("http.post")); err == nil {
			t.Errorf("%s: an action was recorded", name)
		}
	}
}

// TestTheGrantsOutliveTheDaemon: the next daemon judges by the same grants, and
// the task's start is not recorded again; what it does not have it does not judge.
func TestTheGrantsOutliveTheDaemon(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	a, b := x.enrol("worker"), x.enrol("other")
	for _, k := range []*agent{a, b} {
		if _, err := k.Start(t.Context(), wire.Start{Walls: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the grants are kept", func() bool {
		_, err := os.Stat((&Daemon{home: h}).keptAt(b.got.Task))
		return err == nil
	})
	x.end()
	if err := os.WriteFile((&Daemon{home: h}).keptAt(b.got.Task), data(kept{Name: "f", Source: []byte(grantsOf("other") + "  - api: /\n    because: b\n")}), 0o600); err != nil {
		t.Fatal(err)
	}
	y := start(t, h)
	eventually(t, "the links are back", func() bool { return a.Live() == nil && b.Live() == nil })
	if _, err := a.Intent(t.Context(), a.intent("http.post")); err != nil {
		t.Error(err)
	}
	forged := a.asked()
	forged.Decision.Verdict = ambit.Allow
	if _, err := a.Intent(t.Context(), forged); err == nil {
		t.Error("after the restart the gatekeeper is believed")
	}
	if _, err := b.Intent(t.Context(), b.intent("http.post")); err == nil {
		t.Error("grants that were changed on the disk are used")
	}
	if _, err := a.Start(t.Context(), wire.Start{Walls: []byte(`{}`)}); err == nil {
		t.Error("the start is recorded again by the next daemon")
	}
	y.end()
}

// TestNothingIsRecordedTwiceOrTooLate: a task has one start, and after its end
// only the outcomes of what it had begun.
func TestNothingIsRecordedTwiceOrTooLate(t *testing.T) {
	x := start(t, newHome(t))
	a := x.enrol("worker")
	if _, err := a.Start(t.Context(), wire.Start{Walls: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Start(t.Context(), wire.Start{Walls: []byte(`{}`)}); err == nil || !strings.Contains(err.Error(), "recorded already") {
		t.Errorf("a second start: %v", err)
	}
	id, err := a.Intent(t.Context(), a.intent("http.post"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.End(t.Context(), wire.End{}); err != nil {
		t.Fatal(err)
	}
	before := len(types(t, x.home))
	_, refused := a.Refusal(t.Context(), a.intent("http.post"), "late")
	_, jwt := a.JWT(t.Context(), "x")
	_, again := a.Start(t.Context(), wire.Start{})
	for name, err := range map[string]error{
		"refusal": refused, "jwt": jwt, "start": again,
		"alert": a.conn.Call(t.Context(), wire.MethodAlert, wire.Alert{Kind: "x", Detail: "late"}, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "the task has ended") {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	a.Alert(t.Context(), wire.Alert{Kind: "x"})
	if len(a.revoked) > 0 {
		t.Error("an alert that came too late ended the task once more")
	}
	if got := len(types(t, x.home)); got != before {
		t.Errorf("%d records were added after the end", got-before)
	}
	if err := a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed}); err != nil {
		t.Fatal(err)
	}
	a.Settle(t.Context())
	if got := records(t, x, audit.Outcome); len(got) != 1 || got[0].Intent != id {
		t.Errorf("outcomes are %+v", got)
	}
}
