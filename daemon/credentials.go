package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ambit/approval"
	"ambit/audit"
	"ambit/broker"
	"ambit/broker/github"
	"ambit/broker/postgres"
	"ambit/daemon/wire"
	"ambit/identity"
	"ambit/store/row"
)

// openBroker starts the broker and takes over the leases of an earlier run. It
// speaks to no service.
func (d *Daemon) openBroker(ctx context.Context) (err error) {
	d.broker, err = broker.Open(broker.Config{
		Store: d.store, Now: d.ids.Now, Live: d.ids.Live, Record: d.recordLease, Alert: d.alertLease,
		Vault: broker.NewVault(filepath.Join(d.home.Keys(), "leases.key")), Make: d.provider,
	})
	if err != nil {
		return err
	}
	return d.broker.Reconcile(ctx)
}

// provider makes a provider of an earlier run again.
func (d *Daemon) provider(kind string, recipe []byte, l row.Lease) (broker.Provider, error) {
	switch {
	case kind == github.Name: // also without a recipe: what is left of it ends by itself
		return github.Restore(recipe)
	case recipe == nil:
	case kind == postgres.Kind, kind == postgres.KindOnce:
		p, err := d.servers.FromRecipe(recipe)
		if err != nil {
			return nil, err
		}
		if kind == postgres.KindOnce {
			return p.OnceAgain(), nil
		}
		return p, nil
	default:
		return nil, fmt.Errorf("cannot end leases of %q: this build knows no such provider", kind)
	}
	return nil, fmt.Errorf("cannot end lease %s of %q: what makes its provider was not kept", l.ID, kind)
}

func (d *Daemon) recordLease(ctx context.Context, l row.Lease) error {
	_, err := d.log.Append(ctx, d.leaseRecord(audit.Lease, l, string(l.State)))
	return err
}

func (d *Daemon) leaseRecord(kind string, l row.Lease, detail string) audit.Record {
	agent := ""
	if t, ok := d.ids.Task(l.Task); ok {
		agent = t.Agent
	}
	return audit.Record{
		Type: kind, Task: string(l.Task), Agent: agent, Service: l.Service, Detail: detail,
		Data: data(map[string]any{"lease": l.ID, "provider": l.Provider, "expires": l.Expires.UTC()}),
	}
}

// alertLease tells people of a lease that cannot be ended, or that was never made. The broker must not wait
// for the log here.
func (d *Daemon) alertLease(t broker.Trouble) {
	what := fmt.Sprintf("lease: %s of %s cannot be ended since %s (%d attempts), and is tried again: %v",
		t.Lease.ID, t.Lease.Service, t.Since.UTC().Format(time.RFC3339), t.Tries, t.Err)
	if t.Lease.State == row.LeaseDead {
		what = fmt.Sprintf("lease: %s of %s was never made: %v", t.Lease.ID, t.Lease.Service, t.Err)
	}
	go d.record(d.leaseRecord(audit.Alert, t.Lease, approval.SafeLines(what, 400)))
}

// complainOfLeases says on the daemon's own output what no lease's alert says.
func complainOfLeases(err error) { fmt.Fprintln(stderr(), "ambit daemon: leases:", err) }

// registerOne tells the broker where a task's credential comes from.
func (s *session) registerOne(ctx context.Context, t identity.Task, service string, w wire.Secret, writable []string) error {
	d := s.d
	if w.App != nil {
		p, err := d.app(t, service, w, writable)
		if err != nil {
			return err
		}
		return d.broker.Register(t.ID, service, t.Expires, p)
	}
	source, err := d.source(t, service, w, writable)
	if err != nil {
		return err
	}
	if w.Kind != databaseKind {
		return d.broker.Register(t.ID, service, t.Expires, broker.Static(source))
	}
	defer source.Wipe()
	admin, err := source.Read(ctx)
	if err != nil {
		return fmt.Errorf("cannot get the credential of service %s: %s: %w", service, source, err)
	}
	p, err := s.database(service, w, admin)
	if err != nil {
		clear(admin)
		return fmt.Errorf("cannot use service %s: %w", service, err)
	}
	return d.broker.Register(t.ID, service, t.Expires, p)
}

func (d *Daemon) source(t identity.Task, service string, w wire.Secret, writable []string) (broker.Source, error) {
	if w.File == "" {
		return broker.Value(service, w.Value)
	}
	warn := func(m string) { fmt.Fprintln(os.Stderr, "ambit daemon:", m) }
	return broker.File{Path: w.File, Apart: append([]string{t.Workspace, d.home.Dir}, writable...), Warn: warn}, nil
}
