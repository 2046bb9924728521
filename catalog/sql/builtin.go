package sql

import (
	_ "embed"
	"strings"
	"sync"
)

// builtinText lists what PostgreSQL 15 has in pg_catalog, made by TestBuiltin
// from a real server: a line is a sort and its names. Functions are those of
// which no overload is volatile.
//
//go:embed data/builtin.txt
var builtinText string

// reviewedText takes out of builtinText what has an effect although the server
// calls it stable or immutable, and adds what has none although it is called
// volatile. Each name was looked at by a person.
//
//go:embed data/reviewed.txt
var reviewedText string

type set map[string]struct{}

func (s set) has(name string) bool { _, ok := s[name]; return ok }

// builtins are the names of pg_catalog, by what a read may do with them.
type builtins struct {
	functions set // may be called
	writes    set // may be called by a write
	others    set // the other functions that take one argument
	operators set
	types     set
	relations set
}

var builtin = sync.OnceValue(func() *builtins {
	b := &builtins{set{}, set{}, set{}, set{}, set{}, set{}}
	for line := range strings.Lines(builtinText) {
		sort, names, _ := strings.Cut(line, " ")
		to := map[string]set{"function": b.functions, "other": b.others, "operator": b.operators, "type": b.types, "relation": b.relations}[sort]
		for n := range strings.FieldsSeq(names) {
			to[n] = struct{}{}
		}
	}
	for line := range strings.Lines(reviewedText) {
		what, names, _ := strings.Cut(line, " ")
		for n := range strings.FieldsSeq(names) {
			b.review(what, n)
		}
	}
	return b
})

func (b *builtins) review(what, name string) {
	switch what {
	case "harmless":
		b.functions[name] = struct{}{}
		delete(b.others, name)
	case "effect", "write":
		delete(b.functions, name)
		b.others[name] = struct{}{}
	}
	if what == "write" {
		b.writes[name] = struct{}{}
	}
}

// own returns the last part of a name that is pg_catalog's when it is one at
// all: unqualified, since pg_catalog comes first in the search path, or
// qualified so.
func own(name []string) (string, bool) {
	switch {
	case len(name) == 1:
		return name[0], true
	case len(name) == 2 && name[0] == "pg_catalog":
		return name[1], true
	}
	return "", false
}
