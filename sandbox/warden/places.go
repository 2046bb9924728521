package warden

import "iter"

// places are single paths from a tree's root, by their folded text.
type places struct {
	at    map[string]bool
	above map[string]bool // what really leads to one
	first map[string]bool // their first names
}

func (p *places) add(x trail) {
	if p.at == nil {
		p.at, p.above, p.first = make(map[string]bool), make(map[string]bool), make(map[string]bool)
	}
	p.first[x.segs[0]] = true
	p.at[x.text] = true
	for i := range x.text {
		if x.text[i] == '/' {
			p.above[x.text[:i]] = true
		}
	}
}

// on yields the number of names of each place that is x or above it.
func (p *places) on(x trail) iter.Seq[int] {
	return func(yield func(int) bool) {
		if len(p.at) == 0 || len(x.segs) == 0 || !p.first[x.segs[0]] {
			return
		}
		end := -1
		for i, s := range x.segs {
			if end += 1 + len(s); p.at[x.text[:end]] && !yield(i+1) {
				return
			}
		}
	}
}
