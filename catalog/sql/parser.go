package sql

import (
	"fmt"
	"slices"
	"sync"

	"ambit"
	"ambit/catalog/sql/grammar"
)

// Parser reads statements. It is safe for use by several goroutines, which
// take turns. Nothing happens before its first use; then the grammar is made
// ready, which takes a moment: see Start.
type Parser struct {
	g *grammar.Grammar

	mu   sync.Mutex
	seen map[string][]Statement // by text
	size int                    // bytes of the texts in seen
}

// Bounds of what a parser remembers.
const (
	maxSeen     = 1 << 10  // texts
	maxSeenSize = 1 << 20  // bytes of them
	maxSeenText = 16 << 10 // bytes of one
)

// SyntaxError is the error of a text that is not in PostgreSQL's grammar.
type SyntaxError = grammar.SyntaxError

// NewParser returns a parser. What makes the grammar ready sooner is kept in
// codeCache, a folder of the person's that no agent can write; "" keeps nothing.
func NewParser(codeCache string) *Parser {
	return &Parser{g: grammar.New(codeCache)}
}

// Start makes the grammar ready. A process that confines itself calls it
// before: reading and writing the code cache needs files, and the compiled
// grammar needs executable memory once.
func (p *Parser) Start() error {
	builtin()
	return p.g.Start()
}

// Parse splits the text into its statements and says what each would do. It
// refuses what is not UTF-8, has NUL bytes, is not in PostgreSQL's grammar, or
// is over a bound of size, nesting, time or memory. An empty text, or one of
// comments, has no statements. What is not in the grammar is a [SyntaxError]. The result is shared: it must not be changed.
func (p *Parser) Parse(text string) ([]Statement, error) {
	p.mu.Lock()
	seen, ok := p.seen[text]
	p.mu.Unlock()
	if ok {
		return seen, nil
	}
	list, err := p.g.Parse(text)
	if err != nil {
		return nil, err
	}
	if len(list) > MaxStatements {
		return nil, fmt.Errorf("cannot read SQL: the text has %d statements, at most %d are read; split it", len(list), MaxStatements)
	}
	var out []Statement
	for _, s := range list {
		st, err := classify(s)
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	p.remember(text, out)
	return out, nil
}

func (p *Parser) remember(text string, list []Statement) {
	if len(text) > maxSeenText {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil || len(p.seen) >= maxSeen || p.size+len(text) > maxSeenSize {
		p.seen, p.size = map[string][]Statement{}, 0
	}
	p.seen[text] = list
	p.size += len(text)
}

// classify says what one statement would do.
func classify(s grammar.Statement) (Statement, error) {
	r := newReader()
	v := r.statement(s.Tree)
	r.needed(s.Tree, v.op)
	r.guarded(s.Tree)
	if r.full {
		return Statement{}, fmt.Errorf("cannot read SQL: the statement touches more than %d tables, or has too many columns of too many tables; split it", MaxAccesses)
	}
	out := Statement{Text: s.Text, Kind: v.kind, Operation: v.op, Name: v.name, Effect: r.effect(), Accesses: r.accesses(), Params: r.params, Unseen: r.unseen, Beyond: r.beyond, Early: r.early, Since: r.since}
	if out.Kind == KindUnknown {
		out.Effect = ambit.Irreversible
	}
	if out.Effect != ambit.Read {
		out.Because = r.because
	}
	return out, nil
}

// Execute is an EXECUTE once it is known what was prepared: it touches what that touches,
// and what its own arguments do.
func Execute(execute, prepared Statement) Statement {
	out := prepared
	out.Text, out.Kind, out.Name, out.Params = execute.Text, KindExecute, execute.Name, execute.Params
	out.Early, out.Since = execute.Early || prepared.Early, max(execute.Since, prepared.Since)
	if out.Unseen == "" {
		out.Unseen = execute.Unseen
	}
	if out.Beyond == "" {
		out.Beyond = execute.Beyond
	}
	for _, why := range execute.Because {
		if !slices.Contains(out.Because, why) && why != runsPrepared(execute.Name) {
			out.Because = append(slices.Clip(out.Because), why)
		}
	}
	for _, a := range execute.Accesses {
		if a.Operation != "sql.execute" {
			out.Accesses = merge(out.Accesses, a)
			out.Effect = max(out.Effect.Worst(), a.Effect.Worst())
		}
	}
	return out
}

// merge adds an access of the database to others.
func merge(all []Access, a Access) []Access {
	all = slices.Clone(all)
	for i := range all {
		if b := &all[i]; b.Operation == a.Operation && b.Schema == a.Schema && b.Table == a.Table && a.Table == "" {
			b.Effect = max(b.Effect.Worst(), a.Effect.Worst())
			b.Needs = append(slices.Clip(b.Needs), a.Needs...)
			return all
		}
	}
	return append(all, a)
}

func runsPrepared(name string) string { return "runs what was prepared as " + name }
