// Package grammar is PostgreSQL's own grammar: libpg_query, compiled to
// WebAssembly and run without cgo, in an instance that is thrown away whenever
// anything but a syntax error happens in it.
package grammar

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Version is PostgreSQL's version of which this is the grammar.
const Version = 17

// MaxText bounds a text, in bytes.
const MaxText = 1 << 20

// Grammar reads texts and writes trees. It is safe for use by several
// goroutines, which take turns. Nothing happens before its first use.
type Grammar struct{ e engine }

// New returns a grammar that keeps its compiled code in a folder, or nowhere
// when codeCache is "".
func New(codeCache string) *Grammar { return &Grammar{engine{dir: codeCache}} }

// Start makes the grammar ready, which needs executable memory and, for the
// code cache, files.
func (g *Grammar) Start() error {
	_, err := g.e.parse("")
	return err
}

// Statement is one statement of a text.
type Statement struct {
	Text string // without the semicolon and without white space around it
	Tree *Node
}

// Parse splits a text into its statements.
func (g *Grammar) Parse(text string) ([]Statement, error) {
	switch {
	case len(text) > MaxText || tooDeep(text):
		return nil, ErrTooMuch
	case strings.IndexByte(text, 0) >= 0:
		return nil, errors.New("cannot read SQL: the text has a NUL byte")
	case !utf8.ValidString(text):
		return nil, errors.New("cannot read SQL: the text is not UTF-8")
	}
	raw, err := g.e.parse(text)
	if err != nil {
		return nil, err
	}
	result, err := decode(nodes().messages["ParseResult"], raw, 0)
	if err != nil {
		return nil, err
	}
	var out []Statement
	for _, s := range result.List("stmts") {
		at, n := s.Int("stmt_location"), s.Int("stmt_len")
		if n == 0 {
			n = len(text) - at
		}
		if at < 0 || n < 0 || at+n > len(text) || s.Node("stmt") == nil {
			return nil, errTree
		}
		out = append(out, Statement{strings.Trim(text[at:at+n], " \t\n\r\f\v"), s.Node("stmt")})
	}
	return out, nil
}
