package sql

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ambit"
)

// isRead says whether all of a text is classified as a read.
func isRead(text string) bool {
	list, err := shared().Parse(text)
	if err != nil || len(list) == 0 {
		return false
	}
	for _, s := range list {
		if s.Effect != ambit.Read {
			return false
		}
	}
	return true
}

// TestReadsChangeNothing runs, as the owner of everything, what is classified
// as a read: the corpus, and statements made of its pieces. The server's whole
// state is the same afterwards. Statements that are known to change something
// show that the state would tell.
func TestReadsChangeNothing(t *testing.T) {
	s := newServer(t)
	before := s.state()
	texts := corpora(t)
	ran := 0
	run := func(text string) {
		if !isRead(text) {
			return
		}
		ran++
		if moved := s.run(text); moved != "" {
			t.Errorf("%s\nis classified as a read, but %s", text, moved)
		}
	}
	for _, text := range texts {
		run(text)
	}
	corpus := ran
	m := newMutator(texts, 1)
	for deadline := time.Now().Add(12 * time.Second); time.Now().Before(deadline) && ran < corpus+3000; {
		run(m.next())
	}
	if d := cmp.Diff(before, s.state()); d != "" {
		t.Errorf("the state is another one (-before +after):\n%s", d)
	}
	if corpus < 60 || ran < corpus+20 {
		t.Errorf("only %d of the corpus and %d others ran", corpus, ran-corpus)
	}
	t.Logf("%d reads of the corpus, %d others", corpus, ran-corpus)
	for _, text := range []string{"SELECT f()", "SELECT nextval('s')", "SELECT id FROM orders FOR UPDATE", "SELECT lo_create(0)", "SELECT txid_current()", "SELECT '1'::careful",
		"SELECT 1 <<<>>> 2", "SELECT pg_advisory_lock(1)", "SET work_mem = '10MB'", "WITH x AS (DELETE FROM victims WHERE n = 7 RETURNING 1) SELECT 1", "EXPLAIN ANALYZE DELETE FROM victims"} {
		if moved := s.run(text); moved == "" {
			t.Errorf("%s moved nothing: the test is blind to it", text)
		}
	}
	if s.state() == before {
		t.Error("the state is the same after changes: the test is blind")
	}
}

// corpora are the texts of all corpus files.
func corpora(t testing.TB) (texts []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, c := range corpus(t, f) {
			texts = append(texts, c[0])
		}
	}
	return texts
}

// mutator makes statements of pieces of others.
type mutator struct {
	rnd   *rand.Rand
	texts []string
	words []string
}

// piece takes a text apart, roughly as PostgreSQL does.
var piece = regexp.MustCompile(`'(?:[^']|'')*'|"[^"]*"|[A-Za-z_][A-Za-z_0-9]*|[0-9.]+|\$[0-9]+|::|[<>=+*/~!@#%^&|?-]+|[^\sA-Za-z0-9]`)

func newMutator(texts []string, seed uint64) *mutator {
	m := &mutator{rnd: rand.New(rand.NewPCG(seed, 0)), texts: texts}
	for _, t := range texts {
		m.words = append(m.words, piece.FindAllString(t, -1)...)
	}
	return m
}

func (m *mutator) pick(from []string) string { return from[m.rnd.IntN(len(from))] }

// spans are parts of statements that often fit where a value stands.
func (m *mutator) span() string {
	switch m.rnd.IntN(6) {
	case 0:
		return "(" + m.pick(m.texts) + ")"
	case 1:
		return "f(" + m.pick(m.words) + ")"
	case 2:
		w := piece.FindAllString(m.pick(m.texts), -1)
		at := m.rnd.IntN(len(w))
		return strings.Join(w[at:min(len(w), at+1+m.rnd.IntN(8))], " ")
	case 3:
		return m.pick([]string{"lies()", "1 <<<>>> 2", "'1'::careful", "CAST(1 AS careful)", "careful '1'", "o.f", "(t).f", "(1).f", "OPERATOR(public.=)", "nextval('s')", "pg_advisory_lock(1)", "FOR UPDATE", "INTO made"})
	}
	return m.pick(m.words)
}

func (m *mutator) next() string {
	w := piece.FindAllString(m.pick(m.texts), -1)
	for range 1 + m.rnd.IntN(3) {
		if len(w) == 0 {
			break
		}
		at := m.rnd.IntN(len(w))
		switch m.rnd.IntN(4) {
		case 0:
			w[at] = m.span()
		case 1:
			w = append(w[:at:at], append([]string{m.span()}, w[at:]...)...)
		case 2:
			w = append(w[:at:at], w[at+1:]...)
		default:
			w = append(w, m.span())
		}
	}
	return strings.Join(w, " ")
}

// TestEveryFunctionIsHarmless calls every function of pg_catalog that a read may
// call, with values of its types.
func TestEveryFunctionIsHarmless(t *testing.T) {
	s := newServer(t)
	rows := s.ask(s.admin, `SELECT p.oid::regprocedure::text || '~' || proname || '~' || prokind::text || '~' || pronargs || '~' || coalesce((SELECT string_agg(format_type(x, NULL), ';' ORDER BY n)
		FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS u(x, n)), '') FROM pg_proc p WHERE pronamespace = 'pg_catalog'::regnamespace ORDER BY 1`)
	before := s.state()
	var texts []string
	for row := range strings.SplitSeq(strings.Trim(rows, "|"), "|") {
		f := strings.Split(row, "~")
		if len(f) != 5 || !builtin().functions.has(f[1]) {
			continue
		}
		text := call(f[1], f[2], f[4])
		if !isRead(text) {
			t.Errorf("%s: %s", text, answer(text))
		}
		texts = append(texts, text)
	}
	for batch := range slices.Chunk(texts, 25) {
		if moved := s.run(batch...); moved != "" {
			t.Errorf("one of these is classified as a read, but %s:\n%s", moved, strings.Join(batch, "\n"))
		}
	}
	if d := cmp.Diff(before, s.state()); d != "" {
		t.Errorf("the state is another one (-before +after):\n%s", d)
	}
	if len(texts) < 1500 || s.worked < len(texts)/2 {
		t.Errorf("of %d calls %d worked", len(texts), s.worked)
	}
}

// call writes a call of a function, with values that its types accept.
func call(name, kind, types string) string {
	var args []string
	if types != "" {
		for typ := range strings.SplitSeq(types, ";") {
			args = append(args, value(typ))
		}
	}
	over := ""
	if kind == "w" {
		over = " OVER ()"
	}
	return fmt.Sprintf(`SELECT pg_catalog.%q(%s)%s`, name, strings.Join(args, ", "), over)
}

// value is one of a type; what is not named is NULL of that type.
func value(typ string) string {
	switch typ {
	case "integer", "bigint", "smallint", "oid", "numeric", "double precision", "real":
		return "1::" + typ
	case "text", "name", "character varying", "character", `"char"`:
		return "'orders'::" + typ
	case "regclass":
		return "'orders'::regclass"
	case "boolean":
		return "true"
	case "timestamp with time zone", "timestamp without time zone", "date":
		return "'2024-02-03'::" + typ
	case "interval":
		return "'1 s'::interval"
	case "json", "jsonb":
		return `'{"a":[1]}'::` + typ
	case "xml":
		return "'<a/>'::xml"
	case "bytea":
		return `'\x01'::bytea`
	case `"any"`, "anyelement", "anycompatible", "anynonarray", "anyenum":
		return "1"
	case "anyarray", "anycompatiblearray", "text[]":
		return "ARRAY['1']"
	case "record":
		return "ROW(1)"
	}
	return "NULL"
}
