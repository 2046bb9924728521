package web

import (
	"strings"
	"testing"
	"time"

	"ambit"
	"ambit/pipeline"
)

// TestPushShowsTheRightRef: of two refs of which one's name ends with the other's, each is
// shown, bound and reported as what it is. A force must not be shown as what keeps all
// that was there because another ref of the push does.
func TestPushShowsTheRightRef(t *testing.T) {
	middle, middleID := commit(someID)
	other := strings.Repeat("2", 40)
	for _, turned := range []bool{false, true} {
		h := newHouse(t, nil, withCredential, withGit)
		h.decide = func(a *ambit.Action) ambit.Verdict {
			if a.Operation == "git.push.force" {
				return ambit.Ask
			}
			return ambit.Allow
		}
		var q pipeline.Question
		h.ask = func(asked pipeline.Question) (pipeline.Answer, error) {
			q = asked
			return pipeline.Answer{}, nil
		}
		commands := []string{other + " " + middleID + " refs/heads/main", someID + " " + middleID + " refs/heads/x/refs/heads/main"}
		if turned {
			commands[0], commands[1] = commands[1], commands[0]
		}
		_, got := h.push(t, "http/1.1", pushOf("report-status", commands...)+packed(middle))
		if q.Action.Operation != "git.push.force" || q.Action.Args["old"] != other {
			t.Errorf("asked about %s of %q", q.Action.Operation, q.Action.Args["old"])
		}
		for _, line := range []string{"  refs/heads/main: 222222222222 -> " + middleID[:12] + ", FORCE: commits that were there may be lost (" + other + ")\n",
			"  refs/heads/x/refs/heads/main: 111111111111 -> " + middleID[:12] + ", all that was there stays\n"} {
			if !strings.Contains(q.Preview, line) {
				t.Errorf("the question lacks %q:\n%s", line, q.Preview)
			}
		}
		if !strings.Contains(got, "ng refs/heads/main refused by ambit") || !strings.Contains(got, "ng refs/heads/x/refs/heads/main not pushed") {
			t.Errorf("git is told %q", got)
		}
		for _, a := range h.log.intended() {
			if a.Operation == "git.push.update" && a.Args["old"] != someID {
				t.Errorf("%v is recorded with old %s", a.Resource, a.Args["old"])
			}
		}
	}
}

// TestPushTellsToPartIt: of several refs that need a person, who cannot be asked at once,
// git is told to push one at a time; of one alone it is not.
func TestPushTellsToPartIt(t *testing.T) {
	h := newHouse(t, nil, withCredential, withGit)
	h.decide = denyRefs
	h.ask = func(pipeline.Question) (pipeline.Answer, error) {
		return pipeline.Answer{Pending: true, Ticket: "t1", Until: time.Now().Add(time.Minute)}, nil
	}
	one, two := zeroID+" "+someID+" refs/heads/ask", zeroID+" "+someID+" refs/heads/b/ask"
	const told = "2 refs of this push need a person: push them one at a time"
	if _, got := h.push(t, "http/1.1", pushOf("report-status side-band-64k", one, two)); !strings.Contains(got, told) {
		t.Errorf("%q", got)
	}
	if _, got := h.push(t, "http/1.1", pushOf("report-status side-band-64k", one, zeroID+" "+someID+" refs/heads/c")); strings.Contains(got, "one at a time") || !strings.Contains(got, "ticket t1") {
		t.Errorf("%q", got)
	}
}

// TestPushHidesNoCommits: a person is not told that nothing comes with a push whose commits
// stand behind other objects in its pack, nor that those before are all.
func TestPushHidesNoCommits(t *testing.T) {
	low, lowID := commit(someID)
	middle, middleID := commit(lowID)
	top, topID := commit(middleID)
	blob := append([]byte{0x33}, top[2:]...) // of another type: it ends the reading
	for name, c := range map[string]struct{ pack, want string }{
		"all":           {packed(top, middle, low), "3 commits come with refs/heads/ask\n"},
		"none":          {packed(blob, top, middle, low), "0 commits come with refs/heads/ask, the newest was not seen\n"},
		"one of them":   {packed(top, blob, middle, low), "1 commits come with refs/heads/ask, on top of " + middleID[:12] + ", not looked at\n"},
		"no pack":       {"", "0 commits come with refs/heads/ask, the newest was not seen"},
		"two of a kind": {packed(top, middle), "2 commits come with refs/heads/ask, on top of " + lowID[:12] + ", not looked at\n"},
	} {
		h := newHouse(t, nil, withCredential, withGit)
		h.decide = denyRefs
		shown := ""
		h.ask = func(q pipeline.Question) (pipeline.Answer, error) {
			shown = q.Preview
			return pipeline.Answer{}, nil
		}
		h.push(t, "http/1.1", pushOf("report-status", someID+" "+topID+" refs/heads/ask")+c.pack)
		if !strings.Contains(shown, c.want) {
			t.Errorf("%s: the question lacks %q:\n%s", name, c.want, shown)
		}
	}
}
