package grants

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ambit"
)

// shape makes a file of n lines and an action that must be looked up in it.
type shape struct {
	name   string
	lines  func(b *strings.Builder, n int)
	action string
	want   ambit.Verdict
}

func shapes() []shape {
	each := func(format string) func(b *strings.Builder, n int) {
		return func(b *strings.Builder, n int) {
			for i := range n {
				fmt.Fprintf(b, format+"\n", i)
			}
		}
	}
	return []shape{
		{"literals", each("  - api: /v1/items/%d/parts"), "http GET https://api.example.com/v1/items/7/parts", ambit.Allow},
		{"no match", each("  - api: /v1/items/%d/parts"), "http GET https://api.example.com/v1/items/none/parts", ambit.Deny},
		{"wildcard tails", each("  - api: /v1/t%d/**"), "http GET https://api.example.com/v1/t3/a/b/c", ambit.Allow},
		{"stars in the middle", each("  - api: /v1/*/p%d"), "http GET https://api.example.com/v1/x/p5", ambit.Allow},
		{"prefixes", each("  - api: /v1/p%d-*"), "http GET https://api.example.com/v1/p5-x", ambit.Allow},
		{"one prefix, all lines", each("  - api: /v1/**  # %d"), "http GET https://api.example.com/v1/a/b", ambit.Allow},
		{"many services", func(b *strings.Builder, n int) {
			for i := range n {
				fmt.Fprintf(b, "  - web: h%d.example\n", i)
			}
		}, "http GET https://h3.example/a/b/c", ambit.Allow},
		{"operations", func(b *strings.Builder, n int) {
			for i := range n {
				fmt.Fprintf(b, "  - api: /v1/items/%d\n    operations: [%s]\n", i, []string{"get", "head", "http.*", "'*'"}[i%4])
			}
		}, "http GET https://api.example.com/v1/items/2", ambit.Allow},
		{"exceptions", func(b *strings.Builder, n int) {
			for i := range n {
				fmt.Fprintf(b, "  - api: /v1/e%d/**\n    except: [/v1/e%d/x, /v1/e%d/y/**]\n", i, i, i)
			}
		}, "http GET https://api.example.com/v1/e4/z", ambit.Allow},
		{"files", each("  - files: src/d%d"), "files read src/d6/main.go", ambit.Allow},
	}
}

func (s shape) load(t testing.TB, n int) (*Grants, *ambit.Action) {
	var b strings.Builder
	b.WriteString(api + "read:\n")
	s.lines(&b, n)
	g := mustLoad(t, b.String())
	a, err := g.ParseAction(s.action)
	if err != nil {
		t.Fatal(err)
	}
	if d := g.Decide(&a[0]); d.Verdict != s.want {
		t.Fatalf("%s: %+v", s.name, d)
	}
	return g, &a[0]
}

func BenchmarkDecide(b *testing.B) {
	for _, s := range shapes() {
		for _, n := range []int{10, 100, 1_000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(s.name, " ", "-"), n), func(b *testing.B) {
				g, a := s.load(b, n)
				b.ReportAllocs()
				for b.Loop() {
					if g.Decide(a).Verdict != s.want {
						b.Fatal("another verdict")
					}
				}
			})
		}
	}
}

// BenchmarkWorst decides where a file comes as near to the bound of work as it
// may, and the action makes use of all of it.
func BenchmarkWorst(b *testing.B) {
	g := mustLoad(b, worst(4))
	a, _ := g.ParseAction("http GET https://api.example.com/a/a/a/a")
	b.ReportAllocs()
	for b.Loop() {
		if g.Decide(&a[0]).Verdict != ambit.Allow {
			b.Fatal("another verdict")
		}
	}
}

// worst writes all patterns of depth segments that are "a" or "*".
func worst(depth int) string {
	var b strings.Builder
	b.WriteString(api + "read:\n")
	for i := range 1 << depth {
		b.WriteString("  - api: \"")
		for d := range depth {
			b.WriteString("/" + []string{"a", "*"}[i>>d&1])
		}
		b.WriteString("\"\n")
	}
	return b.String()
}

// TestWorkIsBounded: patterns that would make decisions slow do not load.
func TestWorkIsBounded(t *testing.T) {
	for _, depth := range []int{5, 9, 12} {
		if msg := loadError(t, worst(depth)); !strings.Contains(msg, "overlap in too many ways") || !strings.Contains(msg, "ambit.yaml:8:5") {
			t.Errorf("depth %d: %s", depth, msg)
		}
	}
	same := api + "read:\n" + strings.Repeat("  - api: /v1/**\n    during: 09:00-17:00 UTC\n", 100)
	if msg := loadError(t, same); !strings.Contains(msg, "overlap in too many ways") {
		t.Error(msg)
	}
	var chain strings.Builder
	for i := range 100 {
		fmt.Fprintf(&chain, "  - api: /%s*\n", strings.Repeat("a", i+1))
	}
	if msg := loadError(t, api+"read:\n"+chain.String()); !strings.Contains(msg, "overlap in too many ways") {
		t.Error(msg)
	}
	mustLoad(t, worst(4)) // the twin within the bound
}

// TestDecideIsFlat: no allocation, and no growth with the number of lines. The
// clock of a busy machine is not trusted: it counts the index's steps too.
func TestDecideIsFlat(t *testing.T) {
	for _, s := range shapes() {
		var work []int
		for _, n := range []int{10, 1_000} {
			g, a := s.load(t, n)
			if allocs := testing.AllocsPerRun(100, func() { g.Decide(a) }); allocs != 0 {
				t.Errorf("%s, %d lines: %v allocations", s.name, n, allocs)
			}
			live := NewLive(g, noon)
			if allocs := testing.AllocsPerRun(100, func() { live.Decide(a) }); allocs != 0 {
				t.Errorf("%s, %d lines, live: %v allocations", s.name, n, allocs)
			}
			sum := 0
			for _, x := range g.index {
				sum = max(sum, x.work(g.rules))
			}
			work = append(work, sum)
		}
		if work[1] > work[0]+2 {
			t.Errorf("%s: %d steps for 10 lines, %d for 1,000", s.name, work[0], work[1])
		}
	}
}

// TestDecideIsQuick is a generous bound that only a change of the order of
// growth would break.
func TestDecideIsQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second to load 10,000 lines")
	}
	g, a := shapes()[0].load(t, 10_000)
	best := time.Hour
	for range 10 { // other work on the machine only ever makes it slower
		const rounds = 2_000
		begin := time.Now()
		for range rounds {
			g.Decide(a)
		}
		best = min(best, time.Since(begin)/rounds)
	}
	if best > 10*time.Microsecond {
		t.Errorf("a decision takes %v", best)
	}
}

// BenchmarkLoad is what a task's start pays: the file with all its profiles.
func BenchmarkLoad(b *testing.B) {
	for name, src := range validFiles(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustLoad(b, src)
			}
		})
	}
}
