package stage

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestMain stands for a program that is started with a command line: it says whether
// an init was started with it.
func TestMain(m *testing.M) {
	if os.Getenv("STAGE_TEST") == "" {
		os.Exit(m.Run())
	}
	// Where the machine lets nobody make namespaces, err says so; an init was tried.
	i, ok, err := Early()
	fmt.Println(ok && (err != nil || i.PID > 0))
}

func TestAnInitStartsWithTheCommandLineOfRun(t *testing.T) {
	for _, c := range []struct {
		args  []string
		inner string // AMBIT_SOCKET
		want  string
	}{
		{[]string{"run", "--", "true"}, "", "true\n"},
		{[]string{"run", ""}, "", "true\n"},
		{[]string{"run"}, "", "false\n"},
		{[]string{"runs", "x"}, "", "false\n"},
		{[]string{"version", "run", "x"}, "", "false\n"},
		{nil, "", "false\n"},
		{[]string{"run", "--", "true"}, "/a/task's/socket", "false\n"},
	} {
		cmd := exec.Command("/proc/self/exe", c.args...)
		cmd.Env = append(os.Environ(), "STAGE_TEST=1", "AMBIT_SOCKET="+c.inner)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%q: %s, want %s (%v)", c.args, out, c.want, err)
		}
	}
}

func TestCommandLines(t *testing.T) {
	for line, want := range map[string]bool{
		"ambit\x00run\x00x\x00": true, "\x00run\x00x\x00": true, "ambit\x00run\x00\x00": true, "ambit\x00run\x00cut": true,
		"": false, "ambit": false, "ambit\x00": false, "ambit\x00run": false, "ambit\x00run\x00": false, "ambit\x00\x00run\x00x\x00": false,
		"ambit run x\x00": false, "run\x00x\x00y\x00": false,
	} {
		if got := runs([]byte(line)); got != want {
			t.Errorf("runs(%q) = %v", line, got)
		}
	}
}
