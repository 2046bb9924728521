package grants

import (
	"fmt"
	"slices"
	"strings"

	"ambit"
)

// files looks at the paths that the walls open, those of `sandbox` among them.
// A profile's are data that comes with Ambit, and its caches are copies.
func (l *linter) files() {
	for _, r := range l.g.rules {
		if r.service != "files" || r.line.Profile != "" {
			continue
		}
		for i, p := range r.patterns {
			if t := r.line.Patterns[i]; r.line.Section == SectionWrite {
				l.writable(r, t, p)
			} else {
				l.readable(r, t, p)
			}
		}
	}
	l.sources()
	for _, e := range l.g.file.Sandbox.Env {
		if !e.Set && secretName(e.Name) {
			l.add("credential-read", sandboxed(), e.Pos, "make a service of what it is for, with credential: {env: "+e.Name+"}: the agent then needs a placeholder only",
				"the variable "+e.Name+" is passed on, and its name says that it holds a secret")
		}
	}
}

func (l *linter) readable(r *rule, t Text, p pattern) {
	if class, name := ProtectedIn(p.segs); class == ClassCredentials && !sample(p.segs) {
		l.add("credential-read", r.line, t.Pos,
			"take it out, and make a service with credential: {file: …}: the secret then stays outside",
			fmt.Sprintf("%s can be read, and %s holds secrets", show(t.Value), show(strings.Join(name, "/"))))
	}
}

// sample says whether a path is a template without real values in it.
func sample(segs []string) bool {
	last := lower(segs[len(segs)-1])
	for _, s := range []string{".example", ".sample", ".template", ".dist"} {
		if strings.HasSuffix(last, s) {
			return true
		}
	}
	return false
}

// sources finds a credential that the broker keeps from the agent in a file that
// the agent can read.
func (l *linter) sources() {
	for _, s := range l.g.services {
		if s.Credential == nil || s.Credential.File == "" {
			continue
		}
		at, why := l.g.kinds.place().parseFile(s.Credential.File)
		if why != "" {
			continue
		}
		for _, r := range l.g.rules {
			if r.service != "files" {
				continue
			}
			for i, p := range r.patterns {
				if l.opens(r, p, at.segs, ambit.Read) {
					l.add("credential-read", r.line, r.line.Patterns[i].Pos,
						"add except: "+s.Credential.File+", or keep the secret outside of what the agent can read",
						fmt.Sprintf("the agent can read the file that the credential of %s is kept in", s.Name.Value))
				}
			}
		}
	}
}

// opens says whether one pattern of a files line gives a path.
func (l *linter) opens(r *rule, p pattern, segs []string, e ambit.Effect) bool {
	res := ambit.Resource{Kind: "file", Segments: segs}
	return len(segs) > 0 && r.fits(e) && p.match(res, e) && !r.excepts(&match{kind: "file", segs: segs})
}

// writable reports the worst of what a writable path means.
func (l *linter) writable(r *rule, t Text, p pattern) {
	class, name := ProtectedIn(p.segs)
	what := show(strings.Join(name, "/"))
	narrower := "take it out: without it the rest stays writable"
	switch {
	case class == ClassCredentials && !sample(p.segs):
		l.add("credential-read", r.line, t.Pos, "take it out", fmt.Sprintf("%s can be read and changed, and %s holds secrets", show(t.Value), what))
	case class == ClassAgent:
		l.add("steers-agent", r.line, t.Pos, "take it out, and let a person change it",
			fmt.Sprintf("%s steers agents: what is written there is obeyed by the next one", what))
	case class != "" && class != ClassCredentials:
		l.add("runs-outside", r.line, t.Pos, narrower, fmt.Sprintf("%s is run outside the sandbox (%s)", what, class.words()))
	case l.steersOrRuns(r, t, p):
	case !covered(l.workspace(), p.segs):
		l.add("outside-workspace", r.line, t.Pos, "write into the workspace, and move it from there yourself",
			fmt.Sprintf("%s is outside the workspace, where others use what is written", show(t.Value)))
	case len(p.segs) == len(l.workspace()):
		l.workspaceBuilds(r, t)
	case slices.Contains(buildFiles(), p.segs[len(p.segs)-1]):
		l.add("runs-outside", r.line, t.Pos, narrower, fmt.Sprintf("%s is run by whoever builds outside the sandbox", show(t.Value)))
	}
}

// steersOrRuns reports both, when both are so.
func (l *linter) steersOrRuns(r *rule, t Text, p pattern) bool {
	steers := l.steers(r, t, p)
	return l.onPath(r, t, p) || steers
}

func (c Class) words() string {
	return map[Class]string{
		ClassHooks: "by git", ClassCI: "by a build service, with its own secrets", ClassEditor: "by the editor that opens the folder", ClassShell: "by the shell",
	}[c]
}

// steers reports that the agent could write its own grants, or Ambit's state.
func (l *linter) steers(r *rule, t Text, p pattern) bool {
	if file := segments(l.m.File); l.opens(r, p, file, ambit.Write) {
		l.add("steers-agent", r.line, t.Pos, "call the file ambit.yaml, which no folder above it makes writable, or add except: "+file[len(file)-1],
			"the agent can write its own grants")
		return true
	}
	if state := segments(l.m.State); len(state) > 0 && overlaps(p.segs, state) && !r.excepts(&match{kind: "file", segs: state}) {
		l.add("steers-agent", r.line, t.Pos, "move Ambit's state with AMBIT_HOME, or name a smaller folder", "the agent could write Ambit's own state: its keys, its log and its sockets")
		return true
	}
	return false
}

// onPath reports a path in which programs are found outside.
func (l *linter) onPath(r *rule, t Text, p pattern) bool {
	at := l.g.kinds.place()
	for _, dir := range slices.Concat(l.m.Path, programFolders()) {
		d, why := at.parseFile(dir)
		if why != "" || !overlaps(p.segs, d.segs) || r.excepts(&match{kind: "file", segs: d.segs}) {
			continue
		}
		if len(d.segs) >= len(p.segs) && unnamed(d.segs, 1<<len(p.segs)-1, ambit.Write) {
			continue // a protected name, which the folder above does not give
		}
		l.add("on-path", r.line, t.Pos, "name a folder in which nobody looks for programs",
			fmt.Sprintf("%s is writable, and programs in %s are run outside the sandbox", show(t.Value), show(dir)))
		return true
	}
	return false
}

// workspaceBuilds warns of the build files that a writable workspace holds.
func (l *linter) workspaceBuilds(r *rule, t Text) {
	var open []string
	for _, name := range buildFiles() {
		if segs := append(slices.Clone(l.workspace()), name); !r.excepts(&match{kind: "file", segs: segs}) {
			open = append(open, name)
		}
	}
	if len(open) > 0 {
		l.add("build-files", r.line, t.Pos, "build and test inside (ambit run -- make), read what has changed before you build outside, or take the files out with except",
			"what the agent writes into files such as "+join(open[:min(3, len(open))])+" is run by whoever builds outside the sandbox")
	}
}

func (l *linter) workspace() []string {
	p, _ := l.g.kinds.place().parseFile(".")
	return p.segs
}

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// covered says whether segs is dir or lies in it.
func covered(dir, segs []string) bool {
	return len(segs) >= len(dir) && slices.Equal(dir, segs[:len(dir)])
}

func overlaps(a, b []string) bool { return covered(a, b) || covered(b, a) }
