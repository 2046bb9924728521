package broker_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ambit/broker"
	"ambit/broker/brokertest"
)

const canary = "CANARY-8f31c0"

func TestStaticConforms(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]func(*testing.T) broker.Source{
		"value": func(t *testing.T) broker.Source {
			v, err := broker.Value("TOKEN", []byte(canary))
			if err != nil {
				t.Fatal(err)
			}
			return v
		},
		"file":    func(*testing.T) broker.Source { return broker.File{Path: file} },
		"command": func(*testing.T) broker.Source { return broker.Command{Argv: []string{"cat", file}} },
	} {
		t.Run(name, func(t *testing.T) {
			brokertest.Run(t, func(t *testing.T) brokertest.World {
				return brokertest.World{Provider: broker.Static(source(t))}
			})
		})
	}
}

// mint is what becomes of a source's bytes.
func mint(t *testing.T, s broker.Source) (string, error) {
	t.Helper()
	c, err := broker.Static(s).Mint(t.Context(), broker.Order{Lease: "l"})
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("the error shows the secret: %v", err)
	}
	if err != nil && !c.Secret.Empty() {
		t.Error("an error and a secret")
	}
	return string(c.Secret.Reveal()), err
}

func TestSecretsThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		in, says string
		fileOK   bool // a file's one line end is taken off
	}{
		"empty":          {"", "empty", false},
		"only a newline": {"\n", "empty", false},
		"NUL":            {canary + "\x00x", "NUL", false},
		"two lines":      {canary + "\nX-Evil: 1", "more than one line", false},
		"CR":             {canary + "\rX-Evil: 1", "more than one line", false},
		"two ends":       {canary + "\n\n", "more than one line", false},
		"escape":         {canary + "\x1b", "control character", false},
		"space before":   {" " + canary, "white space", false},
		"tab behind":     {canary + "\t", "white space", false},
		"too long":       {strings.Repeat("x", 64<<10+1), "more than 65536 bytes", false},
		"far too long":   {strings.Repeat("x", 1<<20), "more than 65536 bytes", false},
		"one line end":   {canary + "\n", "more than one line", true},
		"a Windows end":  {canary + "\r\n", "more than one line", true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := broker.Value("TOKEN", []byte(c.in))
			says := c.says
			if name == "only a newline" {
				says = "more than one line"
			}
			if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), canary) {
				t.Errorf("value: %v, want %q", err, says)
			}
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(path, []byte(c.in), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, s := range []broker.Source{broker.File{Path: path}, broker.Command{Argv: []string{"cat", path}}} {
				got, err := mint(t, s)
				switch {
				case c.fileOK && (err != nil || got != canary):
					t.Errorf("%s: %q, %v", s, got, err)
				case !c.fileOK && (err == nil || !strings.Contains(err.Error(), c.says) && !strings.Contains(err.Error(), "more than 65536")):
					t.Errorf("%s: %v, want %q", s, err, c.says)
				}
			}
		})
	}
	long := strings.Repeat("x", 64<<10)
	v, err := broker.Value("TOKEN", []byte(long))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := mint(t, v); err != nil || got != long {
		t.Errorf("the longest: %d bytes, %v", len(got), err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesThatMustNotBeRead(t *testing.T) {
	home := t.TempDir()
	work := filepath.Join(home, "work")
	token := filepath.Join(home, "token")
	write(t, token, canary, 0o600)
	write(t, filepath.Join(work, "token"), canary, 0o600)
	for name, c := range map[string]struct {
		make func(path string) error
		says string
	}{
		"a link":            {func(p string) error { return os.Symlink(token, p) }, "name its target, " + token},
		"a dangling link":   {func(p string) error { return os.Symlink(p+"-none", p) }, "no such file"},
		"a link into work":  {func(p string) error { return os.Symlink(filepath.Join(work, "token"), p) }, "the agent can write"},
		"a folder":          {func(p string) error { return os.Mkdir(p, 0o700) }, "not a plain file"},
		"a pipe":            {func(p string) error { return exec.Command("mkfifo", p).Run() }, "not a plain file"},
		"writable by group": {func(p string) error { return errors.Join(os.WriteFile(p, []byte(canary), 0o600), os.Chmod(p, 0o620)) }, "others can write it"},
		"writable by all":   {func(p string) error { return errors.Join(os.WriteFile(p, []byte(canary), 0o600), os.Chmod(p, 0o602)) }, "others can write it"},
		"missing":           {func(string) error { return nil }, "no such file"},
	} {
		path := filepath.Join(home, strings.ReplaceAll(name, " ", "-"))
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		if got, err := mint(t, broker.File{Path: path, Apart: []string{work}}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.says)
		}
	}
	// Ways into the folder that the agent can write.
	if err := os.Symlink(work, filepath.Join(home, "alias")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"token", filepath.Join(work, "token"), filepath.Join(home, "alias", "token"), filepath.Join(work, "..", "work", "token"),
		work + "/../../" + filepath.Base(home) + "/work/token"} {
		if got, err := mint(t, broker.File{Path: path, Apart: []string{work}}); err == nil {
			t.Errorf("read %s: %q", path, got)
		}
	}
	// The agent turns a folder of its own into a link to where the secrets are.
	if err := os.Symlink(home, filepath.Join(work, "out")); err != nil {
		t.Fatal(err)
	}
	if got, err := mint(t, broker.File{Path: filepath.Join(work, "out", "token"), Apart: []string{work}}); err == nil {
		t.Errorf("read by way of the agent's folder: %q", got)
	}
	if os.Geteuid() == 0 {
		theirs := filepath.Join(home, "theirs")
		write(t, theirs, canary, 0o600)
		if err := os.Chown(theirs, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := mint(t, broker.File{Path: theirs}); err == nil || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("somebody else's: %v", err)
		}
	}
	// The twins that must work.
	var warned string
	write(t, filepath.Join(home, "open"), canary, 0o644)
	for path, warns := range map[string]bool{token: false, filepath.Join(home, "open"): true} {
		warned = ""
		got, err := mint(t, broker.File{Path: path, Apart: []string{work, filepath.Join(home, "tok")}, Warn: func(s string) { warned = s }})
		if err != nil || got != canary || (warned != "") != warns || strings.Contains(warned, canary) {
			t.Errorf("%s: %q, %v, warned %q", path, got, err, warned)
		}
	}
}

func TestRotatedFileIsTakenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for _, want := range []string{"one", "two"} {
		write(t, path, want, 0o600)
		if got, err := mint(t, broker.File{Path: path}); err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

func sh(script string) []string { return []string{"sh", "-c", script} }

func TestCommand(t *testing.T) {
	t.Setenv("GITHUB_TOKEN", "of the daemon")
	t.Setenv("HOME", "/home/ada")
	for name, c := range map[string]struct {
		s    broker.Command
		want string
		says string
	}{
		"prints":                      {broker.Command{Argv: []string{"printf", `%s\n`, canary}}, canary, ""},
		"no shell":                    {broker.Command{Argv: []string{"echo", "$HOME;`id`"}}, "$HOME;`id`", ""},
		"environment is a short list": {broker.Command{Argv: sh(`printf %s "${GITHUB_TOKEN-none} $HOME"`)}, "none /home/ada", ""},
		"environment as given":        {broker.Command{Argv: sh(`printf %s "$A ${HOME-none}"`), Env: []string{"A=b"}}, "b none", ""},
		"folder":                      {broker.Command{Argv: []string{"pwd"}}, "/", ""},
		"no input":                    {broker.Command{Argv: []string{"cat"}}, "", "empty"},
		"complains": {broker.Command{Argv: sh("echo " + canary + "; echo not signed in as " + canary + " >&2; exit 3")}, "",
			"exit status 3: it said: not signed in as [secret]"},
		"complains in colours":  {broker.Command{Argv: sh(`printf '\033[31mlocked\n\n  now\033[0m' >&2; exit 1`)}, "", "it said: ?[31mlocked now?[0m"},
		"complains without end": {broker.Command{Argv: sh("yes no | head -c 100000 >&2; exit 1")}, "", "no no no …"},
		"prints too much":       {broker.Command{Argv: sh("yes | tr -d '\\n'")}, "", "printed more than 65536 bytes"},
		"no program":            {broker.Command{Argv: []string{"ambit-no-such-program"}}, "", "cannot find the program"},
		"no command":            {broker.Command{}, "", "there is no command"},
		"an empty word":         {broker.Command{Argv: []string{""}}, "", "there is no command"},
		"killed":                {broker.Command{Argv: sh("kill -9 $$")}, "", "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mint(t, c.s)
			if c.says == "" && (err != nil || got != c.want) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%q, %v, want %q or an error with %q", got, err, c.want, c.says)
			}
			if err != nil && len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// running says whether a process of that id is there and no zombie.
func running(t *testing.T, pidfile string) bool {
	t.Helper()
	b, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !bytes.HasPrefix(bytes.TrimSpace(out), []byte("Z"))
}

func gone(t *testing.T, pidfile string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if !running(t, pidfile) {
			return
		}
	}
	t.Errorf("what the command started lives on")
}

func TestCommandEndsWithAllItStarted(t *testing.T) {
	if _, err := exec.LookPath("ps"); err != nil {
		t.Skip("ps is not installed: what lives on cannot be seen")
	}
	dir := t.TempDir()
	t.Run("cancelled", func(t *testing.T) {
		pid := filepath.Join(dir, "1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			b, err := broker.Command{Argv: sh("sleep 300 & echo $! > " + pid + "; echo " + canary + "; wait")}.Read(ctx)
			if b != nil {
				t.Errorf("read %q", b)
			}
			done <- err
		}()
		for {
			if b, _ := os.ReadFile(pid); len(b) > 1 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if !running(t, pid) {
			t.Fatal("the attack does not work: nothing was started")
		}
		start := time.Now()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || time.Since(start) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		gone(t, pid)
	})
	t.Run("left behind", func(t *testing.T) {
		pid := filepath.Join(dir, "2")
		got, err := mint(t, broker.Command{Argv: sh("sleep 300 & echo $! > " + pid + "; echo " + canary)})
		if err != nil || got != canary {
			t.Errorf("%q, %v", got, err)
		}
		gone(t, pid)
	})
}

// What runs in ring 1 must not be the agent's to change.
func TestCommandIsNotTheAgents(t *testing.T) {
	home := t.TempDir()
	work := filepath.Join(home, "work")
	theirs, ours := filepath.Join(work, "get-token"), filepath.Join(home, "get-token")
	for _, p := range []string{theirs, ours} {
		write(t, p, "#!/bin/sh\ntouch "+p+".ran\necho "+canary+"\n", 0o700)
	}
	if err := os.Symlink(theirs, filepath.Join(home, "link")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", work+":"+os.Getenv("PATH"))
	for name, s := range map[string]broker.Command{
		"the program":               {Argv: []string{theirs}},
		"by a link":                 {Argv: []string{filepath.Join(home, "link")}},
		"by PATH":                   {Argv: []string{"get-token"}},
		"an argument":               {Argv: []string{"sh", theirs}},
		"an argument by a link":     {Argv: []string{"sh", filepath.Join(home, "link")}},
		"an argument with its name": {Argv: []string{"env", "X=" + theirs, "sh", "-c", ". $X"}},
		"a shell's script":          {Argv: sh(". " + theirs)},
		"relative to its folder":    {Argv: []string{"sh", "work/get-token"}, Dir: home},
		"its folder":                {Argv: []string{"sh", "./get-token"}, Dir: work},
		"a file that comes later":   {Argv: []string{"sh", filepath.Join(work, "later")}},
	} {
		s.Apart = []string{work}
		if got, err := mint(t, s); err == nil {
			t.Errorf("%s: ran and gave %q", name, got)
		}
		if _, err := os.Stat(theirs + ".ran"); err == nil {
			t.Fatalf("%s: the agent's program ran in ring 1", name)
		}
	}
	if got, err := mint(t, broker.Command{Argv: []string{ours, "--account", "work"}, Apart: []string{work}}); err != nil || got != canary {
		t.Errorf("the twin that is the user's own: %q, %v", got, err)
	}
}

func FuzzSecret(f *testing.F) {
	for _, s := range []string{"", "a", " a", "a\r\nb", "\x00", canary} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := string(b)
		v, err := broker.Value("X", b)
		if err != nil {
			return
		}
		got, err := v.Read(t.Context())
		if err != nil || string(got) != in || strings.ContainsAny(in, "\r\n\x00") || in == "" || len(in) > 64<<10 {
			t.Errorf("took %q, gives %q, %v", in, got, err)
		}
	})
}

func TestPlaceholders(t *testing.T) {
	for kind, c := range map[string]struct {
		prefix string
		length int
	}{"github": {"ghp_", 40}, "anthropic": {"sk-ant-api03-", 108}, "openai": {"sk-", 51}, "http": {broker.Marker, 36}, "": {broker.Marker, 36}} {
		seen := map[string]bool{}
		for range 100 {
			p := broker.Placeholder(kind)
			if !strings.HasPrefix(p, c.prefix) || len(p) != c.length || seen[p] || strings.ContainsAny(p, " \n\"'$;&+/=%") {
				t.Fatalf("%s: %q (%d)", kind, p, len(p))
			}
			seen[p] = true
			for _, s := range []string{p, "Bearer " + p, broker.Marker + p, p[:len(c.prefix)] + p} {
				if !broker.HasPlaceholder([]byte(s)) {
					t.Errorf("not found in %q", s)
				}
			}
		}
	}
	for _, s := range []string{"", broker.Marker, broker.Marker + "short", "ghp_abcdefghijklmnopqrstuvwxyzABCDEFGHIJ", broker.Marker + strings.Repeat(".", 20)} {
		if broker.HasPlaceholder([]byte(s)) {
			t.Errorf("found in %q", s)
		}
	}
}
