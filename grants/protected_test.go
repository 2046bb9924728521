package grants

import (
	"math/rand/v2"
	"strings"
	"testing"

	"ambit"
)

const everyFile = "agent: a\nread:\n  - files: [\".\", \"~\", /]\nwrite:\n  - files: [\".\", \"**\", \"~/**\", /]\n    because: b\n"

// TestProtected tries every name of the list, in the workspace, deep below it
// and in other spellings, under grants that give all files. Only the class
// decides what stays closed.
func TestProtected(t *testing.T) {
	g := mustLoad(t, everyFile)
	for _, n := range Protected() {
		path := strings.Replace(n.Path, "*", "x", 1)
		for _, p := range []string{path, "a/b/" + path, strings.ToUpper(path), path + "/below"} {
			if d := verdict(t, g, "files write "+p); d.Verdict != ambit.Deny {
				t.Errorf("write %s (%s): %s by %s", p, n.Class, d.Verdict, d.By)
			}
			want := ambit.Allow
			if n.Class == ClassCredentials {
				want = ambit.Deny
			}
			if d := verdict(t, g, "files read "+p); d.Verdict != want && ProtectedClass(p) == n.Class {
				t.Errorf("read %s (%s): %s", p, n.Class, d.Verdict)
			}
		}
		// The twin: a name that only looks alike is an ordinary file.
		for _, p := range []string{"my" + path + "x.txt/ok", "docs/readme.md"} {
			if c := ProtectedClass(p); c != "" {
				continue
			}
			if d := verdict(t, g, "files write "+p); d.Verdict != ambit.Allow {
				t.Errorf("write %s: %s", p, d.Verdict)
			}
		}
	}
}

// ProtectedClass is the first class of a path's text.
func ProtectedClass(path string) Class {
	c, _ := ProtectedIn(strings.Split(path, "/"))
	return c
}

// TestProtectedByName: a line that names it literally opens that name, and none
// beside or below it that it does not name.
func TestProtectedByName(t *testing.T) {
	g := mustLoad(t, "agent: a\nread: [{files: [., .env]}]\nwrite: [{files: [., .git/hooks, .github, .vscode/settings.json], because: b}]\n")
	for text, want := range map[string]ambit.Verdict{
		"files write .git/hooks/pre-commit":        ambit.Allow,
		"files write .git/config":                  ambit.Deny,
		"files write sub/.git/hooks/x":             ambit.Deny, // another repository's
		"files write .github/workflows/ci.yml":     ambit.Deny, // only .github is named
		"files write .github/FUNDING.yml":          ambit.Allow,
		"files write .vscode/settings.json":        ambit.Allow,
		"files write .vscode/tasks.json":           ambit.Deny,
		"files read .env":                          ambit.Allow,
		"files write .env":                         ambit.Deny,
		"files read .env.production":               ambit.Deny,
		"files read sub/.env":                      ambit.Deny,
		"files write .git/hooks/.env":              ambit.Deny, // a protected name within one
		"files read .git/hooks/pre-commit":         ambit.Allow,
		"files write CLAUDE.md":                    ambit.Deny,
		"files write claude.MD":                    ambit.Deny,
		"files write CLAUDE.md.txt":                ambit.Allow,
		"files write .\u212aube/config":            ambit.Deny, // the Kelvin sign folds to k
		"files write .git/modules/x/hooks/y":       ambit.Deny,
		"files write keys/server.PEM":              ambit.Deny,
		"files write id_rsa_backup":                ambit.Deny,
		"files read .docker/config.json":           ambit.Deny,
		"files read .docker/contexts/x":            ambit.Allow,
		"files write ambit.yaml":                   ambit.Deny,
		"files write src/.gitignore":               ambit.Allow,
		"files write .git/objects/aa/bb":           ambit.Allow,
		"files write .git/hooks":                   ambit.Allow,
		"files write /workspace/.git/hooks/x":      ambit.Allow,
		"files write /elsewhere/.git/hooks/x":      ambit.Deny,
		"files read /home/agent/.ssh/id_ed25519":   ambit.Deny,
		"files write .claude/settings.local.json":  ambit.Deny,
		"files write a/.devcontainer/x/Dockerfile": ambit.Deny,
	} {
		if d := verdict(t, g, text); d.Verdict != want {
			t.Errorf("%s: %s by %s, want %s", text, d.Verdict, d.By, want)
		}
	}
}

// TestNotPlainPaths: climbing and doubled slashes are refused before matching.
func TestNotPlainPaths(t *testing.T) {
	g := mustLoad(t, everyFile)
	for _, p := range []string{"../x", "a/../b", "a//b", "/a/./b", "a/..", "~x", "a/~/../b", "src/*", "**"} {
		if _, err := g.ParseAction("files read " + p); err == nil {
			t.Errorf("%s was taken", p)
		}
	}
}

func TestManyProtectedNames(t *testing.T) {
	g := mustLoad(t, everyFile)
	a := &ambit.Action{Service: "files", Operation: "files.write", Effect: ambit.Write,
		Resource: ambit.Resource{Kind: "file", Segments: strings.Split(strings.Repeat(".env/", 20)+"x", "/")}}
	if d := g.Decide(a); d.Verdict != ambit.Deny {
		t.Errorf("%+v", d)
	}
}

func TestFiles(t *testing.T) {
	k := testKinds()
	k.Workspace, k.Home = "/srv/my repo", "/home/zoë"
	g, err := Load("ambit.yaml", []byte("agent: a\nread: [{files: [., ~/notes, /opt/x], except: secrets}]\nwrite: [{files: [src/**], because: b}]\nsandbox: {write: [/tmp/y]}\n"), k, noon())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range g.Files() {
		got = append(got, strings.Join([]string{f.Path, map[bool]string{true: "rw", false: "ro"}[f.Write], strings.Join(f.Except, ":"), f.By}, " "))
	}
	want := "/srv/my repo ro /srv/my repo/secrets ambit.yaml:2:8|/home/zoë/notes ro /srv/my repo/secrets ambit.yaml:2:8|" +
		"/opt/x ro /srv/my repo/secrets ambit.yaml:2:8|/srv/my repo/src rw  ambit.yaml:3:9"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if d := verdict(t, g, "files write /tmp/y/z"); d.Verdict != ambit.Allow || d.By != "ambit.yaml:4:19" {
		t.Errorf("%+v", d)
	}
	if p, ok := k.Path("~/x"); !ok || p != "/home/zoë/x" {
		t.Errorf("%s %v", p, ok)
	}
}

// TestProtectedIndexAgrees compares the one look through a path with the slow
// and obvious search for every name, on random paths of many protected parts.
func TestProtectedIndexAgrees(t *testing.T) {
	words := []string{"a", ".git", "hooks", "config", ".GITHUB", "workflows", ".env", ".env.local", "x.pem", "id_rsa2", ".docker", "config.json", "claude.md", ".config", "fish", "\u212aube", "modules"}
	rnd := rand.New(rand.NewPCG(7, 8))
	path := func(most int) string {
		var out []string
		for range 1 + rnd.IntN(most) {
			out = append(out, words[rnd.IntN(len(words))])
		}
		return strings.Join(out, "/")
	}
	var seen [2]int
	for range 120 {
		src := "agent: a\nread:\n  - files: [., " + quote(path(2)) + "]\nwrite:\n  - files: [" + quote(path(1)) + ", " + quote(path(3)) + "]\n    because: b\n"
		g, err := Load("ambit.yaml", []byte(src), testKinds(), noon())
		if err != nil {
			continue // the same name twice
		}
		for range 25 {
			for _, e := range []ambit.Effect{ambit.Read, ambit.Write} {
				a := ambit.Action{Service: "files", Operation: "files." + e.String(), Effect: e,
					Resource: ambit.Resource{Kind: "file", Segments: strings.Split("workspace/"+path(4), "/")}}
				got, want := g.Decide(&a), g.slow(&a, Facts{})
				if got.Verdict != want.Verdict || got.By != want.By {
					t.Fatalf("%s %v: index %+v, obvious %+v\n%s", e, a.Resource.Segments, got, want, src)
				}
				seen[got.Verdict/ambit.Allow]++
			}
		}
	}
	if seen[0] < 1000 || seen[1] < 1000 {
		t.Errorf("%d denied, %d allowed: the test shows little", seen[0], seen[1])
	}
}
