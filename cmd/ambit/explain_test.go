package main

import (
	"encoding/json"
	"flag"
	"os"
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
		{"github git.push acme/web", exitAsk},
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
