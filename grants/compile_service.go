package grants

import (
	"slices"
	"strconv"
	"strings"
)

// Endpoint is a host name and a port, as the agent sees them.
type Endpoint struct {
	Host string
	Port int
}

// endpointOf reads the first segment of an http resource over https.
func endpointOf(authority string) Endpoint {
	host, port, ok := strings.Cut(authority, ":")
	p, err := strconv.Atoi(port)
	if !ok || err != nil {
		return Endpoint{authority, 443}
	}
	return Endpoint{host, p}
}

// services fills in the defaults of each and keeps what is in order.
func (c *compiler) services(list []*Service) {
	kinds := c.kinds.names()
	for _, s := range list {
		k, ok := c.kinds.find(s.Kind.Value)
		if !ok || !slices.Contains(kinds, s.Kind.Value) {
			if s.Kind.Value != "" {
				c.service(s, s.Kind.Pos, didYouMean(s.Kind.Value, kinds), "this build knows no kind of service %s", show(s.Kind.Value))
			}
			continue
		}
		before := len(c.errs)
		full := c.complete(s, k)
		c.claim(full)
		if len(c.errs) == before && len(full.Hosts) > 0 {
			c.g.services = append(c.g.services, full)
			if k.FoldCase {
				c.folds[s.Name.Value] = k.Resource
			}
		}
	}
}

// service reports for a service, which may stand in a profile.
func (c *compiler) service(s *Service, p Pos, fix, format string, args ...any) {
	c.at(&Line{Profile: s.Profile}, p, fix, format, args...)
}

// complete returns the service with all that its kind says.
func (c *compiler) complete(s *Service, k Kind) Service {
	full := *s
	if k.Resource == kindTable {
		c.database(&full, k)
		return full
	}
	c.noDatabase(s)
	if len(full.Hosts) == 0 {
		for _, h := range k.Hosts {
			full.Hosts = append(full.Hosts, Text{Value: h})
		}
	}
	if len(full.Hosts) == 0 && !s.hostGiven {
		c.service(s, s.Name.Pos, "add host: and its name", "the service %s has no host", s.Name.Value)
	}
	if k.Resource == "tcp" {
		c.tcp(s)
		return full
	}
	c.declared(s)
	if full.Scheme.Value == "" {
		full.Scheme.Value = "https"
	}
	if full.Port == 0 {
		full.Port = k.Port
	}
	if full.Port == 0 {
		full.Port = defaultPort(full.Scheme.Value)
	}
	c.credential(&full, k)
	return full
}

func (c *compiler) tcp(s *Service) {
	if s.Port == 0 {
		c.service(s, s.Name.Pos, "add port:", "the tcp service %s has no port", s.Name.Value)
	}
	for what, set := range map[string]bool{
		"scheme": s.Scheme.Value != "", "ca": s.CA.Value != "", "credential": s.Credential != nil,
		"encoded-slash": s.EncodedSlash, "git": s.Git, "reads": len(s.Reads) > 0, "graphql": len(s.GraphQL) > 0,
	} {
		if set {
			c.service(s, s.Name.Pos, "remove it, or use kind: http", "a tcp service has no %s: Ambit does not read what flows through it", what)
		}
	}
}

// declared reports the paths of `reads` and `graphql` that whoever classifies
// cannot compare with. A request there would count as if nothing was declared:
// a GraphQL mutation as a mere post.
func (c *compiler) declared(s *Service) {
	if c.kinds.CheckPath == nil {
		return
	}
	for _, t := range slices.Concat(s.Reads, s.GraphQL) {
		if _, why := parsePath(t.Value); why != "" || t.Value == "/" || looksSecret(t.Value) {
			continue // Parse said so
		}
		if err := c.kinds.CheckPath(t.Value); err != nil {
			c.service(s, t.Pos, clipped(err.Error(), 200), "%s is not a path that a request can be compared with", show(t.Value))
		}
	}
}

func (c *compiler) credential(s *Service, k Kind) {
	cred := s.Credential
	if cred == nil {
		return
	}
	if s.Scheme.Value == "http" && s.Address.Value == "" {
		// Anybody on the way could read it.
		c.service(s, cred.Pos, "use scheme: https, or say with address: where the service really is",
			"the credential of %s would travel over plain HTTP", s.Name.Value)
	}
	if s.Inject == nil {
		in := k.Inject
		if in == (Inject{}) {
			in = Inject{Header: "Authorization", Format: "Bearer {}"}
		}
		s.Inject = &in
	}
	switch {
	case len(s.Env) > 0:
	case cred.App != 0:
		s.Env = []Text{{appVariable, cred.Pos}} // never that of the key
	case cred.Env != "":
		s.Env = []Text{{cred.Env, cred.Pos}}
	}
}

// claim makes sure that one host and port belongs to one service.
func (c *compiler) claim(s Service) {
	if s.Port == 53 {
		// The walls answer names there: a service would be taken for a resolver.
		c.service(&s, s.PortPos, "name another port", "port 53 is the resolver's inside the walls")
	}
	for _, h := range s.Hosts {
		at := Endpoint{h.Value, s.Port}
		if other, taken := c.g.byHost[at]; taken {
			p := h.Pos
			if p.Line == 0 {
				p = s.Name.Pos
			}
			c.service(&s, p, "make one service of them", "%s:%d belongs to the service %s already", at.Host, at.Port, other)
			continue
		}
		c.g.byHost[at] = s.Name.Value
	}
}

func defaultPort(scheme string) int {
	switch scheme {
	case "https":
		return 443
	case "http":
		return 80
	}
	return 0
}

// Authority is how a host of the service stands in a resource: with the port
// when it is not the scheme's default.
func (s *Service) Authority(host string) string {
	if s.Port == defaultPort(s.Scheme.Value) {
		return host
	}
	return host + ":" + strconv.Itoa(s.Port)
}

// Services returns the services of the file and its profiles with all defaults
// filled in: hosts, port, scheme, how the credential is injected and which
// variables hold its placeholder. Without `files` and `web`.
func (g *Grants) Services() []Service { return slices.Clone(g.services) }

// Service returns a service by name.
func (g *Grants) Service(name string) (Service, bool) {
	for _, s := range g.services {
		if s.Name.Value == name {
			return s, true
		}
	}
	return Service{}, false
}

// ServiceAt says which service answers for a host and port: a declared one, or
// "web" when a web line names the host.
func (g *Grants) ServiceAt(host string, port int) (string, bool) {
	if g == nil || g.index == nil {
		return "", false
	}
	if s, ok := g.byHost[Endpoint{host, port}]; ok {
		return s, true
	}
	authority := host
	if port != 443 {
		authority += ":" + strconv.Itoa(port)
	}
	_, parent, dotted := strings.Cut(authority, ".")
	if g.web.lits[authority] != nil || (dotted && g.web.hosts[parent] != nil) {
		return "web", true
	}
	return "", false
}

// Named says whether any line or service names the host, at any port: whether
// its name may be resolved inside.
func (g *Grants) Named(host string) bool {
	for _, p := range g.Ports() {
		if _, ok := g.ServiceAt(host, p); ok {
			return true
		}
	}
	return false
}

// Ports lists the TCP ports that the file names, sorted: those on which the
// walls must listen. The caller must not change it.
func (g *Grants) Ports() []int {
	if g == nil {
		return nil
	}
	return g.ports
}

func (g *Grants) findPorts() (out []int) {
	for e := range g.byHost {
		out = append(out, e.Port)
	}
	for _, m := range []map[string]*node{g.web.lits, g.web.hosts} {
		for a := range m {
			out = append(out, endpointOf(a).Port)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
