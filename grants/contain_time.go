package grants

import (
	"slices"
	"time"
)

const week = 7 * 24 * 60 // minutes

// sunday is where a week begins that stands for all.
func sunday() time.Time { return time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC) }

// instants are times that stand for all: between two of them no window opens or
// closes and no exception ends, for any of the rules.
func instants(rules []*rule) []time.Time {
	var marks []int
	var ends []time.Time
	for _, r := range rules {
		if r.during != nil {
			marks = append(marks, r.during.marks()...)
		}
		if !r.until.IsZero() {
			ends = append(ends, r.until)
		}
	}
	slices.Sort(marks)
	marks = slices.Compact(marks)
	slices.SortFunc(ends, time.Time.Compare)
	ends = slices.CompactFunc(ends, time.Time.Equal)
	if len(ends) == 0 {
		return between(sunday(), sunday().Add(week*time.Minute), marks)
	}
	out := between(ends[0].Add(-week*time.Minute), ends[0], marks)
	for i, e := range ends {
		next := e.Add(week * time.Minute)
		if i+1 < len(ends) && ends[i+1].Before(next) {
			next = ends[i+1]
		}
		out = append(out, between(e, next, marks)...)
	}
	return out
}

// between is from itself and each mark of the week from there up to, not
// including, to.
func between(from, to time.Time, marks []int) []time.Time {
	out := []time.Time{from}
	begin := from.UTC().Truncate(time.Minute)
	if begin.Before(from) {
		begin = begin.Add(time.Minute)
	}
	now := int(begin.Weekday())*1440 + begin.Hour()*60 + begin.Minute()
	for _, m := range marks {
		t := begin.Add(time.Duration((m-now+week)%week) * time.Minute)
		if t.Before(to) && t.After(from) {
			out = append(out, t)
		}
	}
	return out
}

// marks are the minutes of the week, in UTC, at which the window may open or
// close.
func (w *Window) marks() (out []int) {
	for day := range 7 {
		for _, m := range []int{w.From, w.To} {
			out = append(out, ((day*1440+m-w.Offset)%week+week)%week)
		}
	}
	return out
}
