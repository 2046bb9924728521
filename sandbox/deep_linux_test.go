package sandbox

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Protected paths of several names do not come into being below the top of a
// workspace either, and what git obeys not in repositories that are there.
func TestProtectedPathsAtAnyDepth(t *testing.T) {
	ws := workspace(t, "file", "tmpl/workflows/ci.yml", "sub/.github/ISSUES", "sub/deep/", "far/.github -> ../meta", "meta/workflows/ci.yml", "off/.github -> ../later",
		"later/", "keen/.vscode -> ../soon", "nested/.git/HEAD", "nested/.git/worktrees/w/HEAD", "hg/.hg/store", "lib/data/HEAD", "lib/data/config", "lib/x/y",
		"tool/.local/readme", "up/.git -> ../gitdata", "gitdata/HEAD", "gitdata/config")
	must(t, os.WriteFile(ws+"/lib/.git", []byte("gitdir: data\n"), 0o644))
	s := base(t)
	s.Files, s.Protect, s.Dir = []File{{Path: ws, Access: Writable}}, protect(), ws
	before := snapshot(t, ws)
	attempt(t, s, "write", ws+"/meta/workflows/ci.yml", ws+"/far/.github/workflows/ci.yml", ws+"/lib/.git", ws+"/lib/data/config", ws+"/gitdata/config")
	e := sh(t, s, `
		mkdir sub/.github/workflows; echo x > sub/.github/workflows; mv tmpl sub/x; mv sub/x tmpl
		mv tmpl sub/deep/.github; mv tmpl/workflows sub/.github/workflows; cp -r tmpl sub/deep/.github; rm -rf sub/deep/.github
		ln -s ../../tmpl sub/deep/.github; mkdir sub/deep/.GitHub; mv tmpl/workflows sub/deep/.GitHub/Workflows; rmdir sub/deep/.GitHub
		echo x > meta/workflows/new.yml; mkdir later/workflows; mkdir soon; echo x > soon; mkdir -p off/.github/workflows; mv meta m; mv later l
		mkdir nested/.git/hooks nested/.git/info; echo x > nested/.git/config; echo x > nested/.git/info/attributes; rmdir nested/.git/info
		echo x > nested/.git/worktrees/w/config.worktree; mv nested n; mv nested/.git nested/g; echo x > hg/.hg/hgrc; mv hg/.hg hg/h; mv hg h
		mkdir tool/.local/bin; ln -s ../../tmpl tool/.local/bin; mv tmpl tool/.local/bin; ln -s . up/.local; rm lib/.git; mv lib/.git lib/g; mv lib l
		mkdir gitdata/hooks; mv up/.git up/g; mv up u; true`)
	unchanged(t, ws, before)
	if t.Failed() {
		t.Log(e.out)
	}
	// A link can be taken away; what takes its place is guarded as it was.
	sh(t, s, "rm up/.git; mkdir up/.git; mkdir up/.git/hooks; echo x > up/.git/config; ln -s ../gitdata up/.git/x; rm -f up/.git/x; true")
	before["up/.git"] = "dir"
	unchanged(t, ws, before)
	// The benign twin.
	e = sh(t, s, `set -e; mkdir sub/.github/old; echo x > sub/.github/CODE; mv sub/deep/ sub/deeper; mkdir -p sub/deeper/.github/x sub/workflows
		mv sub/deeper/.github sub/gh; mv sub/gh sub/deeper/.github; mkdir tool/.local/share; echo x > .config; echo x > sub/.local; mv lib/x lib/z; mv tmpl t; echo done`)
	if e.out != "done\n" {
		t.Errorf("status %d: %s", e.status.Code, e.out)
	}
}

// A granted directory that is itself one of the names.
func TestGrantedPartOfAName(t *testing.T) {
	ws := workspace(t, ".github/workflows/ci.yml", ".github/other", "sub/.local/")
	s := base(t)
	s.Protect = protect()
	s.Files = []File{{Path: ws + "/.github", Access: Writable}, {Path: ws + "/sub/.local", At: "/home/agent/local", Access: Writable}}
	before := snapshot(t, ws)
	attempt(t, s, "write", ws+"/.github/workflows/ci.yml")
	e := sh(t, s, "cd "+ws+"/.github; echo x > workflows/x; mv workflows w; mkdir ~/local/bin; ln -s /tmp ~/local/bin; echo x > other && mkdir more && echo done")
	before[".github/other"], before[".github/more"] = "x\n", "dir"
	unchanged(t, ws, before)
	if !strings.HasSuffix(e.out, "done\n") {
		t.Error(e.out)
	}
}

// A single place is protected there, and nowhere else.
func TestProtectedPlace(t *testing.T) {
	ws := workspace(t, "task.yaml", "sub/")
	s := base(t)
	s.Protect = Protect{Paths: []string{ws + "/task.yaml", ws + "/sub/later.yaml"}}
	s.Files, s.Dir = []File{{Path: ws, Access: Writable}}, ws
	before := snapshot(t, ws)
	attempt(t, s, "write", ws+"/task.yaml")
	e := sh(t, s, "mv task.yaml x; echo x > sub/later.yaml; mv sub s; echo x > sub/task.yaml && echo done")
	before["sub/task.yaml"] = "x\n"
	if unchanged(t, ws, before); !strings.HasSuffix(e.out, "done\n") {
		t.Error(e.out)
	}
}

// What the agent clones and makes itself is its own, but for the protected paths
// that it brings along.
func TestRepositoriesOfTheAgent(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	ws, from := workspace(t, "file"), workspace(t, ".github/workflows/ci.yml", ".github/ISSUES", "README", "src/main.c")
	script := "cd " + from + " && git init -q -b main && git add . && git -c user.name=a -c user.email=a@b commit -qm one"
	if out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	s := base(t)
	s.Files, s.Protect, s.Dir = []File{{Path: ws, Access: Writable}, {Path: from, Access: ReadOnly}}, protect(), ws
	s.Env = append(s.Env, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	e := sh(t, s, `set -e; git init -q -b main new; cd new; git config user.name b; echo 1 > a; git add a; git commit -qm one; mkdir -p .git/hooks
		echo x > .git/hooks/pre-push; cd ..; git clone -q new deep/copy; git -C deep/copy remote -v | wc -l; git clone -q --bare new bare; mv deep moved; git -C moved/copy status --short
		git -C moved/copy worktree add -q ../tree; git -C moved/tree log --format=%s`)
	if e.status.Code != 0 || e.out != "2\none\n" {
		t.Errorf("status %d, printed %q", e.status.Code, e.out)
	}
	e = sh(t, s, "git -c safe.directory='*' clone -q --no-checkout "+from+" cloned && cd cloned && git checkout -q main -- README src; git checkout -q main; true")
	got := snapshot(t, filepath.Join(ws, "cloned"))
	if got["README"] == "" || got["src/main.c"] == "" || got[".github/workflows"] != "" {
		t.Errorf("the clone holds %q: %s", slices.Sorted(maps.Keys(got)), e.out)
	}
}
