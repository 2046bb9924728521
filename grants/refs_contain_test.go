package grants

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ambit"
)

// refLine is a random line about few repositories, refs and operations.
func (s tiny) refLine(section string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - hub: %s\n", s.of("acme/web", "acme/*", "'*/*'", "acme/w*", "[acme/web, /graphql]", "/graphql"))
	touching := map[string][]string{
		"write": {"git.push", "contents.put", "git.push.create, contents.put", "'contents.*'", "contents.put, pulls.create"},
		"ask":   {"git.push.*", "releases.create", "releases.create, contents.put", "git.push.other, pulls.create", "'contents.*', git.push.force"},
	}[section]
	any := map[string][]string{"write": {"pulls.create", "'*'", "'git.*'", "contents.get, contents.put"}, "ask": {"'*'", "pulls.merge", "'github.*'"}}[section]
	switch {
	case s.rnd.IntN(3) > 0:
		refs := s.of("refs/heads/a", "refs/heads/a*", "refs/heads/**", "refs/**", "refs/tags/v, refs/heads/b", "refs/*/a", "refs/h*/a, refs/heads/a/**")
		fmt.Fprintf(&b, "    operations: [%s]\n    refs: [%q]\n", s.of(touching...), strings.ReplaceAll(refs, ", ", `", "`))
	case s.rnd.IntN(2) == 0:
		fmt.Fprintf(&b, "    operations: [%s]\n", s.of(slices.Concat(touching, any)...))
	}
	if s.rnd.IntN(5) == 0 {
		b.WriteString("    except: acme/app\n")
	}
	b.WriteString("    because: b\n")
	return strings.ReplaceAll(b.String(), `\"`, `"`)
}

func (s tiny) refFile(t *testing.T, name string) *Grants {
	for range 1000 {
		var b strings.Builder
		b.WriteString(gitServices)
		for _, section := range []string{"write", "ask"} {
			if n := s.rnd.IntN(3); n > 0 {
				b.WriteString(section + ":\n")
				for range n {
					b.WriteString(s.refLine(section))
				}
			}
		}
		if g, err := Load(name, []byte(b.String()), gitKinds(), noon()); err == nil {
			return g
		}
	}
	t.Fatal("no file of many loads")
	return nil
}

// refActions are all actions about few repositories and refs, those among them that do
// not say which ref they touch.
func refActions(g *Grants) (out []ambit.Action) {
	repos := [][]string{{"acme", "web"}, {"acme", "app"}, {"acme", "wq"}, {"other", "web"}}
	refs := []string{"", "refs/heads/a", "refs/heads/ab", "refs/heads/a/b", "refs/heads/b", "refs/tags/v", "refs/tags/a", "refs/notes/a", "refs/heads/q/q"}
	for _, o := range g.kindOf("hub").Operations {
		act := func(kind string, segs []string) {
			out = append(out, ambit.Action{Service: "hub", Operation: o.Name, Effect: o.Effect, Resource: ambit.Resource{Kind: kind, Segments: segs}})
		}
		act("http", []string{"api.github.com", "graphql"})
		for _, repo := range repos {
			for _, ref := range refs {
				segs := slices.Clone(repo)
				if ref != "" {
					segs = append(segs, strings.Split(ref, "/")...)
				}
				act("repo", segs)
			}
		}
	}
	return out
}

// TestContainOracleRefs compares with an oracle that tries every action about few refs:
// what is said to be within is, whatever the refs of either file.
func TestContainOracleRefs(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 150
	}
	words := make(map[string]int)
	for i := range rounds {
		s := tiny{rand.New(rand.NewPCG(17, uint64(i)))}
		child, parent := s.refFile(t, "child.yaml"), s.refFile(t, "parent.yaml")
		for _, p := range []*Grants{parent, child} {
			word, action, r := answer(t, child, p)
			words[word]++
			for _, a := range refActions(child) {
				x, y := child.DecideWith(&a, Facts{Assume: true}), p.DecideWith(&a, Facts{Assume: true})
				if x.Verdict > y.Verdict && word == "within" {
					t.Fatalf("within, but %s %s: %v, %v\n%s %+v\nchild: %s\nparent: %s", a.Operation, a.Resource, x, y, action, r, child.file.Canonical(), p.file.Canonical())
				}
			}
			if p == child && word != "within" {
				t.Errorf("%s in itself is %s: %s %+v", child.file.Canonical(), word, action, r)
			}
		}
	}
	t.Log(words)
	if words["within"] < rounds+rounds/20 || words["not within"] < rounds/10 || words["not shown"] > rounds/10 {
		t.Errorf("the answers are too much alike to say anything: %v", words)
	}
}

// TestRefsDecide: the index agrees with the plain reading of a line, for every action
// about few refs.
func TestRefsDecide(t *testing.T) {
	matched := 0
	for i := range 200 {
		g := tiny{rand.New(rand.NewPCG(18, uint64(i)))}.refFile(t, "ambit.yaml")
		for _, a := range refActions(g) {
			want := ambit.Deny
			for _, r := range g.rules {
				if r.matches(&a, &Facts{Assume: true}) && (want == ambit.Deny || r.verdict < want) {
					want = r.verdict
				}
			}
			if got := g.DecideWith(&a, Facts{Assume: true}); got.Verdict != want {
				t.Fatalf("%s %s: %v, want %v\n%s", a.Operation, a.Resource, got, want, g.file.Canonical())
			}
			use := g.kinds.refs(a.Operation)
			if _, ref := g.pushed(&a); want != ambit.Deny {
				matched++
				for _, r := range g.rules {
					if r.matches(&a, &Facts{Assume: true}) && len(r.refs) > 0 && use.Touches && ref == "" {
						t.Fatalf("%s %s passes by a line with refs: %s", a.Operation, a.Resource, g.file.Canonical())
					}
				}
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d actions were given", matched)
	}
}
