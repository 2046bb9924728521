package grants

import (
	"strings"

	"ambit"
)

// serviceIndex is where the index of one service begins.
type serviceIndex struct {
	kinds  []kindIndex // by kind of resource; a service has one or two
	folded string      // the kind of resource that has no capital letters; "" for none
	// capitals is in how many of its first segments there are none; refs may have them.
	capitals int
}

// kindIndex holds the lines of one service for one kind of resource, by the
// operation as they name it.
type kindIndex struct {
	kind  string
	named map[string]*node // by the whole name
	wild  map[string]*node // by what stands before "*": "github.pulls."
	all   *node            // of lines for all operations; may be nil
}

func (x *serviceIndex) insert(p pattern, op string, i int32, rules []*rule) {
	x.kind(p.kind).root(op).insert(p, i, rules)
}

func (x *serviceIndex) kind(kind string) *kindIndex {
	for i := range x.kinds {
		if x.kinds[i].kind == kind {
			return &x.kinds[i]
		}
	}
	x.kinds = append(x.kinds, kindIndex{kind: kind, named: make(map[string]*node), wild: make(map[string]*node)})
	return &x.kinds[len(x.kinds)-1]
}

// root returns the node where the lines for an operation begin.
func (k *kindIndex) root(op string) *node {
	m := k.named
	switch prefix, wild := strings.CutSuffix(op, "*"); {
	case op == "*":
		if k.all == nil {
			k.all = &node{}
		}
		return k.all
	case wild:
		m, op = k.wild, prefix
	}
	if m[op] == nil {
		m[op] = &node{}
	}
	return m[op]
}

// walk visits what can hold a line for the action: its own operation, the
// wildcards above it, and the lines for all operations.
func (x *serviceIndex) walk(a *ambit.Action, m *match) {
	if x == nil {
		return
	}
	for i := range x.kinds {
		k := &x.kinds[i]
		if k.kind != m.kind {
			continue
		}
		m.walk(k.all, 0, 0)
		if len(k.named) > 0 {
			m.walk(k.named[a.Operation], 0, 0)
		}
		if len(k.wild) > 0 {
			k.above(a.Operation, m)
		}
	}
}

// above visits the wildcards that stand for an operation: "a.b." and "a." for
// "a.b.c".
func (k *kindIndex) above(op string, m *match) {
	for {
		i := strings.LastIndexByte(op, '.')
		if i < 0 {
			return
		}
		m.walk(k.wild[op[:i+1]], 0, 0)
		op = op[:i]
	}
}

func (x *serviceIndex) freeze() {
	for _, k := range x.kinds {
		for n := range k.roots() {
			n.freeze()
		}
	}
}

func (k *kindIndex) roots() func(yield func(*node) bool) {
	return func(yield func(*node) bool) {
		if k.all != nil && !yield(k.all) {
			return
		}
		for _, m := range []map[string]*node{k.named, k.wild} {
			for _, n := range m {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// work is an upper bound of the steps that any decision about the service
// takes.
func (x *serviceIndex) work(rules []*rule) (most int) {
	for i := range x.kinds {
		most = max(most, x.kinds[i].work(rules))
	}
	return most
}

func (k *kindIndex) work(rules []*rule) int {
	above := make(map[string]int) // what each wildcard costs
	for prefix, n := range k.wild {
		above[prefix] = n.work(rules)
	}
	total := func(op string) (w int) {
		for prefix, c := range above {
			if strings.HasPrefix(op, prefix) {
				w += c
			}
		}
		return w
	}
	most := 0
	for prefix := range k.wild {
		most = max(most, total(prefix))
	}
	for op, n := range k.named {
		most = max(most, total(op)+n.work(rules))
	}
	if k.all != nil {
		most += k.all.work(rules)
	}
	return most
}
