package grants

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Parse reads a grants file strictly. The error is an [Errors] that holds all
// that is wrong, with line and column. The name is used in messages and in what
// a decision cites; it should be the file's base name.
func Parse(name string, src []byte) (*File, error) {
	f, r := parse(name, src)
	if err := r.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// parse also returns what could be read of a file with errors, so that Load can
// check that part too; nil when there is nothing.
func parse(name string, src []byte) (*File, *reporter) {
	w := &walker{reporter{file: name}}
	root := w.document(src)
	if root == nil {
		return nil, &w.reporter
	}
	return w.fileNode(name, root), &w.reporter
}

func fileKeys() []string {
	return []string{
		"agent", "owner", "purpose", "expires", "services", "uses", "sandbox", "read", "write", "ask", "expect",
	}
}

func (w *walker) fileNode(name string, root *yaml.Node) *File {
	f := &File{Name: name, Expires: DefaultExpires}
	m := w.fields(root, "a grants file", fileKeys()...)
	if n := m["agent"]; n != nil {
		f.Agent = w.name(n, "agent", agentName, "lower-case letters, digits and dashes, at most 63, such as web-fixer")
	} else {
		w.add(nodePos(root), "add a line: agent: some-name", "the agent has no name")
	}
	if n := m["owner"]; n != nil {
		f.Owner = w.prose(n, "owner")
	}
	if n := m["purpose"]; n != nil {
		f.Purpose = w.prose(n, "purpose")
	}
	if n := m["expires"]; n != nil {
		if d, ok := w.duration(n, "expires", MaxExpires); ok {
			f.Expires, f.ExpiresPos = d, nodePos(n)
		}
	}
	if n := m["services"]; n != nil {
		f.Services = w.services(n)
	}
	if n := m["uses"]; n != nil {
		w.uses(f, n)
	}
	if n := m["sandbox"]; n != nil {
		f.Sandbox = w.sandbox(n)
	}
	w.sections(f, m)
	if n := m["expect"]; n != nil {
		f.Expect = w.expects(n)
	}
	return f
}

// sections reads read, write and ask. A line may name the file's services,
// those of its profiles, and the two that are always there.
func (w *walker) sections(f *File, m map[string]*yaml.Node) {
	known := []string{"files", "web"}
	for _, s := range f.Services {
		known = append(known, s.Name.Value)
	}
	for _, p := range f.Uses {
		for _, s := range p.Services {
			known = append(known, s.Name.Value)
		}
	}
	for _, sec := range []Section{SectionRead, SectionWrite, SectionAsk} {
		if n := m[sec.String()]; n != nil {
			f.Lines = append(f.Lines, w.lines(n, sec, known)...)
		}
	}
	slices.SortStableFunc(f.Lines, func(a, b *Line) int { return cmp.Compare(a.Pos.Line, b.Pos.Line) })
}

// name reads a short word of a fixed shape.
func (w *walker) name(n *yaml.Node, what string, shape func(string) bool, want string) Text {
	t, ok := w.text(n, what)
	if ok && !shape(t.Value) {
		w.add(t.Pos, "use "+want, "%s %s is not usable as a name", what, show(t.Value))
		return Text{}
	}
	if !ok {
		return Text{}
	}
	return t
}

func (w *walker) uses(f *File, n *yaml.Node) {
	for _, t := range w.texts(n, "uses") {
		if !slices.Contains(ProfileNames(), t.Value) {
			w.add(t.Pos, didYouMean(t.Value, ProfileNames()), "there is no profile %s", show(t.Value))
			continue
		}
		p, err := LoadProfile(t.Value)
		if err != nil {
			w.add(t.Pos, "", "%v", err)
			continue
		}
		f.Uses = append(f.Uses, p)
		f.UsesPos = append(f.UsesPos, t.Pos)
	}
}

func (w *walker) expects(n *yaml.Node) []Expect {
	var out []Expect
	for _, item := range w.items(n, "expect") {
		m := w.fields(item, "an expectation", "allow", "ask", "deny")
		if item.Kind == yaml.MappingNode && len(m) != 1 {
			w.add(nodePos(item), `write: - deny: "http DELETE https://api.example.com/things/1"`,
				"an expectation has exactly one of allow, ask and deny")
			continue
		}
		for verdict, v := range m {
			if t, ok := w.text(v, verdict); ok {
				out = append(out, Expect{verdict, t})
			}
		}
	}
	return out
}

func (w *walker) sandbox(n *yaml.Node) Sandbox {
	s := Sandbox{Pos: nodePos(n)}
	m := w.fields(n, "sandbox", "workspace", "read", "write", "env", "home", "memory", "processes", "cpu", "open-files", "lint-accept")
	if v := m["workspace"]; v != nil {
		if ts := w.paths(v, "workspace"); len(ts) == 1 && v.Kind == yaml.ScalarNode {
			s.Workspace = ts[0]
		} else if len(ts) > 0 {
			w.add(nodePos(v), "name one directory", "there is one workspace")
		}
	}
	if v := m["read"]; v != nil {
		s.Read = w.paths(v, "read")
	}
	if v := m["write"]; v != nil {
		s.Write = w.paths(v, "write")
	}
	if v := m["env"]; v != nil {
		s.Env = w.env(v)
	}
	if v := m["home"]; v != nil {
		s.ThrowAway, s.HomePos = w.home(v), nodePos(v)
	}
	if v := m["lint-accept"]; v != nil {
		s.Accept = w.accepts(v)
	}
	w.limits(&s, m)
	return s
}

func (w *walker) limits(s *Sandbox, m map[string]*yaml.Node) {
	if v := m["memory"]; v != nil {
		s.Memory = w.size(v, "memory")
	}
	if v := m["processes"]; v != nil {
		s.Processes = w.integer(v, "processes", 1, 100_000)
	}
	if v := m["open-files"]; v != nil {
		s.OpenFiles = w.integer(v, "open-files", 16, 1_000_000)
	}
	if v := m["cpu"]; v != nil {
		c, ok := w.number(v, "cpu")
		if ok && (c < 0.1 || c > 1024) {
			w.add(nodePos(v), "write 2 or 0.5", "cpu counts cores, from 0.1 to 1024")
			return
		}
		s.CPU = int(c * 1000)
	}
}

func (w *walker) home(n *yaml.Node) (throwAway bool) {
	t, ok := w.text(n, "home")
	if ok && t.Value != "keep" && t.Value != "throw-away" {
		w.add(t.Pos, "write keep or throw-away", "home is either kept or thrown away, not %s", show(t.Value))
	}
	return t.Value == "throw-away"
}

// paths reads paths of the file system: absolute, relative, or below "~".
func (w *walker) paths(n *yaml.Node, what string) []Text {
	var out []Text
	for _, t := range w.texts(n, what) {
		if why := badPath(t.Value); why != "" {
			w.add(t.Pos, "write a plain path, such as src, /opt/data or ~/notes", "%s %s %s", what, show(t.Value), why)
			continue
		}
		out = append(out, t)
	}
	return out
}

// badPath says what is wrong with a path; "" when nothing is.
func badPath(p string) string {
	if p == "." || p == "/" || p == "~" {
		return ""
	}
	p = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(p, "~/"), "./"), "/")
	for s := range strings.SplitSeq(strings.TrimSuffix(p, "/"), "/") {
		switch {
		case s == "":
			return "has an empty part"
		case s == "." || s == "..":
			return "climbs: `.` and `..` are refused inside a path"
		case strings.Contains(s, "*"):
			return "has a wildcard, which is not possible here"
		case strings.HasPrefix(s, "~"):
			return "has ~ where it does not mean the home directory"
		}
	}
	return ""
}

// env reads variables: NAME passes one on, NAME=value sets it.
func (w *walker) env(n *yaml.Node) []Env {
	var out []Env
	seen := make(map[string]bool)
	for _, t := range w.texts(n, "env") {
		name, value, set := strings.Cut(t.Value, "=")
		switch {
		case !envName(name):
			w.add(t.Pos, "write NAME to pass it on, or NAME=value to set it", "env %s has no usable name", show(name))
		case set && secretName(name):
			w.add(t.Pos, credentialFix, "the variable %s would put a secret into this file", name)
		case seen[name]:
			w.add(t.Pos, "keep one of them", "the variable %s appears twice", name)
		default:
			seen[name] = true
			out = append(out, Env{name, set, value, t.Pos})
		}
	}
	return out
}

// secretName says whether a variable's name promises a secret.
func secretName(name string) bool {
	for _, s := range []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY", "CREDENTIALS"} {
		if strings.HasSuffix(strings.ToUpper(name), s) {
			return true
		}
	}
	return false
}
