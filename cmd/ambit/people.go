package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"ambit"
	"ambit/approval"
	"ambit/console"
	"ambit/daemon"
)

// desk connects to the daemon, starting it when none is live.
func desk(ctx context.Context) (*console.Client, error) {
	h, err := home()
	if err != nil {
		return nil, err
	}
	return daemon.Desk(ctx, h)
}

// withDesk runs f with a client of the daemon.
func withDesk(f func(ctx context.Context, d *console.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		d, err := desk(c.Context())
		if err != nil {
			return err
		}
		defer d.Close()
		return f(c.Context(), d, args)
	}
}

func tasksCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "tasks", Short: "List the tasks that are live", Args: cobra.NoArgs,
		Long: "List the live tasks: who they are, on whose behalf, what they run and until when. The state\nis unknown for a moment after the daemon was away: until the task has come back, or is known to have ended.",
	}
	asJSON := jsonFlag(c)
	all := c.Flags().Bool("all", false, "ended tasks too")
	c.RunE = withDesk(func(ctx context.Context, d *console.Client, _ []string) error {
		ts, err := d.Tasks(ctx, *all)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(os.Stdout, ts)
		}
		return printTasks(os.Stdout, ts)
	})
	return c
}

func printTasks(w io.Writer, ts []console.Task) error {
	if len(ts) == 0 {
		fmt.Fprintln(w, "no live task")
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TASK\tAGENT\tSTATE\tEXIT\tFOR\tEXPIRES\tCOMMAND")
	for _, k := range ts {
		exit := "-"
		switch {
		case k.Unstarted:
			exit = "not run"
		case k.State == "ended" && k.Status < 0:
			exit = "unknown"
		case k.State == "ended":
			exit = strconv.Itoa(k.Status)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Agent, k.State, exit, k.OnBehalfOf,
			k.Expires.Local().Format("15:04:05"), printable(strings.Join(k.Command, " "), 60))
	}
	return t.Flush()
}

// printable makes one bounded line of text that an agent may have chosen.
func printable(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		if r < ' ' || r == 0x7f || !strconv.IsPrint(r) {
			fmt.Fprintf(&b, "‹U+%04X›", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func revokeCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "revoke TASK|AGENT", Short: "End a task, or all tasks of an agent, now", Args: cobra.ExactArgs(1),
		Long: "End a task at once: its connections, its leases and its processes. The start of a\ntask's id is enough. Other tasks are not touched.",
	}
	asJSON := jsonFlag(c)
	why := c.Flags().String("why", "", "the reason, for the log")
	c.RunE = withDesk(func(ctx context.Context, d *console.Client, args []string) error {
		r, err := d.Revoke(ctx, console.Revoke{Target: args[0], Why: *why})
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(os.Stdout, r)
		}
		for _, t := range r.Tasks {
			fmt.Println("revoked", t)
		}
		return nil
	})
	return c
}

func approvalsCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "approvals", Short: "List the questions that wait for you", Args: cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	all := c.Flags().Bool("all", false, "answered and expired ones too")
	c.RunE = withDesk(func(ctx context.Context, d *console.Client, _ []string) error {
		qs, err := d.Questions(ctx, *all)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(os.Stdout, qs)
		}
		if len(qs) == 0 {
			fmt.Println("no question waits for you")
		}
		for _, q := range qs {
			printQuestion(os.Stdout, q)
		}
		return nil
	})
	return c
}

func printQuestion(w io.Writer, q console.Question) {
	fmt.Fprintf(w, "%s  %-8s  %s  %s  %s  by %s", q.Ticket, q.State, q.Effect, q.Operation, printable(q.Resource, 100), q.Agent)
	if q.State == "open" {
		fmt.Fprintf(w, ", expires in %s", time.Until(q.Expires).Round(time.Second))
	}
	fmt.Fprintln(w)
}

func showCmd() *cobra.Command {
	c := &cobra.Command{Use: "show TICKET", Short: "Show all of one question", Args: cobra.ExactArgs(1)}
	asJSON := jsonFlag(c)
	c.RunE = withDesk(func(ctx context.Context, d *console.Client, args []string) error {
		q, err := d.Question(ctx, args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(os.Stdout, q)
		}
		fmt.Print(screen(q))
		return nil
	})
	return c
}

// screen is a whole question, as it is shown before an answer.
func screen(q console.Question) string {
	var b strings.Builder
	until := q.Expires.Local().Format(time.DateTime)
	if over := q.Closed(time.Now()); over != "" {
		until += "; " + over
	}
	fmt.Fprintf(&b, "ticket    %s (%s)\nagent     %s, task %s\nbecause   %s (%s)\ndigest    %s\nexpires   %s\n\n%s\n",
		q.Ticket, q.State, q.Agent, q.Task, printable(approval.OneLine(q.Because), 300), q.DecidedBy, q.Digest, until, q.Screen)
	return b.String()
}

func approveCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "approve TICKET", Short: "Let one question's exact action happen, once", Args: cobra.ExactArgs(1),
		Long: "Approve one question. What is approved is exactly the bytes that `ambit show TICKET`\nprints: pass --digest (its first 8 digits or more) in scripts; without it the action is\nshown and you are asked to confirm.",
	}
	digest := c.Flags().String("digest", "", "start of the digest that you were shown (at least 8 digits)")
	why := c.Flags().String("why", "", "the reason, for the log")
	c.RunE = withDesk(func(ctx context.Context, d *console.Client, args []string) error {
		q, err := d.Question(ctx, args[0])
		if err != nil {
			return err
		}
		if over := q.Closed(time.Now()); over != "" {
			return fmt.Errorf("cannot approve %s: %s", q.Ticket, over)
		}
		if err := confirm(q, *digest, os.Stdin, os.Stderr); err != nil {
			return err
		}
		return resolve(ctx, d, console.Resolve{Ticket: args[0], Approve: true, Digest: q.Digest, Why: *why})
	})
	return c
}

const minDigest = 8

// confirm makes sure that the person saw what is approved.
func confirm(q console.Question, digest string, in io.Reader, out io.Writer) error {
	if digest != "" {
		if len(digest) < minDigest || !strings.HasPrefix(q.Digest.String(), strings.ToLower(digest)) {
			return fmt.Errorf("cannot approve %s: its digest is %s; look at it again with `ambit show %s`", q.Ticket, q.Digest, q.Ticket)
		}
		return nil
	}
	fmt.Fprintf(out, "%s\nApprove exactly this, once? Type yes: ", screen(q))
	line, _ := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if strings.TrimSpace(line) != "yes" {
		return fmt.Errorf("not approved: %s stays open; say no with `ambit deny %s`", q.Ticket, q.Ticket)
	}
	return nil
}

func denyCmd() *cobra.Command {
	c := &cobra.Command{Use: "deny TICKET", Short: "Say no to one question", Args: cobra.ExactArgs(1)}
	why := c.Flags().String("why", "", "the reason: the agent is told")
	c.RunE = withDesk(func(ctx context.Context, d *console.Client, args []string) error {
		q, err := d.Question(ctx, args[0])
		if err != nil {
			return err
		}
		return resolve(ctx, d, console.Resolve{Ticket: args[0], Digest: q.Digest, Why: *why})
	})
	return c
}

func resolve(ctx context.Context, d *console.Client, r console.Resolve) error {
	q, err := d.Resolve(ctx, r)
	if err != nil {
		return err
	}
	fmt.Printf("%s %s\n", q.State, q.Ticket)
	return nil
}

func watchCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "watch", Short: "Show questions as they come; with --answer, answer them", Args: cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	task := c.Flags().String("task", "", "only this task's questions")
	ans := c.Flags().Bool("answer", false, "ask for yes or no on this terminal")
	hangup := c.Flags().Int("hang-up", -1, "end when this descriptor does")
	c.Flags().MarkHidden("hang-up")
	c.RunE = func(c *cobra.Command, _ []string) error {
		in := bufio.NewReader(os.Stdin)
		if *hangup >= 0 {
			go func() {
				io.Copy(io.Discard, os.NewFile(uintptr(*hangup), "hang-up"))
				os.Exit(0) // a read from the terminal may be under way
			}()
		}
		return watch(c.Context(), func(ctx context.Context, d *console.Client, q console.Question) error {
			if *task != "" && q.Task != ambit.TaskID(*task) {
				return nil
			}
			if *asJSON {
				return printLine(os.Stdout, q)
			}
			if *ans {
				if q.State != "open" {
					return nil // said already, when it was answered
				}
				return answer(ctx, d, q, in, os.Stderr)
			}
			printQuestion(os.Stdout, q)
			return nil
		})
	}
	return c
}

// watch shows each change of a question once, by one daemon after the other. It
// starts the first only: one that a person stopped stays away until it is needed.
func watch(ctx context.Context, each func(context.Context, *console.Client, console.Question) error) error {
	h, err := home()
	if err != nil {
		return err
	}
	d, err := daemon.Desk(ctx, h)
	if err != nil {
		return err
	}
	seen := map[string]string{} // states by ticket
	one := func(q console.Question) error {
		if seen[q.Ticket] == q.State {
			return nil
		}
		err := each(ctx, d, q)
		if err == nil {
			seen[q.Ticket] = q.State
		}
		return err
	}
	for first := true; ; first = false {
		if err = missed(ctx, d, seen, one); err == nil {
			err = d.Watch(ctx, one)
		}
		d.Close()
		gone := errors.Is(err, console.ErrLost) || !first && errors.Is(err, console.ErrNobody)
		if !gone || ctx.Err() != nil {
			return err
		}
		if d, err = daemon.NextDesk(ctx, h); err != nil {
			return err
		}
	}
}

// missed shows what became of questions while there was no daemon to watch.
func missed(ctx context.Context, d *console.Client, seen map[string]string, one func(console.Question) error) error {
	for ticket, state := range seen {
		if state != "open" && state != "approved" {
			continue
		}
		q, err := d.Question(ctx, ticket)
		if err == nil {
			err = one(q)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answer asks for one answer. No answer in time, or another word than yes, is
// a no.
func answer(ctx context.Context, d *console.Client, q console.Question, in *bufio.Reader, out io.Writer) error {
	fmt.Fprintf(out, "\nAn agent asks for something irreversible or written under `ask`:\n%s\nApprove exactly this, once? Type yes or no: ", screen(q))
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	r := console.Resolve{Ticket: q.Ticket, Digest: q.Digest, Approve: strings.TrimSpace(line) == "yes"}
	if q, err = d.Resolve(ctx, r); err != nil {
		fmt.Fprintln(out, "ambit:", err)
		if errors.Is(err, console.ErrLost) {
			return err // the next daemon asks again when it is open still
		}
		return nil
	}
	fmt.Fprintln(out, q.State, q.Ticket)
	return nil
}
