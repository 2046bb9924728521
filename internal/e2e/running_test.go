package e2e

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"ambit/internal/ambittest"
)

// running is a command that has been started.
type running struct {
	*exec.Cmd
	out, errs *output
	ended     chan struct{}
	began     time.Time
}

// output collects what is written, while others read it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts a command, which is killed at the end of the test.
func start(t *testing.T, c *exec.Cmd) *running {
	t.Helper()
	r := &running{Cmd: c, out: &output{}, errs: &output{}, ended: make(chan struct{}), began: time.Now()}
	c.Stdout, c.Stderr = r.out, r.errs
	c.WaitDelay = 5 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.Wait(); close(r.ended) }()
	t.Cleanup(func() { c.Process.Kill(); <-r.ended })
	return r
}

// says waits until the command has written a text.
func (r *running) says(t *testing.T, text string) {
	t.Helper()
	if !ambittest.Eventually(ambittest.Patience, func() bool {
		return strings.Contains(r.out.String(), text) || r.done()
	}) || !strings.Contains(r.out.String(), text) {
		t.Fatalf("it did not say %q:\n%s\n%s", text, r.out, r.errs)
	}
}

func (r *running) done() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

func (r *running) wait(t *testing.T) ambittest.Result {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(2 * ambittest.Patience):
		t.Fatalf("it did not end:\n%s\n%s", r.out, r.errs)
	}
	return ambittest.Result{Stdout: r.out.String(), Stderr: r.errs.String(), Code: r.ProcessState.ExitCode(), Took: time.Since(r.began)}
}
