package e2e

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ambit/internal/ambittest"
)

// dying stands where a daemon is that goes away: it takes connections, reads what is
// asked, and ends each before it answers; after the given number nobody listens, and
// the socket's file is still there. With body it has the whole request sent first.
func dying(t *testing.T, h *ambittest.Home, socket string, times int, body bool) (asked *atomic.Int64) {
	t.Helper()
	want(t, h.Do(t, "daemon", "stop"), 0)
	path := filepath.Join(h.State, "run", socket)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	asked = &atomic.Int64{}
	go func() {
		defer ln.Close()
		for int(asked.Load()) < times {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(ambittest.Patience))
			r := bufio.NewReader(c)
			if _, err := r.Peek(1); err == nil {
				asked.Add(1)
			}
			for l := ""; body && l != "\r\n"; {
				if l, err = r.ReadString('\n'); err != nil {
					break
				}
			}
			if body {
				io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
				r.Peek(1)
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return asked
}

// TestCommandsMeetADyingDaemon: a command that meets a daemon which goes away before it
// has done anything goes on with the next; when it may have done it, the command says so.
func TestCommandsMeetADyingDaemon(t *testing.T) {
	h := ambittest.NewHome(t, os.Getuid())
	h.Grants(t, head+files)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"tasks"}, 0, "no live task"},
		{[]string{"approvals"}, 0, "no question"},
		{[]string{"leases"}, 0, "no lease"},
		{[]string{"trust"}, 0, ""},
		{[]string{"revoke", "tester"}, 1, "no live task or agent"},
		{[]string{"deny", "nothing"}, 1, "no question has the ticket"},
		{[]string{"leases", "write-off", "00", "--because", "gone"}, 1, "there is none of that id"},
	} {
		asked := dying(t, h, "person.sock", 3, false)
		r := h.Do(t, c.args...)
		if r.Code != c.code || !strings.Contains(r.Stdout+r.Stderr, c.says) || asked.Load() != 3 {
			t.Errorf("%q by the fourth daemon (%d were asked before): %s", c.args, asked.Load(), r)
		}
	}
	for _, args := range [][]string{{"revoke", "tester"}, {"leases", "write-off", "00", "--because", "gone"}} {
		asked := dying(t, h, "person.sock", 1, true)
		r := h.Do(t, args...)
		if r.Code != 1 || !strings.Contains(r.Stderr, "whether it was done is not known") || asked.Load() != 1 {
			t.Errorf("%q when it may be done: %s", args, r)
		}
	}
	asked := dying(t, h, "person.sock", 1, false)
	if r := h.Do(t, "daemon", "stop"); r.Code != 0 || asked.Load() != 1 {
		t.Errorf("stop: %s", r)
	}
	asked = dying(t, h, "gate.sock", 3, false)
	if r := h.Do(t, "run", "--", "echo", "done"); r.Code != 0 || r.Stdout != "done\n" || asked.Load() != 3 {
		t.Errorf("run by the fourth daemon (%d were asked before): %s", asked.Load(), r)
	}
	verified(t, h)
}

// TestTheNextDaemonWaitsForTheLast: one that is ending holds the home longer than it
// listens.
func TestTheNextDaemonWaitsForTheLast(t *testing.T) {
	slow(t)
	t.Parallel()
	h := ambittest.NewHome(t, os.Getuid())
	h.Grants(t, head+files)
	want(t, h.Do(t, "tasks"), 0)
	for _, args := range [][]string{{"tasks"}, {"run", "--", "true"}} {
		want(t, h.Do(t, "daemon", "stop"), 0)
		var f *os.File
		if !ambittest.Eventually(ambittest.Patience, func() bool {
			var err error
			if f, err = os.OpenFile(filepath.Join(h.State, "run", "daemon.lock"), os.O_RDWR, 0); err != nil {
				return false
			}
			if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				f.Close()
			}
			return err == nil
		}) {
			t.Fatal("the daemon does not end")
		}
		time.AfterFunc(3*time.Second, func() { f.Close() })
		if r := h.Do(t, args...); r.Code != 0 {
			t.Errorf("%q: %s", args, r)
		}
	}
}

// TestAStopIsOver: what comes after `daemon stop` finds nobody at work in the home, so
// that its log can be copied.
func TestAStopIsOver(t *testing.T) {
	h := ambittest.NewHome(t, os.Getuid())
	h.Grants(t, head+files)
	for range 6 {
		want(t, h.Do(t, "run", "--", "true"), 0)
		want(t, h.Do(t, "daemon", "stop"), 0)
		f, err := os.OpenFile(filepath.Join(h.State, "run", "daemon.lock"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			t.Errorf("after a stop the home is still held: %v", err)
		}
		f.Close()
	}
}

// TestDaemonsComeAndGo kills daemons, or asks them to end, while commands speak to
// them: each command is answered.
func TestDaemonsComeAndGo(t *testing.T) {
	slow(t)
	h := ambittest.NewHome(t, os.Getuid())
	h.Grants(t, head+files)
	over := make(chan struct{})
	ended := make(chan int)
	go func() {
		n := 0
		defer func() { ended <- n }()
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(7*(n%9)) * time.Millisecond):
			}
			c, err := net.Dial("unix", filepath.Join(h.State, "run", "person.sock"))
			if err != nil {
				continue // one that is starting gets the time for it
			}
			c.Close()
			if pid := h.Daemon(); pid != 0 {
				syscall.Kill(pid, []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[n%2])
				n++
			}
		}
	}()
	for i := range 24 {
		args := [][]string{{"tasks"}, {"approvals", "--all"}, {"leases", "--all"}}[i%3]
		if r := h.Do(t, args...); r.Code != 0 {
			t.Errorf("%q: %s", args, r)
		}
	}
	close(over)
	if n := <-ended; n < 3 {
		t.Errorf("%d daemons ended meanwhile", n)
	}
	want(t, h.Do(t, "run", "--", "true"), 0)
	verified(t, h)
}

// TestWatchersOutliveTheDaemon: who watches questions, or follows the log, sees what
// comes with the next daemon, and a question once.
func TestWatchersOutliveTheDaemon(t *testing.T) {
	api, grants := shop(t)
	h := ambittest.NewHome(t, os.Getuid())
	h.Grants(t, grants)
	hold(t, h, "200ms")
	watch := start(t, h.Ambit("watch"))
	if !ambittest.Eventually(ambittest.Patience, func() bool { return h.Daemon() != 0 }) {
		t.Fatal("there is no daemon")
	}
	want(t, h.Do(t, "tasks"), 0)
	follow := start(t, h.Ambit("log", "--follow"))
	follow.says(t, "daemon.start")
	c := h.Ambit("run", "--", "sh", "-c", "curl -sS -X DELETE https://api.example.org/items/one; while [ ! -e go ]; do sleep 0.05; done")
	c.Env = append(c.Env, "SHOP_TOKEN="+api.Token.Value)
	run := start(t, c)
	run.says(t, "ticket")
	q := asked(t, h)
	watch.says(t, q.Ticket)
	pid := h.Daemon()
	syscall.Kill(pid, syscall.SIGKILL)
	dead(t, []int{pid})
	want(t, h.Do(t, "tasks"), 0)
	time.Sleep(2 * time.Second) // a watcher looks for the next daemon five times a second
	want(t, h.Do(t, "deny", q.Ticket), 0)
	watch.says(t, "denied")
	follow.says(t, "denied by")
	if n := strings.Count(watch.out.String(), "open "); n != 1 {
		t.Errorf("the question was shown open %d times:\n%s", n, watch.out)
	}
	h.File(t, "go", "")
	want(t, run.wait(t), 0)
	for _, r := range []*running{watch, follow} {
		r.Process.Signal(syscall.SIGTERM)
		r.wait(t)
	}
	verified(t, h, api.Token)
}
