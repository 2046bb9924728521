package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ambit/sandbox/kernel"
	"ambit/sandbox/plan"
	"ambit/sandbox/stage" // takes over when this program is started as init
)

// Sandbox is one task's walls, with the command in them.
type Sandbox struct {
	streams Streams
	builder *builder // between Prepare and Ready
	control *net.UnixConn
	process initProcess
	ended   chan struct{} // closed when init has been reaped
	cgroup  *cgroup
	report  Report
	term    *terminal
	parted  bool     // the agent has not the person's terminal, but what leads to it
	feed    *os.File // the writing end of its standard input then
	output  sync.WaitGroup

	tcp      map[uint16]net.Listener
	agent    net.Listener
	dns      net.PacketConn
	dnsTCP   net.Listener
	started  time.Time
	onExit   func(Status)
	waitOnce sync.Once
	status   Status
	err      error
	stop     func() bool // ends the watch on the context
	sending  sync.Mutex
}

// Streams are what init holds from its first moment: the Spec's Terminal, Stdin,
// Stdout and Stderr.
type Streams struct {
	Terminal              bool
	Stdin, Stdout, Stderr *os.File
}

// Start builds the walls of a task and holds its command back. When it fails,
// nothing is left behind but files in Scratch. When the context ends, so does
// everything in the sandbox.
func Start(ctx context.Context, spec Spec) (*Sandbox, error) { return start(ctx, spec, false) }

// start builds the walls; a probe's init ends once they are up.
func start(ctx context.Context, spec Spec, probe bool) (*Sandbox, error) {
	s, err := Begin(ctx, Streams{spec.Terminal, spec.Stdin, spec.Stdout, spec.Stderr})
	if err != nil {
		return nil, err
	}
	err = s.Prepare(spec)
	if err == nil {
		s.builder.plan.Probe = probe
		err = s.Build(nil)
	}
	if err == nil {
		err = s.Ready()
	}
	if err != nil {
		s.Abandon()
		return nil, errors.Join(ctx.Err(), err)
	}
	return s, nil
}

// Begin starts a sandbox's init, which waits for the walls' plan: Prepare, Build
// and Ready, in this order, make what Start makes at once, so that the caller
// can do other work meanwhile. A caller that goes no further calls Abandon.
func Begin(ctx context.Context, in Streams) (*Sandbox, error) {
	kernel.HugeHeap() // it may have grown since the program began
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Sandbox{streams: in, ended: make(chan struct{}), tcp: map[uint16]net.Listener{}}
	if err := s.spawn(); err != nil {
		s.Abandon()
		return nil, errors.Join(ctx.Err(), err)
	}
	s.stop = context.AfterFunc(ctx, func() { _ = s.Kill() })
	return s, nil
}

// Prepare works out the walls of the Spec, whose streams are those of Begin, and
// makes their limits.
func (s *Sandbox) Prepare(spec Spec) error {
	in := s.streams
	spec.Terminal, spec.Stdin, spec.Stdout, spec.Stderr = in.Terminal, in.Stdin, in.Stdout, in.Stderr
	b, err := newBuilder(&spec)
	if err != nil {
		return err
	}
	if err := b.defaults(); err != nil {
		return err
	}
	if err := b.build(); err != nil {
		return err
	}
	if err := b.finish(); err != nil {
		return err
	}
	if s.cgroup, err = b.limit(s.process.pid); err != nil {
		return err
	}
	s.builder = b
	return nil
}

// Build has init build the walls. The variables come to the Spec's Env.
func (s *Sandbox) Build(env []string) error {
	b := s.builder
	if b == nil {
		return errors.New("cannot start the sandbox: its walls are not prepared")
	}
	if err := noNUL(env); err != nil {
		return err
	}
	b.plan.Env = append(b.plan.Env[:len(b.plan.Env):len(b.plan.Env)], env...)
	return s.send(plan.Build, b.plan.Encode())
}

// Ready waits until the walls are up. The command is held back.
func (s *Sandbox) Ready() error {
	b := s.builder
	s.builder = nil
	kind, body, fds, err := s.receiveWith()
	if err != nil {
		return err
	}
	switch kind {
	case plan.Ready:
	case plan.Fault:
		return faulted(string(body))
	default:
		return fmt.Errorf("cannot start the sandbox: init answered with message %d", kind)
	}
	s.report = b.describe(string(body))
	if err := s.adopt(b, fds); err != nil {
		return err
	}
	if b.spec.Terminal {
		return s.term.open(b.spec)
	}
	return nil
}

// Abandon undoes a start that went no further.
func (s *Sandbox) Abandon() {
	if s.process.pid != 0 {
		_ = s.Kill()
		<-s.ended
	}
	s.closeAll()
}

// faulted is the error of an init that could not build the walls.
func faulted(why string) error {
	if strings.Contains(why, "permission denied") || strings.Contains(why, "not permitted") {
		why += "; ambit doctor says what the machine may lack"
	}
	return errors.New(why)
}

// spawn starts init in its namespaces, or takes the one that started with this
// program.
func (s *Sandbox) spawn() error {
	std, null, err := s.streams.files()
	if err != nil {
		return err
	}
	defer null.Close()
	closeApart, err := s.apart(&std)
	defer closeApart()
	if err != nil {
		return err
	}
	in, ok, err := s.early()
	if !ok {
		done := make(chan started)
		go hold([3]int{int(std[0].Fd()), int(std[1].Fd()), int(std[2].Fd())}, done)
		got := <-done
		in, err = got.init, got.err
	}
	if err != nil {
		return fmt.Errorf("cannot make the sandbox's namespaces: %w; ambit doctor says what to do", err)
	}
	if err = s.process.hold(in.PID); err == nil {
		go func() {
			s.process.reap()
			close(s.ended)
		}()
	}
	ours := os.NewFile(uintptr(in.Control), "control")
	defer ours.Close()
	conn, cerr := net.FileConn(ours)
	if err = errors.Join(err, cerr); err != nil {
		return fmt.Errorf("cannot start the sandbox: %w", err)
	}
	s.control = conn.(*net.UnixConn)
	return nil
}

// early returns the init that started with this program, when the streams are
// the program's own.
func (s *Sandbox) early() (stage.Init, bool, error) {
	in := s.streams
	if in.Stdin != os.Stdin || in.Stdout != os.Stdout || in.Stderr != os.Stderr {
		return stage.Init{}, false, nil
	}
	if s.parted { // that init holds the terminal itself
		if i, ok, err := stage.Early(); ok && err == nil {
			unix.Close(i.Control)
			_ = unix.Kill(i.PID, unix.SIGKILL)
			_, _ = unix.Wait4(i.PID, nil, 0, nil)
		}
		return stage.Init{}, false, nil
	}
	return stage.Early()
}

type started struct {
	init stage.Init
	err  error
}

// hold starts init from a thread that lives as long as this process: init dies
// when that thread does.
func hold(std [3]int, done chan<- started) {
	runtime.LockOSThread() // never unlocked
	in, err := stage.Start(std)
	done <- started{in, err}
	if err == nil {
		var info unix.Siginfo
		for unix.Waitid(unix.P_PID, in.PID, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
	}
}

// files are the files that init gets as 0, 1 and 2.
func (in Streams) files() (out [3]*os.File, null *os.File, err error) {
	if null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return out, nil, fmt.Errorf("cannot start the sandbox: %w", err)
	}
	for i, f := range [...]*os.File{in.Stdin, in.Stdout, in.Stderr} {
		if f == nil || in.Terminal {
			f = null
		}
		var st unix.Stat_t
		if err = unix.Fstat(int(f.Fd()), &st); err != nil {
			err = fmt.Errorf("cannot pass on descriptor %d: %w", i, err)
		} else if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = fmt.Errorf("cannot pass on descriptor %d: it is a directory, through which the agent could leave the sandbox", i)
		}
		if err != nil {
			null.Close()
			return out, nil, err
		}
		out[i] = f
	}
	return out, null, nil
}

// adopt takes over the descriptors that came with Ready.
func (s *Sandbox) adopt(b *builder, fds []int) error {
	files := make([]*os.File, len(fds))
	for i, fd := range fds {
		files[i] = os.NewFile(uintptr(fd), "sandbox")
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	want := len(b.plan.Ports) + 2
	if b.plan.Terminal {
		want++
	}
	if b.plan.Socket != "" {
		want++
	}
	if len(files) != want {
		return fmt.Errorf("cannot start the sandbox: init sent %d descriptors, not %d", len(files), want)
	}
	if b.plan.Terminal {
		s.term = &terminal{master: files[0]}
		files = files[1:]
	}
	return s.listeners(b, files)
}

func (s *Sandbox) listeners(b *builder, files []*os.File) (err error) {
	if s.dns, err = packetConn(files[0]); err != nil {
		return fmt.Errorf("cannot use the resolver's socket: %w", err)
	}
	if s.dnsTCP, err = net.FileListener(files[1]); err != nil {
		return fmt.Errorf("cannot use the resolver's listener: %w", err)
	}
	files = files[2:]
	if b.plan.Socket != "" {
		l, err := net.FileListener(files[0])
		if err != nil {
			return fmt.Errorf("cannot use the listener of %s: %w", b.plan.Socket, err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // the path is the sandbox's, not ours
		s.agent, files = l, files[1:]
	}
	for i, port := range b.plan.Ports {
		if s.tcp[port], err = net.FileListener(files[i]); err != nil {
			return fmt.Errorf("cannot use the listener of port %d: %w", port, err)
		}
	}
	return nil
}

func (b *builder) defaults() error {
	if strings.ContainsAny(b.spec.Scratch, "\x00") || b.spec.Scratch == "" {
		return errors.New("cannot start the sandbox: no scratch directory is given")
	}
	return b.limitDefaults()
}
