package daemon

import (
	"strings"
	"testing"

	"ambit"
	"ambit/audit"
	"ambit/console"
	"ambit/daemon/wire"
	"ambit/pipeline"
)

// TestEveryQuestionSaysWhatBecameOfIt: who answers a question that is over, or
// none, is told exactly what it is, however long ago; and one that nobody
// answered is in the log as such.
func TestEveryQuestionSaysWhatBecameOfIt(t *testing.T) {
	h := newHome(t)
	h.Make()
	x := start(t, h)
	a, d := x.enrol("worker"), x.desk()
	open := func(n string) (ambit.Digest, string) {
		t.Helper()
		in := a.asked()
		in.Action.Args = map[string]string{"n": n}
		in.Digest, _ = in.Action.Digest()
		go a.Ask(t.Context(), pipeline.Question{Action: in.Action, Digest: in.Digest, Decision: in.Decision})
		ticket := ""
		eventually(t, "the question is there", func() bool {
			qs, _ := d.Questions(t.Context(), false)
			for _, q := range qs {
				if q.Digest == in.Digest {
					ticket = q.Ticket
				}
			}
			return ticket != ""
		})
		return in.Digest, ticket
	}
	state := func(ticket, want string) {
		t.Helper()
		eventually(t, ticket+" is "+want, func() bool { q, _ := d.Question(t.Context(), ticket); return q.State == want })
	}
	g1, denied := open("1")
	if _, err := d.Resolve(t.Context(), console.Resolve{Ticket: denied, Digest: g1, Why: "too early"}); err != nil {
		t.Fatal(err)
	}
	state(denied, "denied")
	g2, spent := open("2")
	if _, err := d.Resolve(t.Context(), console.Resolve{Ticket: spent, Digest: g2, Approve: true}); err != nil {
		t.Fatal(err)
	}
	state(spent, "spent")
	_, over := open("3")
	if err := a.End(t.Context(), wire.End{}); err != nil {
		t.Fatal(err)
	}
	state(over, "expired")
	says := map[string]string{denied: "it is denied already, by ", spent: "and used at ", over: "the task is over", "q-aaaaaaaa": "no question has the ticket q-aaaaaaaa"}
	check := func(d *console.Client, when string) {
		t.Helper()
		for ticket, want := range says {
			for _, yes := range []bool{true, false} {
				_, err := d.Resolve(t.Context(), console.Resolve{Ticket: ticket, Digest: g1, Approve: yes})
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: answered with %v: %v, want %q", when, yes, err, want)
				}
			}
		}
	}
	check(d, "at once")
	var answers int
	for range records(t, x, audit.Answer) {
		answers++
	}
	if answers != 2 {
		t.Errorf("%d answers are in the log, want the two that counted", answers)
	}
	got := records(t, x, audit.Expired)
	if len(got) != 1 || got[0].Detail != over+": the task is over" || got[0].Operation != "http.delete" || got[0].Digest == "" {
		t.Errorf("expired are %+v", got)
	}
	x.end()
	y := start(t, h)
	check(y.desk(), "in the next daemon")
	if q, err := y.desk().Question(t.Context(), spent); err != nil || q.State != "spent" {
		t.Errorf("shown is %+v, %v", q, err)
	}
}
