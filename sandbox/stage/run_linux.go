package stage

import (
	"runtime"
	"syscall"
	"unsafe"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
	"ambit/sandbox/warden"
)

// runner puts the walls around the agent and runs it. The agent is forked from
// one thread that has put them on itself; init's other threads keep what they
// need to look after the agent.
type runner struct {
	plan    *plan.Plan
	peer    *peer
	path    string // of the command
	stdio   [3]uintptr
	walled  chan error
	notices int // the warden's listener, once walled
	release chan struct{}
	result  chan launched
	note    []byte
}

const wardenThreads = 2

type launched struct {
	pid int
	err error
}

func newRunner(p *plan.Plan, c *peer) *runner {
	return &runner{plan: p, peer: c, stdio: [3]uintptr{0, 1, 2},
		walled: make(chan error), release: make(chan struct{}), result: make(chan launched, 1)}
}

func (r *runner) notes() []byte { return r.note }

// prepare restricts init itself, and makes the agent's thread restrict itself.
func (r *runner) prepare(ruleset int) error {
	for _, l := range r.plan.Limits {
		lim := syscall.Rlimit{Cur: l.Soft, Max: l.Hard}
		if err := syscall.Setrlimit(l.Resource, &lim); err != nil {
			return failed("set resource limit "+number(l.Resource), err)
		}
	}
	if err := kernel.NoNewPrivs(); err != nil {
		return failed("forbid new privileges", err)
	}
	if _, err := kernel.Filter(instructions(r.plan.InitFilter), kernel.FilterAllThreads); err != nil {
		return failed("filter init's system calls", err)
	}
	go r.agentThread(ruleset)
	if err := <-r.walled; err != nil {
		return err
	}
	serve, err := r.guard()
	if err != nil {
		return err
	}
	switch err := kernel.DropAllThreads(); err {
	case nil:
	case syscall.ENOTSUP: // a test binary built with the race detector
		r.note = append(r.note, "init-capabilities\n"...)
	default:
		return failed("drop init's capabilities", err)
	}
	// Not before: the warden's threads block all signals, and what makes every
	// thread drop its capabilities asks each by a signal, and waits for it for ever.
	go serve()
	return nil
}

// agentThread ends with its goroutine, which never unlocks it.
func (r *runner) agentThread(ruleset int) {
	runtime.LockOSThread()
	err := r.wall(ruleset)
	r.walled <- err
	if err != nil {
		return
	}
	<-r.release
	pid, err := syscall.ForkExec(r.path, r.plan.Argv, &syscall.ProcAttr{
		Dir: r.plan.Dir, Env: r.plan.Env, Files: r.stdio[:],
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: r.plan.Terminal},
	})
	r.result <- launched{pid, err}
}

func (r *runner) wall(ruleset int) error {
	if err := kernel.UsualTimers(); err != nil {
		return failed("give the agent the usual timers", err)
	}
	if err := kernel.DropAllCaps(); err != nil {
		return failed("drop the agent's capabilities", err)
	}
	if err := kernel.NoNewPrivs(); err != nil {
		return failed("forbid the agent new privileges", err)
	}
	if err := kernel.Restrict(ruleset); err != nil {
		return failed("put the agent under Landlock", err)
	}
	syscall.Close(ruleset)
	for i := range r.plan.Guards {
		if err := warden.Prove(r.plan.Guards[i].Root); err != nil {
			return err
		}
	}
	if _, err := kernel.Filter(instructions(r.plan.AgentFilter), 0); err != nil {
		return failed("filter the agent's system calls", err)
	}
	if len(r.plan.Guards) == 0 {
		return nil
	}
	var err error
	r.notices, err = warden.Install()
	return err
}

// guard makes the warden, and returns what serves the agent. Without it the
// agent's calls would wait for ever, so its end is the task's.
func (r *runner) guard() (serve func(), err error) {
	if len(r.plan.Guards) == 0 {
		return func() {}, nil
	}
	var rules warden.Rules
	for i := range r.plan.Guards {
		g := &r.plan.Guards[i]
		rules.Trees = append(rules.Trees, warden.Tree{Root: g.Root, Names: g.Names, Paths: g.Paths, Allowed: g.Allowed, Mounts: g.Mounts})
	}
	w, err := warden.New(r.notices, rules)
	if err != nil {
		return nil, err
	}
	return func() {
		if err := w.Serve(); err != nil {
			r.peer.send(plan.Fault, []byte(err.Error()), nil)
			syscall.Exit(statusFault)
		}
	}, nil
}

// instructions reads a filter as package sandbox wrote it.
func instructions(s string) []kernel.Instruction {
	b := []byte(s)
	n := len(b) / int(unsafe.Sizeof(kernel.Instruction{}))
	out := make([]kernel.Instruction, n)
	for i := range out {
		o := b[i*8:]
		out[i] = kernel.Instruction{
			Code: uint16(o[0]) | uint16(o[1])<<8, Jt: o[2], Jf: o[3],
			K: uint32(o[4]) | uint32(o[5])<<8 | uint32(o[6])<<16 | uint32(o[7])<<24,
		}
	}
	return out
}

// supervise waits for the order to go, starts the command, reaps what dies in
// the namespace, and reports the command's end. When the gatekeeper is gone it
// ends at once, and the kernel ends all that the namespace holds.
func (r *runner) supervise(f *files) error {
	peer := r.peer
	kind, _, err := peer.receive(0)
	if err != nil || kind != plan.Go {
		syscall.Exit(statusNoPeer)
	}
	if err := r.directory(); err != nil {
		return peer.send(plan.Fault, []byte(err.Error()), nil)
	}
	path, err := r.find()
	if err != nil {
		return peer.send(plan.NotFound, []byte(err.Error()), nil)
	}
	r.path = path
	if f.slave >= 0 {
		r.stdio = [3]uintptr{uintptr(f.slave), uintptr(f.slave), uintptr(f.slave)}
	}
	close(r.release)
	res := <-r.result
	f.close()
	if res.err != nil {
		return peer.send(plan.NotFound, []byte("cannot start "+path+": "+res.err.Error()), nil)
	}
	if err := peer.send(plan.Started, nil, nil); err != nil {
		syscall.Exit(statusNoPeer)
	}
	// One processor made the start quick; the warden serves many processes.
	if len(r.plan.Guards) > 0 {
		runtime.GOMAXPROCS(wardenThreads)
	}
	if err := letGo(); err != nil {
		return err
	}
	go forward(peer, res.pid)
	return peer.send(plan.Exited, r.reap(res.pid), nil)
}

// letGo gives up init's copies of the command's standard files: whoever reads its
// output must see the end of it.
func letGo() error {
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return failed("open /dev/null", err)
	}
	defer syscall.Close(null)
	for fd := range 3 {
		if err := syscall.Dup3(null, fd, 0); err != nil {
			return failed("let go of the command's files", err)
		}
	}
	return nil
}

// forward passes signals on until the gatekeeper is gone.
func forward(peer *peer, pid int) {
	for {
		kind, body, err := peer.receive(1)
		if err != nil || kind != plan.Signal || len(body) != 1 {
			syscall.Exit(statusNoPeer)
		}
		// The command leads its session: its group is its own number. It may be
		// gone already, and then there is nobody to tell.
		_ = syscall.Kill(-pid, syscall.Signal(body[0]))
	}
}

// reap waits for the command and for orphans, and returns the command's exit
// code and signal.
func (r *runner) reap(pid int) []byte {
	for {
		var st syscall.WaitStatus
		got, err := syscall.Wait4(-1, &st, 0, nil)
		switch {
		case err == syscall.EINTR || err == nil && got != pid:
		case err != nil:
			return []byte{statusFault, 0}
		case st.Signaled():
			return []byte{0, byte(st.Signal())}
		default:
			return []byte{byte(st.ExitStatus()), 0}
		}
	}
}
