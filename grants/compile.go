package grants

import (
	"errors"
	"sync"
	"time"

	"ambit"
)

// MaxLines bounds the lines of a file, its profiles' among them.
const MaxLines = 20_000

// Grants is a grants file compiled against what the kinds of service can do.
// It never changes and may be used by many goroutines. The zero value denies
// everything.
type Grants struct {
	file     *File
	kinds    Kinds
	rules    []*rule
	index    map[string]*serviceIndex // by service
	services []Service
	byHost   map[Endpoint]string // of declared services
	web      *node               // hosts of web lines
	guard    func() *guard       // made when a file is first decided about
	ports    []int
	limited  bool // some line counts
}

// Load parses and compiles in one step. The error is an [Errors] with all that
// either of them finds.
func Load(name string, src []byte, k Kinds, now time.Time) (*Grants, error) {
	f, r := parse(name, src)
	if f == nil {
		return nil, r.err()
	}
	broken := len(r.errs) > 0
	g := compile(f, k, now, r, broken)
	if err := r.err(); err != nil {
		return nil, err
	}
	return g, nil
}

// Compile checks a file against the kinds of service at a time, runs its
// expectations, and makes the index for decisions. The error is an [Errors].
//
// The effects that a line gives:
//
//	read                      read
//	write                     write
//	write with operations     read and write, of those named
//	write without-asking      all, of those named, until the given time
//	ask                       write and irreversible
//	ask with operations       all, of those named
func Compile(f *File, k Kinds, now time.Time) (*Grants, error) {
	if f == nil || now.IsZero() {
		return nil, errors.New("cannot compile grants: a file and the time must be given")
	}
	r := &reporter{file: f.Name}
	g := compile(f, k, now, r, false)
	if err := r.err(); err != nil {
		return nil, err
	}
	return g, nil
}

// compile reports to r. The result is whole only when nothing was reported; of
// a broken file the expectations are not run.
func compile(f *File, k Kinds, now time.Time, r *reporter, broken bool) *Grants {
	before := len(r.errs)
	services, lines := f.merge(r, k)
	k = k.loaded(services)
	c := &compiler{reporter: r, kinds: k, now: now, folds: make(map[string]string), g: &Grants{
		file: f, kinds: k, index: make(map[string]*serviceIndex), byHost: make(map[Endpoint]string), web: &node{},
		guard: sync.OnceValue(newGuard),
	}}
	lines = append(lines, f.paths()...)
	c.services(services)
	if len(lines) > MaxLines {
		c.add(lines[MaxLines].Pos, "write patterns that stand for more", "there are %d lines, at most %d", len(lines), MaxLines)
		return c.g
	}
	for _, l := range append(lines, catalogs(c.g.services, lines)...) {
		c.line(l)
	}
	c.build()
	c.apps()
	c.envs(f)
	if !broken && len(r.errs) == before {
		c.expectations()
	}
	return c.g
}

// compiler makes a Grants and gathers what is wrong.
type compiler struct {
	*reporter
	kinds Kinds
	now   time.Time
	folds map[string]string // service → kind of resource without capitals
	g     *Grants
}

// at reports for a line, which may stand in a profile.
func (c *compiler) at(l *Line, p Pos, fix, format string, args ...any) {
	if l.Profile == "" {
		c.add(p, fix, format, args...)
		return
	}
	for i, u := range c.g.file.Uses {
		if u.Name == l.Profile {
			c.add(c.g.file.UsesPos[i], fix, "the profile "+l.Profile+" cannot be used here: "+format, args...)
		}
	}
}

// build makes the index.
func (c *compiler) build() {
	g := c.g
	for i, r := range g.rules {
		x := g.index[r.service]
		if x == nil {
			x = &serviceIndex{folded: c.folds[r.service], capitals: g.kindOf(r.service).Segments}
			g.index[r.service] = x
		}
		for _, op := range r.names() {
			for _, p := range r.spread(op) {
				x.insert(p, op, int32(i), g.rules)
			}
		}
		if r.service == "web" {
			for _, p := range r.patterns {
				g.web.insert(pattern{kind: "http", segs: p.segs[:1], self: true}, int32(i), g.rules)
			}
		}
	}
	g.ports = g.findPorts()
	for service, x := range g.index {
		x.freeze()
		c.bound(service, x.work(g.rules))
	}
}

// bound refuses lines that overlap in so many ways that a decision could take
// more than maxWork steps.
func (c *compiler) bound(service string, work int) {
	if work <= maxWork {
		return
	}
	var l *Line
	for _, r := range c.g.rules {
		if r.service == service && (l == nil || (l.Profile != "" && r.line.Profile == "")) {
			l = r.line
		}
	}
	c.at(l, l.Pos, "write fewer lines with wildcards, conditions or exceptions on the same paths",
		"the lines of %s overlap in too many ways: deciding one action could take %d steps, at most %d", service, work, maxWork)
}

// envs checks the variables that are passed on.
func (c *compiler) envs(f *File) {
	held := make(map[string]string)
	for _, s := range c.g.services {
		for _, e := range s.Env {
			held[e.Value] = s.Name.Value
		}
		if s.Credential != nil && s.Credential.Env != "" {
			held[s.Credential.Env] = s.Name.Value
		}
	}
	for _, e := range f.Sandbox.Env {
		if s, ok := held[e.Name]; ok {
			// The agent would hold the secret itself.
			c.add(e.Pos, "remove it: inside, the variable holds a placeholder by itself",
				"the variable %s belongs to the credential of %s and is never passed on", e.Name, s)
		}
	}
}

// File returns the syntax tree that was compiled.
func (g *Grants) File() *File { return g.file }

// verdictOf is what a line of the section gives.
func verdictOf(l *Line) ambit.Verdict {
	if l.Section == SectionAsk {
		return ambit.Ask
	}
	return ambit.Allow
}
