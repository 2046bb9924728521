package grammar

import (
	"cmp"
	"slices"
)

// Same says whether two trees are of the same statement, wherever in their texts the
// parts of it stand.
func Same(a, b *Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Type != b.Type {
		return false
	}
	x, y := a.meaning(), b.meaning()
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].field != y[i].field || x[i].num != y[i].num || x[i].text != y[i].text || !Same(x[i].node, y[i].node) {
			return false
		}
	}
	return true
}

// meaning are the values of a node but for places in the text, and those that say
// nothing, which may also be left out.
func (n *Node) meaning() (out []value) {
	for _, v := range n.values {
		switch v.field.name {
		case "location", "stmt_location", "stmt_len":
			continue
		}
		if v.field.msg != nil || v.num != 0 || v.text != "" {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b value) int { return cmp.Compare(a.field.number, b.field.number) })
	return out
}
