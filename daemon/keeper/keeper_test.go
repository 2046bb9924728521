package keeper

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ambit/config"
	"ambit/sandbox"
)

func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestFootprint shows what a program outside the system's folders brings, and
// that it never brings a home.
func TestFootprint(t *testing.T) {
	home := t.TempDir()
	link := func(from, to string) string {
		os.MkdirAll(filepath.Dir(from), 0o755)
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
		return from
	}
	prefix := write(t, home+"/.nvm/v20/bin/node", "", 0o755)
	npm := link(home+"/.nvm/v20/bin/tool", write(t, home+"/.nvm/v20/lib/node_modules/@x/tool/cli.js", "", 0o755))
	local := write(t, home+"/.local/bin/mine", "", 0o755)
	linked := link(home+"/.local/bin/claude", write(t, home+"/.local/share/claude/versions/1", "", 0o755))
	atHome := write(t, home+"/script", "", 0o755)
	for name, c := range map[string]struct {
		program string
		want    []string
	}{
		"a prefix":          {prefix, []string{home + "/.nvm/v20/bin", home + "/.nvm/v20"}},
		"a node package":    {npm, []string{home + "/.nvm/v20/bin", home + "/.nvm/v20/lib/node_modules"}},
		"in ~/.local/bin":   {local, []string{home + "/.local/bin", local}},
		"linked to a file":  {linked, []string{home + "/.local/bin", home + "/.local/share/claude/versions/1"}},
		"in the home":       {atHome, []string{atHome}},
		"of the system":     {"/usr/bin/env", nil},
		"of the system too": {"/bin/sh", nil},
	} {
		if d := cmp.Diff(c.want, footprint(c.program, home)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestLookIgnoresTheWorkingDirectoryInPath(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/evil", "", 0o755)
	if at := look("evil", ".:"+"relative", dir); at != "" {
		t.Errorf("found %s through a relative PATH", at)
	}
	if at := look("./evil", "", dir); at != dir+"/evil" {
		t.Errorf("a path as given: %q", at)
	}
}

func TestVisiblePath(t *testing.T) {
	got := visiblePath("/usr/bin:.:/home/x/.local/bin:/home/x/secret/bin:/usr/bin", []string{"/home/x/.local/bin"})
	if want := "/usr/bin:/home/x/.local/bin:/usr/local/bin:/bin:/run/ambit/bin"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestEnvironmentIsAnAllowList plants a secret in the person's environment.
func TestEnvironmentIsAnAllowList(t *testing.T) {
	person := map[string]string{"AWS_SECRET_ACCESS_KEY": "canary", "TERM": "xterm", "LANG": "C", "SSH_AUTH_SOCK": "/run/agent", "LD_PRELOAD": "/x.so"}
	e := newEnviron(func(k string) (string, bool) { v, ok := person[k]; return v, ok })
	all := strings.Join(e.list(), "\n")
	for _, bad := range []string{"canary", "SSH_AUTH_SOCK", "LD_PRELOAD"} {
		if strings.Contains(all, bad) {
			t.Errorf("the agent's environment has %s:\n%s", bad, all)
		}
	}
	if !strings.Contains(all, "TERM=xterm") || !strings.Contains(all, "HOME="+insideHome) {
		t.Errorf("the agent's environment lacks what it needs:\n%s", all)
	}
}

const minimal = "agent: t\nexpires: 1h\nread:\n  - files: [\".\"]\n"

func load(t *testing.T, dir, text, person string) (*Grants, error) {
	t.Helper()
	name := write(t, filepath.Join(dir, "ambit.yaml"), text, 0o644)
	return Load(name, func(k string) string { return map[string]string{"HOME": person}[k] }, time.Now())
}

// TestApart tries to put Ambit itself, or a whole home, into the agent's hands.
func TestApart(t *testing.T) {
	root := t.TempDir()
	work := filepath.Join(root, "work")
	inside, err := load(t, work, minimal, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := inside.apart(config.Home{Dir: filepath.Join(root, "state")}); err != nil {
		t.Errorf("a folder apart is refused: %v", err)
	}
	for name, h := range map[string]string{
		"state in the workspace": filepath.Join(work, "state"),
		"workspace in the state": root,
		"the same":               work,
	} {
		if err := inside.apart(config.Home{Dir: h}); err == nil {
			t.Errorf("%s is allowed", name)
		}
	}
	whole, err := load(t, root, minimal, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.apart(config.Home{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "home directory") {
		t.Errorf("the whole home is a workspace: %v", err)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), os.Getenv, time.Now())
	if err == nil || !strings.Contains(err.Error(), "ambit init") {
		t.Errorf("a missing file: %v", err)
	}
	_, err = load(t, t.TempDir(), "agent: x\nread:\n  - nope: [1]\nwrite:\n  - files: [\".\"]\n", "/home/x")
	if err == nil || strings.Count(err.Error(), "ambit.yaml:") < 2 {
		t.Errorf("a broken file does not tell all its errors: %v", err)
	}
}

// TestSecretFiles: what git tracks and public certificates stay readable, and
// a repository's own settings run nothing.
func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=x", "-c", "user.email=x@x"}, args...)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	ran := filepath.Join(dir, "ran")
	write(t, dir+"/hook.sh", "#!/bin/sh\ntouch "+ran+"\n", 0o755)
	git("config", "core.fsmonitor", dir+"/hook.sh")
	write(t, dir+"/.env", "SECRET=1", 0o644)
	write(t, dir+"/.env.sample", "SECRET=", 0o644)
	write(t, dir+"/cert.pem", "-----BEGIN CERTIFICATE-----\n", 0o644)
	write(t, dir+"/key.pem", "-----BEGIN PRIVATE KEY-----\n", 0o644)
	write(t, dir+"/odd.key", "\x00\x01", 0o644)
	write(t, dir+"/:(glob)*.env", "x", 0o644)
	git("add", ".env.sample")
	os.Remove(ran)
	got, err := secretFiles(dir, []string{".env", ".env.sample", "cert.pem", "key.pem", "odd.key", ":(glob)*.env"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{".env", "key.pem", "odd.key", ":(glob)*.env"}, got); d != "" {
		t.Errorf("hidden (-want +got):\n%s", d)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a program of the repository's settings ran")
	}
}

// TestTheFilesOfTheTaskItself: the grants file is protected under any name, and
// a credential's file is hidden in a folder that is granted.
func TestTheFilesOfTheTaskItself(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/token", "canary", 0o600)
	text := minimal + "    lint-accept: {credential-read: the walls hide it}\nservices:\n  api: {kind: http, host: api.test, credential: {file: token}}\n"
	name := write(t, dir+"/odd name.yaml", text, 0o644)
	g, err := Load(name, func(string) string { return "/home/x" }, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if p := protect(g); !slices.Contains(p.Paths, name) {
		t.Errorf("the grants file is not protected: %v", p.Paths)
	}
	p, err := makePlan(g, "true", dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	hidden := slices.ContainsFunc(p.files, func(f sandbox.File) bool { return f.Path == dir+"/token" && f.Access == sandbox.Hidden })
	if !hidden {
		t.Errorf("the credential's file can be read: %+v", p.files)
	}
}
