package grants

import (
	"errors"
	"slices"
	"strings"
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
	index    map[bucket]*node
	services []Service
	byHost   map[Endpoint]string // of declared services
	web      *node               // hosts of web lines
	folds    map[string]string   // service → kind of resource without capitals
	guard    *guard
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
	c := &compiler{reporter: r, kinds: k, now: now, g: &Grants{
		file: f, kinds: k, index: make(map[bucket]*node), byHost: make(map[Endpoint]string), web: &node{},
		folds: make(map[string]string), guard: newGuard(),
	}}
	before := len(r.errs)
	services, lines := f.merge(r, k)
	lines = append(lines, f.paths()...)
	c.services(services)
	if len(lines) > MaxLines {
		c.add(lines[MaxLines].Pos, "write patterns that stand for more", "there are %d lines, at most %d", len(lines), MaxLines)
		return c.g
	}
	for _, l := range lines {
		c.line(l)
	}
	c.build()
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

// build makes the index and refuses patterns that overlap in too many ways.
func (c *compiler) build() {
	g := c.g
	for i, r := range g.rules {
		for _, p := range r.patterns {
			for _, op := range r.ops {
				b := bucket{r.service, p.kind, strings.TrimSuffix(op, "*")}
				if op == "*" {
					b.operation = "*"
				}
				if g.index[b] == nil {
					g.index[b] = &node{}
				}
				g.index[b].insert(p, int32(i), g.rules)
			}
			if r.service == "web" {
				g.web.insert(pattern{kind: "http", segs: p.segs[:1], self: true}, int32(i), g.rules)
			}
		}
	}
	for _, n := range g.index {
		n.freeze()
	}
	g.ports = g.findPorts()
	c.bound()
}

// bound keeps the cost of every decision under maxWork steps.
func (c *compiler) bound() {
	cost := make(map[bucket]int)
	for b, n := range c.g.index {
		cost[b] = n.work(c.g.rules)
	}
	seen := make(map[string]bool)
	for b, w := range cost {
		for o, v := range cost {
			above := o.operation == "*" || (o != b && strings.HasSuffix(o.operation, ".") && strings.HasPrefix(b.operation, o.operation))
			if o != b && o.service == b.service && o.resource == b.resource && above {
				w += v
			}
		}
		if w <= maxWork || seen[b.service] {
			continue
		}
		seen[b.service] = true
		i := slices.IndexFunc(c.g.rules, func(r *rule) bool { return r.service == b.service && r.line.Profile == "" })
		if i < 0 {
			i = slices.IndexFunc(c.g.rules, func(r *rule) bool { return r.service == b.service })
		}
		l := c.g.rules[i].line
		c.at(l, l.Pos, "write fewer lines with wildcards, conditions or exceptions on the same paths",
			"the lines of %s overlap in too many ways: deciding one action could take %d steps, at most %d", b.service, w, maxWork)
	}
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
