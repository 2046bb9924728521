package sandbox

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
	"ambit/sandbox/stage"
)

// finish adds to the plan what does not depend on files.
func (b *builder) finish() error {
	b.plan.AgentFilter, b.plan.InitFilter = encode(agentFilter()), encode(initFilter())
	if b.spec.Terminal {
		var err error
		if b.plan.Rows, b.plan.Cols, err = sizeOf(b.spec); err != nil {
			return err
		}
		return nil
	}
	for i, f := range []*os.File{b.spec.Stdin, b.spec.Stdout, b.spec.Stderr} {
		b.plan.StdRights[i] = standardRights(f) & b.plan.Handled
	}
	return nil
}

// standardRights lets the agent open a file again that it was handed as
// standard input or output, as scripts do with /dev/stderr.
func standardRights(f *os.File) uint64 {
	if f == nil {
		return 0
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return 0
	}
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		return kernel.LLReadFile
	case unix.O_WRONLY:
		return kernel.LLWriteFile | kernel.LLTruncate
	}
	return kernel.LLReadFile | kernel.LLWriteFile | kernel.LLTruncate
}

// describe writes the report, from what the gatekeeper planned and what init noted.
func (b *builder) describe(notes string) Report {
	r := &b.report
	walls := []Wall{
		{"namespaces", true, "user, mount, PID, network, IPC, UTS and cgroup"},
		{"files", true, fmt.Sprintf("a root of %d steps, the host's root detached", len(b.plan.Steps))},
		{"landlock", true, fmt.Sprintf("ABI %d, %d rules%s", b.abi, len(b.plan.Rules), scopes(b.plan.Scoped))},
		{"system calls", true, fmt.Sprintf("seccomp allow-list, %d instructions", len(b.plan.AgentFilter)/8)},
		{"privileges", true, "no capabilities, none to gain, securebits locked, no_new_privs; user " + innerName()},
		{"network", true, fmt.Sprintf("every address is local; %d TCP ports and the resolver lead to the gatekeeper", len(b.plan.Ports))},
	}
	r.Walls = append(walls, r.Walls...)
	r.add("protected names", true, b.protection())
	if strings.Contains(notes, "init-capabilities\n") {
		r.add("init's capabilities", false, "kept in its own namespaces, because this binary was linked with cgo")
	}
	return *r
}

func (b *builder) protection() string {
	trees, existing := 0, 0
	for i := range b.plan.Guards {
		if g := &b.plan.Guards[i]; len(g.Names)+len(g.Paths) > 0 {
			trees++
			existing += len(g.Mounts)
		}
	}
	if trees == 0 {
		return "none were named for a writable directory"
	}
	return fmt.Sprintf("%d existing ones read-only, new ones refused (Landlock and the warden) in %d writable directories", existing, trees)
}

func scopes(scoped uint64) string {
	if scoped == 0 {
		return "; signals and abstract sockets are kept in by namespaces only"
	}
	return "; signals and abstract sockets scoped"
}

func innerName() string {
	uid, gid := stage.Inner()
	return fmt.Sprintf("%d:%d", uid, gid)
}
