package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// rawSync measures one write and fdatasync of size bytes into blocks that were
// written before: the least that a durable record can cost here.
type rawSync struct {
	f   file
	buf []byte
	off int64
}

const rawCapacity = 64 << 20

func newRawSync(b *testing.B, dir string, size int) *rawSync {
	b.Helper()
	f, err := osFS{}.OpenFile(filepath.Join(dir, "raw"), os.O_CREATE|os.O_RDWR)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	zeros := make([]byte, 1<<20)
	for off := int64(0); off < rawCapacity; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, off); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	r := &rawSync{f: f, buf: make([]byte, size)}
	for i := range r.buf {
		r.buf[i] = byte(i)
	}
	return r
}

func (r *rawSync) once(b *testing.B) time.Duration {
	if r.off+int64(len(r.buf)) > rawCapacity {
		r.off = 0
	}
	start := time.Now()
	if _, err := r.f.WriteAt(r.buf, r.off); err != nil {
		b.Fatal(err)
	}
	if err := r.f.SyncData(); err != nil {
		b.Fatal(err)
	}
	r.off += int64(len(r.buf))
	return time.Since(start)
}

func percentile(d []time.Duration, p int) time.Duration {
	slices.Sort(d)
	return d[len(d)*p/100]
}

// BenchmarkAppend1 alternates one durable record and one raw fdatasync of as
// many bytes, so that both see the same disk.
func BenchmarkAppend1(b *testing.B) {
	dir := b.TempDir()
	l := newLog(b, filepath.Join(dir, "log"), newKey(b), Options{})
	add(b, l, 100)
	before := l.w.off
	add(b, l, 1)
	raw := newRawSync(b, dir, int(l.w.off-before))
	var ours, theirs []time.Duration
	for b.Loop() {
		theirs = append(theirs, raw.once(b))
		start := time.Now()
		if _, err := l.Append(b.Context(), intent(1)); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(start))
	}
	p50, r50 := percentile(ours, 50), percentile(theirs, 50)
	b.ReportMetric(float64(p50.Microseconds()), "p50-µs")
	b.ReportMetric(float64(r50.Microseconds()), "raw-p50-µs")
	b.ReportMetric(float64(p50)/float64(r50), "×raw-p50")
	b.ReportMetric(float64(percentile(ours, 99))/float64(percentile(theirs, 99)), "×raw-p99")
}

// BenchmarkAppend64 has 64 writers that each wait for their record.
func BenchmarkAppend64(b *testing.B) {
	const writers = 64
	dir := b.TempDir()
	l := newLog(b, filepath.Join(dir, "log"), newKey(b), Options{})
	raw := newRawSync(b, dir, 1024)
	var theirs []time.Duration
	for range 200 {
		theirs = append(theirs, raw.once(b))
	}
	var took []time.Duration
	var mu sync.Mutex
	n := 0
	start := time.Now()
	for b.Loop() {
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				var mine []time.Duration
				for range 50 {
					t := time.Now()
					if _, err := l.Append(b.Context(), intent(1)); err != nil {
						b.Error(err)
						return
					}
					mine = append(mine, time.Since(t))
				}
				mu.Lock()
				defer mu.Unlock()
				took, n = append(took, mine...), n+len(mine)
			})
		}
		wg.Wait()
	}
	rate := float64(n) / time.Since(start).Seconds()
	b.ReportMetric(rate, "records/s")
	b.ReportMetric(rate*percentile(theirs, 50).Seconds(), "records/raw-fdatasync")
	b.ReportMetric(float64(percentile(took, 50).Microseconds()), "p50-µs")
}

func BenchmarkEncodeRecord(b *testing.B) {
	r := intent(1)
	r.ID, r.Time, r.Data = 17, time.Unix(1, 0).UTC(), nil
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = appendRecord(buf[:0], &r)
	}
}

func BenchmarkParseRecord(b *testing.B) {
	r := intent(1)
	r.ID, r.Time, r.Data = 17, time.Unix(1, 0).UTC(), nil
	buf, err := appendRecord(nil, &r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRecord(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify and BenchmarkOpen take a log of 20,000 records in batches of
// about 64.
func BenchmarkVerify(b *testing.B) {
	dir, k := b.TempDir(), newKey(b)
	filled(b, dir, k)
	for _, newest := range []bool{false, true} {
		b.Run(fmt.Sprintf("newest=%v", newest), func(b *testing.B) {
			for b.Loop() {
				if _, err := Verify(dir, k.Public(), VerifyOptions{NewestOnly: newest}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(20000*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	dir, k := b.TempDir(), newKey(b)
	filled(b, dir, k)
	for _, recent := range []bool{false, true} {
		b.Run(fmt.Sprintf("recent=%v", recent), func(b *testing.B) {
			for b.Loop() {
				l, err := Open(dir, k, Options{Recent: recent})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func filled(b *testing.B, dir string, k *Key) {
	b.Helper()
	l := newLog(b, dir, k, Options{})
	for range 20000 / 64 {
		wait := l.Enqueue(intent(0))
		for range 63 {
			wait = l.Enqueue(intent(0))
		}
		if _, err := wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}
