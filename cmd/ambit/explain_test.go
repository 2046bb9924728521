package main

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files instead of comparing")

const explained = `agent: a
services:
  github: {kind: github, credential: {env: GITHUB_TOKEN}}
  forge: {kind: http, host: git.example.com, git: true}
  logs: {kind: http, host: logs.example.com, graphql: /api/query}
read:
  - github: [acme/web, /graphql]
  - forge: /team/**
  - logs: /api/query
write:
  - forge: /team/app.git/**
    operations: [git.push]
    because: the fix is delivered on a branch
ask:
  - github: acme/web
    operations: [git.push]
    because: a person sees what leaves the machine
`

// TestExplainAction compares what explain says of requests with what the real
// tools send: git fetches and pushes, and GraphQL.
func TestExplainAction(t *testing.T) {
	dir := folder(t, map[string]string{"ambit.yaml": explained})
	file := filepath.Join(dir, "ambit.yaml")
	var b strings.Builder
	for _, c := range []struct {
		action string
		code   int
	}{
		{"http POST https://github.com/acme/web.git/git-upload-pack", 0},
		{"http GET https://github.com/acme/web.git/info/refs?service=git-upload-pack", 0},
		{"http POST https://github.com/acme/web.git/git-receive-pack", exitDeny},
		{"http POST https://github.com/other/web.git/git-upload-pack", exitDeny},
		{"http POST https://git.example.com/team/app.git/git-upload-pack", 0},
		{"http POST https://git.example.com/team/app.git/git-receive-pack", exitDeny},
		{"http POST https://git.example.com/team/app.git/info/lfs/objects/batch", exitDeny},
		{"http POST https://api.github.com/graphql", exitDeny},
		{"http POST https://logs.example.com/api/query", exitDeny},
		{"http POST https://logs.example.com/api/other", exitDeny},
		{"github git.push.update acme/web/refs/heads/main", exitAsk},
	} {
		out, code := command(t, "explain", "--grants", file, c.action)
		if code != c.code {
			t.Errorf("%s: status %d, want %d\n%s", c.action, code, c.code, out)
		}
		b.WriteString("> " + c.action + "\n" + out + "\n")
	}
	const golden = "testdata/explain.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestExplainJSON: programs see the same cases.
func TestExplainJSON(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"ambit.yaml": explained}), "ambit.yaml")
	out, code := command(t, "explain", "--json", "--grants", file, "http POST https://logs.example.com/api/query")
	var got struct {
		Verdict string
		Actions []struct {
			Bodies []struct {
				Body     string
				Action   struct{ Operation string }
				Decision struct{ Verdict string }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if code != exitDeny || got.Verdict != "deny" || len(got.Actions) != 1 || len(got.Actions[0].Bodies) != 2 {
		t.Fatalf("status %d: %+v", code, got)
	}
	if q := got.Actions[0].Bodies[0]; q.Body != "a query" || q.Action.Operation != "graphql.query" || q.Decision.Verdict != "allow" {
		t.Errorf("%+v", q)
	}
}

// TestExplainKnowsWhatFetchIs: an expectation about git's own request holds as
// it does for git.
func TestExplainKnowsWhatFetchIs(t *testing.T) {
	const expect = "expect:\n  - allow: http POST https://github.com/acme/web.git/git-upload-pack\n  - deny: http POST https://github.com/acme/web.git/git-receive-pack\n"
	dir := folder(t, map[string]string{
		"good.yaml": explained + expect,
		"bad.yaml":  explained + expect + "  - ask: http POST https://github.com/acme/web.git/git-upload-pack\n",
	})
	if out, code := command(t, "explain", filepath.Join(dir, "good.yaml")); code != 0 {
		t.Errorf("status %d: %s", code, out)
	}
	if out, code := command(t, "explain", filepath.Join(dir, "bad.yaml")); code != exitFailed || !strings.Contains(out, "expected ask, but the verdict is allow") {
		t.Errorf("status %d: %s", code, out)
	}
}

// TestExplainReadsWhatRunRefuses: a file with errors of lint is still explained.
func TestExplainReadsWhatRunRefuses(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"ambit.yaml": "agent: a\nwrite: [{files: .git/hooks, because: b}]\n"}), "ambit.yaml")
	if out, code := command(t, "explain", file); code != 0 || !strings.Contains(out, ".git/hooks") {
		t.Errorf("status %d: %s", code, out)
	}
	if out, code := command(t, "contain", file, file); code != 0 {
		t.Errorf("status %d: %s", code, out)
	}
}

// TestExplainCredentialFiles: explain says of a file with the name of a credential
// what the walls do with it on this machine.
func TestExplainCredentialFiles(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"ambit.yaml": "agent: a\nread:\n  - files: [\".\"]\nwrite:\n  - files: out\n    because: b\n",
		".env":       "A=1", ".env.test": "A=2", "a.pem": "-----BEGIN CERTIFICATE-----\n", "b.pem": "-----BEGIN PRIVATE KEY-----\n",
		"sub/.env": "A=3", ".aws/config": "x", "other/x": "", "out/.env": "A=4",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(".env.test", filepath.Join(dir, ".env.link")); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	git("init", "-q")
	git("add", "-f", ".env.test", "sub/.env", ".aws/config", "out/.env")
	for action, want := range map[string]string{
		"files read .env.test":   "git tracks it",
		"files read sub/.env":    "git tracks it",
		"files read a.pem":       "it holds no private key",
		"files read .env":        "",
		"files read b.pem":       "",
		"files read .aws/config": "", // the folder is hidden as a whole
		"files read out/.env":    "", // the walls look for a repository in each folder that a line gives
		"files read .env.link":   "",
		"files read .env.none":   "",
		"files write .env.test":  "",
	} {
		out, code := command(t, "explain", "--grants", filepath.Join(dir, "ambit.yaml"), action)
		if want == "" && (code != exitDeny || strings.Contains(out, "note")) || want != "" && (code != 0 || !strings.Contains(out, want) || !strings.Contains(out, "matches")) {
			t.Errorf("%s: status %d, want %q\n%s", action, code, want, out)
		}
	}
	git("rm", "-q", "--cached", ".env.test")
	if out, code := command(t, "explain", "--json", "--grants", filepath.Join(dir, "ambit.yaml"), "files read .env.test"); code != exitDeny || strings.Contains(out, `"note"`) {
		t.Errorf("no longer tracked: status %d\n%s", code, out)
	}
}
