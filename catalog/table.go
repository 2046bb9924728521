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

// node is one step of a path. Its literals are few, so that a list does.
type node struct {
	lits []literal
	name *node
	rest *entry
	end  *entry
}

type literal struct {
	seg string
	to  *node
}

func (n *node) literal(seg string) *node {
	for i := range n.lits {
		if n.lits[i].seg == seg {
			return n.lits[i].to
		}
	}
	return nil
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
		if strings.HasPrefix(line, "#") {
			continue
		}
		var f [4]string
		rest := line
		for i := range f {
			f[i], rest = cutColumn(rest)
		}
		summary := strings.TrimSpace(rest)
		if summary == "" {
			return nil, fmt.Errorf("cannot read table: line %d has no summary", n)
		}
		e := &entry{op: f[2]}
		if err := e.effect.UnmarshalText([]byte(f[3])); err != nil || e.effect == ambit.EffectUnknown {
			return nil, fmt.Errorf("cannot read table: line %d: effect %q", n, f[3])
		}
		if old, ok := effects[e.op]; ok && old != e.effect {
			return nil, fmt.Errorf("cannot read table: line %d: %s is also %s", n, e.op, old)
		} else if !ok {
			effects[e.op] = e.effect
			t.ops = append(t.ops, Operation{Name: e.op, Effect: e.effect, Summary: summary})
		}
		if err := t.add(f[0], f[1], e); err != nil {
			return nil, fmt.Errorf("cannot read table: line %d: %w", n, err)
		}
	}
	return t, nil
}

// cutColumn takes the first word off a line.
func cutColumn(line string) (word, rest string) {
	word, rest, _ = strings.Cut(strings.TrimLeft(line, " "), " ")
	return word, rest
}

func (t *table) add(method, path string, e *entry) error {
	at := t.roots[method]
	if at == nil {
		at = &node{}
		t.roots[method] = at
	}
	path = strings.TrimPrefix(path, "/")
	for more := true; more; {
		var seg string
		seg, path, more = strings.Cut(path, "/")
		if strings.HasSuffix(seg, "...}") {
			if more || at.rest != nil {
				return fmt.Errorf("%s is not the end, or is there twice", seg)
			}
			at.rest = e
			return nil
		}
		at = at.child(seg)
	}
	if at.end != nil {
		return fmt.Errorf("the path is there twice for %s", method)
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
	to := n.literal(seg)
	if to == nil {
		to = &node{}
		n.lits = append(n.lits, literal{seg, to})
	}
	return to
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
	if l := n.literal(segs[0]); l != nil {
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
