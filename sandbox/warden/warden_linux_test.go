//go:build amd64 || arm64

package warden

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNewRefuses(t *testing.T) {
	for what, r := range map[string]Rules{
		"the zero rules": {},
		"no mount":       {Trees: []Tree{{Root: t.TempDir()}}},
		"nothing there":  {Trees: []Tree{{Root: t.TempDir() + "/none"}}},
		"twice":          {Trees: []Tree{{Root: "/proc"}, {Root: "/proc"}}},
		"a mount below":  {Trees: []Tree{{Root: "/proc", Mounts: []string{"self"}}}},
		"writable mount": {Trees: []Tree{{Root: "/", Mounts: []string{"proc"}}}},
		"a bad name":     {Trees: []Tree{{Root: "/proc", Names: []string{"a/"}}}},
	} {
		if w, err := New(-1, r); err == nil || w != nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestServeWithoutListener(t *testing.T) {
	w, err := New(-1, Rules{Trees: []Tree{{Root: "/proc"}}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- (&worker{w: w}).serve() }()
	if err := <-done; err == nil {
		t.Error("a worker without a listener says that all is well")
	}
	if r := w.Report(); len(r) == 0 || !strings.Contains(r[0], `"/proc"`) {
		t.Errorf("report %q", r)
	}
}

// Without Landlock nothing is proved, and nothing is left behind.
func TestProveRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := Prove(dir); err == nil || !strings.Contains(err.Error(), "Landlock") {
		t.Errorf("Prove: %v", err)
	}
	if err := Prove(dir + "/none"); err == nil {
		t.Error("Prove passes where there is nothing")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left %v, %v", files, err)
	}
}

func TestHandOver(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	must(t, SendListener(pair[1], fd))
	got, err := ReceiveListener(pair[0])
	must(t, err)
	must(t, unix.Close(got))
	for what, send := range map[string]func() error{
		"no descriptor": func() error { return unix.Sendmsg(pair[1], []byte("W"), nil, nil, 0) },
		"another word":  func() error { return unix.Sendmsg(pair[1], []byte("X"), unix.UnixRights(0), nil, 0) },
	} {
		must(t, send())
		if _, err := ReceiveListener(pair[0]); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	must(t, unix.Close(pair[1]))
	if _, err := ReceiveListener(pair[0]); err == nil {
		t.Error("a closed socket: accepted")
	}
	must(t, unix.Close(pair[0]))
}

func TestParseStatus(t *testing.T) {
	head := "Name:\tsh\\nUmask:\t0777\nUmask:\t0022\nState:\tR (running)\nTgid:\t41\nNgid:\t0\n"
	if umask, tgid, ok := parseStatus([]byte(head)); umask != 0o022 || tgid != 41 || !ok {
		t.Errorf("%o, %d, %v", umask, tgid, ok)
	}
	for _, bad := range []string{"", "Umask:\t0022\n", "\nUmask:\t0022", "\nUmask:\t0022\nTgid:\t41", "\nUmask:\t0999\nTgid:\t1\n",
		"\nUmask:\t77777\nTgid:\t1\n", "\nUmask:\t0022\nTgid:\t0\n", "\nUmask:\t0022\nTgid:\t-1\n"} {
		if _, _, ok := parseStatus([]byte(bad)); ok {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestCut(t *testing.T) {
	for p, want := range map[string][3]string{
		"a": {"", "a", ""}, "a/": {"", "a", "/"}, "/a": {"/", "a", ""}, "a/b//": {"a/", "b", "//"}, "/": {"", "", "/"}, "": {"", "", ""},
		"a//b": {"a//", "b", ""}, "//": {"", "", "//"}, "a/..": {"a/", "..", ""},
	} {
		if way, name, tail := cut(p); [3]string{way, name, tail} != want {
			t.Errorf("cut(%q) = %q, %q, %q", p, way, name, tail)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("a/b//")
	f.Fuzz(func(t *testing.T, p string) {
		way, name, tail := cut(p)
		if way+name+tail != p || strings.Contains(name, "/") || strings.Trim(tail, "/") != "" {
			t.Errorf("cut(%q) = %q, %q, %q", p, way, name, tail)
		}
		parseStatus([]byte(p))
	})
}
