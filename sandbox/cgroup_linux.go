package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroupMount = "/sys/fs/cgroup"
	cgroupName  = "ambit-" // then the gatekeeper's pid, a dash and a random number
	cgroupNotes = "cgroups"
	cpuPeriod   = 100_000 // microseconds
)

// cgroup is the task's control group: one directory in version 2, one for each
// controller in version 1. The zero value is none.
type cgroup struct {
	kind string   // "v2" or "v1"
	dirs []string // made by us
	on   map[string]bool
	why  string // why something is missing
}

func (g *cgroup) has(controller string) bool { return g.on[controller] }

// newCgroup makes the control group and moves the process into it. What could
// not be done is not in on, and why says why.
func newCgroup(pid int, l *Limits, scratch string) *cgroup {
	g := &cgroup{on: map[string]bool{}, why: "no control group may be made here"}
	var id [4]byte
	rand.Read(id[:])
	name := cgroupName + strconv.Itoa(os.Getpid()) + "-" + hex.EncodeToString(id[:])
	own, err := ownCgroups()
	if err != nil {
		g.why = "control groups cannot be read"
		return g
	}
	if path, ok := own[""]; ok && isCgroup2(cgroupMount) {
		g.kind = "v2"
		g.version2(filepath.Join(cgroupMount, path), name, pid, l)
	} else {
		g.kind = "v1"
		for _, c := range []string{"pids", "memory", "cpu"} {
			if path, ok := own[c]; ok {
				g.version1(filepath.Join(cgroupMount, c, path), name, c, pid, l)
			}
		}
	}
	if len(g.dirs) > 0 {
		// For Clean, should this process be killed before it removes them.
		_ = os.WriteFile(filepath.Join(scratch, cgroupNotes), []byte(strings.Join(g.dirs, "\n")), 0o600)
	}
	return g
}

// ownCgroups reads /proc/self/cgroup: paths by controller, version 2's under "".
func ownCgroups() (map[string]string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			out[c] = f[2]
		}
	}
	return out, nil
}

func isCgroup2(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// version2 tries a sibling of our own group, then a child of it: a group that
// holds processes cannot have children with controllers.
func (g *cgroup) version2(own, name string, pid int, l *Limits) {
	for _, base := range []string{filepath.Dir(own), own} {
		if !strings.HasPrefix(base, cgroupMount) {
			continue
		}
		sweep(base)
		dir := filepath.Join(base, name)
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		_ = put(base, "cgroup.subtree_control", "+pids +memory +cpu") // what is on already stays on
		if err := put(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			g.why = "a process cannot be moved into a control group: " + reason(err).Error()
			_ = os.Remove(dir)
			continue
		}
		g.dirs = append(g.dirs, dir)
		g.on["pids"] = put(dir, "pids.max", strconv.FormatInt(l.Processes, 10)) == nil
		g.on["memory"] = put(dir, "memory.max", strconv.FormatInt(l.Memory, 10)) == nil
		_ = put(dir, "memory.swap.max", "0") // absent without swap
		if l.CPUs > 0 {
			g.on["cpu"] = put(dir, "cpu.max", fmt.Sprintf("%d %d", int64(l.CPUs*cpuPeriod), cpuPeriod)) == nil
		}
		if !g.on["pids"] || !g.on["memory"] || l.CPUs > 0 && !g.on["cpu"] {
			g.why = "not every controller is delegated to this user"
		}
		return
	}
}

func (g *cgroup) version1(base, name, controller string, pid int, l *Limits) {
	if controller == "cpu" && l.CPUs == 0 {
		return
	}
	sweep(base)
	dir := filepath.Join(base, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return
	}
	g.dirs = append(g.dirs, dir)
	var err error
	switch controller {
	case "pids":
		err = put(dir, "pids.max", strconv.FormatInt(l.Processes, 10))
	case "memory":
		err = put(dir, "memory.limit_in_bytes", strconv.FormatInt(l.Memory, 10))
		_ = put(dir, "memory.memsw.limit_in_bytes", strconv.FormatInt(l.Memory, 10)) // absent without swap accounting
	case "cpu":
		err = errors.Join(put(dir, "cpu.cfs_period_us", strconv.Itoa(cpuPeriod)),
			put(dir, "cpu.cfs_quota_us", strconv.FormatInt(int64(l.CPUs*cpuPeriod), 10)))
	}
	if err == nil {
		err = put(dir, "cgroup.procs", strconv.Itoa(pid))
	}
	if err != nil {
		g.why = "the " + controller + " controller refuses: " + reason(err).Error()
		return
	}
	g.on[controller] = true
}

// put writes a control file, which exists already or not at all.
func put(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// sweep removes the empty groups of gatekeepers that were killed.
func sweep(base string) {
	old, err := filepath.Glob(filepath.Join(base, cgroupName+"*"))
	if err != nil {
		return
	}
	for _, dir := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), cgroupName), "-")
		n, err := strconv.Atoi(pid)
		if err == nil && n > 0 && unix.Kill(n, 0) == unix.ESRCH {
			_ = os.Remove(dir) // not when something still runs in it
		}
	}
}

// remove removes the groups. The kernel may need a moment after the last
// process has gone.
func (g *cgroup) remove() {
	if g == nil {
		return
	}
	for _, dir := range g.dirs {
		removeGroup(dir)
	}
	g.dirs = nil
}

func removeGroup(dir string) {
	for range 200 {
		err := os.Remove(dir)
		if !errors.Is(err, syscall.EBUSY) || errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
