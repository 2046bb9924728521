package sql

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ambit"
	"ambit/catalog/sql/grammar"
)

// reader gathers what one statement does.
type reader struct {
	touched map[place]*touch
	because []string
	params  int
	depth   int
	work    int  // how often it was asked to which relation a column belongs
	full    bool // there were more accesses than the bound, or too much work
	unseen  string
	early   bool
	since   int
	beyond  string // why what it needs cannot be lent
}

// place is one operation on one relation; the relation's name is empty for the
// database.
type place struct{ op, schema, table string }

type touch struct {
	effect  ambit.Effect
	columns set
	all     bool
	needs   []Need
}

// ref is a relation as the server would find it.
type ref struct{ schema, table string }

func newReader() *reader { return &reader{touched: map[place]*touch{}} }

// touch notes an operation.
func (r *reader) touch(op string, e ambit.Effect, at ref) *touch {
	p := place{op, at.schema, at.table}
	t := r.touched[p]
	if t == nil {
		t = &touch{effect: ambit.Read, columns: set{}}
		r.touched[p] = t
		r.full = r.full || len(r.touched) > MaxAccesses
	}
	t.effect = max(t.effect, e.Worst())
	return t
}

func (t *touch) column(name string) {
	// Columns are written in one line, with commas between them.
	if t.all = t.all || name == "" || strings.ContainsAny(name, `,*"`); !t.all {
		t.columns[name] = struct{}{}
	}
}

// database notes an operation on the database as a whole, and why.
func (r *reader) database(op string, e ambit.Effect, why string, args ...any) {
	r.touch(op, e, ref{})
	r.say(why, args...)
}

const maxBecause = 8

func (r *reader) say(why string, args ...any) {
	s := fmt.Sprintf(why, args...)
	if why != "" && len(r.because) < maxBecause && !slices.Contains(r.because, s) {
		r.because = append(r.because, s)
	}
}

// call notes something that may do anything.
func (r *reader) call(why string, args ...any) {
	r.database("sql.call", ambit.Irreversible, why, args...)
}

func (r *reader) effect() ambit.Effect {
	e := ambit.Read
	for _, t := range r.touched {
		e = max(e, t.effect)
	}
	return e
}

func (r *reader) accesses() (out []Access) {
	for p, t := range r.touched {
		a := Access{Operation: p.op, Effect: t.effect, Schema: p.schema, Table: p.table, Needs: t.needs}
		if p.table != "" {
			if a.Columns = slices.Sorted(maps.Keys(t.columns)); t.all {
				a.Columns = []string{"*"}
			}
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Access) int {
		return strings.Compare(a.Schema+"\x00"+a.Table+"\x00"+a.Operation, b.Schema+"\x00"+b.Table+"\x00"+b.Operation)
	})
	return out
}

// resolve says which relation a RangeVar names: an unqualified name is
// pg_catalog's when pg_catalog has it, else public's.
func resolve(rv *grammar.Node) ref {
	at := ref{rv.Text("schemaname"), rv.Text("relname")}
	if at.schema == "" {
		at.schema = "public"
		if builtin().relations.has(at.table) {
			at.schema = "pg_catalog"
		}
	}
	return at
}

// resolveName does the same for a list of names, as DROP has them.
func resolveName(name []string) ref {
	switch n := len(name); {
	case n == 0:
		return ref{}
	case n == 1 && builtin().relations.has(name[0]):
		return ref{"pg_catalog", name[0]}
	case n == 1:
		return ref{"public", name[0]}
	default:
		return ref{name[n-2], name[n-1]}
	}
}

// catalogs are schemas of the server's own: who writes to them changes the
// server. A view there, such as pg_settings, may do anything when written to.
func (at ref) catalogs() bool {
	return at.schema == "information_schema" || strings.HasPrefix(at.schema, "pg_")
}

// write is the effect of changing rows of a relation.
func (at ref) write(e ambit.Effect) ambit.Effect {
	if at.catalogs() {
		return ambit.Irreversible
	}
	return e
}
