package audit

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ambit"
)

// TestVerifyAndReadWhileWritten verifies, reads and copies a log that goes
// through many segments meanwhile.
func TestVerifyAndReadWhileWritten(t *testing.T) {
	dir, k := t.TempDir(), newKey(t)
	l := newLog(t, dir, k, Options{Segment: MinSegment, Checkpoint: time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.Append(t.Context(), intent(1)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	// It goes on until five rounds have seen the log grow, over several segments:
	// the next one is prepared when one begins.
	for size, grown := int64(0), 0; grown < 5 || !exists(segmentPath(dir, 4)); {
		res, err := Verify(dir, k.Public(), VerifyOptions{})
		if err != nil {
			t.Errorf("after %d records: %v", res.Size, err)
			break
		}
		for _, err := range Read(dir, ambit.RecordID(res.Size/2), Filter{}) {
			if err != nil {
				t.Error(err)
			}
		}
		if res.Size > size {
			size, grown = res.Size, grown+1
		}
	}
	stop()
	wg.Wait()
}

// TestVerifyMeetsTheWriter has the writer go on through several segments right
// before each single look that a verification takes at a file.
func TestVerifyMeetsTheWriter(t *testing.T) {
	for look := 1; ; look++ {
		dir, k := t.TempDir(), newKey(t)
		l := newLog(t, dir, k, Options{Segment: MinSegment})
		for !exists(segmentPath(dir, 2)) {
			add(t, l, 1)
		}
		add(t, l, 3)
		looks := 0
		d := meetFS{osFS{}, func() {
			if looks++; looks == look {
				for !exists(segmentPath(dir, 6)) {
					add(t, l, 1)
				}
			}
		}}
		res, err := verifyOnce(dir, verifier(t, k), VerifyOptions{fs: d})
		if err != nil || res.Size < 4 {
			t.Errorf("look %d: %d records, %v", look, res.Size, err)
		}
		if looks < look {
			if looks < 5 {
				t.Errorf("only %d looks", looks)
			}
			return
		}
	}
}

// meetFS calls a function before a file is opened or read.
type meetFS struct {
	fsys
	meet func()
}

type meetFile struct {
	file
	meet func()
}

func (d meetFS) OpenFile(name string, flag int) (file, error) {
	d.meet()
	f, err := d.fsys.OpenFile(name, flag)
	return meetFile{f, d.meet}, err
}

func (f meetFile) ReadAt(p []byte, off int64) (int, error) {
	f.meet()
	return f.file.ReadAt(p, off)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

const childDir = "AUDIT_TEST_CHILD_DIR"

// TestKilledWriter kills a process that writes, at any time, again and again.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(dir)
	}
	home := t.TempDir()
	acked := map[string]bool{}
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
		cmd.Env = append(os.Environ(), childDir+"="+home)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s := bufio.NewScanner(out)
		for n := 0; s.Scan(); n++ {
			acked[s.Text()] = true
			if n == 37*(round+1) {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the writer ended by itself: %v", err)
		}
	}
	l, err := OpenOrCreate(filepath.Join(home, "log"), filepath.Join(home, "key"), "ambit.example/test", Options{Segment: MinSegment})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(filepath.Join(home, "log"), l.key.Public(), VerifyOptions{}); err != nil {
		t.Error(err)
	}
	for r, err := range Read(filepath.Join(home, "log"), 0, Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		delete(acked, r.ID.String()+" "+r.Detail)
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged records are gone: %v", len(acked), acked)
	}
}

// writeUntilKilled prints each record once it is acknowledged.
func writeUntilKilled(home string) {
	l, err := OpenOrCreate(filepath.Join(home, "log"), filepath.Join(home, "key"), "ambit.example/test", Options{Segment: MinSegment, Recent: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		detail := fmt.Sprint("by ", os.Getpid(), " number ", i)
		id, err := l.Append(context.Background(), Record{Type: Alert, Detail: detail})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(id, detail)
	}
}

func TestCopyOfALogVerifies(t *testing.T) {
	k := newKey(t)
	good := sample(t, k, 20)
	dir := filepath.Join(t.TempDir(), "with space and ü")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for n, b := range good {
		if err := os.WriteFile(filepath.Join(dir, n), b, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	res, err := Verify(dir, k.Public()+"\n", VerifyOptions{})
	if err != nil || res.Size != 83 || res.OpenN != 83 || len(res.Open) != 83 || res.Open[0].ID != 1 {
		t.Errorf("Verify = %d records, %d open, %v", res.Size, res.OpenN, err)
	}
	_, err = Verify(dir, newKey(t).Public(), VerifyOptions{})
	wantFault(t, err, Foreign, 1)
}
