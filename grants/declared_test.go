package grants

import (
	"errors"
	"strings"
	"testing"

	"ambit"
)

// TestDeclaredPaths: what whoever classifies cannot compare a request with is an
// error with its place, beside all others, and never repeats a secret.
func TestDeclaredPaths(t *testing.T) {
	k := testKinds()
	k.CheckPath = func(path string) error {
		if strings.Contains(path, "!") {
			return errors.New("cannot read path pattern " + path)
		}
		return nil
	}
	const secret = "ghp_0123456789abcdefghij"
	src := "agent: a\nservices:\n  api:\n    kind: http\n    host: api.example.com\n    reads: [/ok, /one!, /!" + secret + "]\n    graphql: ['/two!', x]\nread: [{nope: /x}, {api: /v1}]\n"
	_, err := Load("ambit.yaml", []byte(src), k, noon())
	if err == nil {
		t.Fatal("loaded")
	}
	for _, s := range []string{
		"ambit.yaml:6:18: \"/one!\" is not a path that a request can be compared with\n    cannot read path pattern /one!\n",
		"ambit.yaml:6:25: this looks like a secret", "ambit.yaml:7:15: \"/two!\"", "ambit.yaml:7:24: \"x\" is not a path pattern\n", "ambit.yaml:8:9: ",
	} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q is missing in\n%v", s, err)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("a secret is repeated:\n%v", err)
	}
	if strings.Count(err.Error(), "ambit.yaml:7:24:") != 1 || strings.Count(err.Error(), "ambit.yaml:6:25:") != 1 {
		t.Errorf("one path is told of twice:\n%v", err)
	}
	good := strings.NewReplacer("!", "", secret, "three", ", x]", "]", "{nope: /x}, ", "").Replace(src)
	if _, err := Load("ambit.yaml", []byte(good), k, noon()); err != nil {
		t.Error(err)
	}
}

// TestExplainBodies: each sort of body is decided as its own operation is, and
// the strictest stays the answer.
func TestExplainBodies(t *testing.T) {
	k := testKinds()
	res := ambit.Resource{Kind: "repo", Segments: []string{"acme", "web"}}
	push, del := Call{"git.push", ambit.Write, res}, Call{"git.delete", ambit.Irreversible, res}
	k.Classify = func(Request) ([]Call, error) { return []Call{del}, nil }
	k.Bodies = func(r Request) []BodyCase {
		if r.Method != "POST" {
			return nil
		}
		return []BodyCase{{"a push", []Call{push}}, {"a deletion", []Call{del}}, {"both", []Call{push, del}}}
	}
	g, err := Load("ambit.yaml", []byte(tokens+"write: [{forge: acme/web, operations: [git.push], because: b}]\n"), k, noon())
	if err != nil {
		t.Fatal(err)
	}
	explain := func(text string) Explanation {
		es, err := g.ExplainText(text, Facts{Now: noon()})
		if err != nil || len(es) != 1 {
			t.Fatal(es, err)
		}
		return es[0]
	}
	e := explain("http POST https://github.com/acme/web.git/git-receive-pack")
	var got []string
	for _, b := range e.Bodies {
		got = append(got, b.Body+" "+b.Action.Operation+" "+b.Decision.Verdict.String()+" "+b.Explain)
	}
	want := "a push git.push allow forge git.push acme/web; a deletion git.delete deny forge git.delete acme/web; both git.push allow forge git.push acme/web; both git.delete deny forge git.delete acme/web"
	if s := strings.Join(got, "; "); s != want || e.Decision.Verdict != ambit.Deny {
		t.Errorf("%v\n%s", e.Decision.Verdict, s)
	}
	if s := e.String(); !strings.Contains(s, "the body   decides") || strings.Contains(s, "it would take") {
		t.Error(s)
	}
	for _, text := range []string{"http GET https://github.com/acme/web", "forge git.push acme/web"} {
		if e := explain(text); len(e.Bodies) != 0 || strings.Contains(e.String(), "the body") {
			t.Errorf("%s: %v", text, e)
		}
	}
}
