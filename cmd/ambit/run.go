package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
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
expects credentials. Everything it attempts through the network, and its start and end, is in the log.

The exit status is the command's own; 128 and the signal when one ended it; 125 when Ambit
refuses to start it, 126 when it cannot be executed, 127 when it is not found, 124 when the task was
ended by its expiry or by ` + "`ambit revoke`" + `.`,
		Example: "  ambit run -- claude\n  ambit run --grants fix.yaml -- sh -c 'go test ./...'",
	}
	file := c.Flags().StringP("grants", "g", defaultGrants, "the grants file")
	headless := c.Flags().Bool("headless", false, "never ask on this terminal; questions wait for `ambit approvals`")
	noTTY := c.Flags().Bool("no-terminal", false, "give the command this process's own input and output instead of a terminal")
	verbose := c.Flags().BoolP("verbose", "v", false, "print what the walls enforce")
	c.Flags().SetInterspersed(false)
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return status{exitRefused, err.Error() + "\nsee `ambit run --help`"}
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		o, err := options(*file, args)
		if err != nil {
			return status{exitRefused, err.Error()}
		}
		o.Terminal = !*noTTY && term.IsTerminal(0) && term.IsTerminal(1)
		if !o.Terminal && !*headless {
			o.Prompt = prompt
		}
		if *verbose {
			o.Report = func(r sandbox.Report) { fmt.Fprint(os.Stderr, r) }
		}
		return runTask(c.Context(), o)
	}
	return c
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
	if e, ok := errors.AsType[*keeper.Ended](err); ok {
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
