package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"ambit/sandbox/plan"
)

const (
	defaultProcesses = 4096
	defaultOpenFiles = 65536
)

// limitDefaults fills in the limits that the Spec leaves open.
func (b *builder) limitDefaults() error {
	l := &b.spec.Limits
	if l.Memory < 0 || l.Processes < 0 || l.CPUs < 0 || l.OpenFiles < 0 || l.Temporary < 0 || math.IsNaN(l.CPUs) || math.IsInf(l.CPUs, 0) {
		return errors.New("cannot start the sandbox: a limit is negative or no number")
	}
	if l.Memory == 0 {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			return fmt.Errorf("cannot read the machine's memory: %w", err)
		}
		l.Memory = int64(uint64(info.Totalram)*uint64(info.Unit)) / 4 * 3
	}
	if l.Temporary == 0 {
		l.Temporary = l.Memory / 2
	}
	if l.Processes == 0 {
		l.Processes = defaultProcesses
	}
	if l.OpenFiles == 0 {
		l.OpenFiles = defaultOpenFiles
	}
	return nil
}

// limit puts init, and with it everything in the sandbox, under the limits:
// by control group where one can be made, by resource limit elsewhere.
func (b *builder) limit(pid int) (*cgroup, error) {
	l := &b.spec.Limits
	g := newCgroup(pid, l, b.spec.Scratch)
	if err := b.memory(g); err != nil {
		return g, err
	}
	if err := b.count(g); err != nil {
		return g, err
	}
	if err := b.time(g); err != nil {
		return g, err
	}
	var have unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &have); err != nil {
		return g, fmt.Errorf("cannot read the limit of open files: %w", err)
	}
	files := min(uint64(l.OpenFiles), have.Max)
	b.rlimit(unix.RLIMIT_NOFILE, files)
	b.rlimit(unix.RLIMIT_CORE, 0)
	b.report.add("open files", true, fmt.Sprintf("%d for each process (resource limit)", files))
	b.report.add("temporary files", true, fmt.Sprintf("%d MiB in memory below /tmp and /dev/shm each", l.Temporary>>20))
	return g, nil
}

func (b *builder) rlimit(resource int, n uint64) {
	b.plan.Limits = append(b.plan.Limits, plan.Limit{Resource: resource, Soft: n, Hard: n})
}

const howToDelegate = "; delegate a control group to run with it (systemd-run --user --scope -p Delegate=yes …)"

func (b *builder) memory(g *cgroup) error {
	l := &b.spec.Limits
	if g.has("memory") {
		b.report.add("memory", true, fmt.Sprintf("%d MiB for the whole task (control group %s)", l.Memory>>20, g.kind))
		return nil
	}
	if l.DemandMemory {
		return errors.New("cannot enforce the memory limit for the whole task: " + g.why + howToDelegate)
	}
	b.rlimit(unix.RLIMIT_DATA, uint64(l.Memory))
	b.report.add("memory", false, fmt.Sprintf("%d MiB for each process only (resource limit): %s%s", l.Memory>>20, g.why, howToDelegate))
	return nil
}

func (b *builder) count(g *cgroup) error {
	l := &b.spec.Limits
	switch {
	case g.has("pids"):
		b.report.add("processes", true, fmt.Sprintf("%d for the whole task (control group %s)", l.Processes, g.kind))
		return nil
	case os.Geteuid() != 0: // the kernel counts per user namespace, and this one is the task's
		b.rlimit(unix.RLIMIT_NPROC, uint64(l.Processes))
		b.report.add("processes", true, fmt.Sprintf("%d for the whole task (resource limit)", l.Processes))
		return nil
	case l.DemandProcesses:
		return errors.New("cannot enforce the process limit: " + g.why + ", and resource limits do not bind root; run as an ordinary user")
	}
	b.report.add("processes", false, g.why+", and resource limits do not bind root; run as an ordinary user")
	return nil
}

func (b *builder) time(g *cgroup) error {
	l := &b.spec.Limits
	switch {
	case l.CPUs == 0:
		b.report.add("processors", true, "no limit was asked for")
	case g.has("cpu"):
		b.report.add("processors", true, fmt.Sprintf("%g for the whole task (control group %s)", l.CPUs, g.kind))
	case l.DemandCPUs:
		return errors.New("cannot enforce the processor limit: " + g.why + howToDelegate)
	default:
		b.report.add("processors", false, g.why+howToDelegate)
	}
	return nil
}
