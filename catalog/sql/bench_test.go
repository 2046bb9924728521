package sql

import "testing"

const selectOnly = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"

// BenchmarkParse reads a statement that was never seen.
func BenchmarkParse(b *testing.B) {
	if err := shared().Start(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		list, err := shared().g.Parse(selectOnly)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := classify(list[0]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseSeen reads one that was.
func BenchmarkParseSeen(b *testing.B) {
	for b.Loop() {
		if _, err := shared().Parse(selectOnly); err != nil {
			b.Fatal(err)
		}
	}
}
