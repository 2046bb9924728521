package sql

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"

	"ambit"
	"ambit/catalog/sql"
)

// maxArg is how much of a statement, and of its parameters, an action holds when
// nobody is asked about it; the digest stands for the rest. In bytes.
const maxArg = 4 << 10

// parameters are those of one execution, as an action holds them.
type parameters struct {
	given  bool
	text   string // a JSON array: texts, nulls, and {"base64": …} for binary values
	digest string // SHA-256 over all, when text is not all
	size   int
	values [][]byte // to show what it would touch; nil when they are too many
	binary []int16
}

// kept is how many bytes they keep.
func (p *parameters) kept() int {
	if p.digest != "" {
		return len(p.text) + len(p.digest)
	}
	return len(p.text) + p.size + 16*len(p.values) + 2*len(p.binary)
}

// parameters makes an action's argument of those that came with a Bind.
func (s *session) parameters(m *pgproto3.Bind) (p parameters) {
	p.given = len(m.Parameters) > 0
	for _, v := range m.Parameters {
		p.size += len(v) + 8
	}
	if p.size > s.g.c.Limits.AskBytes {
		h := sha256.New()
		fmt.Fprintf(h, "%v", m.ParameterFormatCodes)
		for _, v := range m.Parameters {
			fmt.Fprintf(h, "\n%d %t\n", len(v), v == nil)
			h.Write(v)
		}
		p.text, p.digest = fmt.Sprintf("[%d parameters, %d bytes]", len(m.Parameters), p.size), hex.EncodeToString(h.Sum(nil))
		return p
	}
	b := []byte{'['}
	for i, v := range m.Parameters {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendParameter(b, v, formatOf(m.ParameterFormatCodes, i) != 0)
		p.values = append(p.values, slices.Clone(v))
	}
	p.text, p.binary = string(append(b, ']')), slices.Clone(m.ParameterFormatCodes)
	return p
}

// formatOf is the format of a parameter: 0 for text, 1 for binary (section 53.7).
func formatOf(codes []int16, i int) int16 {
	switch {
	case len(codes) == 1:
		return codes[0]
	case i < len(codes):
		return codes[i]
	}
	return 0
}

func appendParameter(b, v []byte, binary bool) []byte {
	switch {
	case v == nil:
		return append(b, "null"...)
	case binary || !utf8.Valid(v):
		return append(base64.StdEncoding.AppendEncode(append(b, `{"base64":"`...), v), `"}`...)
	}
	text, err := json.Marshal(string(v))
	if err != nil { // a text that is UTF-8 cannot fail
		return append(b, "null"...)
	}
	return append(b, text...)
}

// actions makes one action for each table and operation that the statements touch.
// All of them hold what makes this execution this one and no other: the text, the
// parameters, their types.
func (r *run) actions(text string) *refusal {
	size := 0
	for i := range r.list {
		size += len(r.list[i].Text) // an EXECUTE has what was prepared too
	}
	size = max(size, len(text)) + r.params.size
	r.whole = size <= r.s.g.c.Limits.AskBytes && r.params.digest == ""
	if r.s.unsure {
		r.unseen = "the session's settings, by which its values are read, may have changed in the same batch"
	}
	for i := range r.list {
		if w := r.list[i].Unseen; w != "" {
			r.unseen = w
		}
	}
	for i := range r.list {
		st := &r.list[i]
		for _, a := range Accesses(*st) {
			x := r.s.touch(a)
			r.arguments(&x, st.Text, text, true)
			if size > maxArg || r.unseen != "" || st.Beyond != "" || len(a.Needs) > 0 {
				asks := r.s.g.c.Foresee != nil && r.s.g.c.Foresee(&x) == ambit.Ask
				var bad *refusal
				if asks && (!r.whole || r.unseen != "") {
					bad = r.cannotAsk()
				} else if asks {
					bad = r.lent(st, a)
				}
				if bad != nil {
					bad.what = describe(&x)
					return bad
				}
				if !asks && size > maxArg {
					// Who is asked sees it all; else the log need not hold it all.
					r.arguments(&x, st.Text, text, false)
				}
			}
			r.acts = append(r.acts, x)
		}
	}
	if len(r.acts) > sql.MaxAccesses {
		return notUnderstood("it touches too many tables")
	}
	return nil
}

// touch is the action of one access.
func (s *session) touch(a sql.Access) ambit.Action {
	x := s.g.action(a.Operation, a.Effect, s.database())
	x.Service, x.Args = s.db.Service, map[string]string{}
	if a.Table != "" {
		x.Resource = ambit.Resource{Kind: "table", Segments: []string{a.Schema, a.Table}}
		x.Args["columns"] = columns(a.Columns)
	}
	if len(a.Needs) > 0 {
		x.Args[argNeeds] = needsText(a.Needs)
	}
	return x
}

// hides says whether a person who approved an action was not shown all of it.
func (r *run) hides(a ambit.Action) bool {
	clipped := a.Args["statement.sha256"] != "" || a.Args["message.sha256"] != "" || a.Args["parameters.sha256"] != ""
	return !r.whole || r.unseen != "" || clipped
}

func (r *run) cannotAsk() *refusal {
	if r.unseen != "" {
		return &refusal{code: CodeUnknown, state: stateRefused, why: "a person cannot be asked about it: " + r.unseen, instead: "Send a statement that says all that it does, after a Sync."}
	}
	return &refusal{code: CodeTooLarge, state: stateRefused, why: "a person cannot be asked about so large a statement", instead: "Send smaller statements, or fewer rows at a time."}
}

// Accesses are those of a statement, of which each becomes an action; what touches
// no table is about the database. None is better than the statement as a whole.
func Accesses(st sql.Statement) []sql.Access {
	if len(st.Accesses) == 0 {
		return []sql.Access{{Operation: orText(st.Operation, "sql.unknown"), Effect: st.Effect}}
	}
	as := slices.Clone(st.Accesses)
	worst := ambit.Read
	for i := range as {
		as[i].Operation = orText(as[i].Operation, "sql.unknown")
		worst = max(worst, as[i].Effect.Worst())
	}
	if worst < st.Effect.Worst() {
		as = append(as, sql.Access{Operation: orText(st.Operation, "sql.unknown"), Effect: st.Effect})
	}
	return as
}

func orText(s, t string) string {
	if s == "" {
		return t
	}
	return s
}

// columns writes those of an access as the grants read them: sorted, with commas; a
// name that could be read as two stands for all.
func columns(cs []string) string {
	if len(cs) == 0 {
		return "*"
	}
	for _, c := range cs {
		if c == "" || strings.ContainsAny(c, `,*"`) {
			return "*"
		}
	}
	cs = slices.Clone(cs)
	slices.Sort(cs)
	return strings.Join(slices.Compact(cs), ",")
}

// arguments sets what an approval binds. With whole it is the text itself, and else
// the beginning and the digest.
func (r *run) arguments(x *ambit.Action, statement, message string, whole bool) {
	set := func(name, value string) {
		if whole || len(value) <= maxArg {
			x.Args[name] = value
			return
		}
		sum := sha256.Sum256([]byte(value))
		x.Args[name], x.Args[name+".sha256"] = strings.ToValidUTF8(value[:maxArg], ""), hex.EncodeToString(sum[:])
	}
	set("statement", statement)
	if how := r.s.readingText(); how != "" {
		x.Args["reading"] = how // the same text is another value when dates are read in another way
	}
	if len(r.list) > 1 {
		set("message", message)
	}
	if r.params.given {
		set("parameters", r.params.text)
		if r.params.digest != "" {
			x.Args["parameters.sha256"] = r.params.digest
		}
		if r.of != nil && strings.Trim(r.of.types, "0,") != "" {
			x.Args["types"] = r.of.types
		}
	}
}
