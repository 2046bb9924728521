package grammar

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"

	"ambit/internal/ambittest"
)

// shared is one grammar for all tests: compiling it takes seconds.
var shared = sync.OnceValue(func() *Grammar { return New(ambittest.CodeCache()) })

func texts(t *testing.T, text string) (out []string) {
	t.Helper()
	list, err := shared().Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for _, s := range list {
		out = append(out, s.Tree.Type+" "+s.Text)
	}
	return out
}

// TestBoundaries holds the statements of a text against PostgreSQL's rules of
// quoting: what is in a string or a comment is no statement.
func TestBoundaries(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" ; ;; ", nil},
		{"-- only a comment\n/* and /* nested */ ; */", nil},
		{"SELECT 1; DELETE FROM t;", []string{"SelectStmt SELECT 1", "DeleteStmt DELETE FROM t"}},
		{"SELECT ';DROP TABLE t;--'", []string{"SelectStmt SELECT ';DROP TABLE t;--'"}},
		{"SELECT $$;$$; COMMIT", []string{"SelectStmt SELECT $$;$$", "TransactionStmt COMMIT"}},
		{"SELECT $a$;$$;$a$", []string{"SelectStmt SELECT $a$;$$;$a$"}},
		{`SELECT '\'; DROP TABLE t; --'`, []string{`SelectStmt SELECT '\'`, "DropStmt DROP TABLE t"}},
		{`SELECT E'\'; DROP TABLE t; --'`, []string{`SelectStmt SELECT E'\'; DROP TABLE t; --'`}},
		{`SELECT "a;b" FROM t`, []string{`SelectStmt SELECT "a;b" FROM t`}},
		{`SELECT U&'\003b' ; SELECT U&"d!0061t" UESCAPE '!'`, []string{`SelectStmt SELECT U&'\003b'`, `SelectStmt SELECT U&"d!0061t" UESCAPE '!'`}},
		{"SELECT /* ; */ 1 -- ; \n; SELECT 2", []string{"SelectStmt SELECT /* ; */ 1 -- ;", "SelectStmt SELECT 2"}},
		{"SELECT 'ä'; SELECT 'ö'", []string{"SelectStmt SELECT 'ä'", "SelectStmt SELECT 'ö'"}},
		{"SELECT 'a'\n'b;c'", []string{"SelectStmt SELECT 'a'\n'b;c'"}},
		{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3", []string{"CreateFunctionStmt CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "SelectStmt SELECT 3"}},
		{"CREATE RULE r AS ON SELECT TO t DO INSTEAD (DELETE FROM t; SELECT 1)", []string{"RuleStmt CREATE RULE r AS ON SELECT TO t DO INSTEAD (DELETE FROM t; SELECT 1)"}},
	} {
		if d := cmp.Diff(c.want, texts(t, c.text)); d != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, d)
		}
	}
}

// TestRefused holds what is refused before or by the grammar.
func TestRefused(t *testing.T) {
	for _, text := range []string{
		"SELEC 1", "SELECT 1 SELECT 2", "SELECT '", "SELECT $a$ $b$", "/* ", "SELECT 1; DROP", "\x00", "SELECT 1\x00; DROP TABLE t", "SELECT '\xff'",
		"SELECT U&'\\d800'", "SELECT E'\\u0000'", strings.Repeat(" ", MaxText+1), "SELECT 12abc", "\\d",
	} {
		if list, err := shared().Parse(text); err == nil {
			t.Errorf("%.60q was read as %d statements", text, len(list))
		} else if len(err.Error()) > 2*maxMessage {
			t.Errorf("the error for %.60q has %d bytes", text, len(err.Error()))
		}
	}
}

// TestTooMuch gives what is too deep, and sees that what comes after it is
// read as before: an instance in which something went wrong is not used again.
func TestTooMuch(t *testing.T) {
	const n = 40_000
	r := strings.Repeat
	for _, text := range []string{
		"select " + r("(", n) + "1" + r(")", n), "select 1" + r("+1", n), "select " + r("not ", n) + "a", "select 1" + r("::int", n), "select a" + r("[1]", n),
		"select " + r("(select ", 3000) + "1" + r(")", 3000), "select " + r("- ", n) + "1", "select " + r("case when a then ", n) + "1" + r(" end", n),
		"select 1 from a" + r(" cross join a", n), r("with a as (", n) + "select 1" + r(") select 1", n), "select 1" + r("+1", maxDepth), "select 1" + r(" union select 1", maxNesting+1),
		"select 1 where a" + r(" = (select 1 where a", 600) + r(")", 600), strings.Repeat("/*", MaxText/2), "select '" + r("x", MaxText), "select 1 " + r("+-", 5000) + " 1",
	} {
		if _, err := shared().Parse(text); err == nil {
			t.Errorf("%.40q… was read", text)
		} else if !errors.Is(err, ErrTooMuch) && !strings.Contains(err.Error(), "memory exhausted") && !strings.Contains(err.Error(), "unterminated") {
			t.Errorf("%.40q…: %v", text, err)
		}
		if d := cmp.Diff([]string{"SelectStmt SELECT a FROM b"}, texts(t, "SELECT a FROM b")); d != "" {
			t.Fatalf("after %.40q… (-want +got):\n%s", text, d)
		}
	}
	for _, text := range []string{"select 1 where a" + r(" = 1 or a", 20_000), "select " + r("case when a > 1 then 2 else 3 end, ", 5000) + "1", "select 1" + r(" union all select a + 1 from t where b = 2 and c = 3", 300),
		"insert into t values (1, 'it''s', $$a((($$, now())" + r(", (1, '(((', $$a((($$, now() - interval '1 day')", 3000), "select '" + r("(", 900_000) + "'", "select 1 /* " + r("(", 900_000) + "*/",
		"select 1" + r(",1", 100_000), "insert into t values (1,'a')" + r(",(1,'a')", 2000), "select 1 where a" + r(" and a", 2000)} {
		if _, err := shared().Parse(text); err != nil {
			t.Errorf("%.40q…: %v", text, err)
		}
	}
}

// TestTree holds our reading of a tree against that of libpg_query's own Go
// types, by writing it from them again.
func TestTree(t *testing.T) {
	for _, text := range []string{
		"SELECT a.b, count(*) FILTER (WHERE c) FROM d AS a LEFT JOIN e USING (f) WHERE g = $1 AND h IN (1, 2.5, 'x') GROUP BY 1 HAVING true ORDER BY 2 DESC NULLS LAST LIMIT 3",
		"WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) UPDATE t SET (a, b) = (SELECT 1, 2) FROM x WHERE t.i = x.n RETURNING *",
		"MERGE INTO t USING s ON t.i = s.i WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
		"GRANT SELECT (a, b) ON t TO PUBLIC", "ALTER TABLE t ADD COLUMN c int DEFAULT -1",
	} {
		raw, err := shared().e.parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var theirs pg.ParseResult
		if err := proto.Unmarshal(raw, &theirs); err != nil {
			t.Fatal(err)
		}
		list, err := shared().Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var ours pg.Node
		if err := proto.Unmarshal(union(list[0].Tree), &ours); err != nil || !proto.Equal(theirs.Stmts[0].Stmt, &ours) {
			t.Errorf("%q: we read %v, they read %v (%v)", text, &ours, theirs.Stmts[0].Stmt, err)
		}
		again, err := shared().Deparse(list[0].Tree)
		if err != nil {
			t.Fatal(err)
		}
		if back := texts(t, again); len(back) != 1 {
			t.Errorf("%q was written as %q", text, again)
		}
	}
}

func FuzzGrammar(f *testing.F) {
	for _, s := range []string{"SELECT 1", "SELECT $$a$$; DELETE FROM t WHERE a = E'\\'' -- x", "CREATE TABLE t (a int)", "((((", "select U&'\\0041' uescape '!'"} {
		f.Add(s)
	}
	if err := shared().Start(); err != nil { // takes too long for a first input
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := shared().Parse(text)
		if err != nil {
			return
		}
		end := 0
		for _, s := range list { // in order, and none overlaps another
			at := strings.Index(text[end:], s.Text)
			if at < 0 || s.Tree == nil {
				t.Fatalf("%q is not in %q", s.Text, text[end:])
			}
			end += at + len(s.Text)
		}
	})
}

// TestMistakesAmongOthers has errors come when places are kept, and when they are not.
func TestMistakesAmongOthers(t *testing.T) {
	g := New(ambittest.CodeCache())
	for range 3 {
		for range 2 {
			var syntax *SyntaxError
			if _, err := g.Parse("SELECT FROMM t WHERE"); !errors.As(err, &syntax) || !strings.Contains(syntax.Message, "syntax error") {
				t.Fatalf("a mistake: %v", err)
			}
		}
		for range careful + 1 {
			if s, err := g.Parse("SELECT 1; SELECT 2"); err != nil || len(s) != 2 {
				t.Fatalf("%v, %v", s, err)
			}
		}
		if g.e.careful != 0 {
			t.Fatal("care goes on")
		}
	}
}
