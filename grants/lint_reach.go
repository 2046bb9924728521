package grants

import (
	"fmt"
	"slices"

	"ambit"
)

// source is where something comes from, in words with its place.
type source struct{ what, by string }

// reach looks for the three that together let a stranger's text carry private
// data away: untrusted reading, private data, and a way out without a question.
// A question between, or one of the three missing, is enough.
func (l *linter) reach() {
	untrusted, ok1 := l.untrusted()
	private, ok2 := l.private()
	if !ok1 || !ok2 {
		return
	}
	why := fmt.Sprintf("%s (%s) may hold orders of a stranger, and %s (%s) is private", untrusted.what, untrusted.by, private.what, private.by)
	for _, r := range l.g.rules {
		switch {
		case r.service == "files", l.g.kindOf(r.service).Resource == kindTable:
			// Who reads a table are those who own the database, not strangers.
		case l.gives(r, ambit.Write, ambit.Irreversible):
			l.add("way-out", r.line, r.line.Pos, "put the line under ask, or take away one of the three",
				fmt.Sprintf("%s can send data out without a question: %s", r.service, why))
		case l.open(r):
			l.add("slow-way-out", r.line, r.line.Pos, "take away one of the three: the host, the untrusted reading or the private data",
				fmt.Sprintf("the path and the query of a request to %s can carry data out: %s", join(r.hosts(l.g)), why))
		}
	}
}

// untrusted finds a read, without a question, of what strangers may have written:
// any web page, and any service but the agent's own model.
func (l *linter) untrusted() (source, bool) {
	for _, r := range l.g.rules {
		if r.service != "files" && !r.line.Implied && !modelKind(l.g.kindOf(r.service).Name) && l.gives(r, ambit.Read) {
			return source{"what is read from " + join(r.hosts(l.g)), r.by}, true
		}
	}
	return source{}, false
}

// private finds a read of what is not everybody's: secrets, what a service gives
// only for a credential, and files outside the workspace.
func (l *linter) private() (source, bool) {
	for _, r := range l.g.rules {
		if r.service == "files" {
			if t, ok := l.privateFile(r); ok {
				return source{"the file " + show(t.Value), r.by}, true
			}
			continue
		}
		s, _ := l.g.Service(r.service)
		if !r.line.Implied && s.Credential != nil && !modelKind(s.Kind.Value) && l.gives(r, ambit.Read) {
			return source{"what " + s.Name.Value + " gives for its credential", r.by}, true
		}
	}
	for _, f := range l.out {
		if f.Rule == "credential-read" {
			return source{"a secret that can be read", cite(l.g.file.Name, Pos{f.Line, f.Column})}, true
		}
	}
	return source{}, false
}

// privateFile finds a path outside the workspace that is not the system's. What
// a profile reads belongs to the toolchain.
func (l *linter) privateFile(r *rule) (Text, bool) {
	if r.line.Profile != "" {
		return Text{}, false
	}
	for i, p := range r.patterns {
		system := slices.ContainsFunc(systemFolders(), func(dir string) bool { return covered(segments(dir), p.segs) })
		if !system && !covered(l.workspace(), p.segs) {
			return r.line.Patterns[i], true
		}
	}
	return Text{}, false
}

// open says whether a rule reads, without a question, from a host that gets no
// credential: whoever owns it sees each address that is asked for.
func (l *linter) open(r *rule) bool {
	s, declared := l.g.Service(r.service)
	return l.gives(r, ambit.Read) && (!declared || (s.Credential == nil && !modelKind(s.Kind.Value)))
}

// hosts lists where a rule reaches.
func (r *rule) hosts(g *Grants) (out []string) {
	s, _ := g.Service(r.service)
	add := func(h string) {
		if !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	for _, p := range r.patterns {
		if p.kind == "http" || p.kind == "tcp" {
			add(p.segs[0])
		} else {
			for _, h := range s.Hosts {
				add(s.Authority(h.Value))
			}
		}
	}
	if len(out) > 4 {
		out = append(out[:3], fmt.Sprintf("%d others", len(out)-3))
	}
	return out
}
