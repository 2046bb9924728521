package grants

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("../docs/grants.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("grants.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("grants.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value turns a YAML node into what JSON would hold; ok is false for what JSON
// cannot hold.
func value(n *yaml.Node) (v any, ok bool) {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any)
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, ok := value(n.Content[i+1])
			if _, dup := m[n.Content[i].Value]; !ok || dup || n.Content[i].Kind != yaml.ScalarNode {
				return nil, false
			}
			m[n.Content[i].Value] = v
		}
		return m, true
	case yaml.SequenceNode:
		l := []any{}
		for _, c := range n.Content {
			v, ok := value(c)
			if !ok {
				return nil, false
			}
			l = append(l, v)
		}
		return l, true
	case yaml.AliasNode:
		return nil, false
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return n.Value, true
	case "!!bool":
		return n.Value == "true", true
	case "!!null":
		return nil, true
	}
	return json.Number(n.Value), json.Valid([]byte(n.Value))
}

// accepts says what the schema thinks of a file; ok is false when the file is
// not even YAML that JSON can hold.
func accepts(s *jsonschema.Schema, src string) (err error, ok bool) {
	var doc yaml.Node
	if yaml.Unmarshal([]byte(src), &doc) != nil || len(doc.Content) != 1 {
		return nil, false
	}
	v, ok := value(doc.Content[0])
	if !ok {
		return nil, false
	}
	return s.Validate(v), true
}

// TestSchemaAcceptsWhatParses: an editor never marks what Ambit takes.
func TestSchemaAcceptsWhatParses(t *testing.T) {
	s := schema(t)
	var files []string
	for _, src := range validFiles(t) {
		files = append(files, src)
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		files = append(files, string(randomGrants(t, rnd).file.Canonical()))
	}
	for _, r := range []Repository{{}, {GitHub: "acme/web"}, {GitHub: "acme/web", Token: true, Languages: []string{"go"}}} {
		files = append(files, string(Starter(r)))
	}
	for _, src := range slices.Concat(files, corpora(t)) {
		if _, err := Parse("x", []byte(src)); err != nil {
			continue
		}
		if err, ok := accepts(s, src); err != nil || !ok {
			t.Errorf("%v\n%s", err, src)
		}
	}
}

// corpora are all broken files; some break only when they are compiled.
func corpora(t *testing.T) (out []string) {
	names, _ := filepath.Glob("testdata/errors/*.txtar")
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range corpus(string(b)) {
			if !strings.HasSuffix(f.name, ".want") {
				out = append(out, f.data)
			}
		}
	}
	return out
}

// TestSchemaFindsMistakes: it is of use to an editor.
func TestSchemaFindsMistakes(t *testing.T) {
	s := schema(t)
	for _, src := range []string{
		"owner: x", "agent: A B", "agent: a\nreed: []", "agent: a\nexpires: soon", "agent: a\nread: [{files: [1]}]",
		"agent: a\nwrite: [{files: .}]", "agent: a\nask: [{files: .}]", "agent: a\nuses: [rust]", "agent: a\nservices: {files: {kind: http}}",
		"agent: a\nservices: {a: {kind: http, token: x}}", "agent: a\nservices: {a: {kind: http, credential: x}}", "agent: a\nread: [{}]",
		"agent: a\nservices: {a: {kind: http, credential: {env: A, file: b}}}", "agent: a\nsandbox: {memory: 4GB}", "agent: a\nsandbox: {home: x}",
		"agent: a\nexpect: [{allow: x, deny: y}]", "agent: a\nwrite: [{files: ., because: b, rows: 3}]", "agent: a\nread: [{files: ., refs: [x]}]",
	} {
		if err, ok := accepts(s, src); err == nil || !ok {
			t.Errorf("accepted: %s", src)
		}
		if _, err := Parse("x", []byte(src)); err == nil {
			t.Errorf("parsed: %s", src)
		}
	}
	if err, ok := accepts(s, "agent: a\nread: [{files: .}]"); err != nil || !ok {
		t.Errorf("the twin: %v", err)
	}
}

// TestSchemaKnowsEveryKey: a key that the parser learns must be described.
func TestSchemaKnowsEveryKey(t *testing.T) {
	b, err := os.ReadFile("../docs/grants.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.Concat(fileKeys(), serviceKeys(), lineKeys(), ProfileNames()) {
		if !strings.Contains(string(b), `"`+k+`"`) {
			t.Errorf("the schema does not know %s", k)
		}
	}
}
