package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// params is an operation that may change something, with the parameters of its path,
// query and body that are named like a branch, a tag or another ref.
type params struct {
	method, path, id string
	names            []string // "path branch", "query ref", "body source.branch"; sorted
}

// refWord says whether a parameter's name is one by which a ref goes.
func refWord(name string) bool {
	words := strings.Split(name, "_")
	last := words[len(words)-1]
	return slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains([]string{"ref", "refs", "branch", "branches", "base", "head", "tag", "tags", "commitish", "source", "target"}, strings.ToLower(w))
	}) || strings.HasSuffix(last, "ref") || strings.HasSuffix(last, "branch")
}

// document follows the references of an OpenAPI 3 description.
type document struct{ root map[string]any }

// readParams finds the operations with such a parameter, sorted by path and method.
func readParams(r io.Reader) ([]params, error) {
	var d document
	if err := json.NewDecoder(r).Decode(&d.root); err != nil {
		return nil, err
	}
	paths, _ := d.root["paths"].(map[string]any)
	var out []params
	for path, item := range paths {
		item := d.object(item)
		for _, m := range methods {
			o := d.object(item[m])
			if o == nil || m == "get" || m == "head" {
				continue
			}
			id, _ := o["operationId"].(string)
			p := params{method: strings.ToUpper(m), path: path, id: id}
			for _, list := range []any{item["parameters"], o["parameters"]} {
				p.given(&d, list)
			}
			content := d.object(d.object(o["requestBody"])["content"])
			for _, media := range content {
				p.body(&d, d.object(media)["schema"], "", 0)
			}
			slices.Sort(p.names)
			if p.names = slices.Compact(p.names); len(p.names) > 0 {
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, func(a, b params) int { return strings.Compare(a.path+" "+a.method, b.path+" "+b.method) })
	return out, nil
}

// object is a map of the description, also behind a reference; nil for anything else.
func (d *document) object(v any) map[string]any {
	m, _ := v.(map[string]any)
	for range 16 {
		to, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		at := any(d.root)
		for name := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
			in, _ := at.(map[string]any)
			at = in[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
		}
		m, _ = at.(map[string]any)
	}
	return nil
}

// given adds the parameters of the path and the query.
func (p *params) given(d *document, list any) {
	all, _ := list.([]any)
	for _, v := range all {
		q := d.object(v)
		name, _ := q["name"].(string)
		if in, _ := q["in"].(string); refWord(name) {
			p.names = append(p.names, in+" "+name)
		}
	}
}

// maxSchemaDepth is far below what the description has.
const maxSchemaDepth = 8

// body adds the members of a schema, and of those in it.
func (p *params) body(d *document, schema any, before string, depth int) {
	s := d.object(schema)
	if s == nil || depth > maxSchemaDepth {
		return
	}
	for _, of := range []string{"oneOf", "anyOf", "allOf"} {
		all, _ := s[of].([]any)
		for _, one := range all {
			p.body(d, one, before, depth+1)
		}
	}
	for name, member := range d.object(s["properties"]) {
		if refWord(name) {
			p.names = append(p.names, "body "+before+name)
		}
		p.body(d, member, before+name+".", depth+1)
	}
	p.body(d, s["items"], before, depth+1)
}

// writeParams is the list as the project keeps it.
func writeParams(all []params) []byte {
	var b bytes.Buffer
	b.WriteString("# Published operations that may change something, with the parameters that are named like a ref.\n# Written by internal/githubops: do not edit. What each means stands in refs.txt.\n")
	for _, p := range all {
		fmt.Fprintf(&b, "%s %s %s: %s\n", p.method, p.path, p.id, strings.Join(p.names, ", "))
	}
	return b.Bytes()
}
