package daemon

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// checkFree refuses a peer behind a system call filter that this daemon is not
// behind: a gatekeeper confines itself before the agent's first byte, and one
// that was taken over could otherwise come back as the person, or with a new task
// whose credential is any file of the person's.
func checkFree(pid int) error {
	if pid <= 0 {
		return fmt.Errorf("cannot trust the peer: its process is not known")
	}
	theirs, err := filters("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return fmt.Errorf("cannot trust the peer: %w", err)
	}
	ours, err := filters("/proc/self/status")
	if err != nil {
		return fmt.Errorf("cannot trust the peer: %w", err)
	}
	if theirs > ours {
		return fmt.Errorf("cannot trust the peer: process %d is confined: it is behind %d system call filters and the daemon behind %d, as in a container, a snap or a sandbox; "+
			"use Ambit from a shell like the one that started the daemon, or set AMBIT_HOME to another folder, for a daemon of its own", pid, theirs, ours)
	}
	return nil
}

// filters reads how many seccomp filters a process has (proc_pid_status(5);
// Linux 5.9).
func filters(name string) (int, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(b, []byte("\nSeccomp_filters:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.Atoi(string(bytes.TrimSpace(line)))
	if !ok || err != nil {
		return 0, fmt.Errorf("%s does not tell of system call filters", name)
	}
	return n, nil
}
