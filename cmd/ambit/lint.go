package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ambit/daemon/keeper"
	"ambit/grants"
	"ambit/sandbox"
)

// Exit statuses of `ambit lint`.
const (
	exitWarnings = 3
	exitErrors   = 4
)

func lintCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "lint [FILE]", Short: "Say what is dangerous in a grants file", Args: cobra.MaximumNArgs(1),
		Long: "Look for what is dangerous in a grants file (" + defaultGrants + " when none is named): by what the agent could reach with it, its\nprofiles included, on this machine. Each finding " +
			"has its place, a severity (E or W), its rule and what to do.\n\nA finding is accepted by a reason beside it: the key lint-accept of its line, such as\n  lint-accept: {way-out: the repository is public}\nAn accepted finding is printed and does not count.\n\n`ambit run` refuses a file with errors that are not accepted.\n\n" +
			"Rules:\n" + lintRules() + "\nExit status: 0 nothing found, 3 warnings only, 4 errors, 1 the file cannot be loaded.",
		Example: "  ambit lint\n  ambit lint --json fix.yaml",
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return lintFile(c.OutOrStdout(), orDefault(args), *asJSON)
	}
	return c
}

func lintRules() string {
	var b strings.Builder
	for _, r := range grants.LintRules() {
		fmt.Fprintf(&b, "  %s %-18s %s\n", r.Severity, r.ID, r.Summary)
	}
	return b.String()
}

// linted is what `ambit lint --json` prints.
type linted struct {
	File     string           `json:"file"`
	Errors   int              `json:"errors"`   // those that are not accepted
	Warnings int              `json:"warnings"` // likewise
	Findings []grants.Finding `json:"findings"`
}

func lintFile(w io.Writer, file string, asJSON bool) error {
	g, err := keeper.Read(file, os.Getenv, time.Now())
	if err != nil {
		return err
	}
	out := linted{File: file, Findings: grants.Lint(g.Grants, machine(g))}
	for _, f := range out.Findings {
		switch {
		case f.Accepted != "":
		case f.Severity == grants.SeverityWarning:
			out.Warnings++
		default:
			out.Errors++
		}
	}
	if asJSON {
		if out.Findings == nil {
			out.Findings = []grants.Finding{}
		}
		err = printJSON(w, out)
	} else {
		out.print(w)
	}
	switch {
	case err != nil:
		return err
	case out.Errors > 0:
		return status{exitErrors, ""}
	case out.Warnings > 0:
		return status{exitWarnings, ""}
	}
	return nil
}

func (l linted) print(w io.Writer) {
	for _, f := range l.Findings {
		at := l.File
		if f.Line > 0 {
			at = fmt.Sprintf("%s:%d:%d", l.File, f.Line, f.Column)
		}
		if f.Accepted != "" {
			fmt.Fprintf(w, "%s: accepted %s %s\n    because: %s\n", at, f.Rule, f.Msg, strings.Join(strings.Fields(f.Accepted), " "))
			continue
		}
		fmt.Fprintf(w, "%s: %s %s %s\n    → %s\n", at, f.Severity, f.Rule, f.Msg, f.Remedy)
	}
	if l.Errors+l.Warnings == 0 {
		fmt.Fprintf(w, "%s: nothing dangerous found\n", l.File)
		return
	}
	fmt.Fprintf(w, "%s: %s, %s\n", l.File, counted(l.Errors, "error"), counted(l.Warnings, "warning"))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// machine gathers what lint cannot know by itself.
func machine(g *keeper.Grants) grants.Machine {
	m := g.Machine(os.Getenv)
	if s := g.File().Sandbox; s.Memory > 0 || s.Processes > 0 || s.CPU > 0 {
		m.Unenforced = unenforced(sandbox.Doctor())
	}
	return m
}

// unenforced says which clauses the walls of this machine cannot keep, by what
// doctor finds. A limit of the processors needs a control group, as memory does.
func unenforced(fs []sandbox.Finding) (out []grants.Unenforced) {
	for _, f := range fs {
		if f.OK {
			continue
		}
		clauses := map[string][]string{
			"memory limit":    {"sandbox.memory", "sandbox.cpu"},
			"processes limit": {"sandbox.processes"},
		}[f.Name]
		if f.Needed {
			clauses = []string{"sandbox.memory", "sandbox.cpu", "sandbox.processes"}
		}
		for _, c := range clauses {
			out = append(out, grants.Unenforced{Clause: c, Why: f.Found, Fix: f.Remedy})
		}
	}
	return out
}
