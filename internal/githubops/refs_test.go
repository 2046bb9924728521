package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ambit"
	"ambit/catalog"
)

// decision is a line of refs.txt.
type decision struct {
	word, id, param string // "named", "git/create-ref", "body ref"
	used            bool
}

func decisions(t *testing.T) (out []*decision) {
	t.Helper()
	b, err := os.ReadFile("refs.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		head, reason, _ := strings.Cut(strings.TrimSpace(line), ": ")
		f := strings.Fields(head)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		d := &decision{word: f[0], id: strings.TrimSuffix(f[1], ":"), param: strings.Join(f[2:], " ")}
		if (d.word == "named") != (d.param != "") || !slices.Contains([]string{"named", "unnamed", "none"}, d.word) || len(reason) < 10 {
			t.Fatalf("the decision %q is none: decision, id, parameter when it is named, and the reason", strings.TrimSpace(line))
		}
		out = append(out, d)
	}
	return out
}

// published are the lines of params.txt.
func published(t *testing.T) (out []params) {
	t.Helper()
	b, err := os.ReadFile("params.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		head, names, _ := strings.Cut(strings.TrimSpace(line), ": ")
		f := strings.Fields(head)
		out = append(out, params{f[0], f[1], f[2], strings.Split(names, ", ")})
	}
	if len(out) < 60 {
		t.Fatalf("only %d operations have a parameter that is named like a ref", len(out))
	}
	return out
}

// TestEachParameterIsDecided: no published operation that may change something has a
// parameter named like a ref about which nobody has decided, and the catalog does what
// was decided: it finds the ref where it is named, and nowhere else.
func TestEachParameterIsDecided(t *testing.T) {
	all := decisions(t)
	for _, p := range published(t) {
		i := slices.IndexFunc(all, func(d *decision) bool { ok, err := path.Match(d.id, p.id); return ok && err == nil })
		if i < 0 {
			t.Errorf("%s %s has %v: what does it do with branches and tags? Decide in refs.txt", p.method, p.path, p.names)
			continue
		}
		d := all[i]
		d.used = true
		bare := p.call(t, "", "")
		use := catalog.Refs(bare.Operation)
		want := catalog.RefUse{Touches: d.word != "none"}
		if d.word == "named" {
			want.Under = use.Under
		}
		if use != want || (d.word == "named") != (use.Under != "") {
			t.Errorf("%s is %s, and the catalog has %s as %+v", p.id, d.word, bare.Operation, use)
			continue
		}
		if d.word == "named" && !slices.Contains(p.names, d.param) {
			t.Errorf("%s is named by %q, and has %v", p.id, d.param, p.names)
			continue
		}
		for _, name := range p.names {
			whole, short := p.call(t, name, "refs/heads/agent-x"), p.call(t, name, "agent-x")
			found := slices.ContainsFunc([]catalog.Call{whole, short}, func(c catalog.Call) bool {
				return c.Resource.Kind == "repo" && strings.Contains(c.Resource.String(), "/refs/") && strings.HasSuffix(c.Resource.String(), "/agent-x")
			})
			if found != (name == d.param) {
				t.Errorf("%s %s: with %s the catalog sees %s and %s", p.method, p.path, name, whole.Resource, short.Resource)
			}
		}
	}
	for _, d := range all {
		if !d.used {
			t.Errorf("no operation needs the decision about %s: was it renamed?", d.id)
		}
	}
}

// call is what the catalog makes of the operation with one parameter set.
func (p params) call(t *testing.T, param, value string) catalog.Call {
	t.Helper()
	in, name, _ := strings.Cut(param, " ")
	url := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllStringFunc(strings.TrimPrefix(p.path, "/"), func(v string) string {
		if in == "path" && v == "{"+name+"}" {
			return strings.TrimPrefix(value, "refs/")
		}
		return "x1"
	})
	r := catalog.Request{
		Kind: "github", Scheme: "https", Host: "api.github.com", Method: p.method, Segments: strings.Split(url, "/"), BodyWhole: true,
		Header: http.Header{"Content-Type": {"application/json"}}.Values, Body: []byte("{}"),
	}
	switch in {
	case "query":
		r.Query = name + "=" + value
	case "body":
		member := any(value)
		parts := strings.Split(name, ".")
		for _, part := range slices.Backward(parts) {
			member = map[string]any{part: member}
		}
		var err error
		if r.Body, err = json.Marshal(member); err != nil {
			t.Fatal(err)
		}
	}
	calls, err := catalog.Classify(r)
	if err != nil || len(calls) != 1 {
		t.Fatalf("%s %s: %v, %v", p.method, p.path, calls, err)
	}
	if calls[0].Effect == ambit.Read && p.method != "POST" {
		t.Errorf("%s %s reads", p.method, p.path)
	}
	return calls[0]
}

func TestReadParams(t *testing.T) {
	const doc = `{"paths": {
		"/a/{branch}": {"parameters": [{"$ref": "#/components/parameters/b"}], "get": {"operationId": "a/get"}, "put": {"operationId": "a/put"}},
		"/b": {"post": {"operationId": "b/post", "parameters": [{"name": "page", "in": "query"}], "requestBody": {"content": {"application/json":
			{"schema": {"$ref": "#/components/schemas/s"}}}}}, "delete": {"operationId": "b/delete"}}},
		"components": {"parameters": {"b": {"name": "branch", "in": "path"}}, "schemas": {"s": {"oneOf": [
			{"properties": {"head_sha": {}, "prefer": {}, "in": {"items": {"properties": {"targetRef": {}, "tag_name": {}}}}}},
			{"properties": {"head_sha": {}, "self": {"$ref": "#/components/schemas/s"}}}]}}}}`
	got, err := readParams(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, p := range got {
		if p.names = slices.DeleteFunc(p.names, func(n string) bool { return strings.HasPrefix(n, "body self.") }); len(p.names) > 0 {
			text = append(text, fmt.Sprint(p))
		}
	}
	want := []string{"{PUT /a/{branch} a/put [path branch]}", "{POST /b b/post [body head_sha body in.tag_name]}"}
	if d := cmp.Diff(want, text); d != "" {
		t.Error(d)
	}
}
