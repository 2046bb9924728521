package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ambit/sandbox/plan"
)

func (s *Sandbox) send(kind plan.Frame, body []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	h := plan.Head(kind, len(body))
	whole := net.Buffers{h[:], body}
	if _, err := whole.WriteTo(s.control); err != nil {
		return fmt.Errorf("cannot talk to the sandbox's init: %w", err)
	}
	return nil
}

const maxAnswer = 1 << 20

// receive reads one frame.
func (s *Sandbox) receive() (plan.Frame, []byte, error) {
	var h [plan.HeaderLen]byte
	return s.rest(h, 0)
}

// receiveWith reads one frame and the descriptors that come with it.
func (s *Sandbox) receiveWith() (plan.Frame, []byte, []int, error) {
	var h [plan.HeaderLen]byte
	oob := make([]byte, unix.CmsgSpace(4*(maxPorts+4)))
	n, on, _, _, err := s.control.ReadMsgUnix(h[:], oob)
	if err != nil || n == 0 {
		return 0, nil, nil, s.lost(err)
	}
	fds, err := rights(oob[:on])
	if err != nil {
		return 0, nil, nil, err
	}
	kind, body, err := s.rest(h, n)
	return kind, body, fds, err
}

// rest reads what follows the first n bytes of a frame's head.
func (s *Sandbox) rest(h [plan.HeaderLen]byte, n int) (plan.Frame, []byte, error) {
	if _, err := io.ReadFull(s.control, h[n:]); err != nil {
		return 0, nil, s.lost(err)
	}
	kind, size := plan.Unhead(h)
	if size < 0 || size > maxAnswer {
		return 0, nil, errors.New("cannot talk to the sandbox's init: its answer is too long")
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(s.control, body); err != nil {
		return 0, nil, s.lost(err)
	}
	return kind, body, nil
}

func (s *Sandbox) lost(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("cannot talk to the sandbox's init: it has ended")
	}
	return fmt.Errorf("cannot talk to the sandbox's init: %w", err)
}

func rights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("cannot read the sandbox's descriptors: %w", err)
	}
	var fds []int
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return fds, fmt.Errorf("cannot read the sandbox's descriptors: %w", err)
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

// Report says what the walls enforce.
func (s *Sandbox) Report() Report { return s.report }

// TCP returns the listeners by port. A connection's local address is the address
// that the agent dialled.
func (s *Sandbox) TCP() map[uint16]net.Listener { return s.tcp }

// DNS returns the two sockets of port 53. Answers leave from the address that
// was asked when they are written to the address that ReadFrom returned.
func (s *Sandbox) DNS() (net.PacketConn, net.Listener) { return s.dns, s.dnsTCP }

// Agent returns the listener of Spec.Socket, or nil.
func (s *Sandbox) Agent() net.Listener { return s.agent }

// Go lets the command run. It fails, wrapping ErrNotFound, when there is no such
// command in the sandbox; the sandbox is over then.
func (s *Sandbox) Go() error {
	s.started = time.Now()
	if err := s.send(plan.Go, nil); err != nil {
		return err
	}
	kind, body, err := s.receive()
	if err != nil {
		return err
	}
	switch kind {
	case plan.Started:
		s.term.run()
		if s.feed != nil {
			go feed(s.feed, int32(s.streams.Stdin.Fd()))
		}
		return nil
	case plan.NotFound:
		err = notStarted(string(body))
	default:
		err = errors.New(string(body))
	}
	return errors.Join(err, s.Kill())
}

// OnExit has f called when the command has ended, while the kernel still takes
// down what it left behind. Call it before Wait; f must not wait.
func (s *Sandbox) OnExit(f func(Status)) { s.onExit = f }

// Wait waits for the command's end, after which nothing of the task runs any
// more, and gives back the terminal, the listeners and the limits.
func (s *Sandbox) Wait() (Status, error) {
	s.waitOnce.Do(s.wait)
	return s.status, s.err
}

func (s *Sandbox) wait() {
	kind, body, err := s.receive()
	exited := err == nil && kind == plan.Exited && len(body) == 2
	if exited {
		s.status.Code, s.status.Signal = int(body[0]), int(body[1])
		if s.onExit != nil {
			s.onExit(s.status)
		}
	}
	<-s.ended
	s.output.Wait()
	s.status.Wall = time.Since(s.started)
	switch {
	case exited:
	case err == nil && kind == plan.Fault:
		s.err = errors.New(string(body))
	default: // init was killed, by Kill or by its limits
		s.status.Signal = int(syscall.SIGKILL)
	}
	s.closeAll()
}

func (s *Sandbox) closeAll() {
	if s.stop != nil {
		s.stop()
	}
	s.term.close()
	for _, l := range s.tcp {
		l.Close()
	}
	for _, c := range []io.Closer{s.control, s.agent, s.dns, s.dnsTCP} {
		switch c := c.(type) {
		case *net.UnixConn:
			if c != nil {
				c.Close()
			}
		case nil:
		default:
			c.Close()
		}
	}
	s.cgroup.remove()
}

// Signal sends a signal to the command and its process group. A command that
// has ended is no error.
func (s *Sandbox) Signal(sig os.Signal) error {
	n, ok := sig.(syscall.Signal)
	if !ok || n <= 0 || n > 64 {
		return fmt.Errorf("cannot send %v to the sandbox: it is no signal of this system", sig)
	}
	return s.send(plan.Signal, []byte{byte(n)})
}

// Kill ends everything in the sandbox at once. Wait returns afterwards.
func (s *Sandbox) Kill() error {
	err := s.process.kill()
	if errors.Is(err, unix.EPERM) {
		// A confined gatekeeper may send no signal out. Init ends when its socket does.
		return s.control.CloseWrite()
	}
	return err
}
