package grants

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ownDomain is what a database's name in the file ends with inside the walls:
// NAME.ambit leads to it whatever its own host is called.
const ownDomain = ".ambit"

// database completes a service of kind postgres: where the agent finds it, where
// it really is, and whether the way there is encrypted.
func (c *compiler) database(full *Service, k Kind) {
	host, port, hasAddress := addressOf(full.Address.Value)
	if len(full.Hosts) == 0 && hasAddress {
		full.Hosts = []Text{{Value: host}}
	}
	if len(full.Hosts) == 0 && !full.hostGiven {
		c.service(full, full.Name.Pos, "add address: host:port", "the database %s has no address", full.Name.Value)
	}
	if own := full.Name.Value + ownDomain; len(full.Hosts) > 0 && !slices.ContainsFunc(full.Hosts, func(h Text) bool { return h.Value == own }) {
		full.Hosts = append(full.Hosts, Text{Value: own})
	}
	switch {
	case full.Port != 0:
	case hasAddress:
		full.Port = port
	default:
		full.Port = k.Port
	}
	if full.Database.Value == "" {
		c.service(full, full.Name.Pos, "add database: and its name", "the service %s does not say which database it is", full.Name.Value)
	}
	switch cred := full.Credential; {
	case cred == nil:
		c.service(full, full.Name.Pos, "add credential: {env: NAME}, of a variable that holds the URL of a role that can make roles",
			"the database %s has no credential: the task's own role is made with it", full.Name.Value)
	case cred.JWT != "" || cred.App != 0:
		c.service(full, cred.Pos, "write credential: {env: NAME}", "a database takes no token: its credential is the URL of a role that can make roles")
	}
	c.encrypted(full)
	for what, set := range map[string]bool{
		"scheme": full.Scheme.Value != "", "inject": full.Inject != nil, "encoded-slash": full.EncodedSlash, "git": full.Git,
		"reads": len(full.Reads) > 0, "graphql": len(full.GraphQL) > 0,
	} {
		if set {
			c.service(full, full.Name.Pos, "remove it", "a database has no %s", what)
		}
	}
}

// encrypted decides whether TLS is spoken to the database: always, but for one on
// this machine and one of which the file says otherwise.
func (c *compiler) encrypted(full *Service) {
	if full.TLS.Value == "" {
		full.TLS.Value = "on"
		if full.Loopback() && full.CA.Value == "" {
			full.TLS.Value = "off"
		}
	}
	if full.TLS.Value == "off" && full.CA.Value != "" {
		c.service(full, full.TLS.Pos, "remove one of them", "the database %s has a ca, and tls is off", full.Name.Value)
	}
}

// noDatabase reports what only databases have.
func (c *compiler) noDatabase(s *Service) {
	if s.Database.Value != "" {
		c.service(s, s.Database.Pos, "remove it, or use kind: postgres", "a service of kind %s has no database", s.Kind.Value)
	}
	if s.TLS.Value != "" {
		c.service(s, s.TLS.Pos, "remove it", "a service of kind %s has no tls: its scheme says it", s.Kind.Value)
	}
}

// addressOf takes host:port apart.
func addressOf(address string) (host string, port int, ok bool) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return "", 0, false
	}
	port, err := strconv.Atoi(address[i+1:])
	host = strings.Trim(address[:i], "[]")
	return host, port, err == nil && host != ""
}

// Loopback says whether the service is really dialled on this machine.
func (s *Service) Loopback() bool {
	host, _, _ := addressOf(s.Address.Value)
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// IsDatabase says whether the service speaks SQL.
func (s *Service) IsDatabase() bool { return s.Kind.Value == "postgres" }

// Dialled is the host:port that is really dialled for a database.
func (s *Service) Dialled() string {
	if s.Address.Value != "" || len(s.Hosts) == 0 {
		return s.Address.Value
	}
	return s.Hosts[0].Value + ":" + strconv.Itoa(s.Port) // a name: addresses stand in address
}

// columns refuses what no database can tell apart by column.
func (c *compiler) columns(r *rule) {
	l := r.line
	for i, p := range r.except {
		if p.columns != nil && i < len(l.Except) {
			c.at(l, l.Except[i].Pos, "name the columns that are given instead", "an exception takes out tables, not columns")
		}
	}
	for i, p := range r.patterns {
		switch {
		case p.columns == nil || i >= len(l.Patterns):
		case len(p.columns) == 0:
			c.at(l, l.Patterns[i].Pos, "name columns, or leave the parentheses out", "%s names no column", show(l.Patterns[i].Value))
		default:
			for _, op := range l.Operations {
				if slices.Contains([]string{"delete", "truncate", "sql.delete", "sql.truncate"}, op.Value) {
					c.at(l, op.Pos, "name the table without columns", "%s takes whole rows, not columns", op.Value)
				}
			}
		}
	}
}

// catalogs are the lines that come with any line of a database: reading what the
// database says of itself, without which no client works, and steering one's own
// session. Both read; what the role may not see the database does not show.
func catalogs(services []Service, lines []*Line) (out []*Line) {
	for _, s := range services {
		if !s.IsDatabase() {
			continue
		}
		i := slices.IndexFunc(lines, func(l *Line) bool { return l.Service.Value == s.Name.Value })
		if i < 0 {
			continue
		}
		at := lines[i].Pos
		l := &Line{
			Pos: at, Section: SectionRead, Profile: lines[i].Profile, Service: Text{s.Name.Value, at}, Implied: true,
			Because: Text{"reading its catalog and steering its own session come with any line of a database", at},
		}
		for _, p := range []string{"pg_catalog.*", "information_schema.*", quoteIdentifier(s.Database.Value)} {
			l.Patterns = append(l.Patterns, Text{p, at})
		}
		out = append(out, l)
	}
	return out
}
