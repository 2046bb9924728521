package grants

import (
	"slices"
	"strings"

	"ambit"
)

// databases matches a database of the child with the parent's that is dialled at
// the same place, whatever either calls it: one cell for its tables and one for
// what has none.
func (c *container) databases(s *Service) (out []cell) {
	x := cell{child: s.Name.Value}
	for i := range c.parent.services {
		p := &c.parent.services[i]
		switch {
		case !p.IsDatabase() || p.Dialled() != s.Dialled() || p.Database.Value != s.Database.Value:
		case x.parent != "":
			x.apart = "several of the parent's services are the same database"
		default:
			x.parent, x.apart = p.Name.Value, c.apartDatabase(s, p)
		}
	}
	for _, kind := range []string{kindTable, kindDatabase} {
		x.kind = kind
		out = append(out, x)
	}
	return out
}

func (c *container) apartDatabase(s, p *Service) string {
	if s.TLS.Value != p.TLS.Value {
		return "its service " + s.Name.Value + " and the parent's " + p.Name.Value + " differ in tls"
	}
	return c.apart(s, p)
}

// columnSets lists what an action may say of its columns in a state, as far as the
// patterns that end there can tell: all, and each set that some of their lists have
// in common. The patterns that match a set are those whose lists hold it, so that
// the largest set that the same ones hold stands for all others.
func (w *walk) columnSets(s state) []string {
	sets := []string{AllColumns}
	if w.x.kind != kindTable {
		return sets
	}
	add := func(columns []string) {
		if arg := strings.Join(columns, ","); !slices.Contains(sets, arg) {
			sets = append(sets, arg)
		}
	}
	for _, m := range s.at {
		for _, e := range m.self {
			if e.columns != nil {
				add(e.columns)
			}
		}
	}
	for i := 1; i < len(sets); i++ {
		for j := 1; j < i; j++ {
			if !w.c.spend(len(sets)) {
				return sets
			}
			add(common(sets[i], sets[j]))
		}
	}
	return sets
}

// common are the columns that two lists have both.
func common(a, b string) (out []string) {
	others := columnsOf(&ambit.Action{Args: map[string]string{ArgColumns: b}})
	for _, c := range columnsOf(&ambit.Action{Args: map[string]string{ArgColumns: a}}) {
		if slices.Contains(others, c) {
			out = append(out, c)
		}
	}
	return out
}
