package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"ambit"
	"ambit/config"
	"ambit/pipeline"
)

// BenchmarkIntent is one action's way through the daemon: intent durable,
// outcome handed over; beside it one raw write and fdatasync of the same size.
func BenchmarkIntent(b *testing.B) {
	h := config.Home{Dir: filepath.Join(b.TempDir(), "home")}
	x := start(b, h)
	a := x.enrol("worker")
	b.Run("daemon", func(b *testing.B) {
		for b.Loop() {
			id, err := a.Intent(b.Context(), a.intent("http.post"))
			if err != nil {
				b.Fatal(err)
			}
			if err := a.Outcome(b.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed, Detail: "200"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				id, err := a.Intent(b.Context(), a.intent("http.post"))
				if err != nil {
					b.Error(err)
					return
				}
				a.Outcome(b.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed, Detail: "200"})
			}
		})
	})
	b.Run("raw fsync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		buf := make([]byte, 1024)
		f.Truncate(8 << 20)
		for b.Loop() {
			f.WriteAt(buf, 0)
			f.Sync()
		}
	})
}
