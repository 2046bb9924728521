package grants

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// duration reads "90s", "30m", "8h" or "2d", up to most.
func (w *walker) duration(n *yaml.Node, what string, most time.Duration) (time.Duration, bool) {
	if n.Kind != yaml.ScalarNode {
		w.wrong(n, what, "a duration")
		return 0, false
	}
	t := Text{n.Value, nodePos(n)}
	d, ok := parseDuration(t.Value)
	switch {
	case !ok:
		w.add(t.Pos, "write 30m, 1h or 2d", "%s %s is not a duration", what, show(t.Value))
	case d > most:
		w.add(t.Pos, fmt.Sprintf("write %s or less", spell(most)), "%s is %s: %s at most", what, t.Value, spell(most))
		ok = false
	}
	return d, ok
}

func parseDuration(s string) (time.Duration, bool) {
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	n, rest := leading(s)
	if n <= 0 || n > 999_999 || unit[rest] == 0 {
		return 0, false
	}
	return time.Duration(n) * unit[rest], true
}

// spell writes a duration as people do: "7 days", "1 hour", "90 seconds".
func spell(d time.Duration) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= u.d && d%u.d == 0 {
			return plural(int(d/u.d), u.name)
		}
	}
	return plural(int(d/time.Second), "second")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// size reads "512MiB" or "4GiB" into bytes.
func (w *walker) size(n *yaml.Node, what string) int64 {
	if n.Kind != yaml.ScalarNode {
		w.wrong(n, what, "a size")
		return 0
	}
	t := Text{n.Value, nodePos(n)}
	unit := map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
	c, rest := leading(t.Value)
	rest = strings.TrimPrefix(rest, " ")
	if c <= 0 || c > 999_999 || unit[rest] == 0 {
		w.add(t.Pos, "write 512MiB or 4GiB", "%s %s is not a size", what, show(t.Value))
		return 0
	}
	v := int64(c) * unit[rest]
	if v < 16<<20 {
		w.add(t.Pos, "write 16MiB or more", "%s is too small for any program to start", what)
		return 0
	}
	return v
}

// instant reads an RFC 3339 time.
func (w *walker) instant(n *yaml.Node, what string) (time.Time, bool) {
	if n.Kind != yaml.ScalarNode || (n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp") {
		w.wrong(n, what, "a time")
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, n.Value)
	if err != nil {
		w.add(nodePos(n), "write it as 2030-01-31T17:00:00Z", "%s %s is not a time", what, show(n.Value))
		return time.Time{}, false
	}
	return t.UTC(), true
}

// rate reads "10", "10 per hour" or "3 per task".
func (w *walker) rate(n *yaml.Node) *Rate {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" {
		if c := w.integer(n, "at-most", 1, maxRate); c > 0 {
			return &Rate{Text: n.Value + " per task", Count: c, Pos: nodePos(n)}
		}
		return nil
	}
	t, ok := w.text(n, "at-most")
	if !ok {
		return nil
	}
	per := map[string]time.Duration{" per task": 0, " per day": 24 * time.Hour, " per hour": time.Hour, " per minute": time.Minute}
	c, rest := leading(t.Value)
	each, known := per[rest]
	if c <= 0 || !known {
		w.add(t.Pos, `write "10 per hour": a number, and per minute, hour, day or task`, "at-most %s is not a rate", show(t.Value))
		return nil
	}
	if c > maxRate {
		w.add(t.Pos, "", "at-most counts to %d", maxRate)
		return nil
	}
	return &Rate{Text: t.Value, Count: c, Per: each, Pos: t.Pos}
}

// maxRate bounds what a limiter must remember for one line.
const maxRate = 10_000

const windowFix = `write "mon-fri 09:00-17:00 +01:00": days (optional), from-to, and UTC or the distance from it`

// window reads "mon-fri 09:00-17:00 +01:00".
func (w *walker) window(n *yaml.Node) *Window {
	t, ok := w.text(n, "during")
	if !ok {
		return nil
	}
	win, ok := parseWindow(t.Value)
	if !ok {
		w.add(t.Pos, windowFix, "during %s is not a time window", show(t.Value))
		return nil
	}
	win.Pos = t.Pos
	return win
}

func parseWindow(s string) (*Window, bool) {
	win := &Window{Text: s}
	f := strings.Fields(s)
	if len(f) == 2 {
		f = append([]string{"mon-sun"}, f...)
	}
	if len(f) != 3 || !win.days(f[0]) {
		return nil, false
	}
	from, to, ok := strings.Cut(f[1], "-")
	var a, b, c bool
	win.From, a = clock(from, 1439)
	win.To, b = clock(to, 1440)
	win.Offset, c = offset(f[2])
	return win, ok && a && b && c && win.From != win.To
}

// days reads "mon-fri" or "sat,sun".
func (w *Window) days(s string) bool {
	names := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	day := func(s string) int {
		for i, n := range names {
			if n == s {
				return i
			}
		}
		return -1
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		a, b := day(first), day(last)
		if a < 0 || b < 0 {
			return false
		}
		for w.Days[a] = true; a != b; w.Days[a] = true {
			a = (a + 1) % 7
		}
	}
	return true
}

// clock reads "09:30" into minutes after midnight.
func clock(s string, most int) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	h, err1 := strconv.ParseUint(s[:2], 10, 8)
	m, err2 := strconv.ParseUint(s[3:], 10, 8)
	v := int(h)*60 + int(m)
	return v, err1 == nil && err2 == nil && m < 60 && v <= most
}

// offset reads "UTC", "+01:00" or "-09:30" into minutes east.
func offset(s string) (int, bool) {
	if s == "UTC" {
		return 0, true
	}
	if s == "" || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	v, ok := clock(s[1:], 14*60)
	if s[0] == '-' {
		v = -v
	}
	return v, ok
}

// Holds says whether t lies in the window. A zero t is a missing fact.
func (w *Window) Holds(t time.Time) bool {
	if t.IsZero() {
		return false
	}
	t = t.UTC().Add(time.Duration(w.Offset) * time.Minute)
	m, day := t.Hour()*60+t.Minute(), t.Weekday()
	if w.From < w.To {
		return w.Days[day] && m >= w.From && m < w.To
	}
	yesterday := (day + 6) % 7
	return (w.Days[day] && m >= w.From) || (w.Days[yesterday] && m < w.To)
}
