package grants

import "ambit"

// FileRule is one path that the walls must open, with all below it.
type FileRule struct {
	Path   string   // absolute
	Write  bool     // for reading and writing, else for reading
	Except []string // absolute paths that stay closed for what the rule gives
	By     string   // the line
}

// Files lists the paths of the files lines, in file order. Protected names
// below them stay closed unless one of the paths is such a name or lies in it;
// see [Protected] and [ProtectedIn]. The paths of `sandbox` and of the profiles
// are not among them: see [File].
func (g *Grants) Files() []FileRule {
	var out []FileRule
	for _, r := range g.rules {
		if r.service != "files" || r.line.Implied {
			continue
		}
		var except []string
		for _, p := range r.except {
			except = append(except, p.path())
		}
		for _, p := range r.patterns {
			out = append(out, FileRule{p.path(), r.line.Section == SectionWrite, except, r.by})
		}
	}
	return out
}

func (p pattern) path() string { return ambit.Resource{Kind: "file", Segments: p.segs}.String() }

// Path makes a path of the file absolute: below the workspace, the home
// directory, or as it is. The path must come from a parsed file.
func (k Kinds) Path(path string) (string, bool) {
	p, why := k.place().parseFile(path)
	return p.path(), why == ""
}

// paths returns the lines that the sandbox's and the profiles' paths stand for,
// so that a decision about a file says what the walls do.
func (f *File) paths() (out []*Line) {
	add := func(profile, because string, sec Section, ts []Text) {
		for _, t := range ts {
			out = append(out, &Line{
				Pos: t.Pos, Section: sec, Profile: profile, Service: Text{"files", t.Pos}, Patterns: []Text{t},
				Because: Text{because, t.Pos}, Implied: true,
			})
		}
	}
	add("", "the sandbox shows this path", SectionRead, f.Sandbox.Read)
	add("", "the sandbox makes this path writable", SectionWrite, f.Sandbox.Write)
	for _, p := range f.Uses {
		add(p.Name, p.Because, SectionRead, p.Read)
		add(p.Name, "the task's own copy of a cache", SectionWrite, p.Caches)
	}
	return out
}
