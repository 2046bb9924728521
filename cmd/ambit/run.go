package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"ambit/daemon/keeper"
	"ambit/sandbox"
)

const defaultGrants = "ambit.yaml"

func runCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "run [--grants FILE] -- COMMAND [ARGUMENT…]", Short: "Run a command inside its ambit",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return status{exitRefused, "cannot run: name a command, as in `ambit run -- claude`; see `ambit run --help`"}
			}
			return nil
		},
		Long: `Run a command with exactly the access that the grants file names. The command gets an
identity of its own, a sandbox, egress to granted names only, and placeholders where it
expects credentials. Every request it makes to a granted port, every name it looks up, and its start and end are in the
log; a connection to a port that no line names is refused at once and leaves no record.

The exit status is the command's own; 128 and the signal when one ended it; 125 when Ambit
refuses to start it, 126 when it cannot be executed, 127 when it is not found, 124 when the task was
ended by its expiry or by ` + "`ambit revoke`" + `. A signal that comes before the command is started ends the task.`,
		Example: "  ambit run -- claude\n  ambit run --grants fix.yaml -- sh -c 'go test ./...'",
	}
	f := newRunFlags(c.Flags())
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return status{exitRefused, err.Error() + "\nsee `ambit run --help`"}
	})
	c.RunE = func(c *cobra.Command, args []string) error { return f.run(c.Context(), args) }
	return c
}

// runFlags are the flags of `ambit run`.
type runFlags struct {
	file                       *string
	headless, noTTY, verbosely *bool
}

func newRunFlags(s *pflag.FlagSet) runFlags {
	s.SetInterspersed(false)
	return runFlags{
		file:      s.StringP("grants", "g", defaultGrants, "the grants file"),
		headless:  s.Bool("headless", false, "never ask on this terminal: see the questions with ambit approvals"),
		noTTY:     s.Bool("no-terminal", false, "give the command this process's own input and output instead of a terminal"),
		verbosely: s.BoolP("verbose", "v", false, "print what the walls enforce"),
	}
}

// plainRun runs a command line of `ambit run` that needs nothing of the command
// line's library but its flags: that library takes longer than a small sandbox.
// ok is false for every other one.
func plainRun(ctx context.Context, argv []string) (ok bool, err error) {
	if len(argv) < 3 || argv[1] != "run" {
		return false, nil
	}
	s := pflag.NewFlagSet("run", pflag.ContinueOnError)
	s.SetOutput(io.Discard)
	f := newRunFlags(s)
	if s.Parse(argv[2:]) != nil || s.NArg() == 0 {
		return false, nil
	}
	return true, f.run(ctx, s.Args())
}

func (f runFlags) run(ctx context.Context, args []string) error {
	o, err := options(*f.file, args)
	if err != nil {
		return status{exitRefused, err.Error()}
	}
	o.Terminal = !*f.noTTY && term.IsTerminal(0) && term.IsTerminal(1)
	// An agent that writes to the terminal could wipe a question and put another in its place.
	if !o.Terminal && !*f.headless && !term.IsTerminal(0) && !term.IsTerminal(1) && !term.IsTerminal(2) {
		o.Prompt = prompt
	}
	o.Elsewhere = o.Prompt == nil && !*f.headless && term.IsTerminal(2)
	if *f.verbosely {
		o.Report = func(r sandbox.Report) { fmt.Fprint(os.Stderr, r) }
	}
	return runTask(ctx, o)
}

func options(file string, args []string) (o keeper.Options, err error) {
	if o.Home, err = home(); err != nil {
		return o, err
	}
	if err = o.Home.Make(); err != nil {
		return o, err
	}
	if o.Dir, err = os.Getwd(); err != nil {
		return o, fmt.Errorf("cannot tell where we are: %w", err)
	}
	o.Load = func() (*keeper.Grants, error) { return keeper.Load(file, os.Getenv, time.Now()) }
	o.Build, o.Argv, o.Person, o.Lookup = build(), args, person(), os.LookupEnv
	o.Stdin, o.Stdout, o.Stderr = os.Stdin, os.Stdout, os.Stderr
	return o, nil
}

// person names who runs the command, for the record.
func person() string {
	if u := os.Getenv("SUDO_USER"); u != "" && os.Getuid() == 0 {
		return "root (sudo: " + u + ")"
	}
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// exitEnded is the status of a task that was ended by somebody's word, as
// timeout(1) has for its own.
const exitEnded = 124

func runTask(ctx context.Context, o keeper.Options) error {
	// Signals belong to the command, which is in a session of its own. They are
	// caught and not ignored: an ignored signal would be ignored by it, too.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	o.Signals = signals
	st, err := keeper.Run(context.WithoutCancel(ctx), o)
	if e, ok := errors.AsType[*keeper.Ended](err); ok && e.Signal != 0 {
		return status{128 + int(e.Signal), e.Error()}
	} else if ok {
		return status{exitEnded, e.Error()}
	}
	if err != nil {
		return status{refusedCode(err), err.Error()}
	}
	if code := st.Exit(); code != 0 {
		return status{code, ""}
	}
	return nil
}

func refusedCode(err error) int {
	switch {
	case !errors.Is(err, sandbox.ErrNotFound):
		return exitRefused
	case errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR):
		return exitNoFile
	}
	return exitNoExec
}
