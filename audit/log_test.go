package audit

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ambit"
)

func newKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewKey("ambit.example/test")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newLog(t testing.TB, dir string, k *Key, o Options) *Log {
	t.Helper()
	l, err := Create(dir, k, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func intent(i int) Record {
	return Record{Type: Intent, Task: "task", Agent: "web-fixer", Service: "github", Operation: "http.get", Effect: "read",
		Kind: "http", Resource: "api.github.com/repos/acme/web", Verdict: "allow", DecidedBy: "ambit.yaml:14:5",
		Data: json.RawMessage(`{"n":` + string(rune('0'+i%10)) + `}`)}
}

func add(t testing.TB, l *Log, n int) {
	t.Helper()
	for i := range n {
		if _, err := l.Append(t.Context(), intent(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAppendReadVerify(t *testing.T) {
	dir, k := filepath.Join(t.TempDir(), "log"), newKey(t)
	l := newLog(t, dir, k, Options{Segment: MinSegment})
	add(t, l, 30)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				if _, err := l.Append(t.Context(), intent(1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var third Record
	for r, err := range Read(dir, 3, Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		third = r
		break
	}
	id, err := l.Append(t.Context(), Record{Type: Outcome, Intent: 3, Task: third.Task, Outcome: "performed", Detail: "200"})
	if err != nil || id != 431 {
		t.Fatalf("Append = %v, %v", id, err)
	}
	check := func() {
		t.Helper()
		res, err := Verify(dir, k.Public(), VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if res.Size != 431 || res.OpenN != 429 || len(res.Warn) != 0 || res.First.IsZero() || res.Last.Before(res.First) {
			t.Errorf("Verify = size %d, open %d, warnings %v", res.Size, res.OpenN, res.Warn)
		}
		n := ambit.RecordID(0)
		for r, err := range Read(dir, 7, Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				n = 6
			}
			if n++; r.ID != n {
				t.Fatalf("read %v, want %v", r.ID, n)
			}
		}
		if n != 431 {
			t.Errorf("read up to %v", n)
		}
	}
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	check()
	for _, recent := range []bool{false, true} {
		l, err := Open(dir, k, Options{Segment: MinSegment, Recent: recent})
		if err != nil {
			t.Fatal(err)
		}
		if l.Size() != 431 || l.Recovered() != nil {
			t.Errorf("Open: size %d, recovered %v", l.Size(), l.Recovered())
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	check()
}

func TestSecondInstanceIsRefused(t *testing.T) {
	dir, k := t.TempDir(), newKey(t)
	newLog(t, dir, k, Options{Segment: MinSegment})
	if _, err := Open(dir, k, Options{}); !errors.Is(err, errLocked) {
		t.Errorf("second Open: %v", err)
	}
	if _, err := Create(dir, k, Options{}); !errors.Is(err, errLocked) {
		t.Errorf("Create over a live log: %v", err)
	}
}

func TestFollowSeesDurableRecordsInOrder(t *testing.T) {
	dir, k := t.TempDir(), newKey(t)
	l := newLog(t, dir, k, Options{Segment: MinSegment})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	follow := func(seq func(func(Record, error) bool)) {
		n := ambit.RecordID(0)
		for r, err := range seq {
			if err != nil {
				t.Error(err)
				return
			}
			if n++; r.ID != n {
				t.Errorf("followed %v, want %v", r.ID, n)
				return
			}
			if n == 200 {
				return
			}
		}
		t.Errorf("followed only up to %v", n)
	}
	wg.Go(func() { follow(l.Follow(ctx, 0, Filter{})) })
	wg.Go(func() { follow(Follow(ctx, dir, 0, Filter{})) })
	add(t, l, 200)
	wg.Wait()
}

func TestDeletedLogRefuses(t *testing.T) {
	for name, harm := range map[string]func(dir string) error{
		"segment removed":   func(dir string) error { return os.Remove(segmentPath(dir, 1)) },
		"segment truncated": func(dir string) error { return os.Truncate(segmentPath(dir, 1), 100) },
		"directory removed": func(dir string) error { return os.RemoveAll(dir) },
		"directory moved":   func(dir string) error { return os.Rename(dir, dir+".away") },
		"segment replaced": func(dir string) error {
			b, _ := os.ReadFile(segmentPath(dir, 1))
			os.Remove(segmentPath(dir, 1))
			return os.WriteFile(segmentPath(dir, 1), b, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, k := filepath.Join(t.TempDir(), "log"), newKey(t)
			l := newLog(t, dir, k, Options{Segment: MinSegment, Checkpoint: time.Hour})
			add(t, l, 2)
			if err := harm(dir); err != nil {
				t.Fatal(err)
			}
			if id, err := l.Append(t.Context(), intent(0)); err == nil {
				t.Errorf("recorded %v in a log that is gone", id)
			}
			if id, err := l.Append(t.Context(), intent(0)); err == nil {
				t.Errorf("recorded %v in a broken log", id)
			}
		})
	}
}

// TestLazyRecordsBecomeDurable: with the next record that somebody waits for,
// after the linger at the latest, and when the log is closed.
func TestLazyRecordsBecomeDurable(t *testing.T) {
	dir, key := t.TempDir(), newKey(t)
	l, err := Create(dir, key, Options{})
	if err != nil {
		t.Fatal(err)
	}
	alone := l.EnqueueLazily(Record{Type: "a"})
	if id, err := alone(t.Context()); err != nil || id != 1 {
		t.Fatalf("alone: %v, %v", id, err)
	}
	second := l.EnqueueLazily(Record{Type: "b"})
	if id, err := l.Append(t.Context(), Record{Type: "c"}); err != nil || id != 3 {
		t.Fatalf("append: %v, %v", id, err)
	}
	if got := l.Size(); got != 3 {
		t.Errorf("%d records are durable, want 3: a durable record proves those before it", got)
	}
	if id, err := second(t.Context()); err != nil || id != 2 {
		t.Errorf("second: %v, %v", id, err)
	}
	last := l.EnqueueLazily(Record{Type: "d"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if id, err := last(t.Context()); err != nil || id != 4 {
		t.Errorf("at the close: %v, %v", id, err)
	}
	if _, err := Verify(dir, key.Public(), VerifyOptions{}); err != nil {
		t.Error(err)
	}
}
