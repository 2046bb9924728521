package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// persons are the Unix sockets of the person's programs, which write down what
// reaches them.
type persons struct {
	stream, datagram, abstract string

	mu    sync.Mutex
	heard []string
}

func newPersons(t *testing.T) *persons {
	t.Helper()
	dir := t.TempDir()
	p := &persons{stream: filepath.Join(dir, "s"), datagram: filepath.Join(dir, "d"), abstract: fmt.Sprintf("@ambit-%d-%d", os.Getpid(), time.Now().UnixNano())}
	for _, name := range []string{p.stream, p.abstract} {
		l, err := net.Listen("unix", name)
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go p.listen(c)
			}
		}()
	}
	d, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: p.datagram, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { d.Close() })
	go p.listen(d)
	return p
}

func (p *persons) listen(c net.Conn) {
	b := make([]byte, 256)
	for {
		n, err := c.Read(b)
		if n > 0 {
			p.mu.Lock()
			p.heard = append(p.heard, strings.Fields(string(b[:n]))...)
			p.mu.Unlock()
		}
		if err != nil {
			return
		}
		if strings.Contains(string(b[:n]), "leave") {
			c.Close()
		}
	}
}

// expect waits until everything was heard, and complains about anything else.
func (p *persons) expect(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		got = slices.Sorted(slices.Values(p.heard))
		p.mu.Unlock()
		if slices.Equal(got, want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the person's programs heard %q, want %q", got, want)
	}
}

// ways are those in which a process reaches a Unix socket by its name.
func ways(p *persons, word string) map[string]func() error {
	path := &unix.SockaddrUnix{Name: p.datagram}
	pair := func(send func(fd int) error) func() error {
		return func() error {
			s, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(s[0])
			defer unix.Close(s[1])
			return send(s[0])
		}
	}
	dial := func(kind int, name string) func() error {
		return func() error {
			s, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(s)
			return say(s, name, word)
		}
	}
	return map[string]func() error{
		"path":     dial(unix.SOCK_STREAM, p.stream),
		"abstract": dial(unix.SOCK_STREAM, p.abstract),
		"datagram": dial(unix.SOCK_DGRAM, p.datagram),
		"pair":     pair(func(fd int) error { return say(fd, p.datagram, word) }),
		"sendto":   pair(func(fd int) error { return unix.Sendto(fd, []byte(word), 0, path) }),
		"sendmsg":  pair(func(fd int) error { return unix.Sendmsg(fd, []byte(word), nil, path, 0) }),
	}
}

// say connects a socket and writes a word to it.
func say(fd int, name, word string) error {
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return err
	}
	_, err := unix.Write(fd, []byte(word))
	return err
}

// beFallen is a gatekeeper that was taken over. It tries every way to a socket of
// the person's before it is confined (as a benign twin), and after.
func beFallen(a []string) int {
	p := &persons{stream: a[0], datagram: a[1], abstract: a[2]}
	for what, try := range ways(p, "before") {
		works(what, try())
	}
	held := holdSockets(p)
	s := Spec{Argv: []string{inSelf, "hand"}, Env: []string{testPath, roleEnv + "=attack"}, Scratch: a[3], Self: inSelf, Socket: "/run/ambit/agent.sock", Stdout: os.Stdout, Stderr: os.Stderr}
	box, err := Start(context.Background(), s)
	works("start", err)
	refuseConfine()
	_, err = Confine(ConfineSpec{})
	works("confine", err)
	for what, try := range ways(p, "after") {
		result(what, try())
	}
	tryHeld(p, held)
	for fd := 3; fd < 5; fd++ {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if kind, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_DGRAM {
			fmt.Println("SUCCEEDED: to keep an inherited socket")
		}
	}
	works("go", box.Go())
	tryHanded(p, box)
	_, err = box.Wait()
	works("wait", err)
	return 0
}

func works(what string, err error) {
	if err != nil {
		fmt.Println("BROKEN:", what+":", err)
	}
}

// holdSockets are Unix sockets as a gatekeeper has them: connected, also to a peer
// that is gone by now, and listening.
func holdSockets(p *persons) (held []int) {
	dial := func() int {
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		works("a socket", err)
		works("to connect it", unix.Connect(s, &unix.SockaddrUnix{Name: p.stream}))
		return s
	}
	left := dial()
	_, err := unix.Write(left, []byte("leave"))
	works("to write", err)
	_, err = unix.Read(left, make([]byte, 1)) // until the peer is gone
	works("to read the end", err)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	works("a pair", err)
	unix.Close(pair[1])
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	works("a socket", err)
	works("to bind it", unix.Bind(l, &unix.SockaddrUnix{}))
	works("to listen", unix.Listen(l, 1))
	return []int{dial(), left, pair[0], l}
}

func tryHeld(p *persons, held []int) {
	for _, fd := range held {
		for name, to := range map[string]string{"a path": p.stream, "an abstract name": p.abstract, "a datagram's path": p.datagram} {
			what := fmt.Sprintf("socket %d to %s", slices.Index(held, fd), name)
			result(what, say(fd, to, "held"))
			addr := &unix.SockaddrUnix{Name: to}
			// A connected socket may ignore the address: what counts is what was heard.
			_ = unix.Sendto(fd, []byte("address"), unix.MSG_NOSIGNAL, addr)
			_ = unix.Sendmsg(fd, []byte("address"), nil, addr, unix.MSG_NOSIGNAL)
			// Neither does it forget its peer.
			var unspecified [16]byte
			_, _, _ = unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspecified)), 16)
			result(what+" after it was disconnected", say(fd, to, "held"))
		}
		works("shutdown", ignore(unix.Shutdown(fd, unix.SHUT_RDWR), unix.ENOTCONN))
		result("a socket that was shut down", say(fd, p.stream, "held"))
	}
}

func ignore(err, but error) error {
	if errors.Is(err, but) {
		return nil
	}
	return err
}

// beInput says whether a process can be confined with the input that it has.
func beInput() int {
	if _, err := Confine(ConfineSpec{}); err != nil {
		fmt.Println(err)
	}
	return 0
}

// refuseConfine holds, one at a time, what would lead out.
func refuseConfine() {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	works("a pair", err)
	unix.Close(pair[1])
	loose, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	works("a socket", err)
	for what, fd := range map[string]int{"datagram": pair[0], "loose": loose} {
		kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		works("a copy", err)
		unix.Close(fd)
		_, err = Confine(ConfineSpec{})
		result("to be confined with a socket: "+what, err)
		unix.Close(kept)
	}
}

// tryHanded takes a socket from the agent before the gatekeeper is sealed, which
// shows that it would lead out, and tries it after.
func tryHanded(p *persons, box *Sandbox) {
	c, err := box.Agent().Accept()
	works("accept", err)
	conn := c.(*net.UnixConn)
	_, fds, err := handed(conn)
	works("to be handed a socket before", err)
	for _, fd := range fds {
		works("to use it", say(fd, p.datagram, "handed"))
		unix.Close(fd)
	}
	works("seal", box.Seal())
	_, err = conn.Write([]byte("next\n"))
	works("to write", err)
	_, fds, err = handed(conn)
	result("to be handed a socket", err)
	for _, fd := range fds {
		result("to use it", say(fd, p.datagram, "handed-late"))
	}
	raw, err := conn.File()
	works("file", err)
	fd, resolver := int(raw.Fd()), 0
	resolver, err = box.resolverFD()
	works("resolver", err)
	for what, err := range map[string]error{
		"recvmmsg": call(unix.SYS_RECVMMSG, uintptr(fd), 0, 0), "dup3": unix.Dup3(fd, resolver, 0), "dup2": dup2(fd, resolver),
		"close": unix.Close(resolver), "close_range": unix.CloseRange(uint(resolver), uint(resolver), 0), "unshare and close": unix.CloseRange(uint(resolver), 1<<31, 2),
		"seccomp": call(unix.SYS_SECCOMP, 1, 8, 0), "pidfd_getfd": call(unix.SYS_PIDFD_GETFD, 0, 0, 0),
	} {
		if !errors.Is(err, unix.EPERM) {
			fmt.Println("SUCCEEDED, or was not refused by the filter:", what, err)
		}
	}
	// What a gatekeeper does with the agent and with names still works.
	line, err := bufio.NewReader(conn).ReadString('\n')
	works("to read", err)
	if line != "xagain\n" { // the byte that came with the socket is still there
		fmt.Printf("BROKEN: the agent said %q\n", line)
	}
	udp, _ := box.DNS()
	b := make([]byte, 64)
	n, from, err := udp.ReadFrom(b)
	works("a question", err)
	_, err = udp.WriteTo(append([]byte("re: "), b[:n]...), from)
	works("an answer", err)
	conn.Close()
}

func call(nr, a, b, c uintptr) error {
	_, _, e := unix.Syscall(nr, a, b, c)
	return errnoOrNil(e)
}

// handed reads one byte and the descriptors that come with it.
func handed(c *net.UnixConn) (n int, fds []int, err error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4*4))
	n, on, _, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return n, nil, err
	}
	fds, err = rights(oob[:on])
	if err == nil && len(fds) == 0 {
		err = errors.New("there was none")
	}
	return n, fds, err
}

// attackHand is the agent that helps a fallen gatekeeper: it hands it a socket that
// it may make and the gatekeeper may not.
func attackHand([]string) {
	c, err := net.Dial("unix", "/run/ambit/agent.sock")
	works("the agent's socket", err)
	conn := c.(*net.UnixConn)
	hand := func() {
		s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		works("the agent's own socket", err)
		_, _, err = conn.WriteMsgUnix([]byte("x"), unix.UnixRights(s), nil)
		works("to hand it over", err)
		unix.Close(s)
	}
	hand()
	in := bufio.NewReader(conn)
	_, err = in.ReadString('\n')
	works("to wait", err)
	hand()
	_, err = conn.Write([]byte("again\n"))
	works("to write", err)
	u, err := net.Dial("udp", "192.0.2.7:53")
	works("udp", err)
	_, err = u.Write([]byte("who"))
	works("a question", err)
	b := make([]byte, 64)
	n, err := u.Read(b)
	works("an answer", err)
	if string(b[:n]) != "re: who" {
		fmt.Printf("BROKEN: the answer is %q\n", b[:n])
	}
}

// TestFallenGatekeeperReachesNoUnixSocket looks at what the person's programs hear
// from a gatekeeper that was taken over, with and without the agent's help.
func TestFallenGatekeeperReachesNoUnixSocket(t *testing.T) {
	if cgo {
		t.Skip("a program linked with cgo cannot confine all of its threads")
	}
	p := newPersons(t)
	scratch := base(t).Scratch
	exe, err := os.Executable()
	must(t, err)
	inherited, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	f := os.NewFile(uintptr(inherited), "inherited")
	defer f.Close()
	cmd := exec.CommandContext(t.Context(), exe, p.stream, p.datagram, p.abstract, scratch)
	cmd.Env = append(os.Environ(), roleEnv+"=fallen")
	cmd.ExtraFiles = []*os.File{f, f}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "SUCCEEDED") || strings.Contains(string(out), "BROKEN") || !strings.Contains(string(out), "refused: to be handed a socket") {
		t.Errorf("%v\n%s", err, out)
	}
	p.expect(t, "before", "before", "before", "before", "before", "before", "leave", "handed")
}

// TestConfineWithADatagramSocketAsInput refuses: it could be sent anywhere.
func TestConfineWithADatagramSocketAsInput(t *testing.T) {
	if cgo {
		t.Skip("a program linked with cgo cannot confine all of its threads")
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(pair[1])
	if !connectable(pair[0]) {
		t.Error("a datagram socket is not seen")
	}
	stream, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(stream[1])
	for fd, want := range map[int]bool{pair[0]: true, stream[0]: false} {
		f := os.NewFile(uintptr(fd), "input")
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env, cmd.Stdin = append(os.Environ(), roleEnv+"=input"), f
		out, err := cmd.CombinedOutput()
		f.Close()
		if refused := strings.Contains(string(out), "descriptor 0 is a Unix socket"); err != nil || refused != want {
			t.Errorf("%v: refused %v, want %v\n%s", err, refused, want, out)
		}
	}
}
