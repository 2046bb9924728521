package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"ambit"
	"ambit/daemon/keeper"
	"ambit/grants"
)

// Exit statuses of `ambit contain`.
const (
	exitNotShown  = 3
	exitNotWithin = 4
)

func containCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "contain CHILD PARENT", Short: "Decide whether one grants file stays within another", Args: cobra.ExactArgs(2),
		Long: `Decide whether everything that the file CHILD gives is given by the file PARENT at least as
freely: for every action, at every time, with every limit, and for the walls, the variables and the
end of the task. Services are compared by what they reach and with what credential, not by name.

The answer is "within"; or "not within" with an action that shows it, as ` + "`ambit explain`" + ` reads it,
and both verdicts with their lines; or "not shown" with the line that cannot be compared and why.

Exit status: 0 within, 4 not within, 3 not shown, 1 a file cannot be loaded.`,
		Example: "  ambit contain fix.yaml team.yaml",
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return containFiles(c.OutOrStdout(), args[0], args[1], *asJSON)
	}
	return c
}

// contained is what `ambit contain --json` prints.
type contained struct {
	Answer  string          `json:"answer"` // "within", "not within" or "not shown"
	Why     string          `json:"why,omitempty"`
	Line    int             `json:"line,omitempty"` // in the child's file
	Column  int             `json:"column,omitempty"`
	Action  *ambit.Action   `json:"action,omitempty"`
	Explain string          `json:"explain,omitempty"` // the action as people write it
	At      string          `json:"at,omitempty"`
	After   int             `json:"after,omitempty"` // how often it must have happened before
	Child   *ambit.Decision `json:"child,omitempty"`
	Parent  *ambit.Decision `json:"parent,omitempty"`

	by string
}

func containFiles(w io.Writer, child, parent string, asJSON bool) error {
	now := time.Now()
	a, err := keeper.Read(child, os.Getenv, now)
	if err != nil {
		return err
	}
	b, err := keeper.Read(parent, os.Getenv, now)
	if err != nil {
		return err
	}
	r, err := grants.Contain(a.Grants, b.Grants)
	if err != nil {
		return err
	}
	out := describe(a.Grants, r)
	if asJSON {
		err = printJSON(w, out)
	} else {
		out.print(w, child, parent)
	}
	switch {
	case err != nil || r.Within:
		return err
	case r.NotShown:
		return status{exitNotShown, ""}
	}
	return status{exitNotWithin, ""}
}

func describe(child *grants.Grants, r grants.Containment) contained {
	if r.Within {
		return contained{Answer: "within"}
	}
	out := contained{Answer: "not within", Why: r.Why, Line: r.Line, Column: r.Column, After: r.After, by: r.By}
	if r.NotShown {
		out.Answer = "not shown"
		return out
	}
	if a := r.Counterexample; a != nil {
		out.Action, out.Child, out.Parent = a, &r.Child, &r.Parent
		out.Explain, _ = child.ActionText(a)
	}
	if r.Timed {
		out.At = r.At.UTC().Format(time.RFC3339)
	}
	return out
}

func (o contained) print(w io.Writer, child, parent string) {
	fmt.Fprintln(w, o.Answer)
	row := func(head, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-10s %s\n", head, text)
		}
	}
	at := o.by
	if o.Line > 0 {
		at = fmt.Sprintf("%s:%d:%d", child, o.Line, o.Column)
	}
	row("line", at)
	row("why", o.Why)
	row("action", o.Explain)
	row("at", o.At)
	if o.After > 0 {
		row("after", fmt.Sprintf("doing it %d times", o.After))
	}
	if o.Child != nil {
		row("child", verdictWords(child, o.Child))
		row("parent", verdictWords(parent, o.Parent))
	}
}

func verdictWords(file string, d *ambit.Decision) string {
	return fmt.Sprintf("%s: %s (%s: %s)", file, d.Verdict, d.By, d.Why)
}
