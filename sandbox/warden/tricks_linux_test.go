//go:build amd64 || arm64

package warden

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// attackMoves performs "kind from to" one after the other, and prints what
// each gives.
func attackMoves(args []string) error {
	for _, a := range args {
		f := strings.Split(a, "|")
		fmt.Printf("%s: %v\n", a, move(f[0], f[1], f[2]))
	}
	return nil
}

func move(kind, from, to string) error {
	const here = unix.AT_FDCWD
	switch kind {
	case "move":
		return unix.Renameat2(here, from, here, to, 0)
	case "noreplace":
		return unix.Renameat2(here, from, here, to, unix.RENAME_NOREPLACE)
	case "exchange":
		return unix.Renameat2(here, from, here, to, unix.RENAME_EXCHANGE)
	case "whiteout":
		return unix.Renameat2(here, from, here, to, unix.RENAME_WHITEOUT)
	case "link":
		return unix.Linkat(here, from, here, to, 0)
	case "follow":
		return unix.Linkat(here, from, here, to, unix.AT_SYMLINK_FOLLOW)
	case "fd":
		return linkByFD(to, unix.O_RDONLY, from)
	case "symlink":
		return unix.Symlinkat(from, here, to)
	case "mkdir":
		return unix.Mkdirat(here, to, 0o755)
	case "file":
		return opener(unix.O_CREAT | unix.O_WRONLY)(to)
	case "write":
		return opener(unix.O_CREAT | unix.O_WRONLY | unix.O_TRUNC)(to)
	case "unlink":
		return unix.Unlink(from)
	}
	return errors.New("no move " + kind)
}

// repository is a workspace whose git directory is protected where it exists.
func repository(t *testing.T, who int) (Tree, string) {
	root, free := ground(t, who)
	plant(t, who, root, ".git/HEAD", ".git/config", ".git/hooks/", ".git/objects/", "gh/workflows/ci.yml", "fake/hooks/pre-commit",
		"fake/config", "old/.envrc", "tools/.vscode/tasks.json", "hollow/", "plain", "meta/", ".ci -> meta", ".deep -> a/b", "a -> c", "c/b/",
		"far/off/.github/ISSUES", "far/keep/share/keyrings/x", "far/link/share -> ../keep", "far/made/.github/workflows/ok.yml")
	return Tree{Root: root, Names: []string{".envrc", ".vscode", ".github/workflows", ".local/share/keyrings"},
		Allowed: []string{"tools/.vscode", "new/.vscode/x", "far/made/.github/workflows"},
		Paths:   []string{".git/hooks", ".git/config", ".forge/flows", ".ci/jobs", ".deep/jobs"},
		Mounts:  []string{".git/hooks", ".git/config"}}, free
}

func TestTricks(t *testing.T) {
	refused := []string{
		"move|.git|x", "move|.git/|x", "exchange|.git|fake", "exchange|fake|.git", "move|fake|.git", "move|./.git/../.git|x",
		"move|.git/config|x", "move|plain|.git/config", "exchange|plain|.git/config", "link|.git/config|x", "fd|.git/config|x",
		"move|.git/hooks|x", "move|fake/hooks|.git/hooks", "move|fake/hooks|.git/HOOKS", "move|fake/hooks/pre-commit|.git/hooks/pre-commit",
		"link|fake/hooks/pre-commit|.git/hooks/pre-commit", "symlink|../../fake|.git/hooks/x",
		"move|gh|.github", "move|gh|.GitHub", "noreplace|gh|.github", "symlink|gh|.github", "symlink|.|.github",
		"move|gh|.forge", "move|gh|.FORGE", "noreplace|gh|.forge", "move|gh/workflows|.forge", "symlink|gh|.forge", "symlink|.|.forge",
		"file||.forge", "link|plain|.forge", "move|plain|.forge", "exchange|hollow|.git", "whiteout|plain|x", "move|gh/|.github/",
		"move|gh|c/b/.github", "move|gh/|c/b/.GitHub /", "symlink|../../gh|c/b/.github", "link|.ci|c/b/.github", "move|.ci|c/b/.github",
		"exchange|gh|far/off/.github", "exchange|far/off/.github|gh", "move|gh/workflows|far/off/.github/workflows", "mkdir||far/off/.github/workflows",
		"file||far/off/.github/workflows", "link|plain|far/off/.github/workflows", "symlink|../../../gh|far/off/.github/workflows", "move|far/keep|c/.local",
		"move|far/keep|.LOCAL", "move|far/link|c/.local", "exchange|far/keep|hollow/.local", "move|far/made|c/made", "move|far/made/.github|c/.github",
		"exchange|far/made/.github|gh", "mkdir||far/made/.github/workflows/.envrc",
		"move|old/.envrc|x", "link|old/.envrc|x", "fd|old/.envrc|x", "follow|old/.envrc|x", "exchange|old/.envrc|plain",
		"move|plain|.envrc", "move|hollow|.envrc", "move|plain|old/.envrc", "symlink|plain|old/.vscode", "exchange|plain|old/.envrc",
		"move|tools|other", "move|tools/.vscode|gh/.vscode", "move|tools/.vscode|.vscode", "exchange|tools|gh", "mkdir||tools/.vscode/.envrc",
		"mkdir||meta/jobs", "move|hollow|meta/jobs", "move|meta|x", "mkdir||.ci/jobs", "exchange|.ci|gh", "mkdir||c/b/jobs", "mkdir||a/b/jobs",
		"move|.git/HEAD|../free/HEAD", "link|plain|../free/plain", "move|plain|../plain", "link|/bin/true|true", "mkdir||../x", "file||../x",
		"move|.|x", "move|..|x", "move|plain|", "move|plain|.", "move|plain|hollow/..",
	}
	as(t, func(t *testing.T, who int) {
		tree, free := repository(t, who)
		before := list(t, tree.Root+"/..")
		o := run(t, who, tree, free, append([]string{"moves"}, refused...)...)
		if n := strings.Count(o.Out, "\n"); o.Code != 0 || n != len(refused) {
			t.Errorf("exit %d after %d of %d moves:\n%s", o.Code, n, len(refused), o.Out)
		}
		for line := range strings.Lines(o.Out) {
			if strings.HasSuffix(line, ": <nil>\n") {
				t.Errorf("not refused: %s", line)
			}
		}
		if after := list(t, tree.Root+"/.."); !slices.Equal(before, after) {
			t.Errorf("the tree has changed:\nbefore %q\nafter  %q", before, after)
		}
	})
}

// A link that was there at the start, taken apart and built anew, does not
// lead to a protected path either.
func TestRebuiltLink(t *testing.T) {
	as(t, func(t *testing.T, who int) {
		tree, free := repository(t, who)
		o := run(t, who, tree, free, "moves", "unlink|a|", "mkdir||a", "mkdir||a/b", "mkdir||a/b/jobs", "unlink|.deep|",
			"mkdir||.deep", "mkdir||.deep/jobs", "symlink|gh|.deep")
		want := []string{"<nil>", "<nil>", "<nil>", "permission denied", "<nil>", "<nil>", "permission denied", "file exists"}
		expect(t, o, want)
	})
}

func TestMovesThatWork(t *testing.T) {
	as(t, func(t *testing.T, who int) {
		tree, free := repository(t, who)
		o := run(t, who, tree, free, "moves", "move|hollow|.github", "mkdir||.github/ISSUES", "move|plain|.github/x", "move|gh|gh2",
			"exchange|gh2|fake", "link|.github/x|y", "follow|.github/x|z", "fd|y|w", "move|y|.git/objects/y", "write||.git/HEAD",
			"move|tools/.vscode/tasks.json|tasks", "move|tasks|tools/.vscode/tasks.json", "mkdir||new", "mkdir||new/.vscode",
			"mkdir||new/.vscode/x", "file||new/.vscode/x/y", "mkdir||new/.vscode/z", "mkdir||meta/other", "symlink|.envrc|link",
			"file||link", "noreplace|w|v", "noreplace|v|z", "mkdir||sub", "mkdir||sub/.git", "mkdir||sub/.git/hooks", "file||sub/.git/config",
			"move|far/off/.github|c/x", "move|c/x|far/off/.github", "exchange|far/off/.github|gh2", "mkdir||c/.github", "mkdir||c/.local", "mkdir||c/.local/share",
			"file||c/b/.github", "link|plainer|c/.local/share/x", "file||plainer", "link|plainer|c/.local/share/x", "move|plainer|c/b/.local",
			"mkdir||far/made/.github/workflows/a", "move|far/made/.github/workflows/ok.yml|c/ok.yml", "symlink|x|workflows", "mkdir||gh2/deep",
			"move|gh2/deep|gh2/.github", "mkdir||gh2/.github/.github", "move|sub|sub2")
		want := make([]string, 44)
		for i := range want {
			want[i] = "<nil>"
		}
		want[33] = "no such file or directory"
		want[16], want[19], want[21] = "permission denied", "permission denied", "file exists"
		expect(t, o, want)
	})
}

// expect checks what the moves gave, in order.
func expect(t *testing.T, o outcome, want []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(o.Out), "\n")
	if o.Code != 0 || len(lines) != len(want) {
		t.Fatalf("exit %d, %d lines, not %d:\n%s", o.Code, len(lines), len(want), o.Out)
	}
	for i, line := range lines {
		if !strings.HasSuffix(line, ": "+want[i]) {
			t.Errorf("%s, want %s", line, want[i])
		}
	}
}

// What the kernel refuses to the agent, the warden does not do for it: outside
// the tree, and through what is open in PID 1.
func TestDeputy(t *testing.T) {
	as(t, func(t *testing.T, who int) {
		tree, free := repository(t, who)
		plant(t, who, tree.Root+"/../outer", "dir/", "secret")
		plant(t, who, tree.Root, "out -> ../outer/dir", "seed")
		before := list(t, tree.Root+"/..")
		o := run(t, who, tree, free, "deputy", tree.Root)
		if o.Code != 0 || strings.Contains(o.Out, "<nil>") || strings.Count(o.Out, "\n") < 100 {
			t.Errorf("exit %d:\n%s", o.Code, o.Out)
		}
		if after := list(t, tree.Root+"/.."); !slices.Equal(before, after) {
			t.Errorf("the tree has changed:\nbefore %q\nafter  %q", before, after)
		}
	})
}

func attackDeputy(args []string) error {
	root := args[0]
	ways := []string{"out/x", root + "/../outer/x", "/proc/1/cwd/x", "/proc/1/root" + root + "/x", "/proc/1/task/1/cwd/x",
		"/proc/self/task/../../1/cwd/x"}
	for fd := range 24 {
		ways = append(ways, fmt.Sprintf("/proc/1/fd/%d/x", fd), fmt.Sprintf("/proc/1/fd/%d", fd))
	}
	for _, way := range ways {
		for _, m := range makers() {
			if strings.HasPrefix(way, "/proc/1/fd/") && strings.HasPrefix(m.what, "rename") || m.what == "open" {
				continue // "mover" is made and taken away again: the tree stays
			}
			fmt.Printf("%s %s: %v\n", m.what, way, m.make(way))
		}
	}
	for fd := range 24 {
		for _, from := range []string{"/proc/1/fd/%d", "/proc/self/../1/fd/%d", "/proc/self/fd/../../1/fd/%d"} {
			fmt.Printf("link from %d: %v\n", fd, move("follow", fmt.Sprintf(from, fd), "x"))
		}
	}
	fmt.Println("link from outside:", move("link", "../outer/secret", "x"), move("follow", "out/../secret", "x"))
	for _, kind := range []string{"move", "noreplace", "link", "fd"} {
		fmt.Println(kind, "outside:", move(kind, "../outer/secret", "../outer/x"), move(kind, "../outer/secret", "out/x"))
	}
	fmt.Println("exchange outside:", move("exchange", "../outer/secret", "out"), move("exchange", "../outer/secret", "../outer/dir"))
	if _, err := os.Lstat("x"); err == nil {
		return errors.New("x exists")
	}
	return nil
}
