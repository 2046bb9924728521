package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"ambit"
	"ambit/approval"
	"ambit/audit"
	"ambit/broker"
	"ambit/console"
	"ambit/store/row"
)

// Leases implements [console.Desk].
func (d *Daemon) Leases(ctx context.Context, all bool) ([]console.Lease, error) {
	d.touch()
	open, err := d.broker.Leases(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]console.Lease, 0, len(open))
	for _, l := range open {
		c := d.lease(ctx, l.Lease)
		if x := l.Trouble; x.Tries > 0 {
			c.Tries, c.Since, c.Next, c.Trouble = x.Tries, x.Since, x.Next, approval.SafeLines(x.Err.Error(), 300)
		}
		out = append(out, c)
	}
	if !all {
		return out, nil
	}
	const most = 1000
	recent, err := d.store.RecentLeases(ctx, most)
	for _, l := range recent {
		if l.State.Over() {
			out = append(out, d.lease(ctx, l))
		}
	}
	return out, err
}

func (d *Daemon) lease(ctx context.Context, l row.Lease) console.Lease {
	c := console.Lease{ID: l.ID, Task: l.Task, Service: l.Service, Provider: l.Provider, State: string(l.State), Minted: l.Minted, Expires: l.Expires, Ended: l.Ended,
		By: l.By, Because: approval.SafeLines(l.Why, maxBecause), Remains: approval.SafeLines(l.Remains, 300)}
	if t, ok := d.ids.Task(l.Task); ok {
		c.Agent = t.Agent
	} else if t, err := d.store.Task(ctx, l.Task); err == nil { // of an earlier run; without it the lease is shown all the same
		c.Agent = t.Agent
	}
	return c
}

// maxBecause bounds the reason of a write-off, in characters.
const maxBecause = 300

// WriteOff implements [console.Desk]. It is in the log before it counts.
func (d *Daemon) WriteOff(ctx context.Context, w console.WriteOff) (console.Lease, error) {
	d.touch()
	because := strings.TrimSpace(w.Because)
	if because == "" {
		return console.Lease{}, &console.Fault{Status: http.StatusBadRequest, Msg: "cannot write a lease off without a reason: say it with --because"}
	}
	if n := utf8.RuneCountInString(because); n > maxBecause {
		return console.Lease{}, &console.Fault{Status: http.StatusBadRequest, Msg: fmt.Sprintf("cannot write a lease off: the reason has %d characters, at most %d", n, maxBecause)}
	}
	by := username(os.Getuid())
	var noted *audit.Record
	l, err := d.broker.WriteOff(ctx, w.Lease, by, because, func(ctx context.Context, t broker.Trouble) error {
		r := d.writtenOff(t)
		_, err := d.log.Append(ctx, r)
		if err == nil {
			noted = &r
		}
		return err
	})
	switch {
	case err == nil:
	case l.ID != "": // it counts: only what was kept of its service is still there, and the next start removes it
		complainOfLeases(err)
	case noted != nil:
		noted.Outcome, noted.Detail = ambit.Refused.String(), "the write-off by "+by+" came to nothing, and it is tried on: "+approval.SafeLines(err.Error(), 300)
		d.record(*noted)
		return console.Lease{}, err
	default:
		return console.Lease{}, d.explainWriteOff(ctx, w.Lease, err)
	}
	return d.lease(ctx, l), nil
}

// writtenOff is the record of a lease that is about to be written off.
func (d *Daemon) writtenOff(t broker.Trouble) audit.Record {
	l := t.Lease
	r := d.leaseRecord(audit.WrittenOff, l, approval.SafeLines("by "+l.By+": "+l.Why+"; what may remain: "+l.Remains, 800))
	r.Data = data(map[string]any{
		"lease": l.ID, "provider": l.Provider, "expires": l.Expires.UTC(), "by": l.By, "because": l.Why, "may_remain": l.Remains,
		"failed_attempts": t.Tries, "failing_since": t.Since.UTC().Format(time.RFC3339), "last_error": approval.SafeLines(t.Err.Error(), 400),
	})
	return r
}

// explainWriteOff says to a person why a lease cannot be written off, and what to do.
func (d *Daemon) explainWriteOff(ctx context.Context, id string, err error) error {
	no := func(status int, why string) error {
		return &console.Fault{Status: status, Msg: "cannot write off lease " + approval.Safe(id, 40) + ": " + why}
	}
	l, lerr := d.store.Lease(ctx, id)
	switch {
	case errors.Is(lerr, row.ErrMissing):
		return no(http.StatusNotFound, "there is none of that id; `ambit leases` lists those that cannot be ended, with the whole id")
	case lerr != nil:
		return lerr
	case l.State == row.LeaseWrittenOff:
		return no(http.StatusConflict, fmt.Sprintf("%s has done so already, at %s: %s", l.By, l.Ended.Local().Format(time.DateTime), approval.SafeLines(l.Why, maxBecause)))
	case l.State == row.LeaseDead:
		return no(http.StatusConflict, "it is dead: it was seen to be of no use any more at "+l.Ended.Local().Format(time.DateTime))
	case errors.Is(err, broker.ErrTaskLives), d.ids.Live(l.Task) == nil:
		return no(http.StatusConflict, fmt.Sprintf("its task %s is live: end it first with `ambit revoke %s`", l.Task, l.Task))
	case errors.Is(err, broker.ErrNotTried), errors.Is(err, broker.ErrNotEnding):
		return no(http.StatusConflict, "no attempt to end it has failed yet; `ambit leases` says when one has")
	}
	return err
}
