package e2e

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ambit/internal/ambittest"
)

// planted are credentials that came to Ambit in its three ways.
type planted struct {
	env, file, command ambittest.Canary
	api                map[string]*ambittest.API
	grants             string
}

func (p *planted) all() []ambittest.Canary { return []ambittest.Canary{p.env, p.file, p.command} }

// plant makes three services, with a credential from the environment, from a
// file and from a command.
func plant(t *testing.T, h *ambittest.Home) *planted {
	t.Helper()
	p := &planted{api: map[string]*ambittest.API{}}
	ca := ambittest.NewCA(t)
	kept := func(name string, a *ambittest.API) string {
		f := filepath.Join(h.User, name)
		if err := os.WriteFile(f, []byte(a.Token.Value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	p.grants = head + "services:\n"
	for _, name := range []string{"variable", "file", "command"} {
		a := ambittest.NewAPI(t, ca, name+".example.org")
		a.Token.Name = "from the " + name
		a.Put("one", `{"name":"first"}`)
		p.api[name] = a
		from := "{env: SHOP_TOKEN}"
		switch name {
		case "variable":
			p.env = a.Token
		case "file":
			p.file, from = a.Token, fmt.Sprintf("{file: %q}", kept("token.txt", a))
		case "command":
			p.command, from = a.Token, fmt.Sprintf("{command: [/bin/cat, %q]}", kept("vault.txt", a))
		}
		p.grants += service("by-"+name, "http", name+".example.org", a.Server, ", credential: "+from+", env: [TOKEN_"+strings.ToUpper(name)+"]")
	}
	p.grants += "read:\n  - files: [\".\"]\n"
	for name := range p.api {
		p.grants += "  - by-" + name + ": [/items/one, /reflect, /slow]\n"
	}
	h.Own(t)
	h.Grants(t, p.grants)
	return p
}

// script uses each credential, has it sent back by the service, keeps all of
// that in memory, and has a request of each under way until it is told to end.
const script = `
for s in variable file command; do
	u=https://$s.example.org
	got="$got $(curl -sSi $u/items/one) $(curl -sSi $u/reflect)"
	curl -sS -o /dev/null "$u/slow?ms=60000" &
done
case "$got" in *first*first*first*) echo used;; *) echo "$got";; esac
` + stubborn + "sleep 305; :"

// searcher looks for secrets in the memory of processes. It remembers what it
// has found to be clean: most of a process is in others as well.
type searcher struct {
	secrets []ambittest.Canary
	seed    maphash.Seed
	clean   map[uint64]bool
}

func newSearcher(cs ...ambittest.Canary) *searcher {
	return &searcher{secrets: cs, seed: maphash.MakeSeed(), clean: map[uint64]bool{}}
}

func (s *searcher) look(where string, b []byte) (found []string) {
	sum := maphash.Bytes(s.seed, b)
	if s.clean[sum] {
		return nil
	}
	for _, c := range s.secrets {
		if form := c.In(b); form != "" {
			found = append(found, fmt.Sprintf("%s: %s (%s)", where, c.Name, form))
		}
	}
	s.clean[sum] = len(found) == 0
	return found
}

// search looks at all memory of a process that can be read, at its environment
// and its command line, and returns how many bytes that was.
func (s *searcher) search(t *testing.T, pid int) (found []string, size int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", pid)
	for _, f := range []string{"environ", "cmdline"} {
		b, err := os.ReadFile(dir + f)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, s.look(f, b)...)
	}
	maps, err := os.ReadFile(dir + "maps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(dir + "mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var perm string
		// The kernel's own pages in a process cannot be read, and hold nothing.
		if strings.Contains(line, "[v") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perm); err != nil {
			t.Fatalf("cannot read maps: %v in %q", err, line)
		}
		if perm[0] == 'r' {
			f, n := s.area(io.NewSectionReader(mem, from, to-from), strings.TrimSpace(line))
			found, size = append(found, f...), size+n
		}
	}
	return found, size
}

// area searches piece by piece, each with the end of the one before.
func (s *searcher) area(r io.Reader, where string) (found []string, size int) {
	const overlap = 256
	b := make([]byte, overlap+64<<10)
	zeros := make([]byte, len(b))
	for {
		n, err := io.ReadFull(r, b[overlap:])
		size += n
		if part := b[:overlap+n]; !bytes.Equal(part, zeros[:len(part)]) {
			found = append(found, s.look(where, part)...)
		}
		if err != nil { // the end, or the process unmapped it
			return found, size
		}
		copy(b, b[len(b)-overlap:])
	}
}

// none complains about every process that holds a secret.
func (s *searcher) none(t *testing.T, who string, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		found, size := s.search(t, pid)
		if len(found) > 0 {
			t.Errorf("%s, process %d %.100q, holds secrets: %q", who, pid, name, found)
		}
		if size < 100<<10 {
			t.Errorf("only %d bytes of process %d %.100q could be searched", size, pid, name)
		}
	}
}

func canSearch(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can read the memory of every process")
	}
}

// begin starts a task that has used all the credentials, and returns its
// processes, the gatekeeper first.
func (p *planted) begin(t *testing.T, h *ambittest.Home) (*running, []int) {
	t.Helper()
	c := h.Ambit("run", "--", "bash", "-c", script)
	c.Env = append(c.Env, "SHOP_TOKEN="+p.env.Value)
	run := start(t, c)
	run.says(t, "ready")
	has(t, "the agent's output", run.out.String(), "used")
	for name, a := range p.api {
		if !ambittest.Eventually(ambittest.Patience, func() bool { return len(a.Find("GET", "/slow")) == 1 }) {
			t.Errorf("no request to the %s service is under way", name)
		}
	}
	pids := family(h, run.Process.Pid)
	if len(pids) < 9 { // gatekeeper, init, shell, three curls, four sleeps
		t.Fatalf("only %d processes: %v", len(pids), pids)
	}
	return run, pids
}

// TestNoCredentialInTheAgentsMemory searches the memory of every process in
// the sandbox, its first one too, while the task uses three credentials.
func TestNoCredentialInTheAgentsMemory(t *testing.T) {
	canSearch(t)
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		p := plant(t, h)
		run, pids := p.begin(t, h)
		newSearcher(append(h.Secrets(), p.all()...)...).none(t, "ring 3", pids[1:]...)
		// The same search finds them where they are by right.
		found, _ := newSearcher(p.all()...).search(t, pids[0])
		for _, c := range p.all() {
			if !strings.Contains(strings.Join(found, "\n"), c.Name) {
				t.Errorf("the search did not find the credential %s in the gatekeeper, which uses it: it proves nothing", c.Name)
			}
		}
		lacks(t, "the agent's output", []byte(run.out.String()+run.errs.String()), p.all()...)
		want(t, h.Do(t, "revoke", task(t, h, pids[0]), "--why", "enough"), 0)
		run.wait(t)
		forgotten(t, h, "the end", p.all()...)
		verified(t, h, p.all()...)
	})
}

// forgotten sees that the daemon, which lives on, holds none of the secrets
// any more.
func forgotten(t *testing.T, h *ambittest.Home, when string, cs ...ambittest.Canary) {
	t.Helper()
	pid := h.Daemon()
	if pid == 0 {
		t.Fatal("there is no daemon")
	}
	s := newSearcher(cs...)
	// The end of a task is told before the last answer has been sent.
	ambittest.Eventually(soon, func() bool {
		found, _ := s.search(t, pid)
		return len(found) == 0
	})
	s.none(t, "the daemon after "+when, pid)
}

// TestNoCredentialIsLeftBehind kills each ring while a task uses three
// credentials: no file and no process that is left holds one.
func TestNoCredentialIsLeftBehind(t *testing.T) {
	slow(t)
	canSearch(t)
	for name, victim := range map[string]func(h *ambittest.Home, pids []int) int{
		"gatekeeper": func(_ *ambittest.Home, pids []int) int { return pids[0] },
		"init":       func(_ *ambittest.Home, pids []int) int { return pids[1] },
		"daemon":     func(h *ambittest.Home, _ []int) int { return h.Daemon() },
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			h := ambittest.NewHome(t, ambittest.Ordinary)
			p := plant(t, h)
			run, pids := p.begin(t, h)
			pid := victim(h, pids)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			dead(t, []int{pid})
			if name == "daemon" {
				// The task lives on, and the next daemon has no credentials.
				want(t, h.Do(t, "tasks"), 0)
				forgotten(t, h, "its restart", p.all()...)
				want(t, h.Do(t, "revoke", task(t, h, pids[0]), "--why", "enough"), 0)
			}
			run.wait(t)
			dead(t, pids)
			if !ambittest.Eventually(soon, func() bool { return strings.Contains(h.Do(t, "tasks").Stdout, "no live task") }) {
				t.Errorf("a task is still live: %s", h.Do(t, "tasks"))
			}
			forgotten(t, h, "the end", p.all()...)
			for _, left := range h.Processes() {
				newSearcher(p.all()...).none(t, "what is left", left.PID)
			}
			clean(t, h, began, p.all()...)
			verified(t, h, p.all()...)
		})
	}
}

// clean searches Ambit's state, the workspace, and all that was written to the
// machine's place for temporary files since a time.
func clean(t *testing.T, h *ambittest.Home, since time.Time, cs ...ambittest.Canary) {
	t.Helper()
	for _, root := range []string{h.State, h.Workspace} {
		found, err := ambittest.FindInTree(root, cs...)
		if err != nil || len(found) > 0 {
			t.Errorf("below %s: %q, %v", root, found, err)
		}
	}
	err := filepath.WalkDir(os.TempDir(), func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == h.User { // gone; or where the test itself put them
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		i, err := d.Info()
		if err != nil || !i.Mode().IsRegular() || i.ModTime().Before(since) {
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return nil
		}
		for _, c := range cs {
			if form := c.In(b); form != "" {
				t.Errorf("%s holds the secret %q (%s)", p, c.Name, form)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(h.State, "daemon.log")); err != nil {
		t.Errorf("what the daemon says was to be searched: %v", err)
	}
}
