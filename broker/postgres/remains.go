package postgres

import (
	"fmt"
	"time"

	"ambit/broker"
	"ambit/store/row"
)

var (
	_ broker.Describer = (*Provider)(nil)
	_ broker.Describer = (*Once)(nil)
)

// Remains implements [broker.Describer].
func (p *Provider) Remains(l row.Lease) string {
	t := p.server.login
	return fmt.Sprintf("the role %s of database %s at %s: its sessions that are open, and logins until %s", Role(l.ID), t.Database, t.Dial, l.Expires.UTC().Format(time.RFC3339))
}

// Remains implements [broker.Describer].
func (o *Once) Remains(l row.Lease) string {
	t := o.p.server.login
	return fmt.Sprintf("the role %s of database %s at %s, and what a role of the same task has by it", Role(l.ID), t.Database, t.Dial)
}
