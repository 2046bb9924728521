package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/grants"
	"ambit/sandbox"
)

// command runs a subcommand of ambit in this process, with a home and a state of
// its own, and returns what it prints and its exit status.
func command(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	t.Setenv("HOME", filepath.Join(t.TempDir(), "home"))
	t.Setenv("AMBIT_HOME", filepath.Join(t.TempDir(), "state"))
	var b bytes.Buffer
	c := root("")
	c.SetOut(&b)
	c.SetErr(&b)
	c.SetArgs(args)
	if err := c.Execute(); err != nil {
		return b.String() + err.Error(), exitCode(err)
	}
	return b.String(), 0
}

// folder writes files into a new folder and returns its path.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLintCommand(t *testing.T) {
	dir := folder(t, map[string]string{
		"ambit.yaml":  "agent: a\nread: [{files: docs}]\n",
		"warn.yaml":   "agent: a\nexpires: 9h\n",
		"bad.yaml":    "agent: a\nwrite:\n  - files: .git/hooks\n    because: b\n",
		"reason.yaml": "agent: a\nwrite:\n  - files: .git/hooks\n    because: b\n    lint-accept: {runs-outside: it writes hooks}\n",
		"own.yaml":    "agent: a\nwrite: [{files: ., because: b}]\n",
		"broken.yaml": "agent: A B\nreed: []\n",
		"github.yaml": "agent: a\nservices: {g: {kind: github, credential: {env: T}}}\nread: [{g: acme/web}]\nwrite: [{g: acme/web, operations: [pulls.create], at-most: 3, because: b}]\n",
	})
	for _, c := range []struct {
		file string
		code int
		want []string
	}{
		{"ambit.yaml", 0, []string{"nothing dangerous found"}},
		{"warn.yaml", 3, []string{"warn.yaml:2:10: W long-life ", "\n    → ", "0 errors, 1 warning\n"}},
		{"bad.yaml", 4, []string{"bad.yaml:3:12: E runs-outside ", "1 error, 0 warnings\n"}},
		{"reason.yaml", 0, []string{"accepted runs-outside", "because: it writes hooks"}},
		{"own.yaml", 3, []string{"W build-files", "0 errors, 1 warning\n"}}, // the walls keep the file itself under any name
		{"broken.yaml", 1, []string{"broken.yaml:1:8:", "broken.yaml:2:1:", "2 errors"}},
		{"missing.yaml", 1, []string{"does not exist"}},
		{"github.yaml", 4, []string{"github.yaml:4:9: E way-out"}},
	} {
		out, code := command(t, "lint", filepath.Join(dir, c.file))
		if code != c.code {
			t.Errorf("%s: status %d, want %d\n%s", c.file, code, c.code, out)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: %q is missing in\n%s", c.file, w, out)
			}
		}
	}
	if _, code := command(t, "lint", "a", "b"); code != exitUsage {
		t.Errorf("two files: status %d", code)
	}
}

// TestRunRefusesWhatLintRefuses: what `ambit lint` calls an error does not run,
// and says where, what, why and what to do. What is accepted is past that gate.
func TestRunRefusesWhatLintRefuses(t *testing.T) {
	const bad = "agent: a\nwrite:\n  - files: [.git/hooks, CLAUDE.md]\n    because: b\n"
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"as it is": {bad, []string{"bad.yaml:3:13: E runs-outside", "bad.yaml:3:25: E steers-agent", "lint-accept: {steers-agent: reason}", "2 errors of lint", "`ambit lint "}},
		"accepted": {bad + "    lint-accept: {runs-outside: x, steers-agent: x}\n", []string{"cannot grant ", ".git/hooks", "does not exist"}},
	} {
		dir := folder(t, map[string]string{"bad.yaml": c.text})
		out, code := ambitCmd(t, "run", "--headless", "--grants", filepath.Join(dir, "bad.yaml"), "--", "touch", filepath.Join(dir, "ran"))
		if code != exitRefused {
			t.Errorf("%s: status %d", name, code)
		}
		for _, s := range c.says {
			if !strings.Contains(out, s) {
				t.Errorf("%s: %q is missing in\n%s", name, s, out)
			}
		}
		if name == "accepted" && strings.Contains(out, "of lint") {
			t.Errorf("what is accepted is refused by lint:\n%s", out)
		}
		if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
			t.Errorf("%s: it ran", name)
		}
	}
}

func TestLintJSON(t *testing.T) {
	dir := folder(t, map[string]string{"bad.yaml": "agent: a\nwrite:\n  - files: [.git/hooks, CLAUDE.md]\n    because: b\n    lint-accept: {runs-outside: x}\n"})
	out, code := command(t, "lint", "--json", filepath.Join(dir, "bad.yaml"))
	var got struct {
		Errors, Warnings int
		Findings         []struct {
			Severity, Rule, Message, Remedy, Accepted string
			Line, Column                              int
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if code != 4 || got.Errors != 1 || len(got.Findings) != 2 || got.Findings[0].Accepted != "x" || got.Findings[1].Rule != "steers-agent" || got.Findings[1].Line != 3 {
		t.Errorf("status %d: %+v", code, got)
	}
}

// TestInitLints: what `ambit init` writes for real kinds of service has no error.
func TestInitLints(t *testing.T) {
	for _, lang := range [][]string{nil, {"go"}, {"node"}, {"python"}} {
		for _, repo := range []string{"", "acme/web"} {
			for _, agent := range []string{"", "claude", "codex"} {
				src := grants.Starter(grants.Repository{Name: "web", GitHub: repo, Languages: lang, Agent: agent})
				dir := folder(t, map[string]string{"ambit.yaml": string(src)})
				if out, code := command(t, "lint", filepath.Join(dir, "ambit.yaml")); code == exitErrors || code == exitFailed {
					t.Errorf("%v %q %q: status %d\n%s", lang, repo, agent, code, out)
				}
			}
		}
	}
}

func TestUnenforced(t *testing.T) {
	got := unenforced([]sandbox.Finding{{Name: "kernel", OK: true, Needed: true}, {Name: "memory limit", Found: "none"}})
	if len(got) != 2 || got[0].Clause != "sandbox.memory" || got[0].Why != "none" {
		t.Errorf("%+v", got)
	}
	if got := unenforced([]sandbox.Finding{{Name: "system", Needed: true}}); len(got) != 3 {
		t.Errorf("%+v", got)
	}
}
