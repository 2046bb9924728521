package ambittest

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Ordinary is a user id that owns nothing on the machine and has no entry in
// /etc/passwd.
const Ordinary = 12345

// Home is a person's place on this machine, to throw away: a home folder with
// secrets that no agent may see, a workspace that is a git repository, and
// Ambit's state.
type Home struct {
	Dir       string // everything else is below
	State     string // AMBIT_HOME
	User      string // HOME
	Workspace string
	UID       int

	SSHKey   Canary // in ~/.ssh/id_ed25519
	CloudKey Canary // in ~/.aws/credentials
	EnvKey   Canary // in the variable PERSON_SECRET of every ambit command
}

// NewHome makes a home for a user: 0, or [Ordinary] when the test is root;
// otherwise the test's own.
func NewHome(t testing.TB, uid int) *Home {
	t.Helper()
	return NewHomeNamed(t, uid, "ws")
}

// NewHomeNamed is NewHome with a name for the workspace's folder, and for the
// folders above it.
func NewHomeNamed(t testing.TB, uid int, name string) *Home {
	t.Helper()
	d := filepath.Join(OpenDir(t), name)
	h := &Home{
		Dir: d, State: filepath.Join(d, "state"), User: filepath.Join(d, "person"), UID: uid,
		Workspace: filepath.Join(d, "person", name),
		SSHKey:    NewCanary("ssh key"), CloudKey: NewCanary("cloud key"), EnvKey: NewCanary("variable"),
	}
	h.write(t, ".ssh/id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\n"+h.SSHKey.Value+"\n-----END OPENSSH PRIVATE KEY-----\n", 0o600)
	h.write(t, ".aws/credentials", "[default]\naws_secret_access_key = "+h.CloudKey.Value+"\n", 0o600)
	h.write(t, ".gitconfig", "[user]\n\tname = Person\n\temail = person@example.org\n", 0o644)
	if err := os.MkdirAll(h.Workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	Output(t, h.Workspace, "git", "init", "-q", "-b", "main")
	h.File(t, "README.md", "# A project\n")
	Output(t, h.Workspace, "git", "add", "-A")
	Output(t, h.Workspace, "git", "commit", "-q", "-m", "start")
	h.Own(t)
	t.Cleanup(func() { h.leave(t) })
	return h
}

func (h *Home) write(t testing.TB, name, text string, mode os.FileMode) {
	t.Helper()
	p := filepath.Join(h.User, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// File writes a file of the workspace and returns its path.
func (h *Home) File(t testing.TB, name, text string) string {
	t.Helper()
	p := filepath.Join(h.Workspace, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for own := p; own != h.Workspace && os.Getuid() == 0; own = filepath.Dir(own) {
		if err := os.Lchown(own, h.UID, h.UID); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// Grants writes the workspace's ambit.yaml.
func (h *Home) Grants(t testing.TB, text string) { t.Helper(); h.File(t, "ambit.yaml", text) }

// Read returns a file of the workspace, "" when there is none.
func (h *Home) Read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Workspace, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// Own gives everything to the home's user. No task may be live.
func (h *Home) Own(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(h.Dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, h.UID, h.UID)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Secrets lists what no agent and no server may ever see.
func (h *Home) Secrets() []Canary { return []Canary{h.SSHKey, h.CloudKey, h.EnvKey} }

// Env is the person's environment.
func (h *Home) Env() []string {
	return append(Plain(), "HOME="+h.User, "AMBIT_HOME="+h.State, "PERSON_SECRET="+h.EnvKey.Value,
		"USER=person", "TMPDIR="+os.TempDir())
}

// Command makes a command that runs as the home's user, in its workspace and
// environment.
func (h *Home) Command(name string, args ...string) *exec.Cmd {
	argv := append([]string{name}, args...)
	if h.UID != os.Getuid() {
		id := strconv.Itoa(h.UID)
		argv = append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--"}, argv...)
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Dir, c.Env = h.Workspace, h.Env()
	return c
}

// Ambit makes a command of the built binary (see [Main]).
func (h *Home) Ambit(args ...string) *exec.Cmd { return h.Command(os.Getenv(binaryVar), args...) }

// Do runs an ambit command to its end.
func (h *Home) Do(t testing.TB, args ...string) Result {
	t.Helper()
	return Finish(t, h.Ambit(args...))
}

// Stop ends the home's daemon and waits until none of the home's processes is
// left. The daemon stays as long as it knows of a live task: for a moment after
// a gatekeeper's end, and for ten seconds when one has vanished. Stop returns
// what was said about it.
func (h *Home) Stop() (said string) {
	_, err := os.Stat(h.State)
	lives := err == nil && os.Getenv(binaryVar) != ""
	Eventually(Patience, func() bool {
		if lives {
			b, _ := h.Ambit("daemon", "stop").CombinedOutput() // what is left tells whether it worked
			said = string(b)
		}
		return Eventually(200*time.Millisecond, func() bool { return len(h.Processes()) == 0 })
	})
	return said
}

// leave stops the daemon and reports what was left behind.
func (h *Home) leave(t testing.TB) {
	said := h.Stop()
	for _, p := range h.Processes() {
		t.Errorf("left behind: %s; ambit daemon stop said: %s", p, said)
		if proc, err := os.FindProcess(p.PID); err == nil {
			proc.Kill()
		}
	}
	for _, m := range h.Mounts(t) {
		t.Errorf("left behind: mount %s", m)
	}
	if t.Failed() {
		b, _ := os.ReadFile(filepath.Join(h.State, "daemon.log")) // there may be none
		t.Logf("daemon.log:\n%s", b)
	}
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status; -1 when a signal ended it
	Took           time.Duration
}

// String shows all of it.
func (r Result) String() string {
	return fmt.Sprintf("exit status %d after %v\n--- stdout\n%s\n--- stderr\n%s", r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Users lists the user ids that a test can run as: root and an ordinary user
// when the test is root, and else its own.
func Users() []int {
	if uid := os.Getuid(); uid != 0 {
		return []int{uid}
	}
	return []int{0, Ordinary}
}

// Setting writes Ambit's settings.yaml.
func (h *Home) Setting(t testing.TB, text string) {
	t.Helper()
	if err := os.MkdirAll(h.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.State, "settings.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h.Own(t)
}
