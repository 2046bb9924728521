package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ambit"
	"ambit/daemon/keeper"
	"ambit/grants"
)

func explainCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "explain [FILE] | explain --grants FILE ACTION", Short: "Read a grants file as plain English, or ask about one action", Args: cobra.MaximumNArgs(1),
		Long: "With a file, print all of it as plain English, with what its profiles bring. With --grants and an\naction, print the verdict, what decided it, and the smallest change that would allow it.\n\n" +
			"An action: " + grants.ActionHelp + "\n\nA request over HTTP is taken as tools send it: git's own with its content type, GraphQL as JSON. Where\nthe body decides what it does, the answer is for a body that nobody can read, and lists what it is with others.\n\nExit status with an action: 0 allow, 3 ask, 4 deny.",
		Example: "  ambit explain ambit.yaml\n  ambit explain --grants ambit.yaml 'http DELETE https://api.github.com/repos/acme/web'",
	}
	file := c.Flags().StringP("grants", "g", "", "the grants file, to ask about one action")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		w := c.OutOrStdout()
		if *file == "" {
			return explainFile(w, orDefault(args), *asJSON)
		}
		if len(args) != 1 {
			return usage(errors.New("name the action to explain; see `ambit explain --help`"))
		}
		return explainAction(w, *file, args[0], *asJSON)
	}
	return c
}

func orDefault(args []string) string {
	if len(args) == 0 {
		return defaultGrants
	}
	return args[0]
}

func explainFile(w io.Writer, file string, asJSON bool) error {
	g, err := keeper.Read(file, os.Getenv, time.Now())
	if err != nil {
		return err
	}
	if asJSON {
		_, err := w.Write(append(g.File().Canonical(), '\n'))
		return err
	}
	_, err = io.WriteString(w, g.Plain())
	return err
}

// Exit statuses of `ambit explain` with an action.
const (
	exitAsk  = 3
	exitDeny = 4
)

// explainHere explains an action with what only this machine knows: which files with
// the name of a credential the walls show.
func explainHere(g *keeper.Grants, action string) ([]grants.Explanation, error) {
	facts := grants.Facts{Now: time.Now(), Assume: true}
	ex, err := g.ExplainText(action, facts)
	if err != nil || len(ex) != 1 {
		return ex, err
	}
	a := &ex[0].Action
	if a.Service != "files" || a.Effect != ambit.Read || ex[0].Decision.Verdict == ambit.Allow {
		return ex, nil
	}
	path := a.Resource.String()
	why := g.Shown(path)
	if why == "" {
		return ex, nil
	}
	facts.Shown = []string{path}
	if ex, err = g.ExplainText(action, facts); err == nil {
		ex[0].Note = "its name is that of a credential file, which no line above it gives; the walls show this one: " + why
	}
	return ex, err
}

func explainAction(w io.Writer, file, action string, asJSON bool) error {
	g, err := keeper.Read(file, os.Getenv, time.Now())
	if err != nil {
		return err
	}
	ex, err := explainHere(g, action)
	if err != nil {
		return err
	}
	worst := ambit.Allow
	for _, e := range ex {
		worst = min(worst, e.Decision.Verdict)
	}
	if asJSON {
		err = printJSON(w, map[string]any{"verdict": worst, "actions": ex})
	} else {
		for _, e := range ex {
			fmt.Fprintln(w, strings.TrimRight(e.String(), "\n"))
		}
	}
	if err != nil || worst == ambit.Allow {
		return err
	}
	return status{map[ambit.Verdict]int{ambit.Ask: exitAsk, ambit.Deny: exitDeny}[worst], ""}
}
