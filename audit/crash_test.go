package audit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ambit"
)

// acked is what a run was told to be durable.
type acked struct {
	mu  sync.Mutex
	ids map[ambit.RecordID]string // id to detail
}

func (a *acked) add(id ambit.RecordID, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids[id] = detail
}

// story makes or opens a log, writes to it from two sides over several
// segments, closes it and opens it again. It stops at the first error.
func story(m *memFS, k *Key, a *acked, lag time.Duration) error {
	o := Options{Segment: MinSegment, Checkpoint: lag, fs: m}
	for round := range 2 {
		l, err := begin(m, k, o)
		if err != nil {
			return err
		}
		err = write(l, a, fmt.Sprint("round ", round))
		if err = errors.Join(err, l.Close()); err != nil {
			return err
		}
	}
	return nil
}

func begin(m *memFS, k *Key, o Options) (*Log, error) {
	if m.Exists("log/" + checkpointFile) {
		return Open("log", k, o)
	}
	return Create("log", k, o)
}

func write(l *Log, a *acked, tag string) error {
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for w := range errs {
		wg.Go(func() {
			for i := range 12 {
				detail := fmt.Sprint(tag, " writer ", w, " record ", i)
				r := Record{Type: Intent, Detail: detail, Task: fmt.Sprint(string(make([]byte, 80*i)))}
				wait := l.Enqueue(r)
				id, err := wait(context.Background())
				if err != nil {
					errs[w] = err
					return
				}
				a.add(id, detail)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// holds checks a log after a crash: it opens, everything acknowledged is there
// unchanged, nothing was invented, and it verifies.
func holds(t *testing.T, what string, m *memFS, k *Key, a *acked) {
	t.Helper()
	o := Options{Segment: MinSegment, fs: m}
	for name, recent := range map[string]bool{"all": false, "recent": true} {
		o.Recent = recent
		l, err := begin(m, k, o)
		if err != nil {
			t.Errorf("%s: open %s: %v", what, name, err)
			return
		}
		if _, err := l.Append(context.Background(), Record{Type: Alert, Detail: "after"}); err != nil {
			t.Errorf("%s: append after the crash: %v", what, err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}
	if _, err := Verify("log", k.Public(), VerifyOptions{fs: m}); err != nil {
		t.Errorf("%s: verify: %v", what, err)
	}
	got := map[ambit.RecordID]string{}
	c := cursor{fs: m, dir: "log"}
	defer c.close()
	c.emit(0, 1<<60, &Filter{}, func(r Record, err error) bool {
		if err != nil {
			t.Errorf("%s: read: %v", what, err)
			return false
		}
		if r.Type == Intent && r.Detail[:5] != "round" {
			t.Errorf("%s: %v was invented: %q", what, r.ID, r.Detail)
		}
		got[r.ID] = r.Detail
		return true
	})
	for id, detail := range a.ids {
		if got[id] != detail {
			t.Errorf("%s: %v was acknowledged as %q and is %q", what, id, detail, got[id])
		}
	}
}

// How far the file checkpoint lags: hardly, or until the log is closed. The
// first makes names durable on the way that the second does not.
const (
	often = time.Microsecond
	never = time.Hour
)

// steps counts the changing operations of a story without faults.
func steps(t *testing.T, k *Key, lag time.Duration) int {
	t.Helper()
	m, a := newMemFS(), &acked{ids: map[ambit.RecordID]string{}}
	if err := story(m, k, a, lag); err != nil {
		t.Fatal(err)
	}
	holds(t, "no fault", m, k, a)
	if len(a.ids) != 48 {
		t.Fatalf("%d records acknowledged, want 48", len(a.ids))
	}
	return m.steps
}

// TestCrashAtEveryStep turns the power off at every write, sync, rename and
// allocation, with several fates of what was not synced.
func TestCrashAtEveryStep(t *testing.T) {
	k := newKey(t)
	dropped := 0
	for _, lag := range []time.Duration{often, never} {
		for at := 1; at <= steps(t, k, lag); at++ {
			m, a := newMemFS(), &acked{ids: map[ambit.RecordID]string{}}
			m.failAt, m.short = at, at%3*700
			_ = story(m, k, a, lag)
			for fate := range uint64(3) {
				what := fmt.Sprintf("step %d, fate %d", at, fate)
				after := m.crash(rand.New(rand.NewPCG(uint64(at), fate)))
				holds(t, what, after, k, a)
				dropped += countType(after, LogRecovered)
				if t.Failed() {
					return
				}
			}
		}
	}
	if dropped == 0 {
		t.Error("no crash left an unfinished write: the test is blind")
	}
	t.Logf("%d crashes left an unfinished write that was dropped and recorded", dropped)
}

func countType(m *memFS, typ string) int {
	n := 0
	c := cursor{fs: m, dir: "log"}
	defer c.close()
	c.emit(0, 1<<60, &Filter{Types: []string{typ}}, func(Record, error) bool { n++; return true })
	return n
}

// TestCrashDuringRecovery crashes, and crashes again at every step of the
// opening that follows.
func TestCrashDuringRecovery(t *testing.T) {
	k := newKey(t)
	total := steps(t, k, often)
	for at := 10; at <= total; at += 7 {
		m, a := newMemFS(), &acked{ids: map[ambit.RecordID]string{}}
		m.failAt, m.short = at, 900
		_ = story(m, k, a, often)
		for again := 1; again < 14; again++ {
			second := m.crash(rand.New(rand.NewPCG(uint64(at), 1)))
			second.failAt, second.short = again, 300
			if l, err := begin(second, k, Options{Segment: MinSegment, fs: second}); err == nil {
				l.Close()
			}
			holds(t, fmt.Sprintf("step %d, then %d", at, again), second.crash(rand.New(rand.NewPCG(uint64(at), uint64(again)))), k, a)
			if t.Failed() {
				return
			}
		}
	}
}

// TestFailureAtEveryStep fails every operation once, as a full or broken disk
// does: the log refuses from then on, and opened again it holds all that it
// acknowledged.
func TestFailureAtEveryStep(t *testing.T) {
	k := newKey(t)
	total := steps(t, k, often)
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		for at := 1; at <= total; at++ {
			what := fmt.Sprintf("%v at step %d", fault, at)
			m, a := newMemFS(), &acked{ids: map[ambit.RecordID]string{}}
			m.failAt, m.failErr, m.short = at, fault, at%3*700
			err := story(m, k, a, often)
			if m.failed && err != nil && !errors.Is(err, fault) {
				t.Errorf("%s: the error hides it: %v", what, err)
			}
			m.failAt = 0
			holds(t, what, m, k, a)
			// The same, when the machine goes down before anybody looks.
			holds(t, what+", then a crash", m.crash(rand.New(rand.NewPCG(uint64(at), 9))), k, a)
			if t.Failed() {
				return
			}
		}
	}
}

func TestBrokenLogStaysBroken(t *testing.T) {
	synctest.Test(t, brokenLogStaysBroken)
}

func brokenLogStaysBroken(t *testing.T) {
	k, m := newKey(t), newMemFS()
	l, err := Create("log", k, Options{Segment: MinSegment, Checkpoint: time.Hour, fs: m})
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, 2)
	synctest.Wait() // the next segment is prepared: its steps are not in the way
	m.mu.Lock()
	m.failAt, m.failErr = m.steps+2, syscall.EIO // the next write's sync
	m.mu.Unlock()
	if id, err := l.Append(t.Context(), intent(0)); !errors.Is(err, syscall.EIO) {
		t.Errorf("Append = %v, %v at a failing sync", id, err)
	}
	for range 3 {
		if id, err := l.Append(t.Context(), intent(0)); err == nil {
			t.Errorf("a broken log recorded %v", id)
		}
	}
	if err := l.Err(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Err = %v", err)
	}
	if err := l.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close = %v", err)
	}
}

func TestCorruptedMiddleIsRefused(t *testing.T) {
	k := newKey(t)
	good := sample(t, k, 30)
	for name, n := range map[string]int{"000001.seg": 5, "000002.seg": 2} {
		f := good.clone()
		r := recordsOf(f[name])[n-1]
		f[name][r.off+40] ^= 4
		id := ambit.RecordID(n)
		if name == "000002.seg" {
			id += ambit.RecordID(len(recordsOf(f["000001.seg"])))
		}
		m := f.mem()
		before := m.steps
		_, err := Open("log", k, Options{Segment: MinSegment, fs: m})
		wantFault(t, err, Edit, id)
		if m.steps != before {
			t.Error("Open changed what it refused")
		}
	}
}
