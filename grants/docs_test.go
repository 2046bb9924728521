package grants

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDocs loads every example of the reference, and looks for every key in it.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../docs/grants.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	if n := examples(t, doc); n < 7 {
		t.Errorf("only %d examples", n)
	}
	for _, k := range slices.Concat(fileKeys(), serviceKeys(), lineKeys(), ProfileNames(),
		[]string{"workspace", "home", "memory", "processes", "cpu", "open-files", "header", "basic", "query", "command"}) {
		if !strings.Contains(doc, "`"+k) && !strings.Contains(doc, "{"+k) {
			t.Errorf("the reference does not name %s", k)
		}
	}
}

// TestAgentsDoc loads every example of the page about agent programs.
func TestAgentsDoc(t *testing.T) {
	b, err := os.ReadFile("../docs/agents.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := examples(t, string(b)); n < 3 {
		t.Errorf("only %d examples", n)
	}
}

// examples loads the examples of a document and says how many there are.
func examples(t *testing.T, doc string) (n int) {
	t.Helper()
	for i, part := range strings.Split(doc, "\n```") {
		src, isFile := strings.CutPrefix(part, "yaml\n")
		fragment, isFragment := strings.CutPrefix(part, "yaml fragment\n")
		if isFragment {
			src = api + fragment
		}
		if i%2 == 0 || (!isFile && !isFragment) {
			continue
		}
		n++
		if _, err := Load("ambit.yaml", []byte(src), gitKinds(), noon()); err != nil {
			t.Errorf("%v\n%s", err, src)
		}
	}
	return n
}
