package grants

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ambit"
)

// service looks at one line of what is reached over the network.
func (l *linter) service(r *rule) {
	k := l.g.kindOf(r.service)
	for i, p := range r.patterns {
		l.pattern(r, k, r.line.Patterns[i], p)
	}
	l.deeds(r, k)
	l.refs(r, k)
}

func (l *linter) pattern(r *rule, k Kind, t Text, p pattern) {
	host := endpointOf(p.segs[0]).Host
	if p.kind == "http" && strings.HasPrefix(host, "*.") {
		l.add("wildcard-host", r.line, t.Pos, "name the hosts", fmt.Sprintf("%s stands for hosts that do not exist yet", host))
	}
	if o := openHost(host); p.kind == "http" && o != "" && r.verdict == ambit.Allow {
		l.add("open-host", r.line, t.Pos, "name the one path that is needed, or leave it out",
			fmt.Sprintf("anybody can post on %s: what is read there may come from an attacker, and what is sent there may reach one", o))
	}
	if p.kind == "http" && len(p.segs) == 1 && p.tail && r.line.Section == SectionWrite {
		l.add("whole-host", r.line, t.Pos, "name the paths that are written", fmt.Sprintf("everything on %s can be written", host))
	}
	if k.Segments > 1 && p.kind == k.Resource && slices.ContainsFunc(p.segs, wild) {
		l.add("tenant-wide", r.line, t.Pos, "name each "+k.Resource,
			fmt.Sprintf("%s stands for every %s, those among them that are made later", show(t.Value), k.Resource))
	}
}

// deeds looks at the operations of a line.
func (l *linter) deeds(r *rule, k Kind) {
	at := r.line.Pos
	if k.Name == "tcp" && r.verdict == ambit.Allow {
		l.add("unseen-tcp", r.line, at, "use a kind that knows the protocol where there is one",
			fmt.Sprintf("what flows to %s is not seen, and Ambit cannot tell whether it is encrypted", join(r.hosts(l.g))))
	}
	if l.gives(r, ambit.Write, ambit.Irreversible) && r.rate == nil {
		l.add("unbounded", r.line, at, `add at-most: "10 per hour", or what the task needs`, "the line writes as often as the agent likes")
	}
	if r.line.WithoutAsking {
		l.add("without-asking", r.line, at, "put the line under ask",
			fmt.Sprintf("until %s nobody is asked about what cannot be undone", r.until.Format(time.RFC3339)))
	}
	for _, o := range k.Operations {
		if r.verdict == ambit.Allow && r.fits(o.Effect.Worst()) && r.operation(o.Name) && escalation(o.Name) && o.Effect.Worst() != ambit.Read {
			l.add("escalates", r.line, at, "put it under ask", fmt.Sprintf("%s gives away more access, and nobody is asked", o.Name))
		}
	}
	if push := l.pushes(r, k); push != "" {
		l.add("pushes-build", r.line, at, "put it under ask: the person sees what is pushed",
			push+" can change what the build service runs, with secrets of its own")
	}
}

// pushes returns the operation by which a line changes a repository's files
// without a question.
func (l *linter) pushes(r *rule, k Kind) string {
	for _, op := range []string{"git.push", "git.push.update", "git.push.create", "github.contents.put", "github.git.refs.update", "github.git.trees.create"} {
		known := slices.ContainsFunc(k.Operations, func(o Operation) bool { return o.Name == op })
		served := k.Name != "http" || l.servesGit(r.service)
		if known && served && r.verdict == ambit.Allow && r.fits(ambit.Write) && r.operation(op) {
			return op
		}
	}
	return ""
}

func (l *linter) servesGit(service string) bool {
	s, ok := l.g.Service(service)
	return ok && s.Git
}

// whole looks at the top of the file.
func (l *linter) whole() {
	f := l.g.file
	const long, day = 8 * time.Hour, 24 * time.Hour
	switch {
	case f.Expires > day:
		l.add("long-life", nil, f.ExpiresPos, "write 8h or less, and start it again", fmt.Sprintf("the task lives %s: what goes wrong has days to do so, and nights", spell(f.Expires)))
	case f.Expires > long:
		l.add("long-life", nil, f.ExpiresPos, "write 8h or less", fmt.Sprintf("the task lives %s, longer than anybody watches", spell(f.Expires)))
	}
	for _, s := range f.Services {
		used := slices.ContainsFunc(l.g.rules, func(r *rule) bool { return r.service == s.Name.Value })
		if !used {
			l.add("unused-service", nil, s.Name.Pos, "remove it, or write a line for it", fmt.Sprintf("no line names the service %s", s.Name.Value))
		}
	}
	for _, s := range l.g.services {
		if s.IsDatabase() && s.TLS.Value == "off" && !s.Loopback() {
			l.add("plain-database", nil, s.TLS.Pos, "take tls: off out, and name a ca: when the database has a certificate of your own",
				fmt.Sprintf("whoever is on the way to %s reads and changes what flows, the role's password among it", s.Dialled()))
		}
	}
	l.machine()
}

func (l *linter) machine() {
	s := l.g.file.Sandbox
	for _, u := range l.m.Unenforced {
		asked := map[string]bool{
			"sandbox.memory": s.Memory > 0, "sandbox.processes": s.Processes > 0, "sandbox.cpu": s.CPU > 0, "sandbox.open-files": s.OpenFiles > 0,
		}[u.Clause]
		if asked {
			l.add("cannot-enforce", nil, s.Pos, orElse(u.Fix, "see `ambit doctor`"), fmt.Sprintf("this machine cannot enforce %s: %s", u.Clause, u.Why))
		}
	}
}
