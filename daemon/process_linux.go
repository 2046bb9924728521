package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"ambit/store/row"
)

// process names a process for as long as the machine runs: its PID namespace and
// when it started (proc_pid_stat(5), field 22, in ticks since the start of the
// machine). Its number alone will be another's. "" is one that is not known.
func process(pid int) string {
	if pid <= 0 {
		return ""
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	if _, start, err := stat(pid); err == nil {
		return ns + " " + start
	}
	return ""
}

// gatekeeperGone says whether the gatekeeper of a task is known to have ended.
func gatekeeperGone(t *row.Task) bool {
	ns, err := os.Readlink("/proc/self/ns/pid")
	then, start, ok := bytes.Cut([]byte(t.Process), []byte(" "))
	if t.PID <= 0 || err != nil || !ok || string(then) != ns {
		return false // its number means nothing here
	}
	state, now, err := stat(t.PID)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return now != string(start) || state == "Z" || state == "X"
}

// stat reads a process's state and start.
func stat(pid int) (state, start string, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", "", err
	}
	// The name stands in brackets, and may hold any character.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return "", "", fmt.Errorf("cannot read the state of process %d", pid)
	}
	return string(f[0]), string(f[19]), nil
}
