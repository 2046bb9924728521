package warden

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	for name, want := range map[string]string{
		".envrc": ".envrc", ".ENVRC": ".envrc", ".Git": ".git", ".envrc.": ".envrc", ".envrc . ": ".envrc",
		".git::$INDEX_ALLOCATION": ".git", ".mcp.json:x": ".mcp.json", ".g\u200cit": ".git", "\ufeff.git": ".git",
		"hoo\u212as": "hooks", "hook\u017f": "hooks", ":x": ":x", ".": "", "..": "", "a b": "a b", "\xff": "\ufffd", "É": "É",
	} {
		if got := fold(name); got != want {
			t.Errorf("fold(%q) = %q, want %q", name, got, want)
		}
	}
	if fold("é") != fold("É") {
		t.Error("é and É differ")
	}
}

func exampleTree() Tree {
	return Tree{Root: "/ws", Names: []string{".envrc", ".vscode", ".github/workflows", ".local/share/keys", ".Github/agents"},
		Paths:   []string{".git/hooks", "/ws/.forge/flows", "docs/conf"},
		Allowed: []string{"tools/.vscode", ".git/hooks/a/b", "docs/conf", "meta/.github/workflows", "meta/.github/agents"}, Mounts: []string{".git/config"}}
}

func TestGuard(t *testing.T) {
	g, err := compile(exampleTree())
	if err != nil {
		t.Fatal(err)
	}
	flows := thing{holds: func(rest []string) bool { return slices.Equal(rest, []string{"workflows"}) }}
	// Each line: may it be made as a file, as a symbolic link, as a fresh
	// directory, as a directory with `workflows` in it, moved away, linked.
	for rel, want := range map[string]string{
		"":                                     "------",
		"a":                                    "fsdwml",
		".envrc":                               "------",
		"a/.ENVRC":                             "------",
		".envrc/x":                             "------",
		".envrcs":                              "fsdwml",
		"a/b/.vscode/settings":                 "------",
		"tools":                                "fsdw-l",
		"tools/.vscode":                        "fsdwml",
		"tools/.vscode/x":                      "fsdwml",
		"tools/.vscode/.envrc":                 "------",
		"other/.vscode":                        "------",
		".git":                                 "--d--l",
		".GIT.":                                "--d--l",
		"a/.git":                               "fsdwml",
		"a/.git/hooks":                         "fsdwml",
		".git/hooks":                           "--d---",
		".git/hooks/a":                         "--d---",
		".git/hooks/a/b":                       "fsdwml",
		".git/hooks/a/b/c":                     "fsdwml",
		".git/hooks/x":                         "------",
		".git/config":                          "fsdwml", // the mount itself: the kernel's EBUSY
		".forge":                               "--d--l",
		".forge/flows":                         "------",
		".forge/flows/x/y":                     "------",
		".forge/other":                         "fsdwml",
		"a/.forge":                             "fsdwml",
		"a/.forge/flows":                       "fsdwml",
		"docs":                                 "fsdw-l",
		"docs/conf":                            "fsdwml",
		".github":                              "f-d-ml",
		"a/b/.GitHub ":                         "f-d-ml",
		".github/workflows":                    "------",
		"a/.github/workflows":                  "------",
		"a/.github/Agents/x/y":                 "------",
		"a/.github/b/workflows":                "fsdwml",
		"a/.github/b":                          "fsdwml",
		"workflows":                            "fsdwml",
		"a/.local":                             "f-dwml",
		"a/.local/share":                       "f-dwml",
		"a/.local/share/other":                 "fsdwml",
		"a/.local/share/keys/x":                "------",
		".local/share/Keys":                    "------",
		".local/.local/share":                  "f-dwml",
		"share/keys":                           "fsdwml",
		"meta/.github":                         "fsdw-l",
		"meta/.github/agents":                  "fsdwml",
		"meta/.github/agents/x":                "fsdwml",
		"m/.github/agents":                     "------",
		"meta/.github/agents/.github/agents/x": "------",
	} {
		got := []byte("------")
		for i, yes := range []bool{g.mayMake(rel, thing{inert: true}), g.mayMake(rel, thing{}), g.mayMake(rel, thing{fresh: true}),
			g.mayMake(rel, flows), g.mayMove(rel), g.mayLink(rel)} {
			if yes {
				got[i] = "fsdwml"[i]
			}
		}
		if string(got) != want {
			t.Errorf("%q: %s, want %s", rel, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	n, err := NewNames([]string{".envrc", "id_rsa*", "*.pem", ".github/workflows", ".local/share/keys"})
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]bool{
		"": false, "a": false, "/a/.envrc": true, ".ENVRC.": true, ".envrc/x": false, "x/id_rsa_old": true, "b.PEM": true, "pem": false,
		".github/workflows": true, "/x/.GitHub/Workflows": true, "workflows": false, ".github/a/workflows": false, ".github/workflows/x": false,
		"a/.local/share/keys": true, ".local/keys": false, "share/keys": false, ".local/share": false, "//": false,
	} {
		if n.End(p) != want {
			t.Errorf("End(%q) is %v", p, !want)
		}
	}
	for p, want := range map[string]string{"": "", "a": "", "/a/.GITHUB": "workflows", ".local": "share/keys", "x/.local/share": "keys",
		"share": "", ".local/x": "", ".github/workflows": "", ".local/.local": "share/keys"} {
		if got := strings.Join(n.Missing(p), " "); got != want {
			t.Errorf("Missing(%q) is %q, want %q", p, got, want)
		}
	}
	var zero Names
	if zero.End("a/.envrc") || len(zero.Missing("a/.github")) > 0 {
		t.Error("the zero value protects something")
	}
}

// Moving what a second tree is mounted in would move that tree.
func TestHold(t *testing.T) {
	g, err := compile(exampleTree())
	if err != nil {
		t.Fatal(err)
	}
	g.hold("/ws")
	g.hold("/other/a")
	g.hold("/ws/far/off/tree")
	for rel, want := range map[string]bool{"far": false, "far/off": false, "far/off/x": true, "other": true} {
		if g.mayMove(rel) != want {
			t.Errorf("%s: %v, want %v", rel, !want, want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for what, tr := range map[string]Tree{
		"root":     {Root: "ws"},
		"unclean":  {Root: "/ws/"},
		"climbing": {Root: "/ws", Paths: []string{"../x"}},
		"outside":  {Root: "/ws", Paths: []string{"/wsx/a"}},
		"itself":   {Root: "/ws", Mounts: []string{"/ws"}},
		"dot":      {Root: "/ws", Paths: []string{"."}},
		"empty":    {Root: "/ws", Allowed: []string{""}},
		"slash":    {Root: "/ws", Names: []string{".git/"}},
		"slashes":  {Root: "/ws", Names: []string{".git//hooks"}},
		"rooted":   {Root: "/ws", Names: []string{"/.envrc"}},
		"parent":   {Root: "/ws", Names: []string{".git/../x"}},
		"glob":     {Root: "/ws", Names: []string{".git/*"}},
		"middle":   {Root: "/ws", Names: []string{"a*b"}},
		"globs":    {Root: "/ws", Names: []string{"*a*"}},
		"no name":  {Root: "/ws", Names: []string{""}},
		"dots":     {Root: "/ws", Names: []string{".."}},
	} {
		if _, err := compile(tr); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := compile(Tree{Root: "rel", Names: []string{"a/*"}}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not all errors at once: %v", err)
	}
}

func TestFollowLinks(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"c/b", "real"} {
		if err := os.MkdirAll(root+"/"+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"a": "c", ".deep": "a/b", ".name": "made/later", ".abs": root + "/real", ".out": "/etc",
		".up": "../..", ".loop": ".loop2", ".loop2": ".loop", ".self": "."} {
		if err := os.Symlink(to, root+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	g, err := compile(Tree{Root: root, Names: []string{".name", ".self"},
		Paths: []string{".deep/x", ".abs/x/y", ".out/x", ".up/x", ".loop/x", "none/x"}})
	if err != nil {
		t.Fatal(err)
	}
	g.followLinks()
	for _, p := range []string{"a/b/x", "c/b/x", "made/later", "real/x/y", "real/x/y/z"} {
		if g.mayMake(p, thing{fresh: true}) {
			t.Errorf("%s may be made", p)
		}
	}
	for _, p := range []string{"a/b/y", "real/x", "other", "x"} {
		if !g.mayMake(p, thing{fresh: true}) {
			t.Errorf("%s may not be made", p)
		}
	}
}

func FuzzGuard(f *testing.F) {
	g, err := compile(exampleTree())
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{".envrc", "a/.VSCODE. /x", "a/.github/workflows", ".local/.local/share/Keys", ".git/hooks/a/b", "\xff/\u212a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rel string) {
		segs := strings.Split(rel, "/")
		named := slices.ContainsFunc(segs, func(s string) bool { return strings.EqualFold(s, ".envrc") })
		for i := range len(segs) - 1 {
			named = named || strings.EqualFold(segs[i], ".github") && strings.EqualFold(segs[i+1], "workflows") && !strings.HasPrefix(rel, "meta/")
		}
		link, file, dir := g.mayMake(rel, thing{}), g.mayMake(rel, thing{inert: true}), g.mayMake(rel, thing{fresh: true})
		if named && (link || file || dir || g.mayMove(rel) || g.mayLink(rel)) {
			t.Errorf("%q passes", rel)
		}
		last := segs[len(segs)-1]
		if link && (strings.EqualFold(last, ".github") || strings.EqualFold(last, ".local")) && !strings.HasPrefix(rel, "meta/") {
			t.Errorf("%q may be a link", rel)
		}
		if f := fold(rel); fold(f) != f && !strings.Contains(f, ":") {
			t.Errorf("fold(%q) = %q is not folded", rel, f)
		}
		if link && !file || file && !dir {
			t.Errorf("%q: link %v, file %v, directory %v", rel, link, file, dir)
		}
	})
}

// BenchmarkGuard decides about a file five directories down, with as many
// rules as there are by default.
func BenchmarkGuard(b *testing.B) {
	tree := Tree{Root: "/ws", Names: []string{"*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.tfstate", "id_rsa*",
		"id_dsa*", "id_ecdsa*", "id_ed25519*", ".env.*"}}
	for i := range 100 {
		tree.Names = append(tree.Names, fmt.Sprintf(".name%d", i))
	}
	for i := range 30 {
		tree.Paths = append(tree.Paths, fmt.Sprintf(".dir%d/name%d", i/3, i))
	}
	g, err := compile(tree)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !g.mayMake("node_modules/package/lib/deep/file.js", thing{inert: true}) {
			b.Fatal("refused")
		}
	}
}
