package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// question is what is read of `ambit approvals --json`.
type question struct{ Ticket, Digest, State, Screen, Operation, Resource string }

func questions(t *testing.T, h *ambittest.Home) (open []question) {
	t.Helper()
	r := h.Do(t, "approvals", "--json")
	want(t, r, 0)
	if err := json.Unmarshal([]byte(r.Stdout), &open); err != nil {
		t.Fatalf("ambit approvals --json: %v in %s", err, r.Stdout)
	}
	return open
}

// asked waits for the one open question.
func asked(t *testing.T, h *ambittest.Home) question {
	t.Helper()
	var open []question
	if !ambittest.Eventually(ambittest.Patience, func() bool { open = questions(t, h); return len(open) == 1 }) {
		t.Fatalf("open questions: %v, want one", open)
	}
	return open[0]
}

// hold makes the daemon answer with a ticket soon.
func hold(t *testing.T, h *ambittest.Home, span string) {
	t.Helper()
	h.Setting(t, "hold: "+span+"\n")
}

// TestHeadlessApproval asks about a deletion: the agent gets a ticket, the
// identical retry passes once when a person has approved, and nothing else
// does.
func TestHeadlessApproval(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		api, grants := shop(t)
		api.Put("two", `{}`)
		h := ambittest.NewHome(t, uid)
		h.Grants(t, grants)
		hold(t, h, "200ms")
		h.File(t, "delete.sh", `
d() { curl -sS -o body -w '%{http_code} ' -X DELETE "$@"; cat body; echo; }
d https://api.example.org/items/one
while [ ! -e go ]; do sleep 0.05; done
echo changed; d https://api.example.org/items/two
echo changed; d -d '{"really":true}' https://api.example.org/items/one
echo same; d https://api.example.org/items/one
echo again; d https://api.example.org/items/one
`)
		c := h.Ambit("run", "--", "sh", "delete.sh")
		c.Env = append(c.Env, "SHOP_TOKEN="+api.Token.Value)
		run := start(t, c)
		run.says(t, "403 ")
		q := asked(t, h)
		has(t, "the question", q.Operation+" "+q.Resource+" "+q.Screen, "delete", "items/one")
		if r := h.Do(t, "approve", q.Ticket, "--digest", strings.Repeat("0", 64)); r.Code == 0 {
			t.Error("an approval of other bytes was taken")
		}
		want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest), 0)
		if _, ok := api.Items()["one"]; !ok {
			t.Error("the item was deleted before the agent tried again")
		}
		h.File(t, "go", "")
		r := run.wait(t)
		want(t, r, 0)
		first, rest, _ := strings.Cut(r.Stdout, "changed\n")
		has(t, "the first answer", first, "403 ", q.Ticket)
		before, after, _ := strings.Cut(rest, "same\n")
		same, again, _ := strings.Cut(after, "again\n")
		if !strings.HasPrefix(same, "204 ") || strings.Contains(before+again, "204 ") {
			t.Errorf("exactly the identical retry should pass, once:\n%s", r.Stdout)
		}
		items := api.Items()
		if _, ok := items["two"]; !ok {
			t.Error("what nobody approved was deleted")
		}
		if n := len(api.Find("DELETE", "/items/one")); n != 1 {
			t.Errorf("the service saw %d deletions, want 1", n)
		}
		verified(t, h, api.Token)
	})
}

// TestHeldApproval approves while the request waits: the agent sees only a
// slow answer. A denied one is told why.
func TestHeldApproval(t *testing.T) {
	api, grants := shop(t)
	api.Put("two", `{}`)
	h := ambittest.NewHome(t, ambittest.Users()[len(ambittest.Users())-1])
	h.Grants(t, grants)
	c := h.Ambit("run", "--", "sh", "-c",
		"curl -sS -w '%{http_code}\n' -X DELETE https://api.example.org/items/one; curl -sS -w ' %{http_code}\n' -X DELETE https://api.example.org/items/two")
	c.Env = append(c.Env, "SHOP_TOKEN="+api.Token.Value)
	run := start(t, c)
	q := asked(t, h)
	want(t, h.Do(t, "approve", q.Ticket, "--digest", q.Digest[:8]), 0)
	var second question
	if !ambittest.Eventually(ambittest.Patience, func() bool {
		open := questions(t, h)
		if len(open) == 1 {
			second = open[0]
		}
		return len(open) == 1 && second.Ticket != q.Ticket
	}) {
		t.Fatal("the second question was not asked")
	}
	want(t, h.Do(t, "deny", second.Ticket, "--why", "keep that one"), 0)
	r := run.wait(t)
	want(t, r, 0)
	has(t, "the agent's output", r.Stdout, "204\n", "403\n", "keep that one")
	if items := api.Items(); len(items) != 1 || items["two"] == "" {
		t.Errorf("the service holds %v", items)
	}
	verified(t, h, api.Token)
}
