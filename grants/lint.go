package grants

import (
	"cmp"
	"fmt"
	"slices"

	"ambit"
)

// Severity says how bad a finding is. The zero value is the worse.
type Severity uint8

// The severities.
const (
	SeverityError   Severity = iota // refuses, unless a reason is written beside it
	SeverityWarning                 // worth a look
)

// String returns "E" or "W".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "W"
	}
	return "E"
}

// MarshalText writes "E" or "W".
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one danger of a grants file.
type Finding struct {
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"` // an ID of LintRules
	Line     int      `json:"line"` // from 1; 0 when the whole file is meant
	Column   int      `json:"column"`
	Msg      string   `json:"message"`
	Remedy   string   `json:"remedy"`
	Accepted string   `json:"accepted,omitempty"` // the reason written beside it: the finding does not count
}

// Machine is what lint knows of the machine, given in by the caller. The zero
// value knows nothing, and what cannot be known is not reported.
type Machine struct {
	File       string   // absolute path of the grants file
	State      string   // absolute path of Ambit's own state
	Path       []string // absolute folders in which programs are found
	Unenforced []Unenforced
}

// Unenforced is a clause that the machine cannot enforce.
type Unenforced struct {
	Clause string // "sandbox.memory", "sandbox.processes", "sandbox.cpu" or "sandbox.open-files"
	Why    string
	Fix    string
}

// Lint looks for what is dangerous in a grants file, by what can be reached and
// not by names alone: what the profiles bring counts too. It is pure. Findings
// are in file order.
func Lint(g *Grants, m Machine) []Finding {
	if g == nil || g.index == nil {
		return nil
	}
	l := &linter{g: g, m: m}
	l.look()
	l.shadows()
	l.accept()
	return l.findings()
}

// LintErrors returns the findings for which a file is refused: those of [Lint]
// that are errors and not accepted, in file order. It does not compare the
// lines with each other, which finds only warnings, and so costs little.
func LintErrors(g *Grants, m Machine) []Finding {
	if g == nil || g.index == nil {
		return nil
	}
	l := &linter{g: g, m: m}
	l.look()
	l.accept()
	return slices.DeleteFunc(l.findings(), func(f Finding) bool { return f.Severity != SeverityError || f.Accepted != "" })
}

// look finds all but what the lines do to each other.
func (l *linter) look() {
	l.files()
	l.reach()
	for _, r := range l.g.rules {
		if !r.line.Implied && r.service != "files" {
			l.service(r)
		}
	}
	l.whole()
}

type linter struct {
	g   *Grants
	m   Machine
	out []found
}

// found is a finding with the `lint-accept` that it obeys; nil for none.
type found struct {
	Finding
	accept []Accept
}

// sandboxed is the line of what the section `sandbox` says outside of any line.
func sandboxed() *Line { return &Line{Implied: true} }

// add reports at a place in the file, or for a profile's line where the profile
// is named.
func (l *linter) add(rule string, line *Line, p Pos, remedy, msg string) {
	r, _ := lintRule(rule)
	if line != nil && line.Profile != "" {
		for i, u := range l.g.file.Uses {
			if u.Name == line.Profile {
				p = l.g.file.UsesPos[i]
			}
		}
		msg = "the profile " + line.Profile + ": " + msg
	}
	f := Finding{Severity: r.Severity, Rule: rule, Line: p.Line, Column: p.Column, Msg: msg, Remedy: remedy + acceptHint(rule, line)}
	l.out = append(l.out, found{f, l.acceptOf(line)})
}

// acceptOf returns the `lint-accept` that stands for a line: its own, or that
// of `sandbox`.
func (l *linter) acceptOf(line *Line) []Accept {
	switch {
	case line == nil || line.Profile != "":
		return nil
	case line.Implied:
		return l.g.file.Sandbox.Accept
	}
	return line.Accept
}

func (l *linter) findings() []Finding {
	var out []Finding
	for _, f := range l.out {
		out = append(out, f.Finding)
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Rule, b.Rule))
	})
	return slices.Compact(out)
}

// acceptHint ends a remedy: how the danger is accepted beside the line.
func acceptHint(rule string, line *Line) string {
	switch {
	case line == nil || line.Profile != "" || rule == "never-matches":
		return ""
	case line.Implied:
		return fmt.Sprintf("; or say under sandbox why it must be so: lint-accept: {%s: reason}", rule)
	}
	return fmt.Sprintf("; or say why it must be so: lint-accept: {%s: reason}", rule)
}

// gives says whether a rule lets happen, without a question, some known
// operation of one of the effects.
func (l *linter) gives(r *rule, effects ...ambit.Effect) bool {
	if r.verdict != ambit.Allow {
		return false
	}
	return slices.ContainsFunc(l.g.kindOf(r.service).Operations, func(o Operation) bool {
		return slices.Contains(effects, o.Effect.Worst()) && r.fits(o.Effect.Worst()) && r.operation(o.Name)
	})
}
