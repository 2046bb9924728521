package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// TestExitStatus passes the command's own status on.
func TestExitStatus(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		h.File(t, "plain.txt", "not a program\n")
		for name, c := range map[string]struct {
			argv []string
			code int
		}{
			"zero":           {[]string{"true"}, 0},
			"three":          {[]string{"sh", "-c", "exit 3"}, 3},
			"125 of its own": {[]string{"sh", "-c", "exit 125"}, 125},
			"terminated":     {[]string{"sh", "-c", "kill -TERM $$"}, 128 + 15},
			"killed":         {[]string{"sh", "-c", "kill -KILL $$"}, 128 + 9},
			"not found":      {[]string{"no-such-program"}, 127},
			"not executable": {[]string{"./plain.txt"}, 126},
		} {
			t.Run(name, func(t *testing.T) {
				r := h.Do(t, append([]string{"run", "--"}, c.argv...)...)
				want(t, r, c.code)
				if c.code > 125 && c.code < 128 && r.Stderr == "" {
					t.Error("nothing is said about it")
				}
			})
		}
	})
}

// TestRefusesToStart gives 125 and says what is wrong and what to do; the
// command has not run.
func TestRefusesToStart(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		for name, c := range map[string]struct{ grants, says string }{
			"no grants file":      {"", "ambit init"},
			"broken grants":       {"agent: x\nreed:\n  - files: [.]\nwrite:\n  - files: [.]\n", "ambit.yaml:2:1"},
			"write without why":   {head + "write:\n  - files: [\".\"]\n", "because"},
			"credential is unset": {head + "services:\n  s: {kind: http, host: a.example.org, credential: {env: NOT_SET}}\nread:\n  - s: /**\n", "NOT_SET"},
			"ca is missing":       {head + "services:\n  s: {kind: http, host: a.example.org, address: \"127.0.0.1:1\", ca: no-such.pem}\nread:\n  - s: /**\n", "no-such.pem"},
			"error of lint":       {head + "write:\n  - files: [.git/hooks]\n    because: hooks\n", "E runs-outside"},
			"failed expectation":  {head + files + "expect:\n  - deny: files write README.md\n", "expect"},
		} {
			t.Run(name, func(t *testing.T) {
				h := ambittest.NewHome(t, uid)
				if c.grants != "" {
					h.Grants(t, c.grants)
				}
				r := h.Do(t, "run", "--", "touch", "ran")
				want(t, r, 125)
				has(t, "the complaint", r.Stderr, c.says)
				if _, err := os.Stat(filepath.Join(h.Workspace, "ran")); err == nil {
					t.Error("the command ran")
				}
			})
		}
	})
}

// TestReadOnlyState refuses to start where nothing can be recorded.
func TestReadOnlyState(t *testing.T) {
	users := ambittest.Users()
	if users[len(users)-1] == 0 {
		t.Skip("root writes everywhere")
	}
	h := ambittest.NewHome(t, users[len(users)-1])
	h.Grants(t, head+files)
	if err := os.MkdirAll(h.State, 0o500); err != nil {
		t.Fatal(err)
	}
	h.Own(t)
	t.Cleanup(func() { os.Chmod(h.State, 0o700) })
	r := h.Do(t, "run", "--", "touch", "ran")
	want(t, r, 125)
	has(t, "the complaint", r.Stderr, "AMBIT_HOME")
	if h.Read(t, "ran") != "" {
		t.Error("the command ran")
	}
}

// TestRootOnAnothersFolder is told, before it starts, that the agent will not be
// able to write, and what to do; who can write is told nothing.
func TestRootOnAnothersFolder(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can run on another user's files")
	}
	const warning = "warning: the agent cannot write "
	for _, c := range []struct {
		name   string
		owner  int
		mode   os.FileMode
		writes bool
	}{
		{"another's", ambittest.Ordinary, 0o755, false},
		{"another's for everybody", ambittest.Ordinary, 0o777, true},
		{"root's own", 0, 0o755, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := ambittest.NewHome(t, 0)
			h.Grants(t, head+files)
			if err := errors.Join(os.Chown(h.Workspace, c.owner, c.owner), os.Chmod(h.Workspace, c.mode)); err != nil {
				t.Fatal(err)
			}
			r := h.Do(t, "run", "--", "sh", "-c", "echo x >written || exit 3")
			if warned := strings.Contains(r.Stderr, warning+h.Workspace) && strings.Contains(r.Stderr, "sudo -u #12345 ambit run"); warned == c.writes {
				t.Errorf("warned: %v\n%s", warned, r)
			}
			if wrote := h.Read(t, "written") != ""; wrote != c.writes || wrote != (r.Code == 0) {
				t.Errorf("written: %v\n%s", wrote, r)
			}
			verified(t, h)
		})
	}
}

// TestOddNames works below folders with spaces, letters of other scripts and
// a name that is long.
func TestOddNames(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		name := "mein Projekt – 日本語 'quoted' " + strings.Repeat("long", 30)
		h := ambittest.NewHomeNamed(t, uid, name)
		h.Grants(t, head+files)
		r := h.Do(t, "run", "--", "sh", "-c", `pwd; echo written >"ein Blatt.txt"; cat README.md`)
		want(t, r, 0)
		has(t, "the agent's output", r.Stdout, name, "# A project")
		if got := h.Read(t, "ein Blatt.txt"); got != "written\n" {
			t.Errorf("the file holds %q", got)
		}
		want(t, h.Do(t, "log"), 0)
		verified(t, h)
	})
}

// TestNoGhostFiles leaves the workspace as the agent left it: what was
// protected without existing does not exist afterwards.
func TestNoGhostFiles(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		before := tree(t, h.Workspace)
		r := h.Do(t, "run", "--", "sh", "-c", `
ls -A
for f in .envrc .vscode/tasks.json .git/hooks/pre-commit .github/workflows/x.yml .claude/settings.json .bashrc ambit.yaml .git/config; do
	mkdir -p "$(dirname $f)" 2>/dev/null
	echo evil >>$f && echo "wrote $f"
done 2>/dev/null
rmdir .vscode .github/workflows .github .claude 2>/dev/null
echo end`)
		want(t, r, 0)
		if strings.Contains(r.Stdout, "wrote") {
			t.Errorf("a protected file was written:\n%s", r.Stdout)
		}
		if after := tree(t, h.Workspace); after != before {
			t.Errorf("the workspace was\n%s\nand is\n%s", before, after)
		}
		verified(t, h)
	})
}

// tree lists the files below a folder with their sizes.
func tree(t *testing.T, root string) string {
	t.Helper()
	return ambittest.Output(t, root, "find", ".", "-printf", "%p %y %s\n", "-name", "objects", "-prune")
}
