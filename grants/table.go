package grants

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ambit"
)

// Kinds of resources of a database. A table's segments are its schema and its
// name, both as the database's catalog has them; what has no table is about the
// database itself, of which the name is the one segment.
const (
	kindTable    = "table"
	kindDatabase = "database"
)

// maxIdentifier is how long a name is at most in PostgreSQL, in bytes (NAMEDATALEN - 1).
const maxIdentifier = 63

// ArgColumns names the argument of an action that holds the columns it touches:
// sorted, with commas between them and no spaces; "*" for all of the table, and
// "" for none of them.
const ArgColumns = "columns"

// AllColumns stands in ArgColumns for all columns of a table, and for those that
// cannot be named.
const AllColumns = "*"

// databaseKind has the operations of SQL statements. Which statement is which is
// not known here: whoever classifies uses these names.
func databaseKind() Kind {
	const read, write, ends = ambit.Read, ambit.Write, ambit.Irreversible
	return Kind{
		Name: "postgres", Resource: kindTable, Segments: 2, Example: "public.orders", Prefix: "sql.", Port: 5432, Operations: []Operation{
			{"sql.select", read, "Read rows"},
			{"sql.insert", write, "Add rows"},
			{"sql.update", write, "Change rows"},
			{"sql.delete", ends, "Delete rows"},
			{"sql.truncate", ends, "Delete all rows"},
			{"sql.lock", write, "Lock tables"},
			{"sql.references", ends, "Refer to a table from another"},
			{"sql.create", write, "Create tables and other objects"},
			{"sql.alter", ends, "Alter tables and other objects"},
			{"sql.drop", ends, "Drop tables and other objects"},
			{"sql.grant", ends, "Grant or revoke rights in the database"},
			{"sql.copy", ends, "Copy to or from files and programs of the server"},
			{"sql.call", ends, "Call functions that may do anything"},
			{"sql.do", ends, "Run code in the server"},
			{"sql.load", ends, "Load a library into the server"},
			{"sql.execute", ends, "Execute what was prepared by SQL"},
			{"sql.upkeep", ends, "Vacuum, analyze or reindex"},
			{"sql.other", ends, "Run other statements"},
			{"sql.notify", write, "Send a message to others who listen"},
			{"sql.connect", read, "Connect"},
			{"sql.cancel", read, "Cancel its own statement"},
			{"sql.transaction", read, "Begin and end transactions"},
			{"sql.set", read, "Set how values are shown"},
			{"sql.show", read, "Show settings"},
			{"sql.discard", read, "Discard what the session keeps"},
			{"sql.prepare", read, "Prepare statements"},
			{"sql.deallocate", read, "Forget prepared statements"},
			{"sql.declare", read, "Declare cursors"},
			{"sql.fetch", read, "Fetch from cursors"},
			{"sql.close", read, "Close cursors"},
			{"sql.listen", read, "Listen to messages"},
			{"sql.explain", read, "Explain how a statement would run"},
			{"sql.preview", read, "Show a person what a statement would touch"},
		},
	}
}

// tableOperations are those for which a database has a right on a table.
func tableOperations() []string {
	return []string{"sql.delete", "sql.insert", "sql.select", "sql.truncate", "sql.update"}
}

// parseTable reads "public.orders", "public.customers(id, city)", "public.*", or
// the database's own name for what has no table. Names are written as in SQL:
// one with capital letters or other signs stands in double quotes.
func parseTable(text, database string) (p pattern, why string) {
	first, rest, why := identifier(text)
	if why != "" {
		return p, why
	}
	if rest == "" {
		if first != database {
			return p, "is neither schema.table nor the database's own name, which is " + database
		}
		return pattern{kind: kindDatabase, segs: []string{first}, self: true}, ""
	}
	rest, ok := strings.CutPrefix(rest, ".")
	if !ok {
		return p, "is not schema.table"
	}
	p = pattern{kind: kindTable, segs: []string{first, "*"}, self: true}
	if rest == "*" {
		return p, ""
	}
	if p.segs[1], rest, why = identifier(rest); why != "" || rest == "" {
		return p, why
	}
	p.columns, why = columnList(rest)
	return p, why
}

// columnList reads "(id, city)". The result is sorted, and never nil without a
// reason.
func columnList(s string) (cols []string, why string) {
	s, ok := strings.CutPrefix(s, "(")
	s, closed := strings.CutSuffix(s, ")")
	if !ok || !closed {
		return nil, "is not schema.table or schema.table(column, column)"
	}
	cols = []string{}
	for s = strings.TrimSpace(s); s != ""; {
		name, rest, why := identifier(s)
		switch {
		case why != "":
			return nil, why
		case !plainColumn(name):
			return nil, "has a column whose name holds a comma, a star or a quote, which a line cannot name"
		case slices.Contains(cols, name):
			return nil, "names the column " + name + " twice"
		}
		cols = append(cols, name)
		rest = strings.TrimSpace(rest)
		if s, ok = strings.CutPrefix(rest, ","); !ok && rest != "" {
			return nil, "has no comma between two columns"
		}
		if s = strings.TrimSpace(s); ok && s == "" {
			return nil, "has a comma after its last column"
		}
	}
	slices.Sort(cols)
	return cols, ""
}

// plainColumn says whether a column's name can stand in ArgColumns.
func plainColumn(name string) bool { return name != "" && !strings.ContainsAny(name, `,*"`) }

// ColumnsArg writes columns as [ArgColumns] holds them. all, and a name that could
// be read as two, gives [AllColumns].
func ColumnsArg(columns []string, all bool) string {
	for _, c := range columns {
		all = all || !plainColumn(c)
	}
	if all {
		return AllColumns
	}
	s := slices.Clone(columns)
	slices.Sort(s)
	return strings.Join(slices.Compact(s), ",")
}

// identifier reads one name as SQL does, and what follows it.
func identifier(s string) (name, rest, why string) {
	if quoted, ok := strings.CutPrefix(s, `"`); ok {
		return quotedIdentifier(quoted)
	}
	n := 0
	for n < len(s) && identifierByte(s[n], n == 0) {
		n++
	}
	name, rest = s[:n], s[n:]
	switch {
	case n == 0:
		return "", s, "has a name that must stand in double quotes, or none"
	case name != lower(name):
		return "", s, "has capital letters: PostgreSQL reads " + name + " as " + lower(name) + "; write that, or \"" + name + "\" in double quotes when the name really has them"
	}
	return name, rest, badIdentifier(name)
}

func quotedIdentifier(s string) (name, rest, why string) {
	var b strings.Builder
	for {
		part, after, ok := strings.Cut(s, `"`)
		if !ok {
			return "", s, "has a double quote that does not end"
		}
		b.WriteString(part)
		if s, ok = strings.CutPrefix(after, `"`); !ok {
			return b.String(), after, badIdentifier(b.String())
		}
		b.WriteByte('"')
	}
}

// identifierByte says whether a name without quotes can hold the byte (PostgreSQL
// 17, section 4.1.1). Letters beyond ASCII are taken as they are.
func identifierByte(c byte, first bool) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= 0x80:
		return true
	}
	return !first && (c >= '0' && c <= '9' || c == '$')
}

func badIdentifier(name string) string {
	switch {
	case name == "":
		return "has an empty name"
	case len(name) > maxIdentifier:
		return "has a name that is longer than PostgreSQL keeps"
	case strings.HasSuffix(name, "*"):
		return "has a name that ends with *: it would be read as a wildcard"
	case (ambit.Resource{Kind: kindTable, Segments: []string{name}}).Check() != nil:
		return "has a name that cannot be used"
	}
	return ""
}

// quoteIdentifier writes a name as [identifier] reads it.
func quoteIdentifier(name string) string {
	return ambit.Resource{Kind: kindDatabase, Segments: []string{name}}.String()
}

// tableText writes a resource of a database as a pattern does; nil columns are all.
func tableText(segs, columns []string) string {
	var parts, cols []string
	for _, s := range segs {
		if s != "*" {
			s = quoteIdentifier(s)
		}
		parts = append(parts, s)
	}
	for _, c := range columns {
		cols = append(cols, quoteIdentifier(c))
	}
	text := strings.Join(parts, ".")
	if columns != nil {
		text += "(" + strings.Join(cols, ", ") + ")"
	}
	return text
}

// columnsOf is what an action says of its columns; nil when it is all of them or
// not said.
func columnsOf(a *ambit.Action) []string {
	switch cols, ok := a.Args[ArgColumns]; {
	case !ok || cols == AllColumns:
		return nil
	case cols == "":
		return []string{}
	default:
		return strings.Split(cols, ",")
	}
}

// sameColumns compares two lists of which nil stands for all.
func sameColumns(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// within says whether what an action says of its columns is among those that a
// pattern names. Both are sorted; what is not is not within. It allocates nothing.
func within(said string, known bool, columns []string) bool {
	if columns == nil {
		return true
	}
	if !known {
		return false
	}
	for said != "" {
		var name string
		name, said, _ = strings.Cut(said, ",")
		for len(columns) > 0 && columns[0] != name {
			columns = columns[1:]
		}
		if len(columns) == 0 {
			return false
		}
	}
	return true
}

// TableRight is what one line of the grants gives on a table.
type TableRight struct {
	Section Section // SectionAsk: for one approved statement, never before
	Schema  string
	Table   string   // "*" for every table of the schema
	Except  []string // tables of the schema that are taken out again; only with Table "*"
	Columns []string // sorted; nil for all
	// Operations are those that the line gives and for which there is a right on a
	// table, sorted: of "sql.delete", "sql.insert", "sql.select", "sql.truncate",
	// "sql.update". A column of delete or truncate means nothing.
	Operations []string
}

// Rights lists what the lines give on the tables of a service of kind postgres, in
// file order of their sections and by table: what whoever makes the task's role
// must give it, and no more. A line's times and limits are not in it. It is empty
// for other services.
func (g *Grants) Rights(service string) (out []TableRight) {
	if g == nil {
		return nil
	}
	for _, r := range g.rules {
		if r.service != service || r.line.Implied {
			continue
		}
		ops := r.tableOperations(g.kindOf(service))
		for _, p := range r.patterns {
			if right, ok := r.right(p, ops); ok {
				out = append(out, right)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b TableRight) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Table, b.Table))
	})
	return out
}

// tableOperations lists the operations on tables that a rule gives.
func (r *rule) tableOperations(k Kind) (out []string) {
	for _, o := range k.Operations {
		if r.operation(o.Name) && r.fits(o.Effect.Worst()) && slices.Contains(tableOperations(), o.Name) {
			out = append(out, o.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *rule) right(p pattern, ops []string) (TableRight, bool) {
	if p.kind != kindTable || len(ops) == 0 {
		return TableRight{}, false
	}
	t := TableRight{Section: r.line.Section, Schema: p.segs[0], Table: p.segs[1], Columns: slices.Clone(p.columns), Operations: slices.Clone(ops)}
	for _, e := range r.except {
		switch {
		case e.kind != kindTable || e.segs[0] != t.Schema:
		case e.segs[1] == "*" || e.segs[1] == t.Table:
			return TableRight{}, false
		case t.Table == "*":
			t.Except = append(t.Except, e.segs[1])
		}
	}
	slices.Sort(t.Except)
	return t, true
}

// statementActions are what a text of SQL would do, as whoever reads it says.
func (g *Grants) statementActions(s *Service, text string) (out []ambit.Action, err error) {
	if g.kinds.Statements == nil {
		return nil, errors.New("cannot read action: nothing here reads SQL; name the operation: " + s.Name.Value + " select public.orders(id)")
	}
	calls, err := g.kinds.Statements(s.Database.Value, text)
	if err == nil && len(calls) == 0 {
		err = errors.New("it is no statement")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read action: %w", err)
	}
	for _, c := range calls {
		a := ambit.Action{Agent: g.file.Agent.Value, Service: s.Name.Value, Operation: c.Operation, Effect: c.Effect, Resource: c.Resource}
		a.Args = map[string]string{"statement": text}
		if c.Resource.Kind == kindTable {
			a.Args[ArgColumns] = c.Columns
		}
		out = append(out, a)
	}
	return out, nil
}
