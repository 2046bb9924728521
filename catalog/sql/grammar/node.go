package grammar

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
)

// maxDepth bounds the messages inside one another, which are two for every
// node; real statements stay below 100.
const maxDepth = 1000

var errTree = errors.New("cannot read SQL: the grammar's tree is not in its own format")

// Node is one node of a statement's tree. Its types and fields are those of
// libpg_query's protobuf description. All methods may be called on a nil Node,
// which has no fields.
type Node struct {
	Type   string // "SelectStmt", "ColumnRef" …
	raw    []byte // the message, for the deparser
	values []value
}

type value struct {
	field *field
	node  *Node  // of a message; nil also when a node is of no kind
	num   uint64 // of a number, truth value or enumeration
	text  string
}

// decode reads a message. A field that the description does not know is an
// error: what is not known is not passed over.
func decode(m *message, raw []byte, depth int) (*Node, error) {
	if depth > maxDepth {
		return nil, ErrTooMuch
	}
	n := &Node{Type: m.name, raw: raw}
	for b := raw; len(b) > 0; {
		tag, k := binary.Uvarint(b)
		if k <= 0 || m.fields[tag>>3] == nil {
			return nil, errTree
		}
		b = b[k:]
		v := value{field: m.fields[tag>>3]}
		num, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errTree
		}
		b = b[k:]
		switch tag & 7 {
		case 0:
			v.num = num
		case 2:
			if num > uint64(len(b)) {
				return nil, errTree
			}
			var err error
			if v, err = v.bytes(b[:num], depth); err != nil {
				return nil, err
			}
			b = b[num:]
		default:
			return nil, errTree
		}
		n.values = append(n.values, v)
	}
	return n, nil
}

func (v value) bytes(b []byte, depth int) (value, error) {
	switch {
	case v.field.text:
		v.text = string(b)
	case v.field.msg != nil:
		n, err := decode(v.field.msg, b, depth+1)
		if err != nil {
			return v, err
		}
		v.node = n
		if v.field.msg == nodes().node { // the union: take what is in it
			v.node = nil
			for _, inner := range n.values {
				v.node = inner.node
			}
		}
	default: // packed numbers: no tree that the parser makes has any
		return v, errTree
	}
	return v, nil
}

func (n *Node) find(name string) *value {
	if n == nil {
		return nil
	}
	for i := range n.values {
		if n.values[i].field.name == name {
			return &n.values[i]
		}
	}
	return nil
}

// Is says whether the node is of one of the types.
func (n *Node) Is(types ...string) bool {
	if n == nil {
		return false
	}
	for _, t := range types {
		if n.Type == t {
			return true
		}
	}
	return false
}

// Node returns a field's node, or nil.
func (n *Node) Node(name string) *Node {
	if v := n.find(name); v != nil {
		return v.node
	}
	return nil
}

// List returns the nodes of a repeated field; those of no kind are nil.
func (n *Node) List(name string) (out []*Node) {
	if n == nil {
		return nil
	}
	for _, v := range n.values {
		if v.field.name == name {
			out = append(out, v.node)
		}
	}
	return out
}

// Text returns a field's string, or "".
func (n *Node) Text(name string) string {
	if v := n.find(name); v != nil {
		return v.text
	}
	return ""
}

// Bool returns a field's truth value.
func (n *Node) Bool(name string) bool { v := n.find(name); return v != nil && v.num != 0 }

// Int returns a field's number, or 0.
func (n *Node) Int(name string) int {
	if v := n.find(name); v != nil && v.num <= math.MaxInt32 {
		return int(v.num)
	}
	return 0
}

// Enum returns the name of a field's value, or "".
func (n *Node) Enum(name string) string {
	if v := n.find(name); v != nil && v.field.enum != nil {
		return v.field.enum[v.num]
	}
	return ""
}

// Has says whether a field is there.
func (n *Node) Has(name string) bool { return n.find(name) != nil }

// Children goes through the nodes directly below, with their fields' names.
func (n *Node) Children() iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		if n == nil {
			return
		}
		for _, v := range n.values {
			if v.node != nil && !yield(v.field.name, v.node) {
				return
			}
		}
	}
}

// Strings returns the texts of a list of String nodes, as in a qualified name;
// a node of another type is "".
func Strings(list []*Node) []string {
	out := make([]string, len(list))
	for i, n := range list {
		if n.Is("String") {
			out[i] = n.Text("sval")
		}
	}
	return out
}

// Types returns the names of all node types that the grammar knows.
func Types() (out []string) {
	for _, f := range nodes().node.fields {
		out = append(out, f.msg.name)
	}
	return out
}
