package sql

import "errors"

// Parser reads statements. It is safe for use by several goroutines, which
// take turns. Nothing happens before its first use; then the grammar is made
// ready, which takes a moment: see Start.
type Parser struct {
	dir string
}

// NewParser returns a parser. What makes the grammar ready sooner is kept in
// codeCache, a folder of the person's that no agent can write; "" keeps nothing.
func NewParser(codeCache string) *Parser { return &Parser{dir: codeCache} }

var errNotReady = errors.New("cannot read SQL: the grammar is not part of this build")

// Start makes the grammar ready. A process that confines itself calls it
// before: reading and writing the code cache needs files, and the compiled
// grammar needs executable memory once.
func (p *Parser) Start() error { return errNotReady }

// Parse splits the text into its statements and says what each would do. It
// refuses what is not UTF-8, has NUL bytes, is not in PostgreSQL's grammar, or
// is over a bound of size, nesting, time or memory. An empty text, or one of
// comments, has no statements.
func (p *Parser) Parse(text string) ([]Statement, error) { return nil, errNotReady }

// Preview gives, for an UPDATE or DELETE, the statements that show what it
// would touch: one that counts the rows, one that returns the first ten. Their
// parameters are those of the statement, by number. There is none when the
// statement is of another kind or calls what is not known to only read.
func (p *Parser) Preview(s Statement) (count, rows string, ok bool) { return "", "", false }
