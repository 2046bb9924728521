package warden

import (
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
	return Tree{Root: "/ws", Names: []string{".envrc", ".vscode"}, Paths: []string{".git/hooks", "/ws/.github/workflows", "docs/conf"},
		Allowed: []string{"tools/.vscode", ".git/hooks/a/b", "docs/conf"}, Mounts: []string{".git/config"}}
}

func TestGuard(t *testing.T) {
	g, err := compile(exampleTree())
	if err != nil {
		t.Fatal(err)
	}
	// Each line: may it be made as a file, as a fresh directory, moved away, linked.
	for rel, want := range map[string]string{
		"":                      "----",
		"a":                     "fdml",
		".envrc":                "----",
		"a/.ENVRC":              "----",
		".envrc/x":              "----",
		".envrcs":               "fdml",
		"a/b/.vscode/settings":  "----",
		"tools":                 "fd-l",
		"tools/.vscode":         "fdml",
		"tools/.vscode/x":       "fdml",
		"tools/.vscode/.envrc":  "----",
		"other/.vscode":         "----",
		".git":                  "-d-l",
		".GIT.":                 "-d-l",
		"a/.git":                "fdml",
		"a/.git/hooks":          "fdml",
		".git/hooks":            "-d--",
		".git/hooks/a":          "-d--",
		".git/hooks/a/b":        "fdml",
		".git/hooks/a/b/c":      "fdml",
		".git/hooks/x":          "----",
		".git/config":           "fdml", // the mount itself: the kernel's EBUSY
		".github":               "-d-l",
		".github/workflows":     "----",
		".github/workflows/x/y": "----",
		".github/other":         "fdml",
		"docs":                  "fd-l",
		"docs/conf":             "fdml",
	} {
		got := []byte("----")
		for i, yes := range []bool{g.mayMake(rel, false), g.mayMake(rel, true), g.mayMove(rel), g.mayLink(rel)} {
			if yes {
				got[i] = "fdml"[i]
			}
		}
		if string(got) != want {
			t.Errorf("%q: %s, want %s", rel, got, want)
		}
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
		"name":     {Root: "/ws", Names: []string{".git/hooks"}},
		"no name":  {Root: "/ws", Names: []string{""}},
		"dots":     {Root: "/ws", Names: []string{".."}},
	} {
		if _, err := compile(tr); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if _, err := compile(Tree{Root: "rel", Names: []string{"a/b"}}); err == nil || strings.Count(err.Error(), "\n") != 1 {
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
		if g.mayMake(p, true) {
			t.Errorf("%s may be made", p)
		}
	}
	for _, p := range []string{"a/b/y", "real/x", "other", "x"} {
		if !g.mayMake(p, true) {
			t.Errorf("%s may not be made", p)
		}
	}
}

func FuzzGuard(f *testing.F) {
	g, err := compile(exampleTree())
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{".envrc", "a/.VSCODE. /x", ".github/workflows", ".git/hooks/a/b", "\xff/\u212a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rel string) {
		segs := strings.Split(rel, "/")
		named := slices.ContainsFunc(segs, func(s string) bool { return strings.EqualFold(s, ".envrc") })
		inside := len(segs) > 1 && strings.EqualFold(segs[0], ".github") && strings.EqualFold(segs[1], "workflows")
		if (named || inside) && (g.mayMake(rel, true) || g.mayMake(rel, false) || g.mayMove(rel) || g.mayLink(rel)) {
			t.Errorf("%q passes", rel)
		}
		if f := fold(rel); fold(f) != f && !strings.Contains(f, ":") {
			t.Errorf("fold(%q) = %q is not folded", rel, f)
		}
		if g.mayMake(rel, false) && !g.mayMake(rel, true) {
			t.Errorf("%q may be a file and no directory", rel)
		}
	})
}
