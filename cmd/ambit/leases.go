package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ambit/approval"
	"ambit/console"
)

func leasesCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "leases", Short: "List the credentials that tasks have, and those that cannot be ended", Args: known,
		Long: "List the leases that are not dead: the short-lived credentials that tasks have. A lease is dead\nonly when its service was seen to take it no longer. One that cannot be ended, because its service\nis down, is tried again until it is; how often, since when and why it failed stands below it.\nOne whose service is gone for good can be written off.",
	}
	asJSON := jsonFlag(c)
	all := c.Flags().Bool("all", false, "the newest that are dead or written off too")
	c.RunE = withDesk(func(ctx context.Context, d *console.Client, _ []string) error {
		ls, err := d.Leases(ctx, *all)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(os.Stdout, ls)
		}
		return printLeases(os.Stdout, ls)
	})
	c.AddCommand(writeOffCmd())
	return c
}

func writeOffCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "write-off LEASE", Short: "Try no more to end a lease whose service is gone for good", Args: cobra.ExactArgs(1),
		Long:    "Take the responsibility for a lease that cannot be ended, because its database was deleted, say.\nIt is tried no more, and counts as written off, never as dead: who did it, why, and what may remain\nis in the log and in `ambit leases --all`. Its task must be over, and an attempt must have failed.",
		Example: "  ambit leases write-off 4f0c… --because \"the test database was deleted, with its server\"",
	}
	asJSON := jsonFlag(c)
	because := c.Flags().String("because", "", "the reason, for the log (required)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(*because) == "" {
			return usage(errors.New("cannot write a lease off without a reason: say it with --because"))
		}
		return withDesk(func(ctx context.Context, d *console.Client, args []string) error {
			l, err := d.WriteOff(ctx, console.WriteOff{Lease: args[0], Because: *because})
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(os.Stdout, l)
			}
			_, err = fmt.Printf("written off %s, which is not proved dead; what may remain: %s\n", l.ID, printable(approval.OneLine(l.Remains), 300))
			return err
		})(c, args)
	}
	return c
}

func printLeases(w io.Writer, ls []console.Lease) error {
	if len(ls) == 0 {
		fmt.Fprintln(w, "no lease")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LEASE\tTASK\tAGENT\tSERVICE\tPROVIDER\tSTATE\tEXPIRES")
	for _, l := range ls {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Task, l.Agent, l.Service, l.Provider, l.State, l.Expires.Local().Format(time.DateTime))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range ls {
		if l.By != "" {
			fmt.Fprintf(w, "\n%s was written off by %s at %s: %s\n  what may remain: %s\n", l.ID, printable(l.By, 40),
				l.Ended.Local().Format(time.DateTime), printable(approval.OneLine(l.Because), 300), printable(approval.OneLine(l.Remains), 300))
		}
		if l.Tries > 0 {
			fmt.Fprintf(w, "\n%s cannot be ended since %s: %d attempts, the next at %s\n  %s\n", l.ID,
				l.Since.Local().Format(time.DateTime), l.Tries, l.Next.Local().Format(time.TimeOnly), printable(approval.OneLine(l.Trouble), 300))
		}
	}
	return nil
}
