package main

import (
	"path/filepath"
	"strings"
	"testing"

	"ambit/audit"
)

// logWith makes a log of one task and returns its folder.
func logWith(t *testing.T, rs ...audit.Record) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	l, err := audit.OpenOrCreate(dir, filepath.Join(t.TempDir(), "log.key"), "ambit/test", audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestLogOfNobody: an empty answer would look like a task that did nothing.
func TestLogOfNobody(t *testing.T) {
	const task = "01kaz0000000000000000000aa"
	dir := logWith(t, audit.Record{Type: audit.TaskStart, Task: task, Agent: "worker"})
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--task", "01kaz0000000000000000000bb"}, exitFailed, "no such task is in it; its whole id is needed"},
		{[]string{"--task", "01kaz0000000000000000000bb", "--json"}, exitFailed, "no such task"},
		{[]string{"--agent", "nobody"}, exitFailed, "no such agent is in it"},
		{[]string{"--agent", "worker", "--task", "x"}, exitFailed, "no such task"},
		{[]string{"--task", task}, 0, "task.start"},
		{[]string{"--agent", "worker"}, 0, "task.start"},
		{[]string{"--agent", "worker", "--verdict", "deny"}, 0, ""}, // known, and nothing was denied
	} {
		out, code := ambitCmd(t, append([]string{"log", "--dir", dir}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.says) || c.says == "" && out != "" {
			t.Errorf("ambit log %s: exit %d, want %d with %q:\n%s", strings.Join(c.args, " "), code, c.code, c.says, out)
		}
	}
}

// TestDoctorInside: the walls around the agent are no fault of the machine.
func TestDoctorInside(t *testing.T) {
	t.Setenv("AMBIT_SOCKET", "/run/ambit/agent.sock")
	for _, args := range [][]string{{"doctor"}, {"doctor", "--json"}} {
		out, code := command(t, args...)
		if code != exitFailed || !strings.Contains(out, "inside Ambit's sandbox") || !strings.Contains(out, "outside it") {
			t.Errorf("ambit %s: exit %d\n%s", strings.Join(args, " "), code, out)
		}
	}
}
