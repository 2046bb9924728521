package ambittest

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// The variables that tell tests where the built programs are.
const (
	binaryVar = "AMBIT_TEST_BINARY"
	agentsVar = "AMBIT_TEST_AGENTS"
)

// Main builds the ambit binary once, where every user can run it, and runs the
// tests. A package's TestMain passes what it returns to os.Exit. When
// AMBIT_TEST_BINARY names a binary already, that one is tested.
func Main(m *testing.M) int {
	hearSignals()
	dir, err := os.MkdirTemp("", "ambit-bin-")
	if err != nil {
		return complain(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return complain(err)
	}
	if err := build(filepath.Join(dir, "ambit")); err != nil {
		return complain(err)
	}
	if err := agents(dir); err != nil {
		return complain(err)
	}
	return m.Run()
}

// hearSignals undoes what a shell does to commands in its background: they ignore
// Ctrl-C, and so would all that they start (signal(7): what is ignored stays so
// over execve). Tests of terminals would then wait in vain.
func hearSignals() {
	if signal.Ignored(syscall.SIGINT) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGQUIT)
	}
}

func build(bin string) error {
	if os.Getenv(binaryVar) != "" {
		return nil
	}
	c := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "ambit/cmd/ambit")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("cannot build ambit: %w", err)
	}
	return os.Setenv(binaryVar, bin)
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// agents makes the agent programs visible to every user, by hard links: the
// folder that the sources are in may be open to its owner only.
func agents(dir string) error {
	top, err := moduleRoot()
	if err != nil {
		return err
	}
	from := filepath.Join(top, "bin", "agents")
	if _, err := os.Stat(from); err != nil {
		return nil // [Agent] says what to do
	}
	to := filepath.Join(dir, "agents")
	if exec.Command("cp", "-al", from, to).Run() != nil { // another file system
		os.RemoveAll(to)
		if b, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot copy the agent programs: %w: %s", err, b)
		}
	}
	return os.Setenv(agentsVar, filepath.Join(to, "node_modules", ".bin"))
}

func moduleRoot() (string, error) {
	d, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("cannot find go.mod above the working directory")
		}
	}
}

// Agent returns the path of an agent program, "claude" or "codex", and skips
// the test when it is not installed.
func Agent(t testing.TB, name string) string {
	t.Helper()
	p := filepath.Join(os.Getenv(agentsVar), name)
	if _, err := os.Stat(p); err != nil || os.Getenv(agentsVar) == "" {
		t.Skipf("%s is not installed: run ./check setup", name)
	}
	return p
}

// GoBuild builds a package of the module into a file that every user can run.
func GoBuild(t testing.TB, out, pkg string) {
	t.Helper()
	c := exec.Command("go", "build", "-buildvcs=false", "-o", out, pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := c.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %s: %v\n%s", pkg, err, b)
	}
}
