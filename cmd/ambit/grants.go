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

func explainAction(w io.Writer, file, action string, asJSON bool) error {
	g, err := keeper.Read(file, os.Getenv, time.Now())
	if err != nil {
		return err
	}
	ex, err := g.ExplainText(action, grants.Facts{Now: time.Now(), Assume: true})
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
