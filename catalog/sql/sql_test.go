package sql

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ambit/internal/ambittest"
)

// shared is one parser for all tests: compiling the grammar takes seconds.
var shared = sync.OnceValue(func() *Parser { return NewParser(ambittest.CodeCache()) })

// show writes what a statement would do as the corpus has it.
func show(s Statement) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.Effect, strings.TrimPrefix(s.Operation, "sql."))
	for _, a := range s.Accesses {
		at := "database"
		if a.Table != "" {
			at = a.Schema + "." + a.Table + "(" + strings.Join(a.Columns, ",") + ")"
		}
		fmt.Fprintf(&b, "; %s %s", strings.TrimPrefix(a.Operation, "sql."), at)
		if a.Effect != s.Effect {
			fmt.Fprintf(&b, " %s", a.Effect)
		}
	}
	if len(s.Because) > 0 {
		fmt.Fprintf(&b, " # %s", strings.Join(s.Because, ", "))
	}
	return b.String()
}

func answer(text string) string {
	list, err := shared().Parse(text)
	if err != nil {
		return "error " + strings.TrimPrefix(strings.SplitN(err.Error(), "\n", 2)[0], "cannot read SQL: ")
	}
	var lines []string
	for _, s := range list {
		lines = append(lines, show(s))
	}
	if len(lines) == 0 {
		return "nothing"
	}
	return strings.Join(lines, "\n=> ")
}

// corpus goes through a file of statements: each stands on lines of its own,
// and after it what it would do, on a line that begins with "=> ".
func corpus(t testing.TB, file string) (cases [][2]string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(string(b), "\n\n") {
		if block = strings.Trim(block, "\n"); block == "" || strings.HasPrefix(block, "##") {
			continue
		}
		text, want, _ := strings.Cut(block, "\n=> ")
		cases = append(cases, [2]string{text, want})
	}
	return cases
}

// TestCorpus holds the classifier against what people reviewed: -update writes
// the answers anew, to be reviewed again.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".sql"), func(t *testing.T) {
			var b strings.Builder
			for _, c := range corpus(t, file) {
				got := answer(c[0])
				fmt.Fprintf(&b, "%s\n=> %s\n\n", c[0], got)
				if !*update && got != c[1] {
					t.Errorf("%s\n%s", c[0], cmp.Diff(c[1], got))
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
