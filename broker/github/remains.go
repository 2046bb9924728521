package github

import (
	"fmt"
	"time"

	"ambit/broker"
	"ambit/store/row"
)

var _ broker.Describer = (*Provider)(nil)

// Remains implements [broker.Describer].
func (p *Provider) Remains(l row.Lease) string {
	by := l.Minted.Add(tokenLife + lifeMargin).UTC().Format(time.RFC3339)
	if p.client == nil {
		return "a token of a GitHub App, which ends by itself by " + by
	}
	return fmt.Sprintf("a token of GitHub App %d for %s at %s, which ends by itself by %s", p.c.App, p.c.Owner, p.c.API, by)
}
