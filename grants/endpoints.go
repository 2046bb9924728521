package grants

import (
	"cmp"
	"slices"
)

// WebHosts lists the hosts and ports that `web` lines name, sorted; "*.x"
// stands for one label.
func (g *Grants) WebHosts() (out []Endpoint) {
	if g == nil || g.web == nil {
		return nil
	}
	for a := range g.web.lits {
		out = append(out, endpointOf(a))
	}
	for a := range g.web.hosts {
		e := endpointOf(a)
		out = append(out, Endpoint{"*." + e.Host, e.Port})
	}
	slices.SortFunc(out, func(x, y Endpoint) int { return cmp.Or(cmp.Compare(x.Host, y.Host), x.Port-y.Port) })
	return out
}
