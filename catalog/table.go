package catalog

import (
	"fmt"
	"strings"

	"ambit"
)

// table is a service's operations by method and path. It is parsed once, on
// first use, from lines of
//
//	METHOD /path/{name}/literal/{rest...} operation effect summary
//
// where {name} stands for one segment and {rest...} for one or more. A literal
// goes before a name, and a name before a rest.
type table struct {
	roots map[string]*node // by method
	ops   []Operation
}

type node struct {
	lits map[string]*node
	name *node
	rest *entry
	end  *entry
}

type entry struct {
	op     string
	effect ambit.Effect
}

// mustTable parses data that is part of the program. A test reads every table,
// so that the panic is never met by a user.
func mustTable(data string) *table {
	t, err := parseTable(data)
	if err != nil {
		panic(err)
	}
	return t
}

func parseTable(data string) (*table, error) {
	t := &table{roots: make(map[string]*node)}
	effects := make(map[string]ambit.Effect)
	n := 0
	for line := range strings.Lines(data) {
		n++
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 5 {
			return nil, fmt.Errorf("cannot read table: line %d has %d columns, not 5", n, len(f))
		}
		e := &entry{op: f[2]}
		if err := e.effect.UnmarshalText([]byte(f[3])); err != nil || e.effect == ambit.EffectUnknown {
			return nil, fmt.Errorf("cannot read table: line %d: effect %q", n, f[3])
		}
		if old, ok := effects[e.op]; ok && old != e.effect {
			return nil, fmt.Errorf("cannot read table: line %d: %s is also %s", n, e.op, old)
		} else if !ok {
			effects[e.op] = e.effect
			t.ops = append(t.ops, Operation{e.op, e.effect, strings.Join(f[4:], " ")})
		}
		if err := t.add(f[0], f[1], e); err != nil {
			return nil, fmt.Errorf("cannot read table: line %d: %w", n, err)
		}
	}
	return t, nil
}

func (t *table) add(method, path string, e *entry) error {
	at := t.roots[method]
	if at == nil {
		at = &node{}
		t.roots[method] = at
	}
	segs := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segs {
		if strings.HasSuffix(s, "...}") {
			if i != len(segs)-1 || at.rest != nil {
				return fmt.Errorf("%s is not the end, or is there twice", s)
			}
			at.rest = e
			return nil
		}
		at = at.child(s)
	}
	if at.end != nil {
		return fmt.Errorf("%s %s is there twice", method, path)
	}
	at.end = e
	return nil
}

func (n *node) child(seg string) *node {
	if strings.HasPrefix(seg, "{") {
		if n.name == nil {
			n.name = &node{}
		}
		return n.name
	}
	if n.lits == nil {
		n.lits = make(map[string]*node)
	}
	if n.lits[seg] == nil {
		n.lits[seg] = &node{}
	}
	return n.lits[seg]
}

// find returns the entry of a method and path, nil when there is none. A HEAD
// is looked up as the GET that it is (RFC 9110 section 9.3.2).
func (t *table) find(method string, segs []string) *entry {
	if method == "HEAD" {
		method = "GET"
	}
	root := t.roots[method]
	if root == nil {
		return nil
	}
	return root.find(segs)
}

// find takes the most literal way that leads to an end. Tables hold few names
// beside literals, so that trying again costs little; the depth is the path's.
func (n *node) find(segs []string) *entry {
	if len(segs) == 0 {
		return n.end
	}
	if l := n.lits[segs[0]]; l != nil {
		if e := l.find(segs[1:]); e != nil {
			return e
		}
	}
	if n.name != nil {
		if e := n.name.find(segs[1:]); e != nil {
			return e
		}
	}
	return n.rest
}
