package sql

import (
	"slices"

	"ambit/catalog/sql/grammar"
)

// Need is a right in the database that an access needs beside the one on rows that its
// operation says. Only a statement that a person approved is lent it.
type Need struct {
	Right  string `json:"right"`
	Kind   string `json:"kind"`             // of the object
	Schema string `json:"schema,omitempty"` // "" for a function without one, and for schemas and databases
	Name   string `json:"name,omitempty"`   // "" for the database itself
}

// The rights of a [Need].
const (
	RightOwner    = "owner"    // those of the object's owner
	RightMaintain = "maintain" // MAINTAIN, or the owner's where the server has no such right
	RightCreate   = "create"   // to make something in a schema or database
	RightAdd      = "add"      // to make what belongs to the owner of something that is there, such as an index
	RightPlant    = "plant"    // the same, of what runs later with its owner's rights
	RightExecute  = "execute"
	RightUsage    = "usage"  // of a sequence
	RightUpdate   = "update" // of a sequence
	RightTrigger  = "trigger"
)

// The kinds of objects of a [Need].
const (
	KindRelation = "relation" // a table, view, index or sequence
	KindRoutine  = "routine"  // every function and procedure of a name
	KindType     = "type"
	KindSchema   = "schema"
	KindDatabase = "database"
)

// Owns says whether a need is of an owner's rights, which are wider than a statement.
func (n Need) Owns() bool { return n.Right == RightOwner || n.Right == RightMaintain }

// String is a need as people read it.
func (n Need) String() string {
	what := n.Kind
	if n.Schema != "" {
		what += " " + n.Schema + "." + n.Name
	} else if n.Name != "" {
		what += " " + n.Name
	}
	switch n.Right {
	case RightOwner:
		return "the rights of the owner of " + what
	case RightMaintain:
		return "the right to maintain " + what + ", or those of its owner"
	case RightCreate, RightAdd, RightPlant:
		return "the right to create in " + what
	}
	return "the right " + n.Right + " on " + what
}

// nowhere is the access of what has no table.
func nowhere() ref { return ref{} }

// need notes what an operation needs: at the access to the relation, when there is one,
// and else at that to the database.
func (r *reader) need(op string, at ref, needs ...Need) {
	t := r.touched[place{op, at.schema, at.table}]
	if t == nil {
		t = r.touched[place{op: op}]
	}
	if t == nil {
		r.cannotLend("what it needs cannot be told")
		return
	}
	for _, n := range needs {
		if !slices.Contains(t.needs, n) {
			t.needs = append(t.needs, n)
		}
	}
}

// cannotLend says why nobody can be asked about a statement: what it needs cannot be
// given for one execution.
func (r *reader) cannotLend(why string) {
	if r.beyond == "" {
		r.beyond = why
	}
}

// Why something cannot be lent.
const (
	forAdministrators = "it needs an administrator's rights, which are not lent"
	ofTheServers      = "it is about something of the server's own"
	withoutNames      = "it names no table"
)

func owner(kind string, at ref) Need { return Need{RightOwner, kind, at.schema, at.table} }

// createIn is the right to make something in a schema.
func createIn(right, schema string) Need { return Need{Right: right, Kind: KindSchema, Name: schema} }

// owned notes that a statement needs the owner of something.
func (r *reader) owned(op, kind string, at ref) {
	switch {
	case at.table == "" || at.schema == "":
		r.cannotLend("what it is about cannot be told")
	case at.catalogs():
		r.cannotLend(ofTheServers)
	default:
		r.need(op, at, owner(kind, at))
	}
}

// made notes that a statement makes something in a schema. Temporary tables need what
// everybody has, or nobody.
func (r *reader) made(right string, at ref, temporary bool) {
	switch {
	case temporary:
	case at.catalogs():
		r.cannotLend(ofTheServers)
	default:
		r.need("sql.create", at, createIn(right, at.schema))
	}
}

func temporary(rel *grammar.Node) bool { return rel.Text("relpersistence") == "t" }

// program is a name of something that is no relation: what nobody else has is public's.
func program(name []string) ref {
	switch n := len(name); {
	case n == 1:
		return ref{"public", name[0]}
	case n == 2:
		return ref{name[0], name[1]}
	}
	return ref{}
}

// routine is the need of a call. A name without a schema stays without one: it may be
// the server's own.
func routine(name []string) (Need, bool) {
	switch n := len(name); {
	case n == 1:
		return Need{RightExecute, KindRoutine, "", name[0]}, true
	case n == 2:
		return Need{RightExecute, KindRoutine, name[0], name[1]}, true
	}
	return Need{}, false
}

// calling notes what a call needs: to execute the function, and of one that takes
// numbers of a sequence, that sequence.
func (r *reader) calling(n *grammar.Node, name []string) {
	if n, ok := routine(name); ok {
		r.need("sql.call", nowhere(), n)
	}
	f, ok := own(name)
	args := n.List("args")
	if !ok || len(args) == 0 || f != "nextval" && f != "setval" {
		return
	}
	at, ok := sequenceName(constant(args[0]))
	switch {
	case !ok:
		r.cannotLend("the sequence is not named by a constant")
	case f == "nextval":
		r.need("sql.call", nowhere(), Need{RightUsage, KindRelation, at.schema, at.table})
	default:
		r.need("sql.call", nowhere(), Need{RightUpdate, KindRelation, at.schema, at.table})
	}
}

// constant is the text of a constant, also behind a cast; "" for none.
func constant(n *grammar.Node) string {
	for n.Is("TypeCast") {
		n = n.Node("arg")
	}
	if !n.Is("A_Const") {
		return ""
	}
	return n.Node("sval").Text("sval")
}

// sequenceName reads the text of a regclass as the server does: names that are not in
// quotes are folded.
func sequenceName(text string) (ref, bool) {
	var parts []string
	for {
		name, rest, ok := identifier(text)
		if !ok {
			return ref{}, false
		}
		if parts = append(parts, name); rest == "" {
			break
		}
		if rest[0] != '.' {
			return ref{}, false
		}
		text = rest[1:]
	}
	if len(parts) > 2 {
		return ref{}, false
	}
	at := resolveName(parts)
	return at, at.table != "" && !at.catalogs()
}

// identifier takes the first name of a text. Spaces, and letters that are not ASCII
// without quotes, are not understood.
func identifier(text string) (name, rest string, ok bool) {
	if text == "" || text[0] != '"' {
		i := 0
		for i < len(text) && (text[i] >= 'a' && text[i] <= 'z' || text[i] >= 'A' && text[i] <= 'Z' || text[i] == '_' || i > 0 && text[i] >= '0' && text[i] <= '9') {
			i++
		}
		b := []byte(text[:i])
		for k := range b {
			if b[k] >= 'A' && b[k] <= 'Z' {
				b[k] += 'a' - 'A'
			}
		}
		return string(b), text[i:], i > 0 && i < 64
	}
	var b []byte
	for i := 1; i < len(text); i++ {
		if text[i] != '"' {
			b = append(b, text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '"' {
			b, i = append(b, '"'), i+1
			continue
		}
		return string(b), text[i+1:], len(b) > 0 && len(b) < 64
	}
	return "", "", false
}
