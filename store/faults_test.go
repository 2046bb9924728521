package store

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ambit"
	"ambit/store/row"
)

// child names what a copy of the test program does instead of testing.
const child = "AMBIT_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch path := os.Getenv("AMBIT_STORE_TEST_PATH"); os.Getenv(child) {
	case "":
		os.Exit(m.Run())
	case "open":
		err := New(path).Ready(context.Background())
		fmt.Printf("%v %v\n", errors.Is(err, ErrReadOnly), err)
	case "write":
		s := New(path)
		for {
			v := task("web-fixer")
			if err := s.AddTask(context.Background(), v); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(v.ID)
		}
	}
}

func TestFaultsSayTheNextStep(t *testing.T) {
	sound := func(t *testing.T, path string) {
		s := New(path)
		addTask(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	edit := func(q string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			sound(t, path)
			s := New(path)
			defer s.Close()
			if err := s.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := s.open.write.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
	}
	bytes := func(f func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			sound(t, path)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		prepare func(*testing.T, string)
		is      error
		says    string
	}{
		"newer schema":    {edit("PRAGMA user_version = 7"), nil, fmt.Sprintf("a newer Ambit wrote it (schema 7, this one knows %d): use that Ambit", version)},
		"another program": {edit("PRAGMA application_id = 99"), nil, "a database of another program: move it away"},
		"not a database": {bytes(func(b []byte) []byte { return []byte(strings.Repeat("not a database ", 100)) }), ErrDamaged,
			"put it aside and begin a new one"},
		"cut short":  {bytes(func(b []byte) []byte { return b[:len(b)/2] }), ErrDamaged, "put it aside"},
		"scribbled":  {bytes(func(b []byte) []byte { clear(b[100 : len(b)-100]); return b }), ErrDamaged, "put it aside"},
		"no folder":  {func(t *testing.T, path string) { os.Remove(filepath.Dir(path)) }, fs.ErrNotExist, "make its folder"},
		"others may": {func(t *testing.T, path string) { os.WriteFile(path, nil, 0o644); os.Chmod(path, 0o644) }, nil, "chmod 600"},
		"a link": {func(t *testing.T, path string) {
			os.WriteFile(path+".target", nil, 0o600)
			os.Symlink(path+".target", path)
		}, nil, "not a plain file: move it away"},
		"a folder": {func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, nil, "not a plain file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "home", "state.db")
			os.Mkdir(filepath.Dir(path), 0o700)
			c.prepare(t, path)
			s := New(path)
			defer s.Close()
			_, err := s.LiveTasks(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v\nwant the path and %q", err, c.says)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if err := s.AddTask(t.Context(), task("a")); err == nil {
				t.Error("and yet it wrote")
			}
		})
	}
}

func TestZeroStoreRefuses(t *testing.T) {
	if err := (&Store{}).Ready(t.Context()); err == nil {
		t.Error("the zero store opened")
	}
	s := open(t)
	addTask(t, s)
	s.Close()
	if err := s.AddTask(t.Context(), task("a")); err == nil {
		t.Error("a closed store wrote")
	}
}

func TestFullDisk(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	// The only writing connection may use not one page more: SQLite then answers
	// as it does when the disk has none.
	if _, err := s.open.write.Exec("PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	big := question(v.ID, "q-1")
	big.Preview = strings.Repeat("x", 1<<20)
	err := s.AddQuestion(t.Context(), big)
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("got %v, want ErrFull with the next step", err)
	}
	if _, err := s.Question(t.Context(), "q-1"); !errors.Is(err, row.ErrMissing) {
		t.Errorf("half a question was kept: %v", err)
	}
	if _, err := s.open.write.Exec("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if err := s.AddQuestion(t.Context(), big); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestRemovedWhileInUse(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	err := s.EndTask(t.Context(), v.ID, row.TaskEnd{State: row.TaskEnded, At: noon})
	if err == nil || !strings.Contains(err.Error(), "removed or replaced while in use") {
		t.Errorf("wrote into a deleted file: %v", err)
	}
}

func TestResetPutsTheFileAside(t *testing.T) {
	s := open(t)
	v := addTask(t, s)
	aside, err := s.Reset(noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Task(t.Context(), v.ID); !errors.Is(err, row.ErrMissing) {
		t.Errorf("after Reset: %v, want ErrMissing", err)
	}
	old := New(aside)
	defer old.Close()
	if _, err := old.Task(t.Context(), v.ID); err != nil {
		t.Errorf("what was put aside cannot be read: %v", err)
	}
	// A damaged file is what Reset is for.
	s.Close()
	os.WriteFile(s.Path(), []byte(strings.Repeat("rubbish ", 200)), 0o600)
	bad := New(s.Path())
	defer bad.Close()
	if err := bad.Ready(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v, want ErrDamaged", err)
	}
	if _, err := bad.Reset(noon.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	addTask(t, bad)
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"with space.db", "per%20cent.db", "what?x=1&_pragma=synchronous(0).db", "hash#1.db", "grün ☂.db", "semi;colon.db"} {
		dir := t.TempDir()
		s := New(filepath.Join(dir, name))
		addTask(t, s)
		if n := pragma(t, s.open.write, "synchronous"); n != 2 {
			t.Errorf("%s: synchronous = %d", name, n)
		}
		s.Close()
		l, _ := os.ReadDir(dir)
		if len(l) != 1 || l[0].Name() != name {
			t.Errorf("%s: the folder holds %v", name, l)
		}
	}
}

func TestEveryConnectionIsSafe(t *testing.T) {
	s := open(t)
	addTask(t, s)
	for name, want := range map[string]int{"synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000, "trusted_schema": 0} {
		for _, db := range []*sql.DB{s.open.write, s.open.read} {
			if n := pragma(t, db, name); n != want {
				t.Errorf("%s = %d, want %d", name, n, want)
			}
		}
	}
	if n := s.open.write.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d connections write", n)
	}
	fi, err := os.Stat(s.Path())
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

func pragma(t *testing.T, db *sql.DB, name string) (n int) {
	t.Helper()
	if err := db.QueryRow("PRAGMA " + name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A person's home can be read-only; root can write anywhere, so the attempt is
// made by a copy of this program as nobody.
func TestReadOnlyHome(t *testing.T) {
	dir, err := os.MkdirTemp("", "ambit-store-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")
	for _, prepared := range []bool{false, true} {
		if prepared {
			s := New(path)
			addTask(t, s)
			s.Close()
			os.Chmod(path, 0o400)
		}
		os.Chmod(dir, 0o555)
		out := runChild(t, dir, "open", path)
		os.Chmod(dir, 0o755)
		if !strings.HasPrefix(out, "true ") || !strings.Contains(out, "AMBIT_HOME") {
			t.Errorf("file there %v: %q, want ErrReadOnly with the next step", prepared, out)
		}
	}
}

func runChild(t *testing.T, dir, what, path string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := []string{self}
	if os.Geteuid() == 0 {
		setpriv, err := exec.LookPath("setpriv")
		if err != nil {
			t.Skip("root can write anywhere and setpriv, to be somebody else, is not installed")
		}
		bin, err := os.MkdirTemp("", "ambit-store-bin-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(bin)
		os.Chmod(bin, 0o755)
		copied := filepath.Join(bin, "child")
		b, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, b, 0o755); err != nil {
			t.Fatal(err)
		}
		argv = []string{setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", copied}
	}
	c := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	c.Env = append(os.Environ(), child+"="+what, "AMBIT_STORE_TEST_PATH="+path)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestKillLosesNothingThatWasKept(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "state.db")
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), child+"=write", "AMBIT_STORE_TEST_PATH="+path)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var kept []ambit.TaskID
	for sc := bufio.NewScanner(out); len(kept) < 20 && sc.Scan(); {
		kept = append(kept, ambit.TaskID(sc.Text()))
	}
	c.Process.Kill()
	c.Wait()
	if len(kept) < 20 {
		t.Fatalf("the child wrote only %d tasks: %q", len(kept), kept)
	}
	s := New(path)
	defer s.Close()
	for _, id := range kept {
		if _, err := s.Task(t.Context(), id); err != nil {
			t.Errorf("lost: %v", err)
		}
	}
}
