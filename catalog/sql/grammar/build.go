package grammar

import "encoding/binary"

// Field is a field of a node to make: nodes, a text or a number.
type Field struct {
	Name  string
	Nodes []*Node
	Text  string
	Num   uint64
}

// Make makes a node of a type, to be written as text by Deparse. A type or
// field that the description does not know makes a node that cannot be written.
func Make(typ string, set ...Field) *Node {
	m := nodes().messages[typ]
	if m == nil {
		return nil
	}
	var raw []byte
	for _, s := range set {
		f := m.byName[s.Name]
		if f == nil {
			return nil
		}
		if f.text {
			raw = appendBytes(raw, f.number, []byte(s.Text))
			continue
		}
		if f.msg == nil {
			raw = binary.AppendUvarint(binary.AppendUvarint(raw, f.number<<3), s.Num)
			continue
		}
		for _, n := range s.Nodes {
			if n == nil {
				return nil
			}
			b := n.raw
			if f.msg == nodes().node {
				b = union(n)
			}
			raw = appendBytes(raw, f.number, b)
		}
	}
	n, err := decode(m, raw, 0)
	if err != nil {
		return nil
	}
	return n
}

// union writes a node as the union of all nodes, which says of what type it is.
func union(n *Node) []byte {
	for _, f := range nodes().node.fields {
		if f.msg.name == n.Type {
			return appendBytes(nil, f.number, n.raw)
		}
	}
	return nil
}

func appendBytes(to []byte, number uint64, b []byte) []byte {
	to = binary.AppendUvarint(to, number<<3|2)
	return append(binary.AppendUvarint(to, uint64(len(b))), b...)
}

// Deparse writes a statement as text.
func (g *Grammar) Deparse(statement *Node) (string, error) {
	s := Make("RawStmt", Field{Name: "stmt", Nodes: []*Node{statement}})
	tree := Make("ParseResult", Field{Name: "stmts", Nodes: []*Node{s}})
	if tree == nil {
		return "", errTree
	}
	return g.e.deparse(tree.raw)
}
