package grants

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// credentialFix tells the three ways in which a file names a secret without
// holding it.
const credentialFix = "name where it is kept instead: credential: {env: NAME}, {file: PATH} or {command: [program, argument]}"

func serviceKeys() []string {
	return []string{
		"kind", "host", "port", "scheme", "address", "ca", "credential", "inject", "env",
		"encoded-slash", "git", "reads", "graphql", "database", "tls",
	}
}

func (w *walker) services(n *yaml.Node) []*Service {
	var out []*Service
	for _, e := range w.entries(n, "services") {
		name := e.key.Value
		switch {
		case name == "files" || name == "web" || name == "http" || name == "tcp":
			w.add(e.key.Pos, "choose another name", "the service %s is built in", name)
		case slices.Contains(lineKeys(), name):
			w.add(e.key.Pos, "choose another name", "a service cannot be called %s: lines use that word", name)
		case !serviceName(name):
			w.add(e.key.Pos, "use lower-case letters, digits and dashes, at most 40", "%s is not usable as a service's name", show(name))
		}
		out = append(out, w.service(e))
	}
	return out
}

func (w *walker) service(e entry) *Service {
	s := &Service{Pos: e.key.Pos, Name: e.key}
	if e.val.Kind != yaml.MappingNode {
		w.wrong(e.val, "the service "+show(e.key.Value), "a map, such as {kind: http, host: api.example.com}")
		return s
	}
	m := make(map[string]*yaml.Node)
	for _, f := range w.entries(e.val, "a service") {
		switch {
		case w.full():
		case slices.Contains(serviceKeys(), f.key.Value):
			m[f.key.Value] = f.val
		case f.key.Value == "key" || secretName(strings.ReplaceAll(f.key.Value, "-", "_")):
			w.add(f.key.Pos, credentialFix, "a service has no key %s: a grants file never holds a secret", show(f.key.Value))
		default:
			w.add(f.key.Pos, didYouMean(f.key.Value, serviceKeys()), "a service has no key %s", show(f.key.Value))
		}
	}
	if v := m["kind"]; v != nil {
		s.Kind, _ = w.text(v, "kind")
	} else {
		w.add(e.key.Pos, "add kind: http", "the service %s has no kind", show(e.key.Value))
	}
	w.reach(s, m)
	w.secret(s, m)
	w.hints(s, m)
	w.database(s, m)
	return s
}

// reach reads how a service is reached.
func (w *walker) reach(s *Service, m map[string]*yaml.Node) {
	if v := m["host"]; v != nil {
		s.hostGiven = true
		for _, t := range w.texts(v, "host") {
			if w.host(t) {
				s.Hosts = append(s.Hosts, t)
			}
		}
	}
	if v := m["port"]; v != nil {
		s.Port, s.PortPos = w.integer(v, "port", 1, 65535), nodePos(v)
	}
	if v := m["scheme"]; v != nil {
		t, ok := w.text(v, "scheme")
		if ok && t.Value != "https" && t.Value != "http" {
			w.add(t.Pos, "write https, or http for a service without TLS", "scheme is https or http, not %s", show(t.Value))
		}
		s.Scheme = t
	}
	if v := m["address"]; v != nil {
		t, ok := w.text(v, "address")
		if ok && !goodAddress(t.Value) {
			w.add(t.Pos, "write host:port, such as 127.0.0.1:8443 or db.internal:5432", "address %s is not host:port", show(t.Value))
		}
		s.Address = t
	}
	if v := m["ca"]; v != nil {
		if ts := w.paths(v, "ca"); len(ts) == 1 {
			s.CA = ts[0]
		} else if len(ts) > 1 {
			w.add(nodePos(v), "put the certificates into one file", "ca is one PEM file")
		}
	}
}

// host reports a host that is not a lower-case name in its plain form.
func (w *walker) host(t Text) bool {
	why, fix := badHost(t.Value)
	if why != "" {
		w.add(t.Pos, fix, "host %s %s", show(t.Value), why)
	}
	return why == ""
}

func badHost(h string) (why, fix string) {
	if _, err := netip.ParseAddr(strings.Trim(h, "[]")); err == nil {
		return "is an address", "give the service a name, and say where it is dialled with address: host:port"
	}
	switch {
	case strings.Contains(h, "://"):
		return "is a URL", "write the name alone; scheme and port have keys of their own"
	case strings.Contains(h, ":"):
		return "has a port", "write the port under port:"
	case h != strings.ToLower(h):
		return "has capital letters", "write " + quote(strings.ToLower(h))
	case strings.HasSuffix(h, "."):
		return "ends with a dot", "write " + quote(strings.TrimSuffix(h, "."))
	case len(h) > 253:
		return "is too long", ""
	}
	for label := range strings.SplitSeq(h, ".") {
		if !hostLabel(label) {
			return "is not a host name", "write letters a-z, digits and dashes; a name in another script in its xn-- form"
		}
	}
	if last := h[strings.LastIndex(h, ".")+1:]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		// Some resolvers read "127.1" or "0x7f.1" as an address.
		return "ends like an address", "give the service a name, and say where it is dialled with address: host:port"
	}
	return "", ""
}

func goodAddress(s string) bool {
	if _, err := netip.ParseAddrPort(s); err == nil {
		return true
	}
	host, port, ok := strings.Cut(s, ":")
	p, err := strconv.ParseUint(port, 10, 16)
	why, _ := badHost(host)
	return ok && err == nil && p > 0 && strconv.Itoa(int(p)) == port && why == ""
}

// secret reads where the credential is kept and how it is used.
func (w *walker) secret(s *Service, m map[string]*yaml.Node) {
	if v := m["credential"]; v != nil {
		s.Credential = w.credential(v)
	}
	if v := m["inject"]; v != nil {
		s.Inject = w.inject(v)
	}
	if v := m["env"]; v != nil {
		for _, t := range w.texts(v, "env") {
			if !envName(t.Value) {
				w.add(t.Pos, "write the name alone: Ambit sets it to a placeholder", "env %s is not a variable's name", show(t.Value))
				continue
			}
			s.Env = append(s.Env, t)
		}
	}
	if m["credential"] == nil && (s.Inject != nil || len(s.Env) > 0) {
		w.add(s.Pos, credentialFix, "the service %s says how to use a credential, but not where it is kept", show(s.Name.Value))
	}
}

func (w *walker) credential(n *yaml.Node) *Credential {
	c := &Credential{Pos: nodePos(n)}
	if n.Kind == yaml.ScalarNode {
		// Whatever stands here may be the secret itself: never repeat it.
		w.add(c.Pos, credentialFix, "a credential is not written into the file")
		return nil
	}
	m := w.fields(n, "a credential", "env", "file", "command", "jwt", "app", "key", "installation")
	if m["app"] != nil || m["key"] != nil || m["installation"] != nil {
		return w.app(n, m)
	}
	if n.Kind == yaml.MappingNode && len(m) != 1 {
		w.add(c.Pos, credentialFix, "a credential is kept in exactly one place")
		return nil
	}
	return w.place(c, m)
}

// place reads where a secret is kept.
func (w *walker) place(c *Credential, m map[string]*yaml.Node) *Credential {
	if v := m["env"]; v != nil {
		if v.Kind != yaml.ScalarNode || !credentialName(v.Value) {
			w.add(nodePos(v), "write the variable's name, such as GITHUB_TOKEN, not its value", "env is not the name of a variable in capital letters")
			return nil
		}
		c.Env = v.Value
	}
	if v := m["file"]; v != nil {
		ts := w.paths(v, "file")
		if len(ts) != 1 {
			return nil
		}
		c.File = ts[0].Value
	}
	if v := m["command"]; v != nil {
		for _, a := range w.items(v, "command") {
			if t, ok := w.text(a, "command"); ok {
				c.Command = append(c.Command, t.Value)
			}
		}
	}
	if v := m["jwt"]; v != nil {
		t, ok := w.text(v, "jwt")
		if ok && (t.Value == "" || len(t.Value) > maxAudience) {
			w.add(t.Pos, "write whom the token is for, such as https://api.acme.example", "jwt is not an audience of 1 to %d bytes", maxAudience)
			ok = false
		}
		if !ok {
			return nil
		}
		c.JWT = t.Value
	}
	return c
}

// maxAudience bounds the audience of a token, in bytes.
const maxAudience = 256

func (w *walker) inject(n *yaml.Node) *Inject {
	in := &Inject{Pos: nodePos(n)}
	m := w.fields(n, "inject", "header", "format", "basic", "query")
	read := func(key string, into *string, shape func(string) bool) int {
		v := m[key]
		if v == nil {
			return 0
		}
		t, ok := w.text(v, key)
		if ok && !shape(t.Value) {
			w.add(t.Pos, "", "%s %s has a character that cannot stand there", key, show(t.Value))
		}
		*into = t.Value
		return 1
	}
	ways := read("header", &in.Header, headerName) + read("basic", &in.Basic, basicUser) + read("query", &in.Query, queryName)
	read("format", &in.Format, headerFormat)
	switch {
	case n.Kind != yaml.MappingNode:
	case ways != 1:
		w.add(in.Pos, `write {header: Authorization, format: "Bearer {}"}, {basic: user} or {query: key}`, "a credential is injected in exactly one way")
	case m["format"] != nil && in.Header == "":
		w.add(nodePos(m["format"]), "remove it", "format goes with header only")
	case m["format"] != nil && strings.Count(in.Format, "{}") != 1:
		w.add(nodePos(m["format"]), `write "Bearer {}"`, "format holds {} exactly once, where the secret goes")
	case in.Header != "" && in.Format == "":
		in.Format = "{}"
	}
	return in
}

// hints reads what only the owner of a service can know of it.
func (w *walker) hints(s *Service, m map[string]*yaml.Node) {
	if v := m["encoded-slash"]; v != nil {
		s.EncodedSlash = w.boolean(v, "encoded-slash")
	}
	if v := m["git"]; v != nil {
		s.Git = w.boolean(v, "git")
	}
	if v := m["reads"]; v != nil {
		s.Reads = w.texts(v, "reads")
	}
	if v := m["graphql"]; v != nil {
		s.GraphQL = w.texts(v, "graphql")
	}
	for _, t := range slices.Concat(s.Reads, s.GraphQL) {
		if _, why := parsePath(t.Value); why != "" || t.Value == "/" {
			w.add(t.Pos, "write a path pattern, such as /*/_search", "%s is not a path pattern", show(t.Value))
		}
	}
}

// database reads what only databases have.
func (w *walker) database(s *Service, m map[string]*yaml.Node) {
	if v := m["database"]; v != nil {
		t, ok := w.text(v, "database")
		if why := badIdentifier(t.Value); ok && why != "" {
			w.add(t.Pos, "write the database's name, such as shop", "database %s %s", show(t.Value), why)
		}
		s.Database = t
	}
	if v := m["tls"]; v != nil {
		t, ok := w.text(v, "tls")
		if ok && t.Value != "on" && t.Value != "off" {
			w.add(t.Pos, "write on, or off for a database that is reached without TLS", "tls is on or off, not %s", show(t.Value))
		}
		s.TLS = t
	}
}
