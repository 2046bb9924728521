package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ambit/approval"
	"ambit/console"
)

func leasesCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "leases", Short: "List the credentials that tasks have, and those that cannot be ended", Args: cobra.NoArgs,
		Long: "List the leases that are not dead: the short-lived credentials that tasks have. A lease is dead\nonly when its service was seen to take it no longer. One that cannot be ended, because its service\nis down, is tried again until it is; how often, since when and why it failed stands below it.",
	}
	asJSON := jsonFlag(c)
	all := c.Flags().Bool("all", false, "the newest that are dead too")
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
		if l.Tries > 0 {
			fmt.Fprintf(w, "\n%s cannot be ended since %s: %d attempts, the next at %s\n  %s\n", l.ID,
				l.Since.Local().Format(time.DateTime), l.Tries, l.Next.Local().Format(time.TimeOnly), printable(approval.OneLine(l.Trouble), 300))
		}
	}
	return nil
}
