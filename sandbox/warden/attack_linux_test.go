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

// attack is what the agent does; it prints what a test wants to know.
type attack func(args []string) error

func attacks() map[string]attack {
	return map[string]attack{
		"make":   attackMake,
		"moves":  attackMoves,
		"deputy": attackDeputy,
		"flip":   attackFlip,
		"swap":   attackSwap,
		"wander": attackWander, "crowd": attackCrowd,
		"hidden": attackHidden, "dying": attackDying, "threads": attackThreads, "interrupted": attackInterrupted,
		"noroom": attackNoRoom, "pipes": attackPipes, "long": attackLong, "memory": attackMemory, "doors": attackDoors,
		"sockets": attackSockets,
		"bench":   attackBench,
	}
}

func beAttacker(name string, args []string) error {
	a := attacks()[name]
	if a == nil {
		return errors.New("no attack " + name)
	}
	return a(args)
}

// run has the agent make an attack inside a tree.
func run(t testing.TB, who int, tree Tree, free string, argv ...string) outcome {
	t.Helper()
	return start(t, setup{Who: who, Tree: tree, Free: free, Dir: tree.Root, Argv: append([]string{"/proc/self/exe"}, argv...)})
}

// as runs a test for each kind of user.
func as(t *testing.T, f func(t *testing.T, who int)) {
	for _, who := range users() {
		t.Run(fmt.Sprintf("uid%d", who), func(t *testing.T) { f(t, who) })
	}
}

// ways are the spellings by which an agent can reach a name in its directory.
func ways(root, name string) []string {
	dir, err := unix.Open(".", unix.O_RDONLY, 0) // stays open as long as the process
	if err != nil {
		panic(err)
	}
	return []string{
		name, "./" + name, "sub/../" + name, "sub/deep/../../" + name, ".//" + name, root + "/" + name,
		root + "/sub/../" + name, "/proc/self/cwd/" + name, "/proc/thread-self/cwd/" + name,
		fmt.Sprintf("/proc/%d/cwd/%s", os.Getpid(), name), fmt.Sprintf("/proc/self/fd/%d/%s", dir, name),
		fmt.Sprintf("/dev/fd/%d/%s", dir, name), "/proc/self/root" + root + "/" + name,
		"here/" + name, "sub/up/" + name, "round/" + name,
	}
}

func attackMake(args []string) error {
	root, names := args[0], args[1:]
	if err := os.WriteFile("seed", []byte("evil"), 0o644); err != nil {
		return err
	}
	for _, name := range names {
		for _, way := range ways(root, name) {
			for _, m := range makers() {
				fmt.Printf("%s %q: %v\n", m.what, way, m.make(way))
				m.clean(name)
			}
		}
	}
	return nil
}

func TestEveryCallEveryName(t *testing.T) {
	// .GIT/hooks exists and is no mount: what is below a protected path counts.
	protected := []string{".envrc", ".ENVRC", ".envrc.", ".envrc ", ".vscode", ".git/hooks", ".GIT/hooks/pre-commit", ".forge/flows",
		".GIT/Hooks", ".git/hook\u017f", ".github/workflows", ".github/Workflows. .", "sub/.claude/settings.json",
		".en\u200cvrc", ".mcp.json::$DATA", "sub/.git\u200chub/WORKFLOWS", "sub/deep/.github/workflows", "sub/deep/.github/agents/x",
		"sub/.local/share/keyrings"}
	as(t, func(t *testing.T, who int) {
		root, free := ground(t, who)
		plant(t, who, root, "sub/deep/", ".git/HEAD", ".GIT/hooks/", ".forge/", ".github/", "sub/.claude/",
			"sub/deep/.github/agents/", "sub/.git\u200chub/", "sub/.local/share/",
			"here -> .", "sub/.github/", "sub/up -> ..", "round -> "+root)
		tree := Tree{Root: root, Paths: []string{".git/hooks", root + "/.forge/flows"},
			Names: []string{".envrc", ".vscode", ".claude", ".mcp.json", ".github/workflows", ".github/agents", ".local/share/keyrings"}}
		before := list(t, root)
		o := run(t, who, tree, free, append([]string{"make", root}, protected...)...)
		for line := range strings.Lines(o.Out) {
			if !strings.HasSuffix(line, ": permission denied\n") && !strings.HasPrefix(line, "openat2 ") {
				t.Errorf("not refused: %s", line)
			}
		}
		after := slices.DeleteFunc(list(t, root), func(s string) bool { return strings.HasPrefix(s, "seed ") })
		if !slices.Equal(before, after) {
			t.Errorf("the tree has changed:\nbefore %q\nafter  %q", before, after)
		}
		if o.Code != 0 || o.Refused < 1000 || len(o.Denied) == 0 {
			t.Errorf("exit %d, %d refused, told of %q", o.Code, o.Refused, o.Denied)
		}
		// The benign twin: the same calls and ways with other names.
		o = run(t, who, tree, free, "make", root, "envrc", ".envrcs", "sub/.githubs", "sub/.git", "sub/.github/hooks", "sub/workflows", "sub/.local/share/keyring", "sub/.local/keyrings", "hooks", "sub/hooks", "na\nme", "na\xffme")
		for line := range strings.Lines(o.Out) {
			if !strings.HasSuffix(line, ": <nil>\n") && !strings.HasPrefix(line, "openat2 ") && strings.Contains(line, ": ") {
				t.Errorf("does not work: %s", line)
			}
		}
		if o.Code != 0 || o.Refused != 0 {
			t.Errorf("exit %d, %d refused", o.Code, o.Refused)
		}
	})
}
