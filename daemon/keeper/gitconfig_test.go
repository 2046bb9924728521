package keeper

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGitConfig: git itself takes the remotes of granted hosts to HTTPS, also past a
// person's own rules, and leaves all others alone.
func TestGitConfig(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed: its own reading of the configuration cannot be seen")
	}
	dir := t.TempDir()
	text := minimal + `services:
  hub: {kind: github}
  forge: {kind: http, host: [git.test, code.test], git: true, port: 8443}
  api: {kind: http, host: api.test}
`
	g, err := Load(write(t, dir+"/ambit.yaml", text, 0o644), func(string) string { return "/home/x" }, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := makePlan(g, "true", dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	config, err := p.gitConfig()
	if err != nil {
		t.Fatal(err)
	}
	system := write(t, filepath.Join(dir, "system"), string(config), 0o644)
	global := write(t, filepath.Join(dir, "global"), "[url \"git@github.com:\"]\n\tinsteadOf = https://github.com/\n\tpushInsteadOf = https://github.com/\n", 0o644)
	git := func(args ...string) string {
		c := exec.CommandContext(t.Context(), "git", args...)
		c.Dir = dir
		c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_SYSTEM=" + system, "GIT_CONFIG_GLOBAL=" + global}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	for from, want := range map[string]string{
		"git@github.com:acme/web.git":           "https://github.com/acme/web.git",
		"ssh://git@github.com/acme/web.git":     "https://github.com/acme/web.git",
		"ssh://git@github.com:22/acme/web.git":  "https://github.com/acme/web.git",
		"git+ssh://git@github.com/acme/web.git": "https://github.com/acme/web.git",
		"git://github.com/acme/web.git":         "https://github.com/acme/web.git",
		"https://github.com/acme/web.git":       "https://github.com/acme/web.git",
		"git@git.test:a/b":                      "https://git.test:8443/a/b",
		"ssh://git@code.test/a/b":               "https://code.test:8443/a/b",
		"git@api.test:a/b":                      "git@api.test:a/b",
		"git@api.github.com:a/b":                "git@api.github.com:a/b",
		"git@github.com.evil.test:a/b":          "git@github.com.evil.test:a/b",
		"ssh://git@github.community/a/b":        "ssh://git@github.community/a/b",
	} {
		git("remote", "add", "r", from)
		if got := git("remote", "get-url", "r"); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
		if got := git("remote", "get-url", "--push", "r"); got != want {
			t.Errorf("pushing to %s: %s, want %s", from, got, want)
		}
		git("remote", "remove", "r")
	}
}

// TestNoGitConfig: a file that reaches no git leaves git's configuration alone.
func TestNoGitConfig(t *testing.T) {
	dir := t.TempDir()
	g, err := Load(write(t, dir+"/ambit.yaml", minimal, 0o644), func(string) string { return "/home/x" }, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, err := makePlan(g, "true", dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if config, err := p.gitConfig(); err != nil || config != nil {
		t.Errorf("%v %s", err, config)
	}
}
