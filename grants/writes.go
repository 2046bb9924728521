package grants

import "ambit"

// Writes says whether a line gives more than reading of a service, with a question or
// without: a database's task that never writes has sessions that cannot.
func (g *Grants) Writes(service string) bool {
	if g == nil {
		return false
	}
	for _, r := range g.rules {
		if r.service != service || r.line.Implied {
			continue
		}
		for _, o := range g.kindOf(service).Operations {
			if o.Effect.Worst() != ambit.Read && r.operation(o.Name) && r.fits(o.Effect.Worst()) {
				return true
			}
		}
	}
	return false
}
