package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// operation is one of the description.
type operation struct {
	method string // upper case
	path   string // "/repos/{owner}/{repo}"
	id     string // "repos/get"
	about  string
}

// methods are those that the description may use.
var methods = [...]string{"get", "head", "post", "put", "patch", "delete", "options", "trace"}

// read takes the operations out of an OpenAPI 3 description, sorted.
func read(r io.Reader) ([]operation, error) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return nil, err
	}
	var ops []operation
	for p, item := range doc.Paths {
		for m, raw := range item {
			if !slices.Contains(methods[:], m) {
				continue // what all operations of the path share
			}
			var o struct {
				ID      string `json:"operationId"`
				Summary string `json:"summary"`
			}
			if err := json.Unmarshal(raw, &o); err != nil {
				return nil, fmt.Errorf("%s %s: %w", m, p, err)
			}
			if tag, name, ok := strings.Cut(o.ID, "/"); !ok || tag == "" || name == "" {
				return nil, fmt.Errorf("%s %s has the odd id %q", m, p, o.ID)
			}
			ops = append(ops, operation{strings.ToUpper(m), p, o.ID, o.Summary})
		}
	}
	if len(ops) == 0 {
		return nil, errors.New("the description has no operation")
	}
	slices.SortFunc(ops, func(a, b operation) int {
		return strings.Compare(a.path+" "+a.method, b.path+" "+b.method)
	})
	return ops, nil
}

// rule gives operations whose id fits a pattern an effect.
type rule struct {
	effect, pattern string
	used            bool
}

func parseRules(text string) ([]*rule, error) {
	var rs []*rule
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		if len(f) != 2 || !slices.Contains([]string{"read", "write", "irreversible"}, f[0]) {
			return nil, fmt.Errorf("the rule %q is none", strings.TrimSpace(line))
		}
		rs = append(rs, &rule{effect: f[0], pattern: f[1]})
	}
	return rs, nil
}

func (r *rule) fits(id string) bool {
	ok, err := path.Match(r.pattern, id)
	return ok && err == nil
}

// effectOf is the first rule's, and without one what the method says.
func effectOf(o operation, rs []*rule) string {
	for _, r := range rs {
		if r.fits(o.id) {
			r.used = true
			return r.effect
		}
	}
	if o.method == "GET" || o.method == "HEAD" {
		return "read"
	}
	return "irreversible"
}

// write returns the table: the curated lines, then all others of ops.
func write(ops []operation, curated, rules string) ([]byte, error) {
	rs, err := parseRules(rules)
	if err != nil {
		return nil, err
	}
	named := parseCurated(curated)
	var b bytes.Buffer
	b.WriteString(curated)
	fmt.Fprintf(&b, "# All other operations that GitHub publishes, under its own ids. Written by internal/githubops from a\n# description of %d operations: do not edit.\n", len(ops))
	for _, o := range ops {
		if named.covers(o) {
			continue
		}
		e := effectOf(o, rs)
		fmt.Fprintf(&b, "%-6s %s github.%s %s %s\n", o.method, o.path, strings.ReplaceAll(o.id, "/", "."), e, summary(o))
	}
	for _, r := range rs {
		if !r.used {
			return nil, fmt.Errorf("no operation needs the rule %q: was it renamed?", r.pattern)
		}
	}
	return b.Bytes(), nil
}

func summary(o operation) string {
	if s := strings.Join(strings.Fields(strings.TrimSuffix(o.about, ".")), " "); s != "" {
		return s
	}
	return o.id
}

// lines are the curated ones: method and path pattern.
type lines [][2]string

func parseCurated(text string) (ls lines) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 2 && f[0][0] != '#' {
			ls = append(ls, [2]string{f[0], f[1]})
		}
	}
	return ls
}

// covers says whether a curated line names the operation, or names it together
// with others.
func (ls lines) covers(o operation) bool {
	return slices.ContainsFunc(ls, func(l [2]string) bool {
		return l[0] == o.method && covers(split(l[1]), split(o.path))
	})
}

func split(p string) []string { return strings.Split(strings.TrimPrefix(p, "/"), "/") }

func covers(pattern, p []string) bool {
	for i, s := range pattern {
		switch {
		case strings.HasSuffix(s, "...}"):
			return len(p) > i
		case i >= len(p):
			return false
		case strings.HasPrefix(s, "{"):
		case s != p[i]:
			return false
		}
	}
	return len(p) == len(pattern)
}
