package approval

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ambit"
)

// Bounds of a screen, so that what matters is never scrolled away.
const (
	maxLine    = 240 // characters of one field or line
	maxFields  = 24
	maxPreview = 24 // lines
	headLines  = 18 // of them from the start
)

// Screen is a question made safe to show: every string is one line and renders
// as what it is (see [Safe]), and the number of lines is bounded. It has at most
// some 70 lines.
type Screen struct {
	Ticket    string    `json:"ticket"`
	Digest    string    `json:"digest"` // all 64 digits: what an answer repeats
	Agent     string    `json:"agent"`
	Task      string    `json:"task"`
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Effect    string    `json:"effect"` // an unknown effect reads "unknown, counts as irreversible"
	Resource  string    `json:"resource"`
	Args      []Field   `json:"args"`
	Preview   []string  `json:"preview"`
	By        string    `json:"by"` // the line of the grants that asks
	Why       string    `json:"why"`
	Warnings  []string  `json:"warnings"`
	Asked     time.Time `json:"asked"`
	Expires   time.Time `json:"expires"`
}

// Field is one argument of an action.
type Field struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Present makes the screen of a question.
func Present(it Item) Screen {
	var f findings
	line := func(s string) string {
		t, g := safe(s, maxLine)
		f.add(g)
		return t
	}
	a := it.Action
	s := Screen{
		Ticket: line(it.Ticket), Digest: it.Digest.String(), Agent: line(a.Agent), Task: line(string(a.Task)), Service: line(a.Service),
		Operation: line(a.Operation), Effect: a.Effect.String(), Resource: f.resource(a.Resource),
		By: line(it.Decision.By), Why: line(it.Decision.Why), Asked: it.Asked, Expires: it.Expires,
	}
	if a.Effect.String() == ambit.EffectUnknown.String() {
		s.Effect = "unknown, counts as irreversible"
	}
	left := s.args(a.Args, line)
	lines := s.lines(it.Preview, line)
	s.Warnings = warnings(a, f, left, lines)
	return s
}

// resource writes the kind and the segments. A slash within a segment is marked,
// so that one segment does not pass for two; a table's names are quoted as in SQL.
func (f *findings) resource(r ambit.Resource) string {
	if r.Kind == "table" || r.Kind == "database" {
		t, g := safe(r.Kind+" "+r.String(), 2*maxLine)
		f.add(g)
		return t
	}
	segs := make([]string, len(r.Segments))
	for i, s := range r.Segments {
		t, g := safe(s, maxLine)
		f.add(g)
		f.hidden += strings.Count(t, "/")
		segs[i] = strings.ReplaceAll(t, "/", "‹/›")
	}
	kind, g := safe(r.Kind, maxLine)
	f.add(g)
	sep := " "
	if r.Kind == "file" {
		sep = " /"
	}
	head, tail, cut := divide(kind+sep+strings.Join(segs, "/"), 2*maxLine)
	if cut == 0 {
		return head
	}
	f.cut += cut
	return fmt.Sprintf("%s‹%d characters cut›%s", head, cut, tail)
}

// args fills in the arguments, those that say most first and then by name, and
// returns how many had no room.
func (s *Screen) args(args map[string]string, line func(string) string) (left int) {
	names := make([]string, 0, len(args))
	for n := range args {
		names = append(names, n)
	}
	telling := []string{"body-sha256", "url", "method"}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(cmp.Compare(slices.Index(telling, y), slices.Index(telling, x)), strings.Compare(x, y))
	})
	for i, n := range names {
		if i == maxFields {
			return len(names) - maxFields
		}
		s.Args = append(s.Args, Field{Name: line(n), Text: line(args[n])})
	}
	return 0
}

// lines fills in the preview and returns how many lines had no room.
func (s *Screen) lines(preview string, line func(string) string) (left int) {
	if preview == "" {
		return 0
	}
	all := strings.Split(strings.ReplaceAll(strings.TrimSuffix(preview, "\n"), "\r\n", "\n"), "\n")
	head, tail := all, []string(nil)
	if len(all) > maxPreview {
		left = len(all) - maxPreview
		head, tail = all[:headLines], all[len(all)-maxPreview+headLines:]
	}
	for _, l := range head {
		s.Preview = append(s.Preview, line(strings.ReplaceAll(l, "\t", "  ")))
	}
	if left > 0 {
		s.Preview = append(s.Preview, fmt.Sprintf("‹%d lines cut›", left))
	}
	for _, l := range tail {
		s.Preview = append(s.Preview, line(strings.ReplaceAll(l, "\t", "  ")))
	}
	return left
}

func warnings(a ambit.Action, f findings, args, lines int) (w []string) {
	if a.Effect.Worst() == ambit.Irreversible {
		w = append(w, "This cannot be undone.")
	}
	// The zero label is one that nobody gave: it says nothing of what was read, and a
	// warning that stands on every question is read on none.
	if a.Label != (ambit.Label{}) && a.Label.Integrity == ambit.Untrusted {
		w = append(w, "The agent has read text that anybody could have written; it may be steered by it.")
	}
	if f.cut > 0 || args > 0 || lines > 0 {
		w = append(w, fmt.Sprintf("Not everything is shown: %d characters, %d arguments and %d lines of the preview are left out.", f.cut, args, lines))
	}
	if f.hidden > 0 {
		w = append(w, fmt.Sprintf("%d characters that cannot be seen, or pass for others, are shown by number.", f.hidden))
	}
	if f.mixed > 0 {
		w = append(w, fmt.Sprintf("%d words are written so that they pass for other words.", f.mixed))
	}
	return w
}

// Text returns the screen as lines for a terminal. Every line begins with words
// of Ambit's, so that no text of an agent's can pass for one of them.
func (s Screen) Text() string {
	var b strings.Builder
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-11s %s\n", name, text)
		}
	}
	for _, w := range s.Warnings {
		row("WARNING", w)
	}
	row("effect", s.Effect)
	row("operation", s.Operation)
	row("resource", s.Resource)
	row("service", s.Service)
	row("agent", s.Agent)
	row("task", s.Task)
	for _, f := range s.Args {
		// A name of an agent's choice must not bring an "=" of its own.
		name := f.Name
		if strings.ContainsAny(name, " =\"") || name == "" {
			name = strconv.Quote(name)
		}
		row("argument", name+" = "+f.Text)
	}
	for _, l := range s.Preview {
		row("preview", "| "+l)
	}
	row("asked by", s.By)
	row("because", s.Why)
	row("digest", s.Digest)
	row("ticket", s.Ticket)
	row("until", s.Expires.UTC().Format(time.RFC3339))
	return b.String()
}
