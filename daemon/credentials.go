package daemon

import (
	"context"
	"fmt"
	"os"

	"ambit/audit"
	"ambit/broker"
	"ambit/daemon/wire"
	"ambit/identity"
	"ambit/store/row"
)

// openBroker starts the broker and ends the leases of an earlier run.
func (d *Daemon) openBroker(ctx context.Context) (err error) {
	d.broker, err = broker.Open(broker.Config{Store: d.store, Now: d.ids.Now, Live: d.ids.Live, Record: d.recordLease})
	if err != nil {
		return err
	}
	_, err = d.broker.Reconcile(ctx, func(l row.Lease) (broker.Provider, error) {
		return nil, fmt.Errorf("cannot end lease %s: this build knows no provider %q", l.ID, l.Provider)
	})
	return err
}

func (d *Daemon) recordLease(ctx context.Context, l row.Lease) error {
	agent := ""
	if t, ok := d.ids.Task(l.Task); ok {
		agent = t.Agent
	}
	_, err := d.log.Append(ctx, audit.Record{
		Type: audit.Lease, Task: string(l.Task), Agent: agent, Service: l.Service, Detail: string(l.State),
		Data: data(map[string]any{"lease": l.ID, "provider": l.Provider, "expires": l.Expires.UTC()}),
	})
	return err
}

// register tells the broker where a task's credential comes from.
func (d *Daemon) register(t identity.Task, service string, w wire.Secret, writable []string) error {
	var s broker.Source
	switch {
	case w.File != "":
		s = broker.File{Path: w.File, Apart: append([]string{t.Workspace, d.home.Dir}, writable...), Warn: func(m string) { fmt.Fprintln(os.Stderr, "ambit daemon:", m) }}
	default:
		v, err := broker.Value(service, w.Value)
		if err != nil {
			return err
		}
		s = v
	}
	return d.broker.Register(t.ID, service, t.Expires, broker.Static(s))
}
