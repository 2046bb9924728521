package grants

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ambit"
)

const limits = api + `write:
  - api: /hour
    at-most: 3 per hour
    because: b
  - api: /task
    at-most: 2 per task
    because: b
  - api: [/both, /hour]
    at-most: 5
    because: b
ask:
  - api: /asked
    at-most: 2 per day
    because: b
`

func post(path string) *ambit.Action {
	return &ambit.Action{Service: "api", Operation: "http.post", Effect: ambit.Write, Resource: ambit.Resource{Kind: "http", Segments: []string{"api.example.com", path}}}
}

// ticker is a clock set by hand.
type ticker struct{ now time.Time }

func (c *ticker) time() time.Time { return c.now }

func TestLimits(t *testing.T) {
	c := &ticker{noon()}
	l := NewLive(mustLoad(t, limits), c.time)
	expect := func(path string, want ambit.Verdict, by string) {
		t.Helper()
		if d := l.Decide(post(path)); d.Verdict != want || (by != "" && d.By != by) {
			t.Errorf("%s at %s: %+v, want %s", path, c.now.Format(time.TimeOnly), d, want)
		}
	}
	for range 3 {
		expect("hour", ambit.Allow, "")
		c.now = c.now.Add(10 * time.Minute)
	}
	expect("hour", ambit.Deny, "ambit.yaml:8:5")
	c.now = noon().Add(59*time.Minute + 59*time.Second)
	expect("hour", ambit.Deny, "")
	c.now = noon().Add(time.Hour)
	expect("hour", ambit.Allow, "") // the first no longer counts
	expect("hour", ambit.Deny, "")
	expect("both", ambit.Allow, "") // /hour has used 4 of 5
	expect("both", ambit.Deny, "ambit.yaml:14:5")
	c.now = noon().Add(24 * time.Hour)
	expect("hour", ambit.Deny, "ambit.yaml:14:5") // for the whole task
	expect("task", ambit.Allow, "")
	expect("task", ambit.Allow, "")
	expect("task", ambit.Deny, "ambit.yaml:11:5")
}

// TestClockSetBack: whoever sets the clock back gets nothing back.
func TestClockSetBack(t *testing.T) {
	c := &ticker{noon()}
	l := NewLive(mustLoad(t, limits), c.time)
	for range 3 {
		l.Decide(post("hour"))
	}
	for _, d := range []time.Duration{-2 * time.Hour, -48 * time.Hour, 30 * time.Minute} {
		c.now = noon().Add(d)
		if v := l.Decide(post("hour")); v.Verdict != ambit.Deny {
			t.Errorf("%v: %+v", d, v)
		}
	}
}

// TestAskedIsSpentWhenApproved: asking again for the same action costs nothing,
// an approval does, and the limit holds however often people say yes.
func TestAskedIsSpentWhenApproved(t *testing.T) {
	l := NewLive(mustLoad(t, limits), noon)
	for range 10 {
		if d := l.Decide(post("asked")); d.Verdict != ambit.Ask {
			t.Fatalf("%+v", d)
		}
	}
	for i := range 4 {
		if err := l.Spend(post("asked")); (err == nil) != (i < 2) {
			t.Errorf("approval %d: %v", i+1, err)
		}
	}
	if d := l.Decide(post("asked")); d.Verdict != ambit.Deny {
		t.Errorf("%+v", d)
	}
	if err := l.Spend(post("nowhere")); err == nil {
		t.Error("a denied action was spent")
	}
}

// TestLimitUnderLoad: many at a time do not pass together.
func TestLimitUnderLoad(t *testing.T) {
	l := NewLive(mustLoad(t, limits), noon)
	var allowed atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if l.Decide(post("task")).Verdict == ambit.Allow {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != 2 {
		t.Errorf("%d allowed, at most 2", n)
	}
}

// TestExceptionEnds: a dated exception ends while the task runs.
func TestExceptionEnds(t *testing.T) {
	c := &ticker{noon()}
	g := mustLoad(t, api+"write: [{api: /x, operations: [delete], without-asking: true, until: 2030-03-01T12:30:00Z, because: b}]\n")
	l := NewLive(g, c.time)
	a := post("x")
	a.Operation, a.Effect = "http.delete", ambit.Irreversible
	if d := l.Decide(a); d.Verdict != ambit.Allow {
		t.Errorf("%+v", d)
	}
	c.now = noon().Add(30 * time.Minute)
	if d := l.Decide(a); d.Verdict != ambit.Deny {
		t.Errorf("%+v", d)
	}
	if d := g.Decide(a); d.Verdict != ambit.Deny {
		t.Errorf("without a time: %+v", d)
	}
}
