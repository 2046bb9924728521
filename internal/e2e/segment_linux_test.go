package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ambit/audit"
	"ambit/internal/ambittest"
)

// TestNoRoomForTheNextSegment lets a task fill the log until its next segment
// cannot be made, though there is room left for smaller things. What cannot be
// recorded is not performed, the task ends and says why, what was recorded
// verifies, and with room again a new task runs.
func TestNoRoomForTheNextSegment(t *testing.T) {
	slow(t)
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	api, grants := shop(t)
	h := ambittest.NewHome(t, ambittest.Ordinary)
	h.Grants(t, grants)
	small(t, h)
	ambittest.Output(t, "", "mount", "-o", fmt.Sprintf("remount,size=%d", 5*audit.DefaultSegment), h.State)
	urls := strings.Repeat(fmt.Sprintf("url = \"https://api.example.org/items/one?q=%s\"\n", strings.Repeat("long", 1500)), 200)
	h.File(t, "urls", urls)
	c := h.Ambit("run", "--", "sh", "-c", `
echo up
while [ ! -e go ]; do sleep 0.02; done
for i in $(seq 100); do curl -sS -K urls -w ' %{http_code}\n'; done`)
	c.Env = append(c.Env, "SHOP_TOKEN="+api.Token.Value)
	run := start(t, c)
	run.says(t, "up")
	ballast := filepath.Join(h.State, "ballast")
	leave(t, ballast, audit.DefaultSegment/2)
	h.File(t, "go", "")
	pids := family(h, run.Process.Pid)
	r := run.wait(t)
	dead(t, pids)
	t.Logf("%d requests were performed in %v", len(api.Seen()), r.Took.Round(time.Millisecond))
	want(t, r, 124)
	has(t, "what is said", r.Stderr, h.State+"/log", "no space left")
	// The agent may have been told before it was ended.
	if strings.Contains(r.Stdout, " 403\n") {
		has(t, "the refusal", r.Stdout, "cannot record", "no space left")
	}
	want(t, h.Do(t, "verify"), 0)
	h.File(t, "plain.yaml", head+files)
	refused := h.Do(t, "run", "--grants", "plain.yaml", "--", "touch", "ran")
	// The daemon whose log failed refuses; when it has ended already, the next one
	// may find room for small records in the segment that there is.
	small := refused.Code == 0
	if !small {
		want(t, refused, 125)
		has(t, "the refusal", refused.Stderr, "cannot record", "no space left")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	worksAgain(t, h)
	if _, err := os.Stat(filepath.Join(h.Workspace, "ran")); (err == nil) != small {
		t.Errorf("exit status %d, and that it ran is %v", refused.Code, err == nil)
	}
	if n := len(logged(t, h, "")); small && strings.Count(h.Do(t, "log", "--type", "task.start", "--json").Stdout, "\n") < 3 {
		t.Errorf("a task ran whose start is not among the %d records", n)
	}
	performed := 0
	for _, e := range logged(t, h, "http.get") {
		if e.Outcome == "performed" || e.Outcome == "open" {
			performed++
		}
	}
	if n := len(api.Seen()); n != performed || n < 1000 {
		t.Errorf("the service saw %d requests, the log has %d", n, performed)
	}
	verified(t, h, api.Token)
}

// leave fills a file system but for some bytes.
func leave(t *testing.T, name string, free int64) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(name), &s); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := int64(s.Bavail)*int64(s.Bsize) - free; n > 0 {
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, n); err != nil {
			t.Fatal(err)
		}
	}
}
