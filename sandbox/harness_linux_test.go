package sandbox

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test binary plays several parts. In the sandbox it is visible at inSelf and
// makes the attempts of attacks; outside it is a gatekeeper that gets killed, or
// one that confines itself.
const (
	roleEnv = "SANDBOX_TEST_ROLE"
	inSelf  = "/run/ambit/ambit"
)

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleEnv); role {
	case "":
		hearSignals()
		os.Exit(m.Run())
	case "attack":
		os.Exit(attack(os.Args[1:]))
	case "gatekeeper":
		os.Exit(beGatekeeper(os.Args[1]))
	case "confined":
		os.Exit(beConfined(os.Args[1:]))
	case "fallen":
		os.Exit(beFallen(os.Args[1:]))
	case "input":
		os.Exit(beInput())
	case "huge":
		os.Exit(beHuge())
	default:
		fmt.Fprintln(os.Stderr, "no such role:", role)
		os.Exit(2)
	}
}

// hearSignals undoes what a shell does to commands in its background: they ignore
// Ctrl-C, and so would all that they start (signal(7)).
func hearSignals() {
	if signal.Ignored(syscall.SIGINT) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT)
	}
}

// TestAsOrdinaryUser runs every other test again as a user who is not root:
// people are not.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tests run as an ordinary user already")
	}
	dir, err := os.MkdirTemp("", "ambit-sandbox-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	work := filepath.Join(dir, "tmp")
	bin := filepath.Join(dir, "sandbox.test")
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Mkdir(work, 0o700))
	must(t, os.Chown(work, 12345, 12345))
	exe, err := os.Executable()
	must(t, err)
	text, err := os.ReadFile(exe)
	must(t, err)
	must(t, os.WriteFile(bin, text, 0o755))
	args := []string{"-test.run=.", "-test.skip=^TestAsOrdinaryUser$", "-test.timeout=15m"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "TMPDIR="+work, "HOME="+work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as user 12345: %v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("as user 12345:\n%s", out)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// workspace makes a directory tree: "dir/", "file" or "link -> target".
func workspace(t *testing.T, entries ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, e := range entries {
		name, to, link := strings.Cut(e, " -> ")
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		switch {
		case link:
			must(t, os.Symlink(to, path))
		case strings.HasSuffix(e, "/"):
			must(t, os.MkdirAll(path, 0o755))
		default:
			must(t, os.WriteFile(path, []byte("original "+name+"\n"), 0o644))
		}
	}
	return root
}

const testPath = "PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin"

// base is a Spec with a scratch directory that is cleaned in the end.
func base(t *testing.T) Spec {
	t.Helper()
	scratch := filepath.Join(t.TempDir(), "scratch")
	must(t, os.Mkdir(scratch, 0o700))
	t.Cleanup(func() {
		if err := Clean(scratch); err != nil {
			t.Error(err)
		}
	})
	return Spec{Env: []string{testPath, "HOME=" + DefaultHome}, Scratch: scratch, Self: inSelf}
}

// ended is what a run left.
type ended struct {
	out    string
	status Status
	report Report
}

// run runs a command in the sandbox and returns all that it printed.
func run(t *testing.T, s Spec, argv ...string) ended {
	t.Helper()
	s.Argv = argv
	var err error
	s.Scratch, err = os.MkdirTemp(s.Scratch, "run")
	must(t, err)
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	s.Stdout, s.Stderr = w, w
	box, err := Start(t.Context(), s)
	w.Close()
	must(t, err)
	var out bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&out, r) })
	guard := time.AfterFunc(10*time.Minute, func() { _ = box.Kill() })
	defer guard.Stop()
	if err := box.Go(); err != nil {
		box.Wait()
		t.Fatal(err)
	}
	st, err := box.Wait()
	must(t, err)
	reading.Wait()
	return ended{out.String(), st, box.Report()}
}

// sh runs a script.
func sh(t *testing.T, s Spec, script string) ended {
	t.Helper()
	return run(t, s, "/bin/sh", "-c", script)
}

// attempt runs attacks of the test binary inside. Each prints a line; a line that
// starts with "SUCCEEDED" is a hole.
func attempt(t *testing.T, s Spec, argv ...string) ended {
	t.Helper()
	s.Env = append(s.Env, roleEnv+"=attack")
	e := run(t, s, append([]string{inSelf}, argv...)...)
	for line := range strings.Lines(e.out) {
		if strings.HasPrefix(line, "SUCCEEDED") || strings.Contains(line, "panic:") {
			t.Errorf("%.300s", line)
		}
	}
	return e
}

// snapshot reads a tree: path to mode and content.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		switch {
		case d.Type()&os.ModeSymlink != 0:
			to, err := os.Readlink(path)
			out[rel] = "-> " + to
			return err
		case d.IsDir():
			out[rel] = "dir"
			return nil
		}
		text, err := os.ReadFile(path)
		out[rel] = string(text)
		return err
	}))
	return out
}

// unchanged fails when the tree is not what it was.
func unchanged(t *testing.T, root string, before map[string]string) {
	t.Helper()
	after := snapshot(t, root)
	if maps.Equal(before, after) {
		return
	}
	for k, v := range after {
		if before[k] != v {
			t.Errorf("%s: was %q, is %q", k, before[k], v)
		}
	}
	for k := range before {
		if _, ok := after[k]; !ok {
			t.Errorf("%s is gone", k)
		}
	}
}
