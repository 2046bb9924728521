package stage

import (
	"syscall"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
)

// Statuses of an init that could not do its work.
const (
	statusFault  = 125
	statusNoPeer = 137 // the gatekeeper is gone
)

// The one init function of the project: see the package's documentation.
func init() {
	if syscall.Getpid() == 1 && called() {
		main()
		syscall.Exit(statusFault)
	}
	if soon() {
		startEarly()
		kernel.HugeHeap()
	}
}

// called says whether this process was started to be a sandbox's init.
func called() bool {
	var b [len(plan.Name) + 1]byte
	if string(commandLine(b[:])) != plan.Name+"\x00" {
		return false
	}
	// The peer's pid reads 0 when it lives outside our PID namespace.
	c, err := syscall.GetsockoptUcred(plan.ControlFD, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	return err == nil && c.Pid == 0
}

// fault is a step that failed. It is not an error of package fmt's making,
// because that package is not initialised yet.
type fault string

func (f fault) Error() string { return string(f) }

func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fault("cannot " + what + ": " + err.Error())
}

func main() {
	peer := &peer{fd: plan.ControlFD}
	if err := serve(peer); err != nil {
		peer.send(plan.Fault, []byte(err.Error()), nil)
	}
}

func serve(peer *peer) error {
	if err := hide(); err != nil {
		return err
	}
	g := newGround()
	kind, body, err := peer.receive(plan.MaxPlan)
	if err != nil {
		return err
	}
	p, ok := plan.Decode(body)
	if kind != plan.Build || !ok {
		return fault("cannot read the plan: it is damaged")
	}
	if p.Terminal { // the agent gets one of its own
		if err := letGo(); err != nil {
			return err
		}
	}
	runner := newRunner(p, peer)
	files, err := build(p, g)
	if err != nil {
		return err
	}
	defer files.close()
	rules, err := landlock(p)
	if err != nil {
		return err
	}
	if err := runner.prepare(rules); err != nil {
		return err
	}
	if err := peer.send(plan.Ready, runner.notes(), files.sent()); err != nil {
		return err
	}
	if p.Probe {
		return nil
	}
	return runner.supervise(files)
}

// hide keeps the agent and whoever shares its user from reading init, and
// closes what the gatekeeper's parents left open.
func hide() error {
	syscall.CloseOnExec(plan.ControlFD)
	if err := kernel.CloseFrom(plan.ControlFD + 1); err != nil {
		return failed("close inherited descriptors", err)
	}
	if err := kernel.Undumpable(); err != nil {
		return failed("make init undumpable", err)
	}
	return failed("tie init to the gatekeeper", kernel.DieWithParent())
}
