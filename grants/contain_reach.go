package grants

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cell is one kind of resource of one service of the child, with the service of
// the parent that reaches the same.
type cell struct {
	kind          string      // of resource
	child, parent string      // services; parent is "" when it reaches nothing there
	roots         [][2]string // the authorities, as the child and the parent write them; of http and tcp
	apart         string      // why the two cannot be compared; "" when they can
}

// cells lists all that the child's lines are about, in a fixed order.
func (c *container) cells() []cell {
	found := make(map[string]*cell)
	add := func(x cell) {
		key := strings.Join([]string{x.kind, x.child, x.parent, x.apart}, "\x00")
		if found[key] == nil {
			found[key] = &cell{kind: x.kind, child: x.child, parent: x.parent, apart: x.apart}
		}
		found[key].roots = append(found[key].roots, x.roots...)
	}
	add(cell{kind: "file", child: "files", parent: "files"})
	for _, e := range c.endpoints() {
		add(c.endpoint(e))
	}
	for i := range c.child.services {
		s := &c.child.services[i]
		if s.IsDatabase() {
			for _, x := range c.databases(s) {
				add(x)
			}
			continue
		}
		if k, ok := c.child.kinds.find(s.Kind.Value); ok && k.Resource != "http" && k.Resource != "tcp" {
			add(c.plain(s, k))
		}
	}
	out := make([]cell, 0, len(found))
	for _, key := range slices.Sorted(maps.Keys(found)) {
		out = append(out, *found[key])
	}
	return out
}

// endpoints lists the hosts and ports to look at: all that either file names, and
// for each wildcard of the child a host that neither names. Those that the
// child's file does not reach are left out.
func (c *container) endpoints() []Endpoint {
	all := make(map[Endpoint]bool)
	for _, g := range []*Grants{c.child, c.parent} {
		for e := range g.byHost {
			all[e] = true
		}
		for a := range g.web.lits {
			all[endpointOf(a)] = true
		}
	}
	for parent := range c.child.web.hosts {
		e := endpointOf(parent)
		for i := 0; ; i++ {
			if fresh := (Endpoint{"x" + strings.Repeat("x", i) + "." + e.Host, e.Port}); !all[fresh] {
				all[fresh] = true
				break
			}
		}
	}
	var out []Endpoint
	for e := range all {
		if _, ok := c.child.ServiceAt(e.Host, e.Port); ok {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b Endpoint) int { return cmp.Or(cmp.Compare(a.Host, b.Host), a.Port-b.Port) })
	return out
}

func (c *container) endpoint(e Endpoint) cell {
	name, _ := c.child.ServiceAt(e.Host, e.Port)
	s := c.child.reached(name, e)
	x := cell{kind: "http", child: name, roots: [][2]string{{s.Authority(e.Host), s.Authority(e.Host)}}}
	if s.Kind.Value == "tcp" {
		x.kind = "tcp"
	}
	if other, ok := c.parent.ServiceAt(e.Host, e.Port); ok {
		p := c.parent.reached(other, e)
		x.parent, x.apart = other, c.apart(&s, &p)
		x.roots[0][1] = p.Authority(e.Host)
	}
	return x
}

// reached is a service as it is reached at an endpoint; web hosts are a service
// of which nothing is declared.
func (g *Grants) reached(name string, e Endpoint) Service {
	if s, ok := g.Service(name); ok {
		return s
	}
	return Service{Name: Text{Value: name}, Kind: Text{Value: "web"}, Scheme: Text{Value: "https"}, Port: e.Port}
}

// plain matches a service whose resources are no paths of a host, such as
// repositories: all of its hosts must lead to one service of the parent.
func (c *container) plain(s *Service, k Kind) cell {
	x := cell{kind: k.Resource, child: s.Name.Value}
	for i, h := range s.Hosts {
		e := Endpoint{h.Value, s.Port}
		other, ok := c.parent.ServiceAt(e.Host, e.Port)
		if i > 0 && other != x.parent {
			return cell{kind: x.kind, child: x.child, apart: "the parent reaches only some of its hosts by one service"}
		}
		if ok {
			p := c.parent.reached(other, e)
			x.parent, x.apart = other, c.apart(s, &p)
		}
	}
	return x
}

// apart says in what two services for the same endpoint differ, so that the
// same request would mean or reach something else; "" when in nothing.
func (c *container) apart(s, p *Service) string {
	differ := func(what string) string {
		return fmt.Sprintf("its service %s and the parent's %s differ in %s", s.Name.Value, p.Name.Value, what)
	}
	switch {
	case httpKind(s) != httpKind(p):
		return differ("kind")
	case s.Scheme.Value != p.Scheme.Value:
		return differ("scheme")
	case s.Address.Value != p.Address.Value:
		return differ("address")
	case !c.samePath(s.CA.Value, p.CA.Value):
		return differ("ca")
	case !c.sameCredential(s.Credential, p.Credential):
		return differ("where the credential comes from")
	case s.Credential != nil && !sameInject(s.Inject, p.Inject):
		return differ("how the credential is injected")
	case s.EncodedSlash != p.EncodedSlash:
		return differ("encoded-slash")
	case s.Git != p.Git:
		return differ("git")
	case !sameSet(s.Reads, p.Reads):
		return differ("reads")
	case !sameSet(s.GraphQL, p.GraphQL):
		return differ("graphql")
	}
	return ""
}

// httpKind is the kind; a web host is an http service of which nothing is said.
func httpKind(s *Service) string {
	if s.Kind.Value == "web" {
		return "http"
	}
	return s.Kind.Value
}

func (c *container) samePath(a, b string) bool {
	if a == "" || b == "" {
		return a == b
	}
	x, ok1 := c.child.kinds.Path(a)
	y, ok2 := c.parent.kinds.Path(b)
	return ok1 && ok2 && x == y
}

func (c *container) sameCredential(a, b *Credential) bool {
	if a == nil || b == nil {
		return a == b
	}
	// A command's arguments may be paths, which start where the command does.
	home := len(a.Command) == 0 || c.child.kinds.place() == c.parent.kinds.place()
	return a.App == b.App && a.Installation == b.Installation && a.Env == b.Env && a.JWT == b.JWT && c.samePath(a.File, b.File) && slices.Equal(a.Command, b.Command) && home
}

func sameInject(a, b *Inject) bool {
	if a == nil || b == nil {
		return a == b
	}
	// Only where nobody wrote it may a kind choose for each host.
	return a.Header == b.Header && a.Format == b.Format && a.Basic == b.Basic && a.Query == b.Query && (a.Pos == Pos{}) == (b.Pos == Pos{})
}

func sameSet(a, b []Text) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(values(a)))), slices.Compact(slices.Sorted(slices.Values(values(b)))))
}
