package daemon

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ambit"
	"ambit/audit"
	"ambit/config"
	"ambit/console"
	"ambit/daemon/wire"
	"ambit/identity"
	"ambit/pipeline"
	"ambit/store"
)

// homes are those of a usual length, and of one that no socket's address holds.
func homes(t *testing.T, f func(t *testing.T, h config.Home)) {
	t.Run("short", func(t *testing.T) { f(t, newHome(t)) })
	t.Run("long", func(t *testing.T) {
		f(t, config.Home{Dir: filepath.Join(t.TempDir(), strings.Repeat("a long name ü ", 12))})
	})
}

// TestATaskOutlivesItsDaemon ends the daemon and starts another one, which finds
// the gatekeeper at its door.
func TestATaskOutlivesItsDaemon(t *testing.T) {
	homes(t, func(t *testing.T, h config.Home) {
		x := start(t, h)
		a := x.enrol("worker")
		if _, err := a.Start(t.Context(), wire.Start{Walls: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
		id, err := a.Intent(t.Context(), a.intent("http.post"))
		if err != nil {
			t.Fatal(err)
		}
		x.end() // its tasks stay live, as after a kill
		eventually(t, "the link notices", func() bool { return a.Live() != nil })
		if _, err := a.Intent(t.Context(), a.intent("http.post")); err == nil {
			t.Error("an intent was taken without a daemon")
		}
		if err := a.Outcome(t.Context(), pipeline.End{Intent: id, Outcome: ambit.Performed}); err != nil {
			t.Fatalf("the outcome is lost: %v", err)
		}
		for range 3 {
			y := start(t, h)
			eventually(t, "the link is back", func() bool { return a.Live() == nil })
			if _, err := a.Intent(t.Context(), a.intent("http.post")); err != nil {
				t.Errorf("after the restart: %v", err)
			}
			y.end()
			eventually(t, "the link notices", func() bool { return a.Live() != nil })
		}
		found := false
		for r, err := range audit.Read(h.Log(), 0, audit.Filter{Types: []string{audit.Outcome}}) {
			if err != nil {
				t.Fatal(err)
			}
			found = found || r.Intent == id
		}
		if !found {
			t.Error("the outcome that came while the daemon was dead is not in the log")
		}
	})
}

// orphan enrols a task and ends its daemon.
func orphan(t *testing.T, h config.Home) (a *agent, folder string) {
	t.Helper()
	x := start(t, h)
	a = x.enrol("worker")
	if _, err := a.Start(t.Context(), wire.Start{Walls: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	x.end()
	eventually(t, "the link notices", func() bool { return a.Live() != nil })
	return a, filepath.Join(h.Tasks(), string(a.got.Task))
}

// TestStrangersAtTheDoor has processes of the person's, which do not hold the
// daemon's key, come to the door of a task that waits for its daemon.
func TestStrangersAtTheDoor(t *testing.T) {
	h := newHome(t)
	a, folder := orphan(t, h)
	var sawSVID error
	reply := func(answer any, err error) wire.Handler {
		return func(method string, body json.RawMessage) wire.Step {
			if method != wire.MethodWho {
				sawSVID = fmt.Errorf("a stranger was told %s %s", method, body)
				return nil
			}
			return wire.Replies(func(r func(any, error)) { r(answer, err) })
		}
	}
	silent := func(string, json.RawMessage) wire.Step { return wire.Replies(func(func(any, error)) {}) }
	for what, handler := range map[string]wire.Handler{
		"silent":                  silent,
		"revokes":                 silent,
		"takes no call":           nil,
		"no signature":            reply(wire.Introduction{}, nil),
		"a made-up signature":     reply(wire.Introduction{Signature: make([]byte, 64)}, nil),
		"an error as of a daemon": reply(nil, &wire.Error{Code: "not-proved", Msg: "the task is over"}),
		"another answer":          reply(wire.Challenge{Nonce: make([]byte, 32)}, nil),
	} {
		c, err := dial(t.Context(), folder, doorSocket)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		w := wire.NewConn(c, handler)
		if what == "revokes" {
			w.Send(wire.MethodRevoke, wire.Revoke{By: "a stranger", Why: "why not"})
		}
		select {
		case <-w.Done():
		case <-time.After(patience):
			t.Errorf("%s: the gatekeeper stays with the stranger", what)
		}
		w.Close()
	}
	if sawSVID != nil {
		t.Error(sawSVID)
	}
	c, err := dial(t.Context(), folder, doorSocket)
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	defer c.Close()
	if err := a.Live(); err == nil || !strings.Contains(err.Error(), "the daemon is gone") {
		t.Errorf("the task is %v", err)
	}
	select {
	case r := <-a.revoked:
		t.Errorf("a stranger ended the task: %+v", r)
	default:
	}
	start(t, h)
	eventually(t, "the daemon is let in after them", func() bool { return a.Live() == nil })
	if _, err := a.Intent(t.Context(), a.intent("http.post")); err != nil {
		t.Error(err)
	}
}

// TestAnIdentityCannotBeStolen tries to be a live task without its key.
func TestAnIdentityCannotBeStolen(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	a, other := x.enrol("worker"), x.enrol("other")
	// The daemon answers no proof on a connection that came to it.
	for _, method := range []string{wire.MethodWho, wire.MethodAttach, wire.MethodProve} {
		raw, err := dial(t.Context(), h.Run(), gateSocket)
		if err != nil {
			t.Fatal(err)
		}
		c := wire.NewConn(raw, nil)
		err = c.Call(t.Context(), method, wire.Attach{Task: a.got.Task, SVID: a.got.SVID}, nil)
		if we, ok := errors.AsType[*wire.Error](err); !ok || we.Code != errNoTask.Code {
			t.Errorf("%s was answered: %v", method, err)
		}
		c.Close()
	}
	x.end()
	eventually(t, "the link notices", func() bool { return a.Live() != nil })
	// A thief in the place of the door has the certificate, which is no secret, and
	// keys of other people's.
	folder := filepath.Join(h.Tasks(), string(a.got.Task))
	a.door.Close()
	ln, err := listen(folder, doorSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	start(t, h)
	mine, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for what, c := range map[string]struct {
		svid [][]byte
		key  *ecdsa.PrivateKey
	}{
		"the certificate, and a key of its own": {a.got.SVID, mine},
		"another task's identity":               {other.got.SVID, other.key},
	} {
		raw, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		thief := &Link{task: a.got.Task, svid: c.svid, sign: func(n []byte) ([]byte, error) {
			return identity.Answer(c.key, a.got.TrustDomain, identity.Challenge(n))
		}}
		w := wire.NewConn(raw, thief.handle)
		if err := thief.prove(t.Context(), w); err == nil {
			t.Errorf("%s: attached", what)
		}
		for _, method := range []string{wire.MethodReserve, wire.MethodLease} {
			if err := w.Call(t.Context(), method, struct{}{}, nil); err == nil {
				t.Errorf("%s: %s was answered", what, method)
			}
		}
		w.Close()
	}
}

// TestOthersAtTheDoor has a process of another user, and one that is confined, come
// to a door that stands open to everybody.
func TestOthersAtTheDoor(t *testing.T) {
	h := newHome(t)
	a, folder := orphan(t, h)
	open := t.TempDir()
	for dir := open; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The same door under another name, so that the folder's mode does not decide.
	door := filepath.Join(open, doorSocket)
	if err := errors.Join(os.Link(filepath.Join(folder, doorSocket), door), os.Chmod(door, 0o666)); err != nil {
		t.Fatal(err)
	}
	bin := program(t, open)
	try := func(uid int, how string) string {
		c := exec.CommandContext(t.Context(), bin, how, door)
		c.Env, c.Dir = append(os.Environ(), fallenEnv+"="+open), "/"
		if uid != os.Getuid() {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := try(os.Getuid(), "visit"); !strings.Contains(out, "was asked who") {
		t.Errorf("a process of the person's: %s", out) // the twin: it is asked for its key
	}
	if os.Getuid() == 0 {
		if out := try(12345, "visit"); !strings.Contains(out, "was told 0 bytes") {
			t.Errorf("another user: %s", out)
		}
	}
	// A program linked with cgo cannot confine all of its threads.
	if out := try(os.Getuid(), "visit-confined"); !strings.Contains(out, "linked with cgo") && !strings.Contains(out, "address family not supported") {
		t.Errorf("a confined process: %s", out)
	}
	start(t, h)
	eventually(t, "the daemon is let in after them", func() bool { return a.Live() == nil })
}

// program is a copy of the test's own program that every user can run.
func program(t *testing.T, dir string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "visitor")
	if err := os.WriteFile(bin, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

// beVisitor goes to a door and says what it hears there.
func beVisitor(door string) {
	c, err := net.Dial("unix", door)
	if err != nil {
		fmt.Println("cannot visit:", err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 512)
	n, _ := io.ReadAtLeast(c, b, 20)
	if strings.Contains(string(b[:n]), wire.MethodWho+`{"nonce":`) {
		fmt.Println("was asked who it is")
		return
	}
	fmt.Printf("was told %d bytes: %q\n", n, b[:n])
}

const hearsEnv = "AMBIT_TEST_HEARS"

// TestBeGatekeeper is a gatekeeper in a process of its own, for the tests below.
func TestBeGatekeeper(t *testing.T) {
	dir := os.Getenv(hearsEnv)
	if dir == "" {
		return // it is only run by others
	}
	a := (&house{t: t, home: config.Home{Dir: dir}}).enrol("worker")
	fmt.Println("task", a.got.Task)
	r := <-a.revoked
	fmt.Println("revoked", r.Why)
}

// gatekeeper is one that can be stopped and killed.
type gatekeeper struct {
	*exec.Cmd
	out  *bufio.Scanner
	task ambit.TaskID
}

func (x *house) gatekeeper() *gatekeeper {
	x.t.Helper()
	g := &gatekeeper{Cmd: exec.Command(os.Args[0], "-test.run=^TestBeGatekeeper$")}
	g.Env = append(os.Environ(), hearsEnv+"="+x.home.Dir)
	out, err := g.StdoutPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { g.Process.Kill(); g.Wait() })
	g.out = bufio.NewScanner(out)
	id, ok := strings.CutPrefix(g.line(), "task ")
	if !ok {
		x.t.Fatal("the gatekeeper has no task")
	}
	g.task = ambit.TaskID(id)
	return g
}

func (g *gatekeeper) line() string {
	g.out.Scan()
	return g.out.Text()
}

func (g *gatekeeper) folder(h config.Home) string { return filepath.Join(h.Tasks(), string(g.task)) }

func isGone(name string) func() bool {
	return func() bool {
		_, err := os.Lstat(name)
		return os.IsNotExist(err)
	}
}

// TestATaskThatEndedWithoutItsGatekeeper has a daemon die between a revocation and
// its telling: the next one tells it.
func TestATaskThatEndedWithoutItsGatekeeper(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	g, stays := x.gatekeeper(), x.gatekeeper()
	x.end()
	s := store.New(h.Store())
	ids, err := identity.Open(t.Context(), identity.Config{Dir: h.Keys(), TrustDomain: config.Defaults().TrustDomain, Store: s, Clock: time.Now})
	if err == nil {
		err = ids.Revoke(t.Context(), g.task, "tester", "enough")
	}
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	start(t, h)
	if said := g.line(); !strings.Contains(said, "does not take the task back") {
		t.Errorf("the gatekeeper said %q", said)
	}
	g.Wait()
	eventually(t, "its folder is gone", isGone(g.folder(h)))
	if err := stays.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the other task's gatekeeper: %v", err)
	}
}

// TestAStoppedGatekeeperIsKilled revokes the task of one that does not answer the
// daemon that was started again.
func TestAStoppedGatekeeperIsKilled(t *testing.T) {
	h := newHome(t)
	x := start(t, h)
	g := x.gatekeeper()
	if err := g.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	x.end()
	y := start(t, h)
	if _, err := y.desk().Revoke(t.Context(), console.Revoke{Target: string(g.task), Why: "enough"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its folder is gone", isGone(g.folder(h)))
	err := g.Wait()
	if x, ok := errors.AsType[*exec.ExitError](err); !ok || x.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the gatekeeper ended with %v", err)
	}
}

// TestNoDoorIsLeftBehind kills a gatekeeper, with and without its daemon.
func TestNoDoorIsLeftBehind(t *testing.T) {
	homes(t, func(t *testing.T, h config.Home) {
		x := start(t, h)
		g := x.gatekeeper()
		if i, err := os.Lstat(filepath.Join(g.folder(h), doorSocket)); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("the door: %v, %v", i, err)
		}
		g.Process.Kill()
		eventually(t, "its folder is gone", isGone(g.folder(h)))
		g = x.gatekeeper()
		x.end()
		g.Process.Kill()
		g.Wait()
		stale := filepath.Join(h.Tasks(), string(ambit.NewTaskID()))
		if err := os.Mkdir(stale, 0o700); err != nil {
			t.Fatal(err)
		}
		ln, err := listen(stale, doorSocket)
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		start(t, h)
		eventually(t, "what an earlier daemon's task left is gone", isGone(stale))
		eventually(t, "what a gatekeeper left that was killed while no daemon was live is gone", isGone(g.folder(h)))
	})
}
