// Package docs runs every command that the documents show.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ambit/internal/ambittest"
)

// elsewhere names the test that runs a command which cannot be run here.
var elsewhere = map[string]struct{ file, test string }{
	"./examples/quickstart/run.sh": {"internal/e2e/quickstart_test.go", "func TestQuickstart"},
	"./check all":                  {".ci/run", "./check all"},
	"ambit run -- claude":          {"internal/e2e/screen_test.go", `name: "claude"`},
	"ambit run -- codex":           {"internal/e2e/screen_test.go", `name: "codex"`},
	"ambit run -- claude -p 'do the steps' --dangerously-skip-permissions": {
		"internal/e2e/agents_test.go", `"claude", "-p", "do the steps", "--dangerously-skip-permissions",`},
	"ambit run -- codex exec 'do the steps'": {"internal/e2e/agents_test.go", `"codex", "exec", "do the steps")`},
	"ambit run -- sh -c 'rm ~/.claude.json'": {"internal/e2e/home_test.go", `in("rm ~/.claude.json")`},
}

// documents are what a person reads.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, glob := range []string{"../../*.md", "../../docs/*.md", "../../docs/decisions/*.md"} {
		names, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	if len(all) < 10 {
		t.Fatalf("only %d documents found", len(all))
	}
	return all
}

var block = regexp.MustCompile("(?ms)^```console\n(.*?)^```")

// commands are the lines after "$ " in console blocks, without comments.
func commands(t *testing.T, name string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range block.FindAllStringSubmatch(string(b), -1) {
		for line := range strings.Lines(m[1]) {
			cmd, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if !ok {
				continue
			}
			if i := strings.Index(cmd, "  #"); i >= 0 {
				cmd = cmd[:i]
			}
			out = append(out, strings.TrimSpace(cmd))
		}
	}
	return out
}

// TestEveryCommandShownRuns runs each document's commands, in order, in a
// fresh repository with a state of its own.
func TestEveryCommandShownRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and starts sandboxes")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "ambit"), "../../cmd/ambit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ran := 0
	for _, doc := range documents(t) {
		cmds := commands(t, doc)
		if len(cmds) == 0 {
			continue
		}
		t.Run(filepath.Base(doc), func(t *testing.T) {
			env := repository(t, bin)
			for _, c := range cmds {
				ran++
				if e, ok := elsewhere[c]; ok {
					contains(t, "../../"+e.file, e.test)
					continue
				}
				run(t, env, c)
			}
		})
	}
	if ran < 8 {
		t.Errorf("only %d commands found in the documents", ran)
	}
}

func contains(t *testing.T, file, text string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), text) {
		t.Errorf("%s does not run it (%v)", file, err)
	}
}

type place struct {
	dir string
	env []string
}

func repository(t *testing.T, bin string) place {
	t.Helper()
	p := place{dir: filepath.Join(t.TempDir(), "project")}
	state := filepath.Join(t.TempDir(), "state")
	p.env = append(os.Environ(), "AMBIT_HOME="+state, "HOME="+t.TempDir(), "PATH="+bin+":"+os.Getenv("PATH"))
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, p, "git init -q && git config user.email you@example.com && git config user.name You")
	t.Cleanup(func() {
		run(t, p, "ambit daemon stop")
		// It answers before it ends, and what it still writes is in the way of those who tidy up.
		h := ambittest.Home{Dir: p.dir, State: state}
		if !ambittest.Eventually(ambittest.Patience, func() bool { return len(h.Processes()) == 0 }) {
			t.Errorf("left behind: %v", h.Processes())
		}
	})
	return p
}

func run(t *testing.T, p place, cmd string) {
	t.Helper()
	c := exec.Command("sh", "-c", cmd)
	c.Dir, c.Env = p.dir, p.env
	out, err := c.CombinedOutput()
	// A fresh file has warnings for a person to think about, and no errors.
	if warned := c.ProcessState.ExitCode() == 3; warned && strings.HasPrefix(cmd, "ambit lint") {
		err = nil
	}
	if err != nil {
		t.Errorf("$ %s\n%s%v", cmd, out, err)
		return
	}
	t.Logf("$ %s\n%s", cmd, out)
}

// TestDependenciesAreExplained holds docs/dependencies.md against go.mod.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(mod)) {
		f := strings.Fields(line)
		if len(f) != 2 || !strings.HasPrefix(f[1], "v") {
			continue
		}
		n++
		if !strings.Contains(string(text), f[0]) {
			t.Errorf("docs/dependencies.md does not say why %s", f[0])
		}
	}
	if n < 10 {
		t.Errorf("only %d direct dependencies found in go.mod", n)
	}
}

// TestSizes keeps the first pages short.
func TestSizes(t *testing.T) {
	for name, most := range map[string]int{"../../README.md": 50, "../../ARCHITECTURE.md": 200} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if n := strings.Count(string(b), "\n"); n > most {
			t.Errorf("%s has %d lines, at most %d", name, n, most)
		}
	}
}

var testName = regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\b`)

// TestInvariantsAreTested holds ARCHITECTURE.md's table against the sources:
// every test that it names exists.
func TestInvariantsAreTested(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	filepath.WalkDir("../..", func(p string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, "_test.go") {
			b, _ := os.ReadFile(p)
			all.Write(b)
		}
		return nil
	})
	names := testName.FindAllString(string(text), -1)
	if len(names) < 30 {
		t.Fatalf("only %d tests are named", len(names))
	}
	for _, n := range names {
		if !strings.Contains(all.String(), "func "+n+"(") {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", n)
		}
	}
}
