package sandbox

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ambit/sandbox/plan"
)

// secretBeside makes a directory that is not granted, with a file in it.
func secretBeside(t *testing.T) string {
	t.Helper()
	return filepath.Join(workspace(t, "secret"), "secret")
}

func protect() Protect {
	return Protect{Names: []string{".envrc", ".vscode", ".claude", ".mcp.json", ".github/workflows", ".local/bin"},
		Repository: []string{".git/hooks", ".git/config", ".git/config.worktree", ".git/info/attributes", ".hg/hgrc"}}
}

func TestReadsAreDeniedByDefault(t *testing.T) {
	secret := secretBeside(t)
	ws := workspace(t, "file", "link -> "+secret, "dirlink -> "+filepath.Dir(secret))
	s := base(t)
	s.Files = []File{{Path: ws, Access: Writable}}
	home, err := os.UserHomeDir()
	must(t, err)
	attempt(t, s, "read", secret, filepath.Dir(secret), ws+"/link", ws+"/dirlink/secret", ws+"/../"+filepath.Base(filepath.Dir(secret))+"/secret",
		"/etc/shadow", "/etc/ssh", "/etc/sudoers", "/etc/machine-id", "/var/log", "/var/lib", "/run/systemd", "/sys/kernel", "/boot", "/root/.ssh",
		home+"/.ssh", home+"/.bashrc", s.Scratch, "/dev/vda", "/dev/sda", "/dev/mem", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/vsock")
	if e := sh(t, s, "cat "+ws+"/file; cat /etc/passwd | wc -l; ls /usr/bin | wc -l"); !strings.Contains(e.out, "original file") || e.status.Code != 0 {
		t.Errorf("what is granted cannot be read: %q", e.out)
	}
}

func TestLinksPlantedAndSwapped(t *testing.T) {
	secret := secretBeside(t)
	ws := workspace(t, "file")
	s := base(t)
	s.Files = []File{{Path: ws, Access: Writable}}
	s.Protect = protect()
	attempt(t, s, "swap", ws, secret)
	attempt(t, s, "swap", "/tmp", secret)
	// A dangling link whose target is made later by the person: another task must
	// not follow it out.
	e := sh(t, s, "ln -s "+secret+".later "+ws+"/later && ln -s /etc/shadow "+ws+"/shadow && echo planted")
	if !strings.Contains(e.out, "planted") {
		t.Fatal(e.out)
	}
	must(t, os.WriteFile(secret+".later", []byte("secret"), 0o644))
	s2 := base(t)
	s2.Files = s.Files
	attempt(t, s2, "read", ws+"/later", ws+"/shadow")
}

// Somebody swaps the granted directory between the look at it and the mount.
func TestGrantSwappedDuringStart(t *testing.T) {
	for name, swap := range map[string]func(ws, secret string) error{
		"by a link":            func(ws, secret string) error { return os.Symlink(filepath.Dir(secret), ws) },
		"by another directory": func(ws, secret string) error { return os.Rename(filepath.Dir(secret), ws) },
		"by nothing":           func(ws, secret string) error { return nil },
		"above, by a link":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			secret := secretBeside(t)
			top := workspace(t, "up/ws/file")
			ws := filepath.Join(top, "up", "ws")
			spec := base(t)
			spec.Argv = []string{"true"}
			spec.Files = []File{{Path: ws, Access: Writable}}
			box, err := Begin(t.Context(), Streams{})
			must(t, err)
			defer box.Abandon()
			must(t, box.Prepare(spec))
			if swap != nil {
				must(t, os.Rename(ws, ws+".old"))
				must(t, swap(ws, secret))
			} else {
				must(t, os.Rename(filepath.Join(top, "up"), filepath.Join(top, "was")))
				must(t, os.Symlink("was", filepath.Join(top, "up")))
			}
			must(t, box.Build(nil))
			kind, body, err := box.receive()
			if err != nil || kind != plan.Fault {
				t.Fatalf("init answered %d %q %v, want a fault", kind, body, err)
			}
			t.Logf("%s", body)
		})
	}
}

func TestProtectedNames(t *testing.T) {
	ws := workspace(t, "file", ".git/HEAD", ".git/config", ".git/hooks/pre-commit.sample", ".git/info/attributes", ".git/objects/",
		".git/modules/lib/HEAD", ".git/modules/lib/config", ".git/modules/lib/hooks/post-checkout", ".git/worktrees/w/HEAD", ".git/worktrees/w/config.worktree",
		".github/workflows/ci.yml", ".vscode/tasks.json", "deep/down/.envrc", "nested/.git/HEAD", "nested/.git/config", "nested/.git/hooks/x")
	s := base(t)
	s.Files, s.Protect = []File{{Path: ws, Access: Writable}}, protect()
	before := snapshot(t, ws)
	attempt(t, s, "write", ws+"/.git/config", ws+"/.git/hooks/pre-commit.sample", ws+"/.git/info/attributes", ws+"/.git/modules/lib/config",
		ws+"/.git/modules/lib/hooks/post-checkout", ws+"/.git/worktrees/w/config.worktree", ws+"/.github/workflows/ci.yml", ws+"/.vscode/tasks.json",
		ws+"/nested/.git/config", ws+"/nested/.git/hooks/x")
	e := sh(t, s, `cd `+ws+`
		echo x > .envrc; mkdir .claude; echo x > deep/.mcp.json; mkdir deep/.vscode; mv .git .g; mv .github gh; mv deep/down deep/up; mv nested/.git nested/g
		ln -s /tmp/x .envrc; ln file .envrc; mv file .envrc; cp file .mcp.json; rm -rf .vscode .github deep/down; git config core.hooksPath /tmp/h
		mkdir /tmp/h; mv /tmp/h .claude; true`)
	unchanged(t, ws, before)
	if t.Failed() {
		t.Log(e.out)
	}
}

func TestProtectedBehindLinks(t *testing.T) {
	ws := workspace(t, ".git/HEAD", ".git/config", "scripts/pre-commit", ".husky/pre-commit", ".git/hooks -> ../scripts", "other")
	must(t, os.WriteFile(ws+"/.git/config", []byte("[core]\n\thooksPath = .husky\n"), 0o644))
	s := base(t)
	s.Files, s.Protect = []File{{Path: ws, Access: Writable}}, protect()
	attempt(t, s, "write", ws+"/scripts/pre-commit", ws+"/.husky/pre-commit", ws+"/.git/config")
	if e := sh(t, s, "echo new > "+ws+"/other && echo new > "+ws+"/another && echo done"); !strings.Contains(e.out, "done") {
		t.Error(e.out)
	}
}

func TestWorktreeOfGit(t *testing.T) {
	ws := workspace(t, "repo/.git/worktrees/w/HEAD", "repo/.git/worktrees/w/config.worktree", "repo/.git/config", "repo/.git/hooks/x", "w/file")
	must(t, os.WriteFile(ws+"/w/.git", []byte("gitdir: "+ws+"/repo/.git/worktrees/w\n"), 0o644))
	s := base(t)
	s.Files, s.Protect = []File{{Path: ws + "/w", Access: Writable}, {Path: ws + "/repo/.git", Access: Writable}}, protect()
	before := snapshot(t, ws)
	attempt(t, s, "write", ws+"/w/.git")
	sh(t, s, "cd "+ws+"; rm -f w/.git; mv w/.git w/g; echo 'gitdir: /tmp' > w/.git; true")
	unchanged(t, ws, before)
}

func TestAllowedException(t *testing.T) {
	ws := workspace(t, ".github/workflows/ci.yml", ".vscode/tasks.json", "sub/.envrc")
	s := base(t)
	s.Files, s.Protect = []File{{Path: ws, Access: Writable}}, protect()
	s.Protect.Allowed = []string{".github/workflows", ws + "/sub/.envrc"}
	e := sh(t, s, "cd "+ws+" && echo new > .github/workflows/ci.yml && echo new > .github/workflows/more.yml && echo new > sub/.envrc && echo done; echo x > .vscode/tasks.json")
	if !strings.Contains(e.out, "done") {
		t.Error(e.out)
	}
	if got := snapshot(t, ws)[".vscode/tasks.json"]; !strings.HasPrefix(got, "original") {
		t.Errorf("tasks.json: %q", got)
	}
}

func TestHiddenAndReadOnly(t *testing.T) {
	ws := workspace(t, "open", ".env", "keys/id", "alias -> .env")
	s := base(t)
	s.Files = []File{{Path: ws, Access: ReadOnly}, {Path: ws + "/.env", Access: Hidden}, {Path: ws + "/keys", Access: Hidden}, {Path: ws + "/absent", Access: Hidden}}
	before := snapshot(t, ws)
	attempt(t, s, "read", ws+"/.env", ws+"/keys", ws+"/keys/id", ws+"/alias")
	attempt(t, s, "write", ws+"/open", ws+"/.env", ws+"/keys/id")
	sh(t, s, "rm -rf "+ws+" /usr/bin/env /etc/passwd; chmod 777 "+ws+"/.env "+ws+"/keys; umount "+ws+"/.env; true")
	unchanged(t, ws, before)
	s.Files[0].Access = Writable
	attempt(t, s, "read", ws+"/.env", ws+"/keys", ws+"/keys/id", ws+"/alias")
	e := sh(t, s, "cd "+ws+"; rm -rf .env keys; mv .env x; mv keys y; ln .env z; cat open")
	if unchanged(t, ws, before); !strings.Contains(e.out, "original open") {
		t.Error(e.out)
	}
}

func TestSecretsInAGrantedDirectory(t *testing.T) {
	outside := secretBeside(t)
	ws := workspace(t, "open", ".env", "deep/id_rsa", "keys/real", "keys/id_rsa -> real", ".env.away -> "+outside, ".env.gone -> nowhere", "kept/.env")
	for name, access := range map[string]Access{"read": ReadOnly, "write": Writable, "copy": CopyOnWrite} {
		t.Run(name, func(t *testing.T) {
			s := base(t)
			s.Files = []File{{Path: ws, Access: access, Secrets: true}}
			s.Protect = protect()
			s.Protect.Secrets, s.Protect.Allowed = []string{".env", ".env.*", "id_rsa"}, []string{"kept"}
			before := snapshot(t, ws)
			attempt(t, s, "read", ws+"/.env", ws+"/deep/id_rsa", ws+"/keys/real", ws+"/keys/id_rsa", ws+"/.env.away")
			e := sh(t, s, "cd "+ws+"; rm -f .env deep/id_rsa; mv .env x; cat open kept/.env")
			if !strings.HasSuffix(e.out, "original open\noriginal kept/.env\n") {
				t.Error(e.out)
			}
			unchanged(t, ws, before)
		})
	}
}

func TestCopyOnWrite(t *testing.T) {
	ws := workspace(t, "a", "b/c")
	s := base(t)
	s.Files = []File{{Path: ws, At: "/home/agent/cache", Access: CopyOnWrite}}
	before := snapshot(t, ws)
	e := sh(t, s, "cd ~/cache && cat a b/c && echo new > a && rm b/c && mkdir d && echo x > d/e && mv d f && cat a f/e")
	if e.status.Code != 0 || !strings.HasSuffix(e.out, "new\nx\n") {
		t.Errorf("%d %q", e.status.Code, e.out)
	}
	unchanged(t, ws, before)
}

func TestPathsWithSpacesAndOtherLetters(t *testing.T) {
	ws := filepath.Join(t.TempDir(), "my wörk, 漢字: a\\b'\"$x")
	must(t, os.MkdirAll(ws+"/.git/hooks", 0o755))
	s := base(t)
	s.Files, s.Protect, s.Dir = []File{{Path: ws, Access: Writable}, {Path: ws, At: "/mnt/cow lower", Access: CopyOnWrite}}, protect(), ws
	e := sh(t, s, "pwd; echo hi > new; touch '/mnt/cow lower/x'; touch .git/hooks/x || echo refused")
	if want := ws + "\n"; !strings.HasPrefix(e.out, want) || !strings.HasSuffix(e.out, "refused\n") {
		t.Errorf("got %q", e.out)
	}
	if got := snapshot(t, ws)["new"]; got != "hi\n" {
		t.Errorf("new: %q", got)
	}
}

func TestProcAndPrograms(t *testing.T) {
	secret := secretBeside(t)
	attempt(t, base(t), "proc", secret)
}

func TestArgumentsArePassedExactly(t *testing.T) {
	e := run(t, base(t), "printf", "%s|", "--", "-x y", "", "$HOME", "a\nb")
	if want := "--|-x y||$HOME|a\nb|"; e.out != want {
		t.Errorf("got %q, want %q", e.out, want)
	}
}

func TestWorkingDirectoryIsNotMadeWritable(t *testing.T) {
	ws := workspace(t, "file")
	s := base(t)
	s.Files, s.Dir = []File{{Path: ws, Access: ReadOnly}}, ws
	before := snapshot(t, ws)
	if e := sh(t, s, "echo x > new; echo x > file; pwd"); !strings.Contains(e.out, ws) {
		t.Error(e.out)
	}
	unchanged(t, ws, before)
}

func TestRefusedSpecs(t *testing.T) {
	ws := workspace(t, "file", "link -> file")
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	must(t, err)
	defer l.Close()
	good := base(t)
	for name, c := range map[string]struct {
		change func(*Spec)
		want   string
	}{
		"no command":         {func(s *Spec) { s.Argv = nil }, "no command"},
		"missing path":       {func(s *Spec) { s.Files = []File{{Path: ws + "/absent", Access: ReadOnly}} }, "does not exist|no such file"},
		"no access":          {func(s *Spec) { s.Files = []File{{Path: ws}} }, "neither reading"},
		"root":               {func(s *Spec) { s.Files = []File{{Path: "/", Access: ReadOnly}} }, "whole root"},
		"relative":           {func(s *Spec) { s.Files = []File{{Path: "x", Access: ReadOnly}} }, "absolute"},
		"climbing":           {func(s *Spec) { s.Files = []File{{Path: ws + "/../x", Access: ReadOnly}} }, "clean"},
		"a socket":           {func(s *Spec) { s.Files = []File{{Path: l.Addr().String(), Access: ReadOnly}} }, "socket"},
		"scratch inside":     {func(s *Spec) { s.Files = []File{{Path: filepath.Dir(s.Scratch), Access: Writable}} }, "scratch"},
		"no scratch":         {func(s *Spec) { s.Scratch = "" }, "scratch"},
		"file copy-on-write": {func(s *Spec) { s.Files = []File{{Path: ws + "/file", Access: CopyOnWrite}} }, "not a directory"},
		"at in a host tree":  {func(s *Spec) { s.Files = []File{{Path: ws, At: "/usr/share/ambit-no-such", Access: ReadOnly}} }, "does not exist in what is shown"},
		"at through a link":  {func(s *Spec) { s.Files = []File{{Path: ws, At: "/bin/ambit-no-such", Access: ReadOnly}} }, "cannot make|cannot show"},
		"NUL in argument":    {func(s *Spec) { s.Argv = []string{"a\x00b"} }, "NUL"},
		"port 0":             {func(s *Spec) { s.TCPPorts = []uint16{0} }, "port 0"},
		"negative limit":     {func(s *Spec) { s.Limits.Memory = -1 }, "limit"},
		"no terminal":        {func(s *Spec) { s.Terminal = true }, "terminal"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			s.Argv = []string{"true"}
			s.Scratch = filepath.Join(t.TempDir(), "s")
			must(t, os.Mkdir(s.Scratch, 0o700))
			c.change(&s)
			box, err := Start(context.Background(), s)
			if err == nil {
				_ = box.Kill()
				box.Wait()
				t.Fatal("it started")
			}
			ok := false
			for w := range strings.SplitSeq(c.want, "|") {
				ok = ok || strings.Contains(err.Error(), w)
			}
			if !ok {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func TestDataAndIdentityFiles(t *testing.T) {
	s := base(t)
	s.Data = map[string][]byte{"/etc/resolv.conf": []byte("nameserver 127.0.0.9\n"), "/run/ambit/ca.pem": []byte("CA\n")}
	e := sh(t, s, "cat /etc/resolv.conf /run/ambit/ca.pem; id -un; echo x > /run/ambit/ca.pem || echo sealed; touch /etc/new || echo sealed")
	for _, want := range []string{"nameserver 127.0.0.9\nCA\nagent\n", "sealed\n"} {
		if !strings.Contains(e.out, want) {
			t.Errorf("%q lacks %q", e.out, want)
		}
	}
	if _, err := os.Stat("/etc/ssl/certs/ca-certificates.crt"); err == nil {
		s.Data = map[string][]byte{"/etc/ssl/certs/ca-certificates.crt": []byte("ours\n")}
		if e := sh(t, s, "cat /etc/ssl/certs/ca-certificates.crt"); e.out != "ours\n" {
			t.Errorf("the bundle is %.80q", e.out)
		}
	}
}
