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
	n := 0
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
		mustLoad(t, src)
	}
	if n < 7 {
		t.Errorf("only %d examples", n)
	}
	for _, k := range slices.Concat(fileKeys(), serviceKeys(), lineKeys(), ProfileNames(),
		[]string{"workspace", "home", "memory", "processes", "cpu", "open-files", "header", "basic", "query", "command"}) {
		if !strings.Contains(doc, "`"+k) && !strings.Contains(doc, "{"+k) {
			t.Errorf("the reference does not name %s", k)
		}
	}
}
