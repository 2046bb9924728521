package grants

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"ambit"
)

// tiny makes files about few things, so that all actions can be tried.
type tiny struct{ rnd *rand.Rand }

func (s tiny) of(words ...string) string { return words[s.rnd.IntN(len(words))] }

func (s tiny) segs(words ...string) string {
	var b strings.Builder
	for range 1 + s.rnd.IntN(3) {
		b.WriteString("/" + s.of(words...))
	}
	if s.rnd.IntN(3) == 0 {
		b.WriteString("/**")
	}
	return b.String()
}

func (s tiny) api() string { return s.segs("a", "ab", "abc", "b", "a*", "ab*", "*", "b*") }

func (s tiny) file() string {
	out := "/w" + strings.TrimSuffix(s.segs("a", ".git", "hooks", ".env", "b"), "/**")
	if s.rnd.IntN(8) == 0 {
		return "/w"
	}
	return out
}

func (s tiny) host() string {
	return s.of("x.example.org", "y.example.org", "'*.example.org'", "api.example.com", "open.example.com", "z.x.example.org") + s.of("", "", s.api())
}

// line writes one line of a section.
func (s tiny) line(section string, timed, counted bool) string {
	var b strings.Builder
	k := s.rnd.IntN(10)
	switch {
	case k < 6:
		fmt.Fprintf(&b, "  - api: %q\n", s.api())
		if s.rnd.IntN(3) == 0 {
			fmt.Fprintf(&b, "    except: %q\n", s.api())
		}
		ops := map[string][]string{"read": {"get", "head", "'http.*'"}, "write": {"post", "put", "get, post", "'*'"}, "ask": {"delete", "post", "'*'", "get"}}[section]
		if s.rnd.IntN(3) == 0 {
			fmt.Fprintf(&b, "    operations: [%s]\n", s.of(ops...))
		}
		if timed && s.rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, "    during: %s\n", s.of("mon-fri 09:00-17:00 UTC", "09:00-12:00 +01:00", "10:00-17:00 +01:00", "22:00-06:00 UTC", "sat,sun 00:00-24:00 UTC", "sun 23:00-07:00 +01:00"))
		}
		if counted && s.rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, "    at-most: %s\n", s.of("1", "2", "3 per hour", "2 per hour", "1 per minute", "9 per day"))
		}
	case k < 8 && section != "ask":
		fmt.Fprintf(&b, "  - files: %q\n", s.file())
		if s.rnd.IntN(4) == 0 {
			fmt.Fprintf(&b, "    except: %q\n", s.file())
		}
	case section == "read":
		fmt.Fprintf(&b, "  - web: %s\n", s.host())
	default:
		fmt.Fprintf(&b, "  - forge: %s\n", s.of("acme/web", "acme/*", "'*/*'", "acme/w*", "/user"))
	}
	if section != "read" {
		b.WriteString("    because: b\n")
	}
	return b.String()
}

// load makes a file that loads; web lines about declared hosts do not.
func (s tiny) load(name string, timed, counted bool) *Grants {
	for {
		var b strings.Builder
		b.WriteString("agent: a\nservices:\n  api: {kind: http, host: api.example.com, credential: {env: T}}\n  forge: {kind: github}\n")
		if s.rnd.IntN(2) == 0 {
			b.WriteString("  open: {kind: http, host: [open.example.com, x.example.org]}\n")
		}
		for _, section := range []string{"read", "write", "ask"} {
			if n := s.rnd.IntN(4); n > 0 {
				b.WriteString(section + ":\n")
				for range n {
					b.WriteString(s.line(section, timed, counted))
				}
			}
		}
		if g, err := Load(name, []byte(b.String()), testKinds(), noon()); err == nil {
			return g
		}
	}
}

// tryAll tries every small action at every quarter of an hour that may matter.
type tryAll struct {
	child, parent *Grants
	timed         bool
}

// find returns the first action that the child gives more freely, in words.
func (o tryAll) find() string {
	words := []string{"a", "ab", "abc", "b", "q", "aq", "abq"}
	at := func(host, kind string, segs, words []string, depth int) string {
		mine, _ := o.child.ServiceAt(host, 443)
		theirs, _ := o.parent.ServiceAt(host, 443)
		if mine == "" {
			return ""
		}
		return o.paths(mine, theirs, kind, segs, words, depth)
	}
	if out := at("api.example.com", "http", []string{"api.example.com"}, words, map[bool]int{true: 2, false: 4}[o.timed]); out != "" || o.timed {
		return out
	}
	for _, e := range []string{"open.example.com", "x.example.org", "y.example.org", "q.example.org", "z.x.example.org", "else.example.net"} {
		if out := at(e, "http", []string{e}, words, 1); out != "" {
			return out
		}
	}
	if out := at("api.github.com", "http", []string{"api.github.com"}, []string{"user", "q"}, 2); out != "" {
		return out
	}
	if out := at("api.github.com", "repo", nil, []string{"acme", "web", "wq", "q"}, 2); out != "" {
		return out
	}
	return o.paths("files", "files", "file", []string{"w"}, []string{"a", "b", ".git", "hooks", ".env", "q"}, 4)
}

// paths tries all resources below a prefix.
func (o tryAll) paths(mine, theirs, kind string, segs, words []string, depth int) string {
	if len(segs) > 0 {
		if out := o.deeds(mine, theirs, ambit.Resource{Kind: kind, Segments: segs}); out != "" {
			return out
		}
	}
	if depth == 0 {
		return ""
	}
	if depth == 1 && len(words) > 6 && len(segs) > 3 {
		words = []string{"q"} // what is this deep, "**" alone reaches
	}
	for _, w := range words {
		if out := o.paths(mine, theirs, kind, append(slices.Clone(segs), w), words, depth-1); out != "" {
			return out
		}
	}
	return ""
}

func (o tryAll) deeds(mine, theirs string, r ambit.Resource) string {
	for _, d := range slices.Concat(o.child.deeds(mine), o.unlisted(mine)) {
		a := ambit.Action{Service: mine, Operation: d.op, Effect: d.effect, Resource: r}
		b := a
		b.Service = theirs
		for _, t := range o.times() {
			x := o.child.DecideWith(&a, Facts{Now: t, Limits: spent{}})
			y := o.parent.DecideWith(&b, Facts{Now: t, Limits: spent{}})
			if x.Verdict > y.Verdict {
				return fmt.Sprintf("%s %s %s at %s: %s, %s", d.op, d.effect, r, t.Format("Mon 15:04"), x.Verdict, y.Verdict)
			}
		}
	}
	return ""
}

// unlisted are operations that no kind lists.
func (o tryAll) unlisted(service string) []deed {
	if o.child.kindOf(service).unseen() {
		return nil
	}
	return unlisted([]string{"github.*", "github.pulls.*"})
}

// times are an hour apart: all windows of small files begin and end on the hour.
func (o tryAll) times() (out []time.Time) {
	if !o.timed {
		return []time.Time{noon()}
	}
	for h := range 7 * 24 {
		out = append(out, noon().Add(time.Duration(h)*time.Hour))
	}
	return out
}

// agree compares the answer for two files with what the oracle finds.
func agree(t *testing.T, child, parent *Grants, timed bool) string {
	t.Helper()
	word, action, r := answer(t, child, parent)
	if word == "not within" {
		return word // both files confirmed it
	}
	if found := (tryAll{child, parent, timed}).find(); found != "" && word == "within" {
		t.Errorf("within, but %s\n%s %+v\nchild: %s\nparent: %s", found, action, r, child.file.Canonical(), parent.file.Canonical())
	}
	return word
}

// TestContainOracle compares with an oracle that tries every small action.
func TestContainOracle(t *testing.T) {
	rounds := 120
	if testing.Short() {
		rounds = 50
	}
	words := make(map[string]int)
	for i := range rounds {
		s := tiny{rand.New(rand.NewPCG(11, uint64(i)))}
		child, parent := s.load("child.yaml", false, false), s.load("parent.yaml", false, false)
		words[agree(t, child, parent, false)]++
		words[agree(t, child, s.wider(child), false)]++
	}
	t.Log(words)
	if words["within"] < rounds/10 || words["not within"] < rounds/10 || words["not shown"] > rounds/4 {
		t.Errorf("the answers are too much alike to say anything: %v", words)
	}
}

// wider is a file with the lines of g and others, so that g is often within it.
func (s tiny) wider(g *Grants) *Grants {
	more := s.load("parent.yaml", false, false)
	f := *g.file
	f.Lines = slices.Clone(f.Lines)
	for _, l := range more.file.Lines {
		if l.Section != SectionAsk && findService(g.file.Services, l.Service.Value) != nil {
			f.Lines = append(f.Lines, l)
		}
	}
	if out, err := Compile(&f, testKinds(), noon()); err == nil {
		return out
	}
	return g
}

func TestContainOracleTimes(t *testing.T) {
	rounds := 25
	if testing.Short() {
		rounds = 10
	}
	words := make(map[string]int)
	for i := range rounds {
		s := tiny{rand.New(rand.NewPCG(12, uint64(i)))}
		child, parent := s.load("child.yaml", true, false), s.load("parent.yaml", true, false)
		words[agree(t, child, parent, true)]++
		words[agree(t, child, s.wider(child), true)]++
	}
	t.Log(words)
}

// TestContainOracleLimits lets a child do what it can, in random order and time,
// and watches the parent's limits: within means that it never runs into them.
func TestContainOracleLimits(t *testing.T) {
	rounds := 600
	if testing.Short() {
		rounds = 150
	}
	words := make(map[string]int)
	for i := range rounds {
		s := tiny{rand.New(rand.NewPCG(13, uint64(i)))}
		child, parent := s.load("child.yaml", false, true), s.load("parent.yaml", false, true)
		for _, p := range []*Grants{parent, s.wider(child)} {
			word, _, _ := answer(t, child, p)
			if words[word]++; word == "within" {
				s.run(t, child, p)
			}
		}
	}
	t.Log(words)
}

func (s tiny) run(t *testing.T, child, parent *Grants) {
	now := noon()
	end := now.Add(child.file.Expires)
	clock := func() time.Time { return now }
	a, b := NewLive(child, clock), NewLive(parent, clock)
	for now.Before(end) {
		d := httpOperations()[s.rnd.IntN(7)]
		segs := []string{"api.example.com"}
		for range 1 + s.rnd.IntN(3) {
			segs = append(segs, s.of("a", "ab", "abc", "b", "aq"))
		}
		act := ambit.Action{Service: "api", Operation: d.Name, Effect: d.Effect, Resource: ambit.Resource{Kind: "http", Segments: segs}}
		mine, theirs := a.Decide(&act), b.Decide(&act)
		if mine.Verdict > theirs.Verdict {
			t.Fatalf("within, but %s %v at %v: %+v, %+v\nchild: %s\nparent: %s", d.Name, segs, now, mine, theirs, child.file.Canonical(), parent.file.Canonical())
		}
		if mine.Verdict == ambit.Ask { // a person says yes
			if a.Spend(&act) == nil && theirs.Verdict == ambit.Ask && b.Spend(&act) != nil {
				t.Fatalf("within, but the parent cannot spend %v", segs)
			}
		} else if mine.Verdict == ambit.Deny && theirs.Verdict == ambit.Allow {
			// The parent counted what the child did not do: let it have its life back.
			return
		}
		now = now.Add(time.Duration(s.rnd.IntN(180)) * time.Second)
	}
}

func FuzzContain(f *testing.F) {
	for _, c := range containCases() {
		f.Add(c.child, c.parent)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		child, err := Load("child.yaml", []byte(a), testKinds(), noon())
		if err != nil {
			return
		}
		answer(t, child, child)
		parent, err := Load("parent.yaml", []byte(b), testKinds(), noon())
		if err != nil {
			return
		}
		if word, _, _ := answer(t, child, parent); word == "within" {
			if found := (tryAll{child, parent, false}).find(); found != "" {
				t.Errorf("within, but %s", found)
			}
		}
	})
}

// BenchmarkContain compares files of 1,000 lines with themselves, which is the
// most work: nothing is found early.
func BenchmarkContain(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		for _, s := range shapes() {
			b.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(s.name, " ", "-"), n), func(b *testing.B) {
				g, _ := s.load(b, n)
				for b.Loop() {
					if r, err := Contain(g, g); err != nil || !r.Within {
						b.Fatalf("%+v, %v", r, err)
					}
				}
			})
		}
	}
}

// TestContainIsBounded: files that overlap as much as may be loaded do not keep
// it busy for long.
func TestContainIsBounded(t *testing.T) {
	for _, src := range []string{worst(4), worstPrefixes(), both + "read:\n" + strings.Repeat("  - api: /v1/**\n    during: 09:00-17:00 UTC\n", 30)} {
		g := mustLoad(t, src)
		begin := time.Now()
		if word, _, r := answer(t, g, g); word == "not within" {
			t.Errorf("%+v", r)
		}
		if d := time.Since(begin); d > time.Minute {
			t.Errorf("it takes %v", d)
		}
	}
}

// worstPrefixes keeps as many patterns alive at each of many segments as may be
// loaded.
func worstPrefixes() string {
	var b strings.Builder
	b.WriteString(both + "read:\n")
	for i := range 6 {
		fmt.Fprintf(&b, "  - api: %q\n", "/"+strings.Repeat("a*/", i)+"b"+strings.Repeat("/*", 6-i)+"/**")
	}
	for i := range 8 {
		fmt.Fprintf(&b, "  - api: /%s*/b\n", strings.Repeat("a", i+1))
	}
	return b.String()
}
