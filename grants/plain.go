package grants

import (
	"fmt"
	"slices"
	"strings"

	"ambit"
)

// Plain writes the whole file as plain English, with all that its profiles
// bring and what is never possible.
func (g *Grants) Plain() string {
	if g == nil || g.index == nil {
		return "There are no grants: nothing is allowed.\n"
	}
	p := &page{g: g}
	p.head()
	p.rules("It may do this without asking", func(r *rule) bool { return r.line.Section == SectionRead })
	p.rules("It may also change this, for the reason given", func(r *rule) bool { return r.line.Section == SectionWrite && !r.line.WithoutAsking })
	p.rules("It may do this for a short while without asking, although it cannot be undone", func(r *rule) bool { return r.line.WithoutAsking })
	p.rules("It must ask a person for each of these", func(r *rule) bool { return r.line.Section == SectionAsk })
	p.reach()
	p.profiles()
	p.sandbox()
	p.never()
	return p.b.String()
}

// page is a text under construction.
type page struct {
	b strings.Builder
	g *Grants
}

func (p *page) title(s string) { fmt.Fprintf(&p.b, "\n%s:\n", s) }

func (p *page) item(format string, args ...any) {
	text := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
	p.b.WriteString(wrap("  - ", "    ", text))
}

// wrap breaks a text into lines of about eighty letters.
func wrap(first, next, text string) string {
	const most = 84
	var b strings.Builder
	line := first
	for i, w := range strings.Fields(text) {
		switch {
		case i == 0:
			line += w
		case len(line)+1+len(w) > most:
			b.WriteString(line + "\n")
			line = next + w
		default:
			line += " " + w
		}
	}
	return b.String() + line + "\n"
}

func (p *page) head() {
	f := p.g.file
	fmt.Fprintf(&p.b, "What the agent %s may do, as %s says.\n\n", f.Agent.Value, f.Name)
	if f.Owner.Value != "" {
		p.b.WriteString(wrap("Owner:    ", "          ", f.Owner.Value))
	}
	if f.Purpose.Value != "" {
		p.b.WriteString(wrap("Purpose:  ", "          ", f.Purpose.Value))
	}
	fmt.Fprintf(&p.b, "Ends:     after %s, and with it its identity and every credential lent to it\n", spell(f.Expires))
}

func (p *page) rules(title string, which func(*rule) bool) {
	first := true
	for _, r := range p.g.rules {
		if r.line.Implied || r.line.Profile != "" || !which(r) {
			continue
		}
		if first {
			p.title(title)
			first = false
		}
		p.item("%s (%s)", r.words(p.g), r.by)
	}
}

// words writes a rule as a sentence without its place.
func (r *rule) words(g *Grants) string {
	var b strings.Builder
	b.WriteString(r.deed(g) + " " + r.things(g))
	if len(r.refs) > 0 {
		b.WriteString(", of branches and tags only " + join(texts(r.line.Refs)))
	}
	if len(r.except) > 0 {
		b.WriteString(", but not " + join(texts(r.line.Except)))
	}
	if r.during != nil {
		b.WriteString(", only during " + r.during.Text)
	}
	if r.rate != nil {
		b.WriteString(", at most " + r.rate.Text)
	}
	if !r.until.IsZero() {
		b.WriteString(", until " + r.until.Format("2 January 2006 15:04 MST"))
	}
	if because := r.line.Because.Value; because != "" && r.line.Profile == "" {
		b.WriteString(", because " + strings.TrimSuffix(clipped(because, 400), "."))
	}
	return b.String()
}

// deed says what a rule lets happen.
func (r *rule) deed(g *Grants) string {
	if k := g.kindOf(r.service); k.Name == "tcp" {
		return "open"
	} else if len(r.line.Operations) > 0 {
		return r.named(k) + " on"
	}
	if k := g.kindOf(r.service); k.Resource == kindTable && r.line.Section == SectionWrite {
		return "add and change rows of"
	}
	switch r.line.Section {
	case SectionRead:
		return "read"
	case SectionWrite:
		return "change"
	}
	return "change or delete"
}

// named writes the operations of a rule, in the catalog's words where it has
// any.
func (r *rule) named(k Kind) string {
	var out []string
	for _, op := range r.ops {
		text := "all of " + op
		for _, o := range k.Operations {
			if o.Name == op {
				text = orElse(smallFirst(o.Summary), "perform "+op)
			}
		}
		if op == "*" {
			text = "do anything"
		}
		if strings.HasSuffix(op, "*") && r.line.Section == SectionRead {
			text += " that only reads"
		}
		out = append(out, text)
	}
	return join(out)
}

func smallFirst(s string) string {
	if len(s) < 2 || (s[1] >= 'A' && s[1] <= 'Z') {
		return s
	}
	return lower(s[:1]) + s[1:]
}

func (g *Grants) kindOf(service string) Kind {
	c := &compiler{reporter: &reporter{}, kinds: g.kinds, g: g}
	_, k, _ := c.target(&Line{Service: Text{Value: service}})
	return k
}

// things names what the patterns stand for.
func (r *rule) things(g *Grants) string {
	var out, plain []string
	for i, p := range r.patterns {
		text := r.line.Patterns[i].Value
		switch {
		case p.kind == "file":
			out = append(out, fileWords(text))
		case p.kind == "http" && p.self && p.tail:
			out = append(out, "everything on https://"+p.segs[0])
		case p.kind == "http":
			out = append(out, pathWords(p, g.schemeOf(r.service)))
		case p.kind == "tcp":
			out = append(out, "connections to "+p.segs[0])
		default:
			plain = append(plain, p.String())
		}
	}
	if len(plain) > 0 {
		out = append(out, join(plain)+" of "+r.service)
	}
	return join(out)
}

func (g *Grants) schemeOf(service string) string {
	s, _ := g.Service(service)
	return orElse(s.Scheme.Value, "https") + "://"
}

func pathWords(p pattern, scheme string) string {
	url := scheme + strings.Join(p.segs, "/")
	switch {
	case !p.self:
		return "everything below " + url + "/"
	case len(p.segs) == 1:
		return url + "/ itself"
	}
	return url
}

func fileWords(text string) string {
	switch {
	case text == ".":
		return "files in the workspace"
	case text == "~":
		return "files in the home directory"
	case text == "/":
		return "all files of the machine"
	case strings.HasPrefix(text, "/") || strings.HasPrefix(text, "~/"):
		return text
	}
	return strings.TrimPrefix(text, "./") + " in the workspace"
}

func join(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

func texts(ts []Text) []string { return values(ts) }

func (p *page) reach() {
	if len(p.g.services) == 0 && len(p.g.web.lits)+len(p.g.web.hosts) == 0 {
		p.title("It reaches nothing on the network")
		p.item("no line names a host")
		return
	}
	p.title("What it reaches on the network")
	for _, s := range p.g.services {
		p.item("%s", p.service(&s))
	}
	if len(p.g.web.lits)+len(p.g.web.hosts) > 0 {
		p.item("plain web pages of the hosts named above; what comes from there counts as untrusted")
	}
}

func (p *page) service(s *Service) string {
	var hosts []string
	for _, h := range s.Hosts {
		hosts = append(hosts, s.Authority(h.Value))
	}
	if s.IsDatabase() {
		return p.database(s, hosts)
	}
	out := s.Name.Value + ": " + join(hosts)
	if scheme := s.Scheme.Value; scheme != "" {
		out += " over " + scheme
	} else {
		out += " over plain TCP, which is not looked into"
	}
	if s.Address.Value != "" {
		out += ", really dialled at " + s.Address.Value
	}
	if s.CA.Value != "" {
		out += ", trusting " + s.CA.Value
	}
	if c := s.Credential; c != nil {
		out += "; " + p.g.credentialWords(s, c)
	}
	if s.Profile != "" {
		out += " (profile " + s.Profile + ")"
	}
	return out
}

// database tells what there is of a database beside its lines.
func (p *page) database(s *Service, hosts []string) string {
	out := s.Name.Value + ": the PostgreSQL database " + s.Database.Value + " under " + join(hosts)
	if s.Address.Value != "" {
		out += ", really dialled at " + s.Address.Value
	}
	switch {
	case s.TLS.Value == "off" && s.Loopback():
		out += ", on this machine without TLS"
	case s.TLS.Value == "off":
		out += ", NOT encrypted on the way there"
	case s.CA.Value != "":
		out += ", over TLS, trusting " + s.CA.Value
	default:
		out += ", over TLS"
	}
	if slices.ContainsFunc(p.g.rules, func(r *rule) bool { return r.service == s.Name.Value }) {
		out += "; it may also read the database's catalog, which names the tables, and steer its own session"
	}
	if c := s.Credential; c != nil {
		out += "; it works as a role that is made for the task, has the rights above and nothing else, and is gone at its end: " +
			credentialSource(c) + " is used outside to make it, and the agent sees neither"
	}
	if len(s.Env) > 0 {
		out += "; " + join(texts(s.Env)) + " inside holds a URL that leads there, without a secret"
	}
	return out
}

func (g *Grants) credentialWords(s *Service, c *Credential) string {
	if c.JWT != "" {
		return "its credential is the task's own identity, as a token for " + show(c.JWT) + " that lives for minutes and is added outside: the agent never has it"
	}
	out := "its credential comes from " + credentialSource(c) + " and is added outside: the agent never has it"
	if c.App != 0 {
		scope, _ := g.App(s.Name.Value)
		out = fmt.Sprintf("its credential is a token of GitHub App %d, made for the task and revoked at its end, for %s, as far as the App has them; "+
			"the App's key comes from %s and never leaves the daemon; the token is added outside: the agent never has it", c.App, scope.words(), credentialSource(c))
	}
	if len(s.Env) > 0 {
		out += ", and sees a placeholder in " + join(texts(s.Env))
	}
	return out
}

func credentialSource(c *Credential) string {
	switch {
	case c.Env != "":
		return "the variable " + c.Env + " of whoever starts it"
	case c.File != "":
		return "the file " + c.File
	}
	return "the output of " + show(strings.Join(c.Command, " "))
}

func (p *page) profiles() {
	for _, u := range p.g.file.Uses {
		p.title("The profile " + u.Name + " brings, because " + strings.TrimSuffix(u.Because, "."))
		list := func(what string, ts []Text) {
			if len(ts) > 0 {
				p.item("%s %s", what, join(texts(ts)))
			}
		}
		list("the programs", u.Programs)
		list("reading, where they exist,", u.Read)
		list("its own copies, thrown away at the end, of", u.Caches)
		for _, s := range u.Home {
			p.item("the file %s in the agent's own home, where there is none, with the text", s.Path.Value)
			p.b.WriteString("      " + strings.ReplaceAll(s.Data, "\n", "\n      ") + "\n")
		}
		if len(u.Env) > 0 {
			p.item("the variables %s", envWords(u.Env))
		}
		for _, r := range p.g.rules {
			if r.line.Profile == u.Name && !r.line.Implied {
				p.item("the right to %s", r.words(p.g))
			}
		}
	}
}

func envWords(env []Env) string {
	var out []string
	for _, e := range env {
		if e.Set {
			out = append(out, e.Name+" (set to "+show(e.Value)+")")
		} else {
			out = append(out, e.Name+" (passed on)")
		}
	}
	return join(out)
}

func (p *page) sandbox() {
	s := p.g.file.Sandbox
	p.title("The sandbox")
	p.item("the workspace is %s, and the system's programs and libraries can be read", orElse(s.Workspace.Value, "."))
	if len(s.Read) > 0 {
		p.item("also readable: %s", join(texts(s.Read)))
	}
	if len(s.Write) > 0 {
		p.item("also writable: %s", join(texts(s.Write)))
	}
	if len(s.Env) > 0 {
		p.item("variables: %s", envWords(s.Env))
	}
	if s.ThrowAway {
		p.item("its own home directory is thrown away at the end")
	} else {
		p.item("its own home directory is kept for its next task")
	}
	var limits []string
	for _, l := range []struct {
		set  bool
		text string
	}{
		{s.Memory > 0, writeSize(s.Memory) + " of memory"},
		{s.Processes > 0, fmt.Sprintf("%d at a time of its processes and threads", s.Processes)},
		{s.CPU > 0, fmt.Sprintf("%g of the processor's cores", float64(s.CPU)/1000)},
		{s.OpenFiles > 0, plural(s.OpenFiles, "open file")},
	} {
		if l.set {
			limits = append(limits, l.text)
		}
	}
	if len(limits) > 0 {
		p.item("at most %s", join(limits))
	}
}

// never says what no line of this file can give, and what this one does not.
func (p *page) never() {
	p.title("It can never")
	p.item("do what is not listed above: everything else is refused, and the refusal is recorded")
	p.item("reach another host, port or address, by any protocol")
	p.item("see a credential: they stay outside, and only placeholders are inside")
	p.item("touch a protected name (git hooks, CI, settings of agents and editors, shell start-up, credential files) that no line names literally")
	if !slices.ContainsFunc(p.g.rules, func(r *rule) bool { return r.fits(ambit.Irreversible) }) {
		p.item("do anything that cannot be undone, at any service")
	} else if !slices.ContainsFunc(p.g.rules, func(r *rule) bool { return r.line.WithoutAsking }) {
		p.item("do anything that cannot be undone without a person's approval of that one action")
	}
	p.item("go on after its end, or escape the record of what it did")
}
