package sql

import (
	"ambit"
	"ambit/catalog/sql/grammar"
)

// indexElement reads an entry of an index or of ON CONFLICT: its operator class
// is code that is not known.
func (r *reader) indexElement(e *grammar.Node, s *scope, c *ctes) {
	r.expr(e.Node("expr"), s, c)
	if len(e.List("opclass")) > 0 {
		r.call("names an operator class")
	}
}

// creates notes a new relation.
func (r *reader) creates(rel *grammar.Node, why string) {
	at := resolve(rel)
	if rel.Text("relpersistence") == "t" {
		at.schema = "pg_temp" // it would hide what others find under its name
	}
	r.touch("sql.create", at.write(ambit.Write), at)
	r.say("%s", why)
}
