package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ambit"
	"ambit/audit"
)

// TestMain makes the test binary the program itself when it is asked to.
func TestMain(m *testing.M) {
	if os.Getenv("AMBIT_TEST_MAIN") == "1" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ambitCmd runs the program and returns its output and exit status.
func ambitCmd(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Dir = t.TempDir()
	c.Env = []string{"AMBIT_TEST_MAIN=1", "AMBIT_HOME=" + filepath.Join(c.Dir, "none"), "HOME=" + c.Dir, "PATH=" + os.Getenv("PATH")}
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return b.String(), c.ProcessState.ExitCode()
}

// TestMistakesSayTheNextStep: whatever is wrong with a command line, the exit
// status is the documented one and the message says what to do.
func TestMistakesSayTheNextStep(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"bogus"}, exitUsage, `no command "bogus": see `},
		{[]string{"taks"}, exitUsage, "did you mean `ambit tasks`"},
		{[]string{"bogus", "--help"}, exitUsage, `no command "bogus"`},
		{[]string{"help", "bogus"}, exitUsage, `ambit has no command "bogus"`},
		{[]string{"help", "explan"}, exitUsage, "did you mean `ambit explain`"},
		{[]string{"help", "run", "bogus"}, exitUsage, `ambit run has no command "bogus"`},
		{[]string{"help", "daemon", "stats"}, exitUsage, "did you mean `ambit daemon status`"},
		{[]string{"daemon", "bogus"}, exitUsage, "ambit daemon --help"},
		{[]string{"daemon", "bogus", "--help"}, exitUsage, `ambit daemon has no command "bogus"`},
		{[]string{"daemon", "--help", "stats"}, exitUsage, "did you mean `ambit daemon status`"},
		{[]string{"daemon", "bogus", "-h"}, exitUsage, "ambit daemon --help"},
		{[]string{"--help", "bogus"}, exitUsage, `ambit has no command "bogus"`},
		{[]string{"help", "bogus", "--help"}, exitUsage, `ambit has no command "bogus"`},
		{[]string{"help", "run", "bogus", "--help"}, exitUsage, `ambit run has no command "bogus"`},
		{[]string{"completion", "tcsh", "--help"}, exitUsage, `no command "tcsh"`},
		{[]string{"leases", "bogus"}, exitUsage, `ambit leases has no command "bogus"`},
		{[]string{"leases", "--json", "writeoff", "--help"}, exitUsage, "did you mean `ambit leases write-off`"},
		{[]string{"leases", "write-off", "--because", "gone"}, exitUsage, "arg"},
		{[]string{"leases", "write-off", "4f0c"}, exitUsage, "--because"},
		{[]string{"leases", "write-off", "4f0c", "--because", " "}, exitUsage, "--because"},
		{[]string{"leases", "write-off", "--help"}, 0, "never as dead"},
		{[]string{"daemon", "stop", "now"}, exitUsage, "unknown command"},
		{[]string{"daemon", "status", "--help"}, 0, "without starting it"},
		{[]string{"tasks", "--help"}, 0, "Usage:"},
		{[]string{"completion", "bash"}, 0, "bash completion"},
		{[]string{"__complete", "leases", ""}, 0, "write-off"},
		{[]string{"help"}, 0, "Evidence:"},
		{[]string{"help", "run"}, 0, "exactly the access"},
		{[]string{"help", "daemon", "status"}, 0, "without starting it"},
		{[]string{"explain", "--bogus"}, exitUsage, "--help"},
		{[]string{"revoke"}, exitUsage, "arg"},
		{[]string{"explain", "-g", "x.yaml"}, exitUsage, "--help"},
		{[]string{"run"}, exitRefused, "ambit run -- claude"},
		{[]string{"run", "--bogus"}, exitRefused, "--help"},
		{[]string{"run", "--grants", "none.yaml", "--", "true"}, exitRefused, "ambit init"},
		{[]string{"explain", "none.yaml"}, exitFailed, "ambit init"},
		{[]string{"log"}, exitFailed, "ambit run"},
		{[]string{"verify"}, exitFailed, "--key"},
		{[]string{"whoami"}, exitFailed, "not inside a sandbox"},
		{[]string{"daemon", "status"}, exitFailed, "no daemon"},
	} {
		out, code := ambitCmd(t, c.args...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("ambit %s: exit %d, want %d with %q:\n%s", strings.Join(c.args, " "), code, c.code, c.says, out)
		}
	}
}

// TestEveryCommandTeaches: each command has help with an exit status of 0.
func TestEveryCommandTeaches(t *testing.T) {
	for _, c := range root("").Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		out, code := ambitCmd(t, c.Name(), "--help")
		if code != 0 || !strings.Contains(out, "Usage:") || len(c.Short) < 10 {
			t.Errorf("ambit %s --help: exit %d\n%s", c.Name(), code, out)
		}
	}
}

// TestPrintable: text that an agent chose shows what it is.
func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31mb\u202ec", 100); strings.ContainsAny(got, "\x1b\u202e") || !strings.Contains(got, "U+001B") {
		t.Errorf("got %q", got)
	}
	if got := printable(strings.Repeat("x", 200), 10); len(got) > 20 {
		t.Errorf("not bounded: %q", got)
	}
}

// TestLogWritesTablesAsTheFileDoes: people read public.orders, and programs what the
// record has.
func TestLogWritesTablesAsTheFileDoes(t *testing.T) {
	r := audit.Record{Type: audit.Refusal, Operation: "sql.delete", Time: time.Unix(0, 0), Detail: "one\ntwo"}
	r.SetResource(ambit.Resource{Kind: "table", Segments: []string{"public", "Orders"}})
	e := entryOf(&r)
	var b strings.Builder
	if err := printEntry(&b, e); err != nil || !strings.Contains(b.String(), `sql.delete public."Orders" · one; two`) || e.Resource != "public/Orders" {
		t.Errorf("%s, %v; %+v", b.String(), err, e)
	}
}
