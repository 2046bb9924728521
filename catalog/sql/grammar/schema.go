package grammar

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// nodesText lists the messages of libpg_query's protobuf description, made by
// TestNodes from the Go types that pg_query_go generates from it. A line is a
// message and its fields, name=number:type, where the type is a message, s (a
// string), i (a number) or b (a truth value), or e/NAME, an enumeration; or it
// is "enum", a name and its values.
//
//go:embed data/nodes.txt
var nodesText string

type message struct {
	name   string
	fields map[uint64]*field
	byName map[string]*field
}

type field struct {
	name   string
	number uint64
	msg    *message          // of a message
	enum   map[uint64]string // of an enumeration
	text   bool              // a string
}

type schema struct {
	messages map[string]*message
	node     *message // the union of all nodes
}

// nodes reads the list, once.
var nodes = sync.OnceValue(func() *schema {
	s := &schema{messages: map[string]*message{}}
	enums := map[string]map[uint64]string{}
	var lines [][]string
	for line := range strings.Lines(nodesText) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "enum":
			values := make(map[uint64]string, len(words))
			for _, w := range words[2:] {
				name, n, _ := strings.Cut(w, "=")
				values[number(n)] = name
			}
			enums[words[1]] = values
		default:
			s.messages[words[0]] = &message{words[0], make(map[uint64]*field, len(words)), make(map[string]*field, len(words))}
			lines = append(lines, words)
		}
	}
	for _, words := range lines {
		m := s.messages[words[0]]
		for _, w := range words[1:] {
			name, rest, _ := strings.Cut(w, "=")
			n, kind, _ := strings.Cut(rest, ":")
			f := &field{name: name, number: number(n), text: kind == "s", msg: s.messages[kind]}
			if e, ok := strings.CutPrefix(kind, "e/"); ok {
				f.enum = enums[e]
			}
			m.fields[f.number], m.byName[name] = f, f
		}
	}
	s.node = s.messages["Node"]
	return s
})

func number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		panic("data/nodes.txt: " + err.Error()) // TestNodes keeps the file right
	}
	return n
}
