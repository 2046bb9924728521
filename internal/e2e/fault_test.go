package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ambit/internal/ambittest"
)

// gated is a run whose agent asks the service once for each file that appears
// in the workspace: "1", "2", ….
func gated(t *testing.T, h *ambittest.Home, api *ambittest.API, times int) *running {
	t.Helper()
	c := h.Ambit("run", "--", "sh", "-c", fmt.Sprintf(`
for i in $(seq %d); do
	while [ ! -e $i ]; do sleep 0.02; done
	curl -sS -w " $i=%%{http_code}\n" https://api.example.org/items/one
done`, times))
	c.Env = append(c.Env, "SHOP_TOKEN="+api.Token.Value)
	return start(t, c)
}

// TestDeletedLog refuses what can no longer be recorded where people look.
func TestDeletedLog(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		api, grants := shop(t)
		h := ambittest.NewHome(t, uid)
		h.Grants(t, grants)
		run := gated(t, h, api, 2)
		h.File(t, "1", "")
		run.says(t, "1=200")
		if err := os.RemoveAll(filepath.Join(h.State, "log")); err != nil {
			t.Fatal(err)
		}
		h.File(t, "2", "")
		r := run.wait(t)
		// The agent is refused, or it is gone already: the task freezes when an
		// outcome cannot be recorded. Either says which log.
		has(t, "what is said", r.Stdout+r.Stderr, h.State+"/log")
		if n := len(api.Seen()); n != 1 {
			t.Errorf("the service saw %d requests, want the one before", n)
		}
	})
}

// TestFullDisk performs nothing that is not recorded when there is no room
// left, refuses with a word, and works again when there is.
func TestFullDisk(t *testing.T) {
	slow(t)
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	users(t, func(t *testing.T, uid int) {
		api, grants := shop(t)
		h := ambittest.NewHome(t, uid)
		h.Grants(t, grants)
		small(t, h)
		run := gated(t, h, api, 2)
		h.File(t, "1", "")
		run.says(t, "1=200")
		ballast := filepath.Join(h.State, "ballast")
		fill(t, ballast)
		h.File(t, "plain.yaml", head+files)
		r := h.Do(t, "run", "--grants", "plain.yaml", "--", "touch", "ran")
		want(t, r, 125)
		if r.Stderr == "" || h.Read(t, "ran") != "" {
			t.Errorf("refused without a word, or not at all:\n%s", r)
		}
		h.File(t, "2", "")
		run.wait(t)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		worksAgain(t, h)
		performed := 0
		for _, e := range logged(t, h, "http.get") {
			if e.Outcome == "performed" || e.Outcome == "open" {
				performed++
			}
		}
		if n := len(api.Seen()); n != performed {
			t.Errorf("the service saw %d requests, the log has %d", n, performed)
		}
		verified(t, h, api.Token)
	})
}

// worksAgain runs a task once there is room again. A log that failed is trusted
// again only when another daemon has opened it, which the first one leaves for
// when it has seen its last task end.
func worksAgain(t *testing.T, h *ambittest.Home) {
	t.Helper()
	var r ambittest.Result
	ambittest.Eventually(ambittest.Patience, func() bool {
		r = h.Do(t, "run", "--grants", "plain.yaml", "--", "touch", "again")
		return r.Code == 0
	})
	want(t, r, 0)
}

// small puts a file system of 24 MiB at the home's state, for the test's time.
func small(t *testing.T, h *ambittest.Home) {
	t.Helper()
	dir := h.State
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ambittest.Output(t, "", "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=24m,mode=700,uid=%d,gid=%d", h.UID, h.UID), "none", dir)
	t.Cleanup(func() {
		h.Stop()
		var out []byte
		var err error
		// A process that is just ending may still hold a file open.
		if !ambittest.Eventually(ambittest.Patience, func() bool {
			out, err = exec.Command("umount", dir).CombinedOutput()
			return err == nil
		}) {
			t.Errorf("cannot unmount: %v %s", err, out)
		}
	})
}

func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}

// TestDaemonKilledWhileRunsStart starts runs while daemons are killed: each run
// works or is refused with a word, none hangs, and the log is whole.
func TestDaemonKilledWhileRunsStart(t *testing.T) {
	slow(t)
	h := ambittest.NewHome(t, ambittest.Users()[len(ambittest.Users())-1])
	h.Grants(t, head+files)
	want(t, h.Do(t, "run", "--", "true"), 0)
	worked := 0
	for i := range 8 {
		run := start(t, h.Ambit("run", "--", "sh", "-c", "echo up; exit 5"))
		time.Sleep(time.Duration(i) * 8 * time.Millisecond)
		if pid := h.Daemon(); pid != 0 {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		r := run.wait(t)
		switch {
		case r.Code == 5:
			worked++
		case r.Code == 125 && r.Stderr != "" && r.Stdout == "":
		default:
			t.Errorf("run %d neither worked nor was refused with a word:\n%s", i, r)
		}
	}
	want(t, h.Do(t, "run", "--", "true"), 0)
	t.Logf("%d of 8 worked", worked)
	// A new daemon gives the gatekeepers of before ten seconds to come back.
	if !ambittest.Eventually(ambittest.Patience, func() bool { return strings.Contains(h.Do(t, "tasks").Stdout, "no live task") }) {
		t.Errorf("tasks are still live: %s", h.Do(t, "tasks"))
	}
	verified(t, h)
}

// TestKilledInit kills the sandbox's first process from outside: the run ends
// and says so in its status, and nothing stays.
func TestKilledInit(t *testing.T) {
	users(t, func(t *testing.T, uid int) {
		h := ambittest.NewHome(t, uid)
		h.Grants(t, head+files)
		run := start(t, h.Ambit("run", "--", "sh", "-c", stubborn))
		run.says(t, "ready")
		pids := family(h, run.Process.Pid)
		syscall.Kill(pids[1], syscall.SIGKILL)
		r := run.wait(t)
		if r.Code == 0 || r.Code == -1 {
			t.Errorf("exit status %d\n%s", r.Code, r)
		}
		dead(t, pids)
		if !ambittest.Eventually(ambittest.Patience, func() bool { return len(logged(t, h, "task.end")) == 1 }) {
			t.Error("the end is not in the log")
		}
		verified(t, h)
	})
}

// TestAskedOnTheTerminal answers a question on the terminal of ambit run,
// which the agent does not occupy.
func TestAskedOnTheTerminal(t *testing.T) {
	slow(t)
	users(t, func(t *testing.T, uid int) {
		api, grants := shop(t)
		api.Put("two", `{}`)
		h := ambittest.NewHome(t, uid)
		h.Grants(t, grants)
		run := h.Ambit("run", "--no-terminal", "--", "sh", "-c",
			"for i in one two; do curl -sS -o answer -w \"$i %{http_code}\\n\" -X DELETE https://api.example.org/items/$i >>said; done")
		c := h.Command("sh", append([]string{"-c", `"$@" </dev/null >errors 2>&1; exit $?`, "sh"}, bare(run)...)...)
		c.Env = append(c.Env, "SHOP_TOKEN="+api.Token.Value)
		s := onTerminal(t, c, 40, 120)
		s.types(t, "", "yes or no")
		has(t, "the question", s.out.String(), "items/one", "cannot be undone")
		s.types(t, "yes\n", "items/two")
		s.types(t, "no\n", "denied")
		if code := s.exit(t); code != 0 {
			t.Errorf("exit status %d\n%s", code, s.out)
		}
		if got := h.Read(t, "said"); got != "one 204\ntwo 403\n" {
			t.Errorf("the agent was told %q", got)
		}
		if items := api.Items(); len(items) != 1 || items["two"] == "" {
			t.Errorf("the service holds %v", items)
		}
		if strings.Contains(s.out.String(), api.Token.Value) {
			t.Error("the credential was shown")
		}
		verified(t, h, api.Token)
	})
}
