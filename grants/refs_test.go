package grants

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ambit"
)

// gitKinds are the kinds of the tests, with pushes told apart as a catalog does.
func gitKinds() Kinds {
	k := testKinds()
	push := []Operation{
		{"git.fetch", ambit.Read, "Fetch"}, {"git.push.create", ambit.Write, "Push a new branch"}, {"git.push.update", ambit.Write, "Push commits"},
		{"git.push.force", ambit.Irreversible, "Push by force"}, {"git.push.delete", ambit.Irreversible, "Delete a branch"}, {"git.lfs.write", ambit.Write, "Upload large files"},
		{"github.contents.get", ambit.Read, "Read a file"}, {"github.contents.put", ambit.Write, "Commit a file"},
		{"github.releases.create", ambit.Irreversible, "Publish a release"}, {"git.push.other", ambit.Irreversible, "Push what cannot be read"},
	}
	for i := range k.List {
		if name := k.List[i].Name; name == "github" || name == "http" {
			k.List[i].Operations = append(slices.DeleteFunc(slices.Clone(k.List[i].Operations), func(o Operation) bool { return strings.HasPrefix(o.Name, "git.") }), push...)
		}
	}
	k.Group = func(name string) []string {
		if name == "git.push" {
			return []string{"git.push.create", "git.push.update", "git.lfs.write"}
		}
		return nil
	}
	k.Refs = func(op string) RefUse {
		switch op {
		case "git.push.create", "git.push.update", "git.push.force", "git.push.delete", "git.push.other":
			return RefUse{true, "refs/"}
		case "github.contents.put":
			return RefUse{true, "refs/heads/"}
		case "github.releases.create":
			return RefUse{true, "refs/tags/"}
		case "github.pulls.merge":
			return RefUse{Touches: true}
		}
		return RefUse{}
	}
	return k
}

const gitServices = `agent: a
services:
  hub: {kind: github, credential: {env: T}}
  forge: {kind: http, host: git.test, git: true}
  api: {kind: http, host: api.test}
`

// TestRefs: what is pushed stays in the refs of its line, in every spelling, and the
// rest of the line is as it says.
func TestRefs(t *testing.T) {
	g, err := Load("ambit.yaml", []byte(gitServices+`
read:
  - hub: acme/*
write:
  - hub: [acme/web, acme/app]
    operations: [git.push, pulls.create, contents.*]
    refs: [refs/heads/agent/**, refs/heads/fix-*, refs/tags/rc]
    except: acme/app
    because: b
  - forge: /team/app.git
    operations: [git.push]
    refs: [refs/heads/x]
    because: b
ask:
  - hub: acme/web
    operations: [git.push.*, releases.create]
    refs: [refs/heads/main, refs/tags/v*]
    because: b
  - hub: acme/free
    operations: [git.push]
    because: b
expect:
  - allow: hub git.push acme/web/refs/heads/agent/a
  - deny: hub git.push acme/web/refs/heads/other
`), gitKinds(), noon())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]ambit.Verdict{
		"hub git.push.create acme/web/refs/heads/agent/a":       ambit.Allow,
		"hub git.push.update acme/web/refs/heads/agent/a/b":     ambit.Allow,
		"hub git.push.update Acme/Web/refs/heads/agent/JIRA-1":  ambit.Allow,
		"hub git.push.update acme/web/refs/heads/fix-1":         ambit.Allow,
		"hub git.push.create acme/web/refs/tags/rc":             ambit.Allow,
		"hub git.push.create acme/web/refs/tags/rc/1":           ambit.Deny,
		"hub git.push.update acme/web/refs/heads/agent":         ambit.Deny,
		"hub git.push.update acme/web/refs/heads/AGENT/a":       ambit.Deny,
		"hub git.push.update acme/web/refs/heads/master":        ambit.Deny,
		"hub git.push.update acme/web/refs/heads/main":          ambit.Ask,
		"hub git.push.force acme/web/refs/heads/main":           ambit.Ask,
		"hub git.push.delete acme/web/refs/heads/main":          ambit.Ask,
		"hub git.push.force acme/web/refs/heads/agent/a":        ambit.Deny,
		"hub git.push.delete acme/web/refs/heads/agent/a":       ambit.Deny,
		"hub git.push.update acme/app/refs/heads/agent/a":       ambit.Deny,
		"hub git.push.update acme/other/refs/heads/agent/a":     ambit.Deny,
		"hub git.push.update acme/free/refs/heads/any/thing":    ambit.Ask,
		"hub git.push.force acme/free/refs/heads/any":           ambit.Deny,
		"hub pulls.create acme/web":                             ambit.Allow,
		"hub git.lfs.write acme/web":                            ambit.Allow,
		"hub git.fetch acme/web":                                ambit.Allow,
		"hub pulls.create acme/app":                             ambit.Deny,
		"hub contents.put acme/web/refs/heads/agent/a":          ambit.Allow,
		"hub contents.put acme/web/refs/heads/main":             ambit.Deny,
		"hub contents.put acme/app/refs/heads/agent/a":          ambit.Deny,
		"hub contents.put acme/web":                             ambit.Deny, // nobody knows which
		"hub contents.get acme/web":                             ambit.Allow,
		"hub git.push.create acme/web":                          ambit.Deny,
		"hub git.push.other acme/web":                           ambit.Deny,
		"hub git.push.other acme/web/refs/heads/main":           ambit.Ask,
		"hub releases.create acme/web/refs/tags/v1":             ambit.Ask,
		"hub releases.create acme/web/refs/tags/rc":             ambit.Deny,
		"hub releases.create acme/web":                          ambit.Deny,
		"forge git.push.update /team/app.git/refs/heads/x":      ambit.Allow,
		"forge git.push.update /team/app.git/refs/heads/y":      ambit.Deny,
		"forge git.push.update /team/app.git/refs/heads/x/refs": ambit.Deny,
		"forge git.push.update /team/refs/heads/x":              ambit.Deny,
	} {
		as, err := g.ParseAction(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		e := g.Explain(&as[0], Facts{Assume: true})
		if e.Decision.Verdict != want || (len(e.Lines) > 0) != (want != ambit.Deny) {
			t.Errorf("%s: %v by %v", text, e.Decision, e.Lines)
		}
		if back, ok := g.ActionText(&as[0]); !ok {
			t.Errorf("%s is written as %s", text, back)
		}
	}
	if c := string(g.File().Canonical()); !strings.Contains(c, `"refs":["refs/heads/main","refs/tags/v*"]`) {
		t.Errorf("the canonical form has no refs: %s", c)
	}
	if p := g.Plain(); !strings.Contains(p, "of branches and tags only") {
		t.Error(p)
	}
}

// TestRefsRemedy: a refused push is told which refs there are, and the line that
// would give it is one that does.
func TestRefsRemedy(t *testing.T) {
	src := gitServices + "write: [{hub: acme/web, operations: [git.push], refs: [refs/heads/agent/*], because: b}]\n"
	g, err := Load("ambit.yaml", []byte(src), gitKinds(), noon())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"hub git.push.update acme/web/refs/heads/Main":         "gives of branches and tags only refs/heads/agent/*, not \"refs/heads/Main\"\nit would take:\nwrite:\n  - hub: \"acme/web\"\n    operations: [git.push.update]\n    refs: [\"refs/heads/Main\"]",
		"forge git.push.create /team/app.git/refs/heads/a":     "  - forge: \"/team/app.git\"\n    operations: [git.push.create]\n    refs: [\"refs/heads/a\"]",
		"hub git.push.delete acme/web/refs/heads/agent/1":      "ask:\n  - hub: \"acme/web\"\n    operations: [git.push.delete]\n    refs: [\"refs/heads/agent/1\"]",
		"hub git.push.update acme/web/refs/heads/x/refs/tags/": "",
	} {
		as, err := g.ParseAction(text)
		if want == "" {
			if err == nil {
				t.Errorf("%s is read", text)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := g.RemedyWith(&as[0], Facts{Assume: true}); !strings.Contains(got, want) {
			t.Errorf("%s:\n%s\nwant %s", text, got, want)
		}
		_, line, _ := strings.Cut(g.RemedyWith(&as[0], Facts{Assume: true}), "it would take:\n")
		h, err := Load("ambit.yaml", []byte(gitServices+line+"\n"), gitKinds(), noon())
		if err != nil {
			t.Errorf("%s: %v\n%s", text, err, line)
		} else if h.DecideWith(&as[0], Facts{Assume: true}).Verdict == ambit.Deny {
			t.Errorf("%s: its own remedy does not give it", text)
		}
	}
}

func TestRefsMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"write: [{hub: acme/web, refs: [refs/heads/a], because: b}]":                                                "names its operations",
		"write: [{hub: acme/web, operations: ['*'], refs: [refs/heads/a], because: b}]":                             "does not narrow",
		"ask: [{hub: acme/web, operations: [git.push, pulls.merge], refs: [refs/heads/a], because: b}]":             "does not narrow github.pulls.merge",
		"ask: [{hub: acme/web, operations: [git.push, 'pulls.*'], refs: [refs/heads/a], because: b}]":               "does not narrow github.pulls.merge",
		"write: [{hub: acme/web, operations: ['github.*', git.push], refs: [refs/heads/a], because: b}]":            "does not narrow",
		"write: [{hub: acme/web, operations: [pulls.create], refs: [refs/heads/a], because: b}]":                    "the line changes none",
		"write: [{hub: acme/web, operations: [git.push], refs: [main], because: b}]":                                "whole name of a ref",
		"write: [{hub: acme/web, operations: [git.push], refs: ['refs/*/a*b'], because: b}]":                        "inside a segment",
		"write: [{hub: acme/web, operations: [git.push], refs: ['refs/heads/../tags/a'], because: b}]":              "climbs",
		"write: [{hub: acme/web, operations: [git.push], refs: ['refs/heads/a:refs/heads/b'], because: b}]":         "no ref has",
		"write: [{api: /x, operations: [post], refs: [refs/heads/a], because: b}]":                                  "not known to serve git",
		"write: [{files: ., refs: [refs/heads/a], because: b}]":                                                     "not known to serve git",
		"write: [{forge: '/team/**', operations: [git.push], refs: [refs/heads/a], because: b}]":                    "one repository",
		"write: [{hub: acme/web, operations: [git.push.force], refs: [refs/heads/a], because: b}]":                  "cannot be undone",
		"read: [{hub: acme/web, refs: [refs/heads/a]}]":                                                             "read as a whole",
		"write: [{hub: acme/web/refs/heads/a, operations: [git.push], because: b}]":                                 "does not name a repo",
		"read: [{hub: acme/web}]\nexpect: [{allow: 'hub git.push.update acme/web/refs/heads/*'}]":                   "wildcard",
		"read: [{hub: acme/web}]\nexpect: [{deny: 'hub git.push.* acme/web'}]":                                      "no operation",
		"write: [{hub: acme/web, operations: [git.push], refs: ['refs/heads/a', 'refs/heads/*/**/x'], because: b}]": "before its end",
	} {
		_, err := Load("ambit.yaml", []byte(gitServices+line+"\n"), gitKinds(), noon())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// TestRefsContain: containment sees refs as exactly as repositories.
func TestRefsContain(t *testing.T) {
	line := func(repo, refs string) string {
		if refs != "" {
			refs = ", refs: [" + refs + "]"
		}
		return fmt.Sprintf("write: [{hub: %s, operations: [git.push]%s, because: b}]\n", repo, refs)
	}
	for _, c := range []struct{ child, parent, want string }{
		{line("acme/web", "refs/heads/agent/**"), line("acme/web", ""), "within"},
		{line("acme/web", "refs/heads/agent/**"), line("acme/*", "'refs/heads/**'"), "within"},
		{line("acme/web", "refs/heads/a, refs/heads/b"), line("acme/web", "refs/heads/*"), "within"},
		{line("acme/web", ""), line("acme/web", "'refs/**'"), "acme/web"},
		{line("acme/web", "refs/heads/**"), line("acme/web", "refs/heads/*"), "refs/heads/x/x"},
		{line("acme/web", "refs/heads/Main"), line("acme/web", "refs/heads/main"), "refs/heads/Main"},
		{line("acme/*", "refs/heads/a"), line("acme/web", "refs/heads/a"), "acme/x"},
		// GraphQL's path has no refs behind it: the line gives no push there at all.
		{line("[acme/web, /graphql]", "refs/heads/a"), line("[acme/web, /graphql]", ""), "within"},
	} {
		child, err := Load("child.yaml", []byte(gitServices+c.child), gitKinds(), noon())
		if err != nil {
			t.Fatal(err)
		}
		parent, err := Load("parent.yaml", []byte(gitServices+c.parent), gitKinds(), noon())
		if err != nil {
			t.Fatal(err)
		}
		r, err := Contain(child, parent)
		switch {
		case err != nil:
			t.Error(err)
		case r.Within != (c.want == "within"):
			t.Errorf("%s in %s: %+v", c.child, c.parent, r)
		case !r.Within && (r.Counterexample == nil || !strings.Contains(r.Counterexample.Resource.String(), c.want)):
			t.Errorf("%s in %s: %+v", c.child, c.parent, r.Counterexample)
		}
	}
}

// TestRefsLint: a line with refs does not make another useless that gives more.
func TestRefsLint(t *testing.T) {
	narrow := "  - {hub: acme/web, operations: [git.push], refs: [refs/heads/a], because: b, at-most: 3}\n"
	wide := "  - {hub: acme/web, operations: [git.push], because: b, at-most: 3}\n"
	for src, want := range map[string]bool{"write:\n" + narrow + wide: false, "write:\n" + narrow + narrow: false} {
		g, err := Load("ambit.yaml", []byte(gitServices+src), gitKinds(), noon())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range Lint(g, Machine{}) {
			if f.Rule == "never-matches" && !want {
				t.Errorf("%s%v", src, f)
			}
		}
	}
	src := "write:\n  - {hub: acme/web, operations: [git.push], refs: [refs/heads/a], because: b}\n  - {hub: acme/web, operations: [git.push], refs: [refs/heads/b], because: b}\n"
	g, err := Load("ambit.yaml", []byte(gitServices+src), gitKinds(), noon())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Lint(g, Machine{}) {
		if f.Rule == "never-matches" {
			t.Errorf("%v", f)
		}
	}
}

// TestRefsNeverMatch: lint finds what a line with refs says for nothing.
func TestRefsNeverMatch(t *testing.T) {
	for line, want := range map[string]string{
		"ask: [{hub: acme/web, operations: [git.push, releases.create], refs: [refs/heads/a], because: b}]":                                                                                                                        `"releases.create" is about none of the line's refs`,
		"write: [{hub: acme/web, operations: [contents.put], refs: [refs/heads/a, refs/tags/b], because: b}]":                                                                                                                      `"refs/tags/b" changes nothing: no operation`,
		"write: [{hub: acme/web, operations: [contents.put], refs: ['refs/t*/b', 'refs/**'], because: b}]":                                                                                                                         `"refs/t*/b" changes nothing: no operation`,
		"write: [{hub: [acme/web, /graphql], operations: [contents.put], refs: ['refs/**'], because: b}]":                                                                                                                          `"/graphql" changes nothing: it names no repository`,
		"write: [{hub: acme/web, operations: ['contents.*', git.push], refs: [refs/tags/a], because: b}]":                                                                                                                          "",
		"write: [{hub: [acme/web, /graphql], operations: [contents.put, pulls.create], refs: ['refs/**'], because: b}]":                                                                                                            "",
		"write: [{forge: /team/app.git, operations: [git.push], because: b}]":                                                                                                                                                      `"/team/app.git" changes nothing: a push is about the refs behind it`,
		"write: [{forge: /team/app.git/**, operations: [git.push], because: b}]":                                                                                                                                                   "",
		"write: [{forge: /team/app.git, operations: [git.push], refs: [refs/heads/a], because: b}, {forge: /team/app.git, operations: [git.push], because: b}]":                                                                    "a push is about the refs behind it", // and the first is not useless beside it
		"write: [{forge: /team/app.git, operations: [post], because: b}]":                                                                                                                                                          "",
		"write: [{forge: /team/app.git/refs/heads/a, operations: [git.push], because: b}]":                                                                                                                                         "",
		"write: [{forge: /team/app.git, operations: [git.push], refs: [refs/heads/a], because: b, at-most: 3}, {forge: /team/app.git/**, operations: [git.push], because: b, at-most: 3}]":                                         "",
		"ask: [{hub: acme/web, operations: [releases.create, contents.put], refs: [refs/tags/a, refs/heads/b], because: b}]":                                                                                                       "",
		"write: [{hub: acme/web, operations: [git.push, pulls.create], refs: [refs/heads/a], because: b, at-most: 3}]\nask: [{hub: acme/web, operations: [git.push.delete, git.push.other], refs: [refs/changes/**], because: b}]": "",
	} {
		g, err := Load("ambit.yaml", []byte(gitServices+line+"\n"), gitKinds(), noon())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range Lint(g, Machine{}) {
			if f.Rule == "never-matches" {
				got = append(got, f.Msg)
			}
		}
		if text := strings.Join(got, "\n"); want == "" && text != "" || !strings.Contains(text, want) || len(got) > 1 {
			t.Errorf("%s\n%s\nwant %q", line, text, want)
		}
	}
}

// TestRefsNearest: a refused change names the line that almost gives it, on GitHub and
// on a server of one's own, and says what of the ref is missing.
func TestRefsNearest(t *testing.T) {
	g, err := Load("ambit.yaml", []byte(gitServices+`
read:
  - forge: /team/app.git/**
  - forge: /team/other.git/**
write:
  - forge: /team/other.git
    operations: [git.push]
    refs: [refs/heads/agent/*]
    because: b
  - forge: [/team/app.git, /team/lib.git]
    operations: [git.push]
    refs: [refs/heads/agent/*]
    because: b
  - hub: [acme/web, /graphql]
    operations: [contents.put, git.push, pulls.create]
    refs: [refs/heads/agent/*]
    because: b
ask:
  - hub: acme/web
    operations: [releases.create]
    refs: [refs/tags/v*]
    because: b
`), gitKinds(), noon())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"forge git.push.update /team/app.git/refs/heads/main":    `ambit.yaml:15:5 gives of branches and tags only refs/heads/agent/*, not "refs/heads/main"`,
		"forge git.push.create /team/lib.git/refs/heads/agent/a": "",
		"forge git.push.delete /team/lib.git/refs/heads/agent/a": "ambit.yaml:15:5 gives git.push.create, git.push.update, git.lfs.write, not \"git.push.delete\"",
		"forge git.push.update /team/new.git/refs/heads/agent/a": `ambit.yaml:11:5 gives /team/other.git, not "/team/new.git/refs/heads/agent/a"`,
		"hub contents.put acme/web/refs/heads/main":              `ambit.yaml:19:5 gives of branches and tags only refs/heads/agent/*, not "refs/heads/main"`,
		"hub contents.put acme/web":                              "ambit.yaml:19:5 gives of branches and tags only refs/heads/agent/*, and the request does not say for sure which branch it is about",
		"hub git.push.update acme/web":                           "and the request does not say for sure which one it is about: that takes a whole name",
		"hub releases.create acme/web/refs/tags/1":               `gives of branches and tags only refs/tags/v*, not "refs/tags/1"`,
		"hub pulls.create acme/web":                              "",
		"hub pulls.create /graphql":                              "",
		"hub contents.put /graphql":                              "ambit.yaml:19:5 gives of branches and tags only refs/heads/agent/*, and this names no repository",
	} {
		as, err := g.ParseAction(text)
		if err != nil {
			t.Fatal(err)
		}
		e := g.Explain(&as[0], Facts{Assume: true})
		if (e.Decision.Verdict == ambit.Deny) != (want != "") {
			t.Errorf("%s: %v", text, e.Decision)
		}
		if want == "" {
			continue
		}
		if unsaid := strings.Contains(want, "for sure"); unsaid != strings.Contains(e.Remedy, "\nsay in the request which branch or tag it is about; without that it would take:\n") {
			t.Errorf("%s: %s", text, e.Remedy)
		}
		if first := e.Nearest[0].By + " " + e.Nearest[0].Why; !strings.Contains(first, want) {
			t.Errorf("%s: %s\nwant %s", text, first, want)
		}
	}
}
