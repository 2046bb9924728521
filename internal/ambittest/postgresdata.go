package ambittest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// firstPassword is the superuser's until the server has started.
const firstPassword = "until-the-server-has-started"

// create makes the data of a server. It takes a second of a processor: what the first
// server began with is kept, and the next ones begin with a copy.
func (p *Postgres) create(t testing.TB, dir string) {
	t.Helper()
	kept := p.kept()
	if _, err := os.Stat(kept); err == nil {
		Output(t, "", "cp", "-a", kept, p.Dir)
		return
	}
	p.initdb(t, dir)
	if kept != "" {
		p.keep(kept)
	}
}

// kept is where the data of a new server of this version is kept; "" for nowhere.
func (p *Postgres) kept() string {
	top, err := moduleRoot()
	if err != nil {
		return ""
	}
	version, err := exec.Command(filepath.Join(p.bin, "postgres"), "--version").Output()
	if err != nil {
		return ""
	}
	of := sha256.Sum256(fmt.Appendf(nil, "%s %q", version, initdb))
	return filepath.Join(top, "bin", fmt.Sprintf("postgres-%d-%x", os.Getuid(), of[:8]))
}

// keep keeps the data for others; who cannot write there does without, and so does who
// comes second.
func (p *Postgres) keep(kept string) {
	tmp, err := os.MkdirTemp(filepath.Dir(kept), ".postgres-")
	if err != nil {
		return
	}
	defer os.RemoveAll(tmp)
	whole := filepath.Join(tmp, "data")
	if exec.Command("cp", "-a", p.Dir, whole).Run() == nil {
		_ = os.Rename(whole, kept)
	}
}

// initdb is what the data is made with, beside its place and the password.
const initdb = "-U " + Superuser + " -A scram-sha-256 -E UTF8 --locale C.UTF-8 -N --no-instructions"

func (p *Postgres) initdb(t testing.TB, dir string) {
	t.Helper()
	pw := filepath.Join(dir, "password")
	if err := os.WriteFile(pw, []byte(firstPassword), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("/bin/sh", "-c", `exec "$0" -D "$1" --pwfile "$2" `+initdb, filepath.Join(p.bin, "initdb"), p.Dir, pw)
	c.Env, c.Dir, c.SysProcAttr = Plain(), dir, p.attr
	if b, err := c.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, b)
	}
	if err := os.Remove(pw); err != nil {
		t.Fatal(err)
	}
}
