package grammar

import "testing"

// TestSame: trees are the same when their statements say the same, however they are
// spaced, and not when anything in them is another.
func TestSame(t *testing.T) {
	g := shared()
	tree := func(text string) *Node {
		list, err := g.Parse(text)
		if err != nil || len(list) != 1 {
			t.Fatal(text, err)
		}
		return list[0].Tree
	}
	const text = "SELECT a, 'x' FROM s.t WHERE a BETWEEN 1 AND (2 = b) LIMIT 3"
	for other, want := range map[string]bool{
		text: true,
		"select  a , E'x' /* c */ from s . t where (a) between 1 and (2=b) limit (3)": true,
		"SELECT a, 'x' FROM s.t WHERE a BETWEEN 1 AND 2 = b LIMIT 3":                  false,
		"SELECT a, 'y' FROM s.t WHERE a BETWEEN 1 AND (2 = b) LIMIT 3":                false,
		"SELECT a, 'x' FROM s.t WHERE a BETWEEN 1 AND (0 = b) LIMIT 3":                false,
		"SELECT a, 'x' FROM t WHERE a BETWEEN 1 AND (2 = b) LIMIT 3":                  false,
		"SELECT 'x', a FROM s.t WHERE a BETWEEN 1 AND (2 = b) LIMIT 3":                false,
		"SELECT a, 'x' FROM ONLY s.t WHERE a BETWEEN 1 AND (2 = b) LIMIT 3":           false,
		"SELECT a, 'x' FROM s.t WHERE a BETWEEN SYMMETRIC 1 AND (2 = b) LIMIT 3":      false,
		"SELECT a, 'x' FROM s.t WHERE a BETWEEN 1 AND (2 = b)":                        false,
		"DELETE FROM s.t": false,
	} {
		if Same(tree(text), tree(other)) != want || Same(tree(other), tree(text)) != want {
			t.Errorf("%s: want %v", other, want)
		}
	}
	if Same(nil, tree(text)) || Same(tree(text), nil) || !Same(nil, nil) {
		t.Error("nothing is the same as something")
	}
}
