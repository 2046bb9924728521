package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"ambit/daemon"
	"ambit/daemon/keeper"
)

func daemonCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "daemon", Short: "The daemon that keeps keys, credentials, approvals and the log", Args: known,
		Long: "The daemon starts by itself when a command needs it, and ends by itself when nobody has\nneeded it for ten minutes. These commands are for looking and for services.",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	run := &cobra.Command{
		Use: "run", Short: "Serve in the foreground", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := home()
			if err != nil {
				return err
			}
			daemon.LeaveRoom()
			err = daemon.Run(c.Context(), h, build(), keeper.Compile)
			if errors.Is(err, daemon.ErrSecond) {
				return status{daemon.ExitSecond, "cannot start the daemon: another one is live in " + h.Dir}
			}
			return err
		},
	}
	stop := &cobra.Command{
		Use: "stop", Short: "End the daemon, when no task is live", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := home()
			if err != nil {
				return err
			}
			d, err := daemon.LiveDesk(c.Context(), h)
			if err != nil {
				fmt.Println("no daemon is live")
				return nil
			}
			defer d.Close()
			// One that is going away already answers neither; the home tells when it has.
			live, lost := d.Status(c.Context())
			err = d.Stop(c.Context())
			if err != nil && lost == nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
			defer cancel()
			if gone := daemon.Gone(ctx, h, live.PID); gone != nil {
				return errors.Join(gone, err)
			}
			return nil
		},
	}
	c.AddCommand(run, statusCmd(), stop)
	return c
}

func statusCmd() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "Say how the daemon is, without starting it", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		h, err := home()
		if err != nil {
			return err
		}
		d, err := daemon.LiveDesk(c.Context(), h)
		if err != nil {
			return errors.New("no daemon is live; any command that needs it starts it")
		}
		defer d.Close()
		s, err := d.Status(c.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(os.Stdout, s)
		}
		fmt.Printf("live since %s, pid %d\ntrust domain %s\nlog key %s\n%d records, %d live tasks, %d open questions\n",
			s.Since.Local().Format(time.DateTime), s.PID, s.TrustDomain, s.LogKey, s.Records, s.Live, s.Open)
		if s.Trouble != "" {
			return fmt.Errorf("actions are refused: %s", s.Trouble)
		}
		return nil
	}
	return c
}

// build names this build of Ambit: daemon and gatekeeper must be of the same.
func build() string {
	i, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v, rev := i.Main.Version, ""
	for _, s := range i.Settings {
		if s.Key == "vcs.revision" {
			rev = "+" + s.Value[:min(len(s.Value), 12)]
		}
	}
	return v + rev
}

func versionCmd() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		if *asJSON {
			return printJSON(os.Stdout, map[string]string{"build": build()})
		}
		fmt.Println("ambit", build())
		return nil
	}
	return c
}
