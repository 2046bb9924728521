package sandbox

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Nothing but the granted ports answers, whatever the address and its spelling.
func TestOtherPortsAndAddressesAreRefused(t *testing.T) {
	host, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer host.Close()
	reached := make(chan string, 10)
	go func() {
		for {
			c, err := host.Accept()
			if err != nil {
				return
			}
			reached <- c.RemoteAddr().String()
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(host.Addr().String())
	s := base(t)
	s.TCPPorts = []uint16{443}
	attempt(t, s, "dial", "tcp", host.Addr().String(), "tcp", "localhost:"+port, "tcp", "0.0.0.0:"+port, "tcp", "[::1]:"+port, "tcp", "[::ffff:127.0.0.1]:"+port,
		"tcp", "169.254.169.254:80", "tcp", "8.8.8.8:853", "tcp", "[2001:4860:4860::8888]:853", "tcp", "[64:ff9b::808:808]:80", "tcp", "10.0.0.1:22",
		"udp", "8.8.8.8:443", "udp", "[2001:4860:4860::8888]:123", "udp", "255.255.255.255:67")
	if len(reached) != 0 {
		t.Errorf("the host's listener was reached from %s", <-reached)
	}
	sh(t, s, "ping -c1 -W1 127.0.0.1; curl -sS -m1 http://2130706433:"+port+"/; curl -sS -m1 http://0177.0.0.1:"+port+"/")
	if len(reached) != 0 {
		t.Errorf("the host's listener was reached from %s", <-reached)
	}
}

// serve runs a script in a sandbox whose listeners are served by handle.
func serve(t *testing.T, s Spec, script string, handle func(*Sandbox)) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(out)
	must(t, err)
	defer f.Close()
	s.Argv, s.Stdout, s.Stderr = []string{"/bin/sh", "-c", script}, f, f
	box, err := Start(t.Context(), s)
	must(t, err)
	handle(box)
	must(t, box.Go())
	defer time.AfterFunc(10*time.Minute, func() { _ = box.Kill() }).Stop()
	_, err = box.Wait()
	must(t, err)
	text, err := os.ReadFile(out)
	must(t, err)
	return string(text)
}

func TestListenersSeeTheAddressThatWasDialled(t *testing.T) {
	s := base(t)
	s.TCPPorts = []uint16{80, 5432}
	var mu sync.Mutex
	var dialled []string
	script := `for a in 93.184.216.34 127.0.0.1 '[2606:2800:220:1::1]' '[::1]' 198.18.0.7; do curl -sS -m60 "http://$a/" || echo failed; done
		curl -sS -m60 http://10.1.2.3:5432/ || echo failed`
	out := serve(t, s, script, func(box *Sandbox) {
		for _, l := range box.TCP() {
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					mu.Lock()
					dialled = append(dialled, c.LocalAddr().String())
					mu.Unlock()
					_, _ = c.Read(make([]byte, 4096))
					fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\nhello\n")
					c.Close()
				}
			}()
		}
	})
	if out != strings.Repeat("hello\n", 6) {
		t.Errorf("the agent saw %q", out)
	}
	want := "[93.184.216.34:80 127.0.0.1:80 [2606:2800:220:1::1]:80 [::1]:80 198.18.0.7:80 10.1.2.3:5432]"
	mu.Lock()
	defer mu.Unlock()
	if got := fmt.Sprint(dialled); got != want {
		t.Errorf("dialled %s, want %s", got, want)
	}
}

// The resolver's answer has to come from the address that was asked, or the
// asker does not take it.
func TestResolverSockets(t *testing.T) {
	s := base(t)
	script := `python3 -c '
import socket
for fam, a in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "8.8.8.8"), (socket.AF_INET6, "2001:4860:4860::8888"), (socket.AF_INET6, "::1")):
    c = socket.socket(fam, socket.SOCK_DGRAM); c.settimeout(60); c.connect((a, 53)); c.send(b"ask"); print(c.recv(100).decode())
c = socket.create_connection(("9.9.9.9", 53), 60); print(c.recv(100).decode())
u = socket.socket(socket.AF_UNIX); u.connect("/run/ambit/agent.sock"); print(u.recv(100).decode())
'`
	s.Socket = "/run/ambit/agent.sock"
	out := serve(t, s, script, func(box *Sandbox) {
		udp, tcp := box.DNS()
		go func() {
			b := make([]byte, 512)
			for {
				n, from, err := udp.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = udp.WriteTo([]byte("answer to "+string(b[:n])), from)
			}
		}()
		for _, l := range []net.Listener{tcp, box.Agent()} {
			go func() {
				c, err := l.Accept()
				if err == nil {
					_, _ = io.WriteString(c, "over "+l.Addr().Network())
					c.Close()
				}
			}()
		}
	})
	if want := strings.Repeat("answer to ask\n", 4) + "over tcp\nover unix\n"; out != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

// The host's sockets have no way in: neither by path nor by abstract name.
func TestHostSocketsAreOutOfReach(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "docker.sock"), fmt.Sprintf("@ambit-test-bus-%d", os.Getpid())} {
		l, err := net.Listen("unix", name)
		must(t, err)
		defer l.Close()
		attempt(t, base(t), "dial", "unix", name)
	}
	attempt(t, base(t), "read", "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/user")
	// One that lies in a writable workspace is hidden when the task starts.
	s := base(t)
	s.Files, s.Protect = []File{{Path: dir, Access: Writable}}, protect()
	attempt(t, s, "dial", "unix", filepath.Join(dir, "docker.sock"))
}

func TestUDPAddressesOfAskers(t *testing.T) {
	a := asker{&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}, nil}
	if got, err := netip.ParseAddrPort(a.String()); err != nil || got.Port() != 5 || a.Network() != "udp" {
		t.Errorf("%v %v", got, err)
	}
}
