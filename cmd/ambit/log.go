package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ambit"
	"ambit/approval"
	"ambit/audit"
)

// entry is one line of `ambit log --json`. The first nine members are always
// there.
type entry struct {
	Time      string          `json:"time"`
	Agent     string          `json:"agent"`
	Task      string          `json:"task"`
	Operation string          `json:"operation"`
	Effect    string          `json:"effect"`
	Resource  string          `json:"resource"`
	Verdict   string          `json:"verdict"`
	DecidedBy string          `json:"decided_by"`
	Outcome   string          `json:"outcome"`
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Service   string          `json:"service,omitempty"`
	Detail    string          `json:"detail,omitempty"`
	Approval  string          `json:"approval,omitempty"`
	Intent    string          `json:"intent,omitempty"`
	Digest    string          `json:"digest,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`

	text string // the resource as people write it
}

func entryOf(r *audit.Record) entry {
	e := entry{
		Time: r.Time.Format(audit.TimeLayout), Agent: r.Agent, Task: r.Task, Operation: r.Operation, Effect: r.Effect, Resource: r.Resource,
		Verdict: r.Verdict, DecidedBy: r.DecidedBy, Outcome: r.Outcome, ID: r.ID.String(), Type: r.Type, Service: r.Service, Detail: r.Detail,
		Approval: r.Approval, Digest: r.Digest, Data: r.Data,
	}
	if r.Operation == "" {
		e.Operation = r.Type
	}
	e.text = r.Resource
	if res, err := r.ResourceValue(); err == nil && res.Kind == "table" {
		e.text = res.String()
	}
	if r.Intent != 0 {
		e.Intent = r.Intent.String()
	}
	return e
}

func logCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "log", Short: "Show what was done, refused and asked", Args: cobra.NoArgs,
		Long: "Show the log, oldest first. An action has two records: its intent, durable before the act, and its\noutcome after it. `ambit log` shows the outcome alone; an intent without an outcome is shown as open. --raw\nshows every record as it stands.",
	}
	var f audit.Filter
	fl := c.Flags()
	fl.StringVar(&f.Task, "task", "", "only this task")
	fl.StringVar(&f.Agent, "agent", "", "only this agent")
	fl.StringVar(&f.Service, "service", "", "only this service")
	fl.StringVar(&f.Operation, "operation", "", "only this operation")
	fl.StringVar(&f.Verdict, "verdict", "", "only allow, ask or deny")
	fl.StringVar(&f.Effect, "effect", "", "only read, write or irreversible")
	fl.StringSliceVar(&f.Types, "type", nil, "only these types: task.start, task.end, intent, outcome, refusal, alert, question, question.expired, answer, lease, lease.written-off, revoke")
	since := fl.Duration("since", 0, "only the last 10m, 2h, …")
	outcome := fl.String("outcome", "", "only performed, refused, failed or unknown")
	follow := fl.BoolP("follow", "f", false, "go on as the log grows")
	raw := fl.Bool("raw", false, "every record as it stands, intents too")
	dir := fl.String("dir", "", "the log's folder (default: AMBIT_HOME/log)")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := knownFilters(f, *outcome); err != nil {
			return err
		}
		d, err := logDir(*dir)
		if err != nil {
			return err
		}
		if *since > 0 {
			f.Since = time.Now().Add(-*since)
		}
		f.Outcome = *outcome
		if *outcome != "" {
			*raw = true
		}
		if _, err := os.Stat(d); errors.Is(err, fs.ErrNotExist) {
			if lost(d) {
				return fmt.Errorf("cannot show the log: %s is gone, though the key that signs it is here: somebody deleted or moved it", d)
			}
			return fmt.Errorf("cannot show the log: there is none in %s yet; it begins with the first `ambit run`", d)
		}
		records := audit.Read(d, 0, f)
		if *follow {
			records = audit.Follow(c.Context(), d, 0, f)
		}
		n, err := printLog(c.Context(), os.Stdout, records, *raw, *asJSON)
		if err == nil && n == 0 && !*follow {
			err = nobody(d, f)
		}
		return err
	}
	return c
}

func logDir(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	h, err := home()
	if err != nil {
		return "", err
	}
	return h.Log(), nil
}

func printLog(_ context.Context, w io.Writer, records iter.Seq2[audit.Record, error], raw, asJSON bool) (n int, err error) {
	show := printEntry
	if asJSON {
		show = func(w io.Writer, e entry) error { return printLine(w, e) }
	}
	open := map[ambit.RecordID]entry{}
	var order []ambit.RecordID
	for r, err := range records {
		if err != nil {
			return n, err
		}
		n++
		if r.Type == audit.Intent && !raw {
			open[r.ID] = entryOf(&r)
			order = append(order, r.ID)
			continue
		}
		e := entryOf(&r)
		if i, ok := open[r.Intent]; ok && r.Type == audit.Outcome && i.Task == e.Task {
			e.Data, e.Approval = i.Data, i.Approval
			delete(open, r.Intent)
		}
		if err := show(w, e); err != nil {
			return n, err
		}
	}
	for _, id := range order {
		if e, ok := open[id]; ok {
			e.Outcome = "open"
			if err := show(w, e); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// nobody says that the log has never heard of who was asked for: an empty answer
// would look like one who did nothing.
func nobody(dir string, f audit.Filter) error {
	for _, x := range []struct {
		what, name, hint string
		only             audit.Filter
	}{
		{"task", f.Task, "its whole id is needed; `ambit tasks --all` lists them", audit.Filter{Task: f.Task}},
		{"agent", f.Agent, "`ambit tasks --all` lists them", audit.Filter{Agent: f.Agent}},
	} {
		if x.name == "" {
			continue
		}
		found := false
		for _, err := range audit.Read(dir, 0, x.only) {
			if err != nil {
				return err
			}
			found = true
			break
		}
		if !found {
			return fmt.Errorf("cannot show the log of %s %s: no such %s is in it; %s", x.what, printable(x.name, 64), x.what, x.hint)
		}
	}
	return nil
}

func printLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func printEntry(w io.Writer, e entry) error {
	t, err := time.Parse(audit.TimeLayout, e.Time)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-6s %-16s", t.Local().Format("15:04:05.000"), e.ID, printable(e.Agent, 16))
	mark, op := e.Outcome, e.Operation
	if mark == "" {
		mark = e.Type
	}
	if op == mark {
		op = e.Service
	}
	if e.Type == audit.Revoke {
		op = e.Task
	}
	fmt.Fprintf(&b, " %-10s %s", mark, strings.TrimSpace(op+" "+printable(e.text, 120)))
	if e.Effect != "" && e.Verdict != "" {
		fmt.Fprintf(&b, " (%s, %s by %s)", e.Effect, e.Verdict, printable(e.DecidedBy, 60))
	}
	if e.Approval != "" {
		fmt.Fprintf(&b, " approved by %s", printable(e.Approval, 40))
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, " · %s", printable(approval.OneLine(e.Detail), 200))
	}
	_, err = fmt.Fprintln(w, b.String())
	return err
}

// knownFilters refuses a filter that nothing can pass: an empty answer would look
// like an empty log.
func knownFilters(f audit.Filter, outcome string) error {
	for _, x := range []struct {
		flag, value string
		known       []string
	}{
		{"verdict", f.Verdict, []string{"allow", "ask", "deny"}},
		{"effect", f.Effect, []string{"read", "write", "irreversible", "unknown"}},
		{"outcome", outcome, []string{"performed", "refused", "failed", "unknown"}},
	} {
		if x.value != "" && !slices.Contains(x.known, x.value) {
			return status{64, fmt.Sprintf("cannot filter by --%s %s: it is one of %s", x.flag, x.value, strings.Join(x.known, ", "))}
		}
	}
	return nil
}

func verifyCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "verify [FOLDER]", Short: "Prove that the log is whole", Args: cobra.MaximumNArgs(1),
		Long:    "Check every record of the log against the public key, offline; FOLDER may be a copy. The first bad\nrecord is named. A log that was rolled back as a whole, its checkpoint too, is seen only against a checkpoint that was kept elsewhere.",
		Example: "  ambit verify\n  ambit verify --key \"$(cat key.pub)\" --against checkpoint.monday copied-log",
	}
	key := c.Flags().String("key", "", "the log's public key (default: FOLDER/key.pub)")
	against := c.Flags().StringSlice("against", nil, "a checkpoint that was kept elsewhere")
	other := c.Flags().String("copy", "", "another copy of the log, to find where they part")
	asJSON := jsonFlag(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		dir := ""
		if len(args) == 1 {
			dir = args[0]
		}
		dir, err := logDir(dir)
		if err != nil {
			return err
		}
		public, err := publicKey(*key, dir)
		if err != nil {
			return err
		}
		o := audit.VerifyOptions{Copy: *other}
		for _, name := range *against {
			b, err := os.ReadFile(name)
			if err != nil {
				return fmt.Errorf("cannot read the checkpoint: %w", err)
			}
			o.Against = append(o.Against, b)
		}
		r, err := audit.Verify(dir, public, o)
		if *asJSON {
			return verifyJSON(r, err)
		}
		if err != nil {
			return err
		}
		fmt.Printf("%d records are whole, key %s, root %s\n", r.Size, r.KeyID, r.Root)
		for _, w := range r.Warn {
			fmt.Println("warning:", w)
		}
		if r.OpenN > 0 {
			fmt.Printf("%d intents have no outcome yet\n", r.OpenN)
		}
		return nil
	}
	return c
}

// lost says whether a log of this place has been signed before.
func lost(dir string) bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(dir), "keys", "log.key"))
	return err == nil
}

func publicKey(key, dir string) (string, error) {
	if key != "" {
		return strings.TrimSpace(key), nil
	}
	b, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil && lost(dir) {
		return "", fmt.Errorf("cannot verify: the log %s is gone, or in part, though the key that signs it is here: somebody deleted or moved it: %w", dir, err)
	}
	if err != nil {
		return "", fmt.Errorf("cannot verify: there is no public key beside the log: %w; give it with --key", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func verifyJSON(r audit.Result, err error) error {
	out := map[string]any{"ok": err == nil, "result": r}
	if err != nil {
		out["error"] = err.Error()
	}
	if e := printJSON(os.Stdout, out); e != nil {
		return e
	}
	if err != nil {
		return status{exitFailed, ""}
	}
	return nil
}
