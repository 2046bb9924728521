package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ambit/internal/ambittest"
)

// kept lists what is kept of the compiled grammar.
func kept(t *testing.T, h *ambittest.Home) (names []string) {
	t.Helper()
	filepath.WalkDir(filepath.Join(h.State, "cache"), func(p string, d fs.DirEntry, err error) error { // there may be none
		if err == nil && !d.IsDir() {
			names = append(names, d.Name())
		}
		return nil
	})
	return names
}

// compiling starts a task that compiles the grammar, with the first command that does so
// in its home.
func compiling(t *testing.T, h *ambittest.Home) *running {
	t.Helper()
	h.Grants(t, head+"services:\n  shop: {kind: postgres, address: \"127.0.0.1:9\", database: shop, tls: off, credential: {env: SHOP_ADMIN_URL}}\nread:\n  - shop: public.orders\n"+files[len("read:\n"):])
	cmd := h.Ambit("run", "--", "sh", "-c", "echo started")
	cmd.Env = append(cmd.Env, "SHOP_ADMIN_URL=postgres://admin:secret@127.0.0.1:9/shop")
	run := start(t, cmd)
	if !ambittest.Eventually(ambittest.Patience, func() bool { return run.done() || strings.Contains(run.errs.String(), "is being compiled") }) || run.done() {
		t.Skipf("the grammar is compiled too fast for anything to happen meanwhile: %s%s", run.out, run.errs)
	}
	return run
}

// TestKilledBeforeTheStart kills the daemon, alone or with the gatekeeper, between a
// task's enrolment and the record of its start: the command does not run, and the log
// and the list say so.
func TestKilledBeforeTheStart(t *testing.T) {
	slow(t)
	for _, both := range []bool{true, false} {
		h := ambittest.NewHome(t, os.Getuid())
		run := compiling(t, h)
		pid := h.Daemon()
		syscall.Kill(pid, syscall.SIGKILL)
		if both {
			run.Process.Kill()
		}
		r := run.wait(t)
		if strings.Contains(r.Stdout, "started") || !both && (r.Code != 125 || !strings.Contains(r.Stderr, "the command was not run")) {
			t.Errorf("it ran: %s", r)
		}
		dead(t, []int{pid})
		list := h.Do(t, "tasks", "--all")
		if list.Code != 0 || !strings.Contains(list.Stdout, "not run") {
			t.Errorf("the list: %s", list)
		}
		if log := h.Do(t, "log"); !strings.Contains(log.Stdout, "the command did not run") {
			t.Errorf("the log: %s", log)
		}
		verified(t, h)
	}
}

// TestEndedWhileTheGrammarIsCompiled: the first task ever that uses SQL compiles its
// grammar for seconds. Who ends it meanwhile does not wait for that, the command never
// starts, and nothing is kept of what was half done.
func TestEndedWhileTheGrammarIsCompiled(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		for name, c := range map[string]struct {
			end  func(*running, *ambittest.Home)
			code []int // -1: the daemon did not wait for it either
			says string
		}{
			"Ctrl-C": {func(r *running, _ *ambittest.Home) { syscall.Kill(r.Process.Pid, syscall.SIGINT) }, []int{130}, "ended by the person"},
			"TERM":   {func(r *running, _ *ambittest.Home) { syscall.Kill(r.Process.Pid, syscall.SIGTERM) }, []int{143}, "ended by the system"},
			"revoke": {func(_ *running, h *ambittest.Home) { want(t, h.Do(t, "revoke", "tester", "--why", "no more"), 0) }, []int{124, 137, -1}, "no more"},
		} {
			t.Run(name, func(t *testing.T) {
				h := ambittest.NewHome(t, uid)
				run := compiling(t, h)
				c.end(run, h)
				r := run.wait(t)
				if left := kept(t, h); len(left) > 0 {
					t.Errorf("it waited for the compilation: %v is kept", left)
				}
				ok := false
				for _, code := range c.code {
					ok = ok || r.Code == code
				}
				if !ok || r.Code != -1 && r.Code != 137 && !strings.Contains(r.Stderr, c.says) || strings.Contains(r.Stdout, "started") {
					t.Errorf("want status %v and %q, and no command: %s", c.code, c.says, r)
				}
				if !ambittest.Eventually(ambittest.Patience, func() bool { return strings.Contains(h.Do(t, "tasks").Stdout, "no live task") }) {
					t.Errorf("a task is live: %s", h.Do(t, "tasks"))
				}
				verified(t, h)
			})
		}
	})
}
