package grants

import (
	"fmt"
	"sync"
	"time"

	"ambit"
)

// Limiter counts what the lines with `at-most` have given. It is the state that
// decisions are kept free of. Make one for each task with [NewLimiter]; it may
// be used by many goroutines.
type Limiter struct {
	mu    sync.Mutex
	lines map[int]*meter
}

// meter holds the times of what was given and still counts, oldest first.
type meter struct {
	rate  Rate
	times []time.Time
	last  time.Time
}

// NewLimiter makes an unused limiter for the limits of g.
func NewLimiter(g *Grants) *Limiter {
	l := &Limiter{lines: make(map[int]*meter)}
	for i, r := range g.rules {
		if r.rate != nil {
			l.lines[i] = &meter{rate: *r.rate}
		}
	}
	return l
}

// left drops what no longer counts at now and says how many are left. A clock
// that was set back does not give anything back.
func (m *meter) left(now time.Time) int {
	if now.Before(m.last) {
		now = m.last
	}
	m.last = now
	if m.rate.Per > 0 {
		n := 0
		for n < len(m.times) && !m.times[n].After(now.Add(-m.rate.Per)) {
			n++
		}
		m.times = m.times[n:]
	}
	return m.rate.Count - len(m.times)
}

// at is a limiter at one time, locked: what a decision asks.
type at struct {
	l   *Limiter
	now time.Time
}

// Exhausted implements [Limits]. A line that the limiter does not know is used
// up.
func (a *at) Exhausted(line int) bool {
	m := a.l.lines[line]
	return m == nil || m.left(a.now) <= 0
}

// spend counts one action of each line, all or none.
func (a *at) spend(lines []int32) bool {
	for _, i := range lines {
		if a.Exhausted(int(i)) {
			return false
		}
	}
	for _, i := range lines {
		m := a.l.lines[int(i)]
		m.times = append(m.times, m.last)
	}
	return true
}

// Live is the grants of a running task: with a clock for time windows and ends,
// and a limiter. It is what the pipeline asks. The zero value denies.
type Live struct {
	g     *Grants
	clock func() time.Time
	limit *Limiter
}

// NewLive makes the decider of one task. The clock is the caller's.
func NewLive(g *Grants, clock func() time.Time) *Live {
	return &Live{g: g, clock: clock, limit: NewLimiter(g)}
}

// Decide is the verdict now. What is allowed is counted at once, so that many
// actions at a time cannot pass a limit together; what is asked is counted by
// [Live.Spend] when a person has said yes.
func (l *Live) Decide(a *ambit.Action) ambit.Decision {
	if l == nil || l.g == nil || l.clock == nil {
		return ambit.Decision{Verdict: ambit.Deny, By: ByNoGrant, Why: whyNoGrants}
	}
	now := l.clock()
	if !l.g.limited {
		return l.g.DecideWith(a, Facts{Now: now})
	}
	d, _ := l.counted(a, now, ambit.Allow)
	return d
}

// Spend counts an action that a person approved. An error means that the limit
// was used up meanwhile and the action must not happen. Whoever asks people
// must call it after each yes.
func (l *Live) Spend(a *ambit.Action) error {
	if l == nil || l.g == nil || l.clock == nil {
		return fmt.Errorf("cannot spend: %s", whyNoGrants)
	}
	if !l.g.limited {
		return nil
	}
	if d, ok := l.counted(a, l.clock(), ambit.Ask); !ok {
		return fmt.Errorf("cannot spend: %s", d.Why)
	}
	return nil
}

// counted decides, and counts when the verdict is at least the given one.
func (l *Live) counted(a *ambit.Action, now time.Time, when ambit.Verdict) (ambit.Decision, bool) {
	l.limit.mu.Lock()
	defer l.limit.mu.Unlock()
	lim := &at{l.limit, now}
	m := match{facts: Facts{Now: now, Limits: lim}}
	d := l.g.decide(a, &m)
	if d.Verdict < when {
		return d, false
	}
	if !lim.spend(m.charge[:m.charged]) {
		return ambit.Decision{Verdict: ambit.Deny, By: d.By, Why: "the line's limit is used up"}, false
	}
	return d, true
}

// Remedy is [Grants.RemedyWith] now.
func (l *Live) Remedy(a *ambit.Action) string {
	if l == nil || l.g == nil || l.clock == nil {
		return ""
	}
	l.limit.mu.Lock()
	defer l.limit.mu.Unlock()
	now := l.clock()
	return l.g.RemedyWith(a, Facts{Now: now, Limits: &at{l.limit, now}})
}
