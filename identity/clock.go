package identity

import (
	"sync"
	"time"
)

// clock is a time that never goes back. It follows the machine's clock while
// that is ahead, and otherwise moves on by the time that has passed, which Go
// reads from a monotonic clock.
type clock struct {
	read func() time.Time

	mu   sync.Mutex
	last time.Time // as read
	at   time.Time
}

func newClock(read func() time.Time, high time.Time) *clock {
	c := &clock{read: read, last: read(), at: high}
	if w := c.last.Round(0); w.After(high) {
		c.at = w
	}
	return c
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.read()
	if passed := t.Sub(c.last); passed > 0 {
		c.at = c.at.Add(passed)
	}
	c.last = t
	if w := t.Round(0); w.After(c.at) {
		c.at = w
	}
	return c.at.UTC()
}

func (c *clock) behind() time.Duration {
	now := c.now()
	return max(0, now.Sub(c.read().Round(0)))
}
