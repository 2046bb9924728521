package names

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// inside is set in the child that runs in namespaces of its own.
const inside = "AMBIT_TEST_NAMES_INSIDE"

// The resolvers that agents really use, in a network namespace whose only name
// server is this one: the C library's, Python's and dig.
func TestRealResolvers(t *testing.T) {
	if os.Getenv(inside) != "" {
		realResolvers(t)
		return
	}
	for _, tool := range []string{"unshare", "ip", "mount", "getent"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: no namespace can be made for the test", tool)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "resolv.conf"), "nameserver 127.0.0.1\noptions timeout:30 attempts:1 edns0\n")
	write(t, filepath.Join(dir, "nsswitch.conf"), "hosts: dns\n")
	script := `set -e
ip link set lo up
# Without an address of each family that is not loopback, AI_ADDRCONFIG finds no use for an answer.
ip addr add 198.18.0.2/32 dev lo
ip addr add fd61:6d62:6974::2/128 dev lo
for f in resolv.conf nsswitch.conf; do mount --bind "$1/$f" "/etc/$f"; done
exec "$2" -test.run '^TestRealResolvers$' -test.v`
	probe := exec.CommandContext(t.Context(), "unshare", "--user", "--map-root-user", "--net", "--mount", "true")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("namespaces cannot be made here: %v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", script, "sh", dir, exe)
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestRealResolvers") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func realResolvers(t *testing.T) {
	var got refusals
	r := New([]string{"a.test", "*.w.test"}, got.add)
	c, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = r.ServeUDP(ctx, c) })
	served.Go(func() { _ = r.ServeTCP(ctx, l) })
	for _, tool := range realTools() {
		if _, err := exec.LookPath(tool.granted[0]); err != nil {
			t.Logf("%s is not installed", tool.granted[0])
			continue
		}
		out, err := exec.Command(tool.granted[0], tool.granted[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tool.want) {
			t.Errorf("%v: %v: %s, want %s", tool.granted, err, out, tool.want)
		}
		start := time.Now()
		out, err = exec.Command(tool.refused[0], tool.refused[1:]...).CombinedOutput()
		if (err == nil) == tool.fails || !strings.Contains(string(out), tool.no) {
			t.Errorf("%v: %v: %s, want %q", tool.refused, err, out, tool.no)
		}
		if d := time.Since(start); d > 25*time.Second { // less than the timeout of resolv.conf
			t.Errorf("%v took %v: a refusal must not look like a lost packet", tool.refused, d)
		}
	}
	cancel()
	served.Wait()
	c.Close()
	if s := fmt.Sprint(got.sorted()); !strings.Contains(s, "no.test") || strings.Contains(s, "a.test") || strings.Contains(s, "w.test") {
		t.Errorf("reported %s", s)
	}
}

type realTool struct {
	granted []string
	want    string
	refused []string
	fails   bool   // the program's status says that the name is refused
	no      string // so does its output
}

func realTools() []realTool {
	v4, v6, _ := New([]string{"a.test"}, nil).Addrs("a.test")
	py := "import socket,sys; print(sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], 443)}))"
	return []realTool{
		{[]string{"getent", "ahostsv4", "a.test"}, v4.String(), []string{"getent", "ahostsv4", "no.test"}, true, ""},
		{[]string{"getent", "ahostsv6", "A.test."}, v6.String(), []string{"getent", "ahostsv6", "deep.no.test"}, true, ""},
		{[]string{"getent", "ahosts", "one.w.test"}, "198.18.1.", []string{"getent", "ahosts", "no.test"}, true, ""},
		{[]string{"python3", "-c", py, "a.test"}, v4.String(), []string{"python3", "-c", py, "no.test"}, true, "Name or service not known"},
		{[]string{"dig", "+short", "a.test", "AAAA"}, v6.String(), []string{"dig", "no.test"}, false, "NXDOMAIN"},
		{[]string{"dig", "+tcp", "+short", "a.test"}, v4.String(), []string{"dig", "+tcp", "no.test", "TXT"}, false, "NXDOMAIN"},
		{[]string{"dig", "a.test", "HTTPS"}, "NOERROR", []string{"dig", "no.test", "HTTPS"}, false, "NXDOMAIN"},
	}
}
