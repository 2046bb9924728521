package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ambit/config"
)

// Exit statuses, beside the command's own under `ambit run`.
const (
	exitFailed  = 1
	exitUsage   = 64  // sysexits.h EX_USAGE
	exitRefused = 125 // `ambit run`: Ambit refused to start the command
	exitNoExec  = 126 // `ambit run`: the command cannot be executed
	exitNoFile  = 127 // `ambit run`: the command is not found
)

// status is an error that says which exit status it wants. An empty message
// prints nothing.
type status struct {
	code int
	msg  string
}

func (s status) Error() string { return s.msg }

func exitCode(err error) int {
	if s, ok := errors.AsType[status](err); ok {
		return s.code
	}
	return exitFailed
}

// usage makes every complaint about the command line exit with exitUsage.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return status{exitUsage, err.Error()}
}

// commands are made when they are needed: to make them all takes longer than
// many of them run.
var commands = [...]struct {
	name, group string
	make        func() *cobra.Command
}{
	{"run", "run", runCmd}, {"doctor", "run", doctorCmd}, {"whoami", "run", whoamiCmd}, {"daemon", "run", daemonCmd},
	{"init", "grants", initCmd}, {"explain", "grants", explainCmd}, {"lint", "grants", lintCmd}, {"contain", "grants", containCmd},
	{"tasks", "people", tasksCmd}, {"leases", "people", leasesCmd}, {"revoke", "people", revokeCmd}, {"approvals", "people", approvalsCmd}, {"watch", "people", watchCmd},
	{"show", "people", showCmd}, {"approve", "people", approveCmd}, {"deny", "people", denyCmd},
	{"log", "evidence", logCmd}, {"verify", "evidence", verifyCmd}, {"trust", "evidence", trustCmd}, {"version", "", versionCmd},
}

// root makes the command line that begins with a word: that command, or all of
// them when there is none of that name.
func root(word string) *cobra.Command {
	c := &cobra.Command{
		Use:   "ambit",
		Short: "Run an AI agent with exactly the access its task needs",
		Long: `Ambit runs a program inside its ambit: the files, hosts, operations and
credentials that a grants file names, and not one permission more.

  ambit init                       write a starting grants file for this folder
  ambit explain ambit.yaml         read it as plain English
  ambit run -- claude              run an agent inside it (grants: ./ambit.yaml)
  ambit approvals                  questions that wait for you
  ambit log                        what was done, refused and asked
  ambit verify                     prove that the log is whole

State is kept in AMBIT_HOME (default: ambit in the XDG state directory).
Exit status: 0 done, 1 failed, 64 wrong command line; run, lint, explain and contain have more,
see their help.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          known,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetHelpCommand(helpCmd())
	c.CompletionOptions.HiddenDefaultCmd = true
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w\nsee `%s --help`", err, c.CommandPath()))
	})
	c.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "grants", Title: "Grants:"},
		&cobra.Group{ID: "people", Title: "People:"}, &cobra.Group{ID: "evidence", Title: "Evidence:"})
	for _, x := range commands {
		if x.name == word {
			c.CompletionOptions.DisableDefaultCmd = true
			add(c, x.group, x.make())
			return c
		}
	}
	for _, x := range commands {
		add(c, x.group, x.make())
	}
	return c
}

// stray refuses a word that is no command where one should be, whatever flags stand
// beside it: --help must not pass for an answer.
func stray(c *cobra.Command, args []string) error {
	c.InitDefaultHelpCmd()
	c.InitDefaultCompletionCmd(args...)
	help := false
	for _, a := range args {
		if a == "--" || strings.HasPrefix(a, "__complete") {
			return nil
		}
		if strings.HasPrefix(a, "-") { // those of commands with commands below them have no value
			continue
		}
		at := slices.IndexFunc(c.Commands(), func(x *cobra.Command) bool { return x.Name() == a || x.HasAlias(a) })
		switch {
		case at >= 0:
			c = c.Commands()[at]
		case help || c.HasSubCommands():
			return known(c, []string{a})
		default:
			return nil
		}
		if c.Name() == "help" {
			c, help = c.Root(), true
		}
	}
	return nil
}

// known refuses a word where a command should be, and names those that come near.
func known(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see `" + c.CommandPath() + " --help`"
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean `" + c.CommandPath() + " " + strings.Join(near, "` or `"+c.CommandPath()+" ") + "`?"
	}
	return status{exitUsage, fmt.Sprintf("%s has no command %q: %s", c.CommandPath(), printable(args[0], 40), hint)}
}

// helpCmd is cobra's but for words that name no command: they are an error and
// not the help of something else.
func helpCmd() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Say what a command does",
		RunE: func(c *cobra.Command, args []string) error {
			at, rest, err := c.Root().Traverse(args)
			if err == nil {
				err = known(at, rest)
			}
			if err != nil {
				return usage(err)
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
	}
}

func add(parent *cobra.Command, group string, c *cobra.Command) {
	c.GroupID = group
	if c.Name() != "run" {
		complain(c)
	}
	parent.AddCommand(c)
}

// complain makes what a command says of its arguments, and those below it of theirs,
// a complaint about the command line.
func complain(c *cobra.Command) {
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, a []string) error { return usage(args(c, a)) }
	}
	for _, x := range c.Commands() {
		complain(x)
	}
}

// home finds Ambit's state.
func home() (config.Home, error) {
	// An agent's own daemon would answer its own questions, in its own home.
	if os.Getenv("AMBIT_SOCKET") != "" {
		return config.Home{}, errors.New("cannot do this inside a sandbox: it is for the person outside; `ambit whoami` says what this agent may do")
	}
	return config.Locate(os.Getenv)
}

// jsonFlag adds --json and returns where it is kept.
func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print JSON")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
