package grants

import (
	"embed"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed profiles/*.yaml
var profileFiles embed.FS

// ProfileNames lists the profiles that `uses` can name, sorted.
func ProfileNames() []string {
	return []string{"claude", "codex", "git", "go", "node", "python"}
}

// ProfileSource returns a profile as it is written, for people to read.
func ProfileSource(name string) ([]byte, error) {
	return profileFiles.ReadFile("profiles/" + name + ".yaml")
}

// LoadProfile reads one of the profiles that come with Ambit. Every line and
// service of it carries the profile's name.
func LoadProfile(name string) (*Profile, error) {
	src, err := ProfileSource(name)
	if err != nil {
		return nil, err
	}
	return parseProfile(name, src)
}

func parseProfile(name string, src []byte) (*Profile, error) {
	w := &walker{reporter{file: "profile " + name}}
	root := w.document(src)
	if root == nil {
		return nil, w.err()
	}
	p := w.profile(root)
	if p.Name != name {
		w.add(nodePos(root), "", "the profile in %s is called %s", name, show(p.Name))
	}
	if err := w.err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (w *walker) profile(root *yaml.Node) *Profile {
	p := &Profile{}
	m := w.fields(root, "a profile", "profile", "because", "programs", "read", "caches", "home", "env", "services", "lines")
	for _, key := range []string{"profile", "because"} {
		if m[key] == nil {
			w.add(nodePos(root), "", "a profile has no %s", key)
			return p
		}
	}
	p.Name = w.name(m["profile"], "profile", serviceName, "lower-case letters").Value
	p.Because = w.prose(m["because"], "because").Value
	if n := m["programs"]; n != nil {
		p.Programs = w.texts(n, "programs")
	}
	if n := m["read"]; n != nil {
		p.Read = w.paths(n, "read")
	}
	if n := m["caches"]; n != nil {
		p.Caches = w.paths(n, "caches")
	}
	if n := m["home"]; n != nil {
		p.Home = w.seeds(n)
	}
	if n := m["env"]; n != nil {
		p.Env = w.env(n)
	}
	if n := m["services"]; n != nil {
		p.Services = w.services(n)
	}
	if n := m["lines"]; n != nil {
		w.profileLines(p, n)
	}
	for _, s := range p.Services {
		s.Profile = p.Name
	}
	return p
}

// seeds reads the files of the agent's own home: name: text.
func (w *walker) seeds(n *yaml.Node) (out []Seed) {
	for _, e := range w.entries(n, "home") {
		name := e.key.Value
		why := badPath(name)
		if strings.ContainsAny(name[:1], "/~") || name == "." {
			why = "is not below the home directory"
		}
		if class, _ := ProtectedIn(strings.Split(name, "/")); why == "" && class != "" && class != ClassAgent {
			why = "is protected (" + string(class) + ")"
		}
		if why != "" {
			w.add(e.key.Pos, "write a plain name, such as .config/tool.json", "home %s %s", show(name), why)
			continue
		}
		if data := w.prose(e.val, "home "+show(name)).Value; data != "" {
			out = append(out, Seed{e.key, data})
		}
	}
	return out
}

func (w *walker) profileLines(p *Profile, n *yaml.Node) {
	known := []string{"files", "web"}
	for _, s := range p.Services {
		known = append(known, s.Name.Value)
	}
	m := w.fields(n, "lines", "read", "write", "ask")
	for _, sec := range []Section{SectionRead, SectionWrite, SectionAsk} {
		if v := m[sec.String()]; v != nil {
			p.Lines = append(p.Lines, w.lines(v, sec, known)...)
		}
	}
	for _, l := range p.Lines {
		l.Profile = p.Name
		if l.Because.Value == "" {
			l.Because = Text{p.Because, l.Pos}
		}
	}
}

// merge returns the services and lines of the file together with those of its
// profiles. A service of the file that is of the same kind and reaches the same
// hosts takes the place of a profile's, whose lines then speak of it.
func (f *File) merge(r *reporter, k Kinds) (services []*Service, lines []*Line) {
	services, lines = slices.Clone(f.Services), slices.Clone(f.Lines)
	for i, p := range f.Uses {
		rename := make(map[string]string)
		for _, s := range p.Services {
			if same := sameService(services, s, k); same != nil {
				rename[s.Name.Value] = same.Name.Value
				continue
			}
			if taken := findService(services, s.Name.Value); taken != nil {
				r.add(taken.Name.Pos, "rename it", "the profile %s (line %d) brings a service with the name %s, which is another one",
					p.Name, f.UsesPos[i].Line, s.Name.Value)
				continue
			}
			services = append(services, s)
		}
		for _, l := range p.Lines {
			lines = append(lines, renamed(l, rename))
		}
	}
	return services, lines
}

func renamed(l *Line, names map[string]string) *Line {
	name, ok := names[l.Service.Value]
	if !ok {
		return l
	}
	c := *l
	c.Service.Value = name
	return &c
}

func findService(list []*Service, name string) *Service {
	for _, s := range list {
		if s.Name.Value == name {
			return s
		}
	}
	return nil
}

func sameService(list []*Service, s *Service, k Kinds) *Service {
	want := strings.Join(k.hosts(s), " ")
	for _, o := range list {
		if o.Kind.Value == s.Kind.Value && strings.Join(k.hosts(o), " ") == want {
			return o
		}
	}
	return nil
}
