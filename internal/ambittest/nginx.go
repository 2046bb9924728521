package ambittest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nginxConf is the whole configuration: nothing of the machine's is read. Its words
// are a line for the user, the folder, the address, and the locations.
const nginxConf = `%[1]s
daemon off;
worker_processes 2;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log warn;
events { worker_connections 512; }
http {
	access_log off;
	client_max_body_size 0;
	client_body_temp_path %[2]s/tmp-body;
	proxy_temp_path %[2]s/tmp-proxy;
	fastcgi_temp_path %[2]s/tmp-fastcgi;
	uwsgi_temp_path %[2]s/tmp-uwsgi;
	scgi_temp_path %[2]s/tmp-scgi;
	fastcgi_read_timeout 300s;
	upstream handler { server unix:%[2]s/handler.sock; }
	upstream cgi { server unix:%[2]s/cgi.sock; }
	server {
		listen %[3]s ssl http2;
		ssl_certificate %[2]s/server.pem;
		ssl_certificate_key %[2]s/server.key;
		location = /-/ready { return 204; }
%[4]s
	}
}
`

// run is nginx and fcgiwrap until the standard input ends, as it does also when the
// test is killed. Their sockets are open already: nginx takes its own as when its program
// is changed under way, and fcgiwrap serves one request at a time on its standard input.
const run = `trap : TERM
for i in 1 2 3 4; do fcgiwrap <&4 & done
NGINX='3;' nginx -e "$0/error.log" -p "$0" -c "$0/nginx.conf" 4<&- &
read word; kill -TERM 0; wait; wait; rm -rf "$0"`

// serveNginx starts Debian's nginx, with TLS and HTTP/2, on a port of 127.0.0.1. The
// locations may pass requests on to the upstreams "handler" and "cgi" (fcgiwrap). It
// ends with the test. What the handler sees is remembered.
func serveNginx(t testing.TB, ca *CA, h http.Handler, names []string, locations string) *Server {
	t.Helper()
	for _, p := range []string{"nginx", "fcgiwrap"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed: ./check setup", p)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Server{CA: ca, Addr: l.Addr().String(), Port: l.Addr().(*net.TCPAddr).Port}
	s.URL = "https://" + s.Addr
	dir := OpenDir(t)
	writeKeyPair(t, ca.Issue(t, append(slices.Clone(names), "127.0.0.1", "localhost")...), dir)
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	conf := fmt.Sprintf(nginxConf, user, dir, s.Addr, locations)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.startUnix(t, filepath.Join(dir, "handler.sock"), h)
	cgi, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "cgi.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer cgi.Close()
	cgi.SetUnlinkOnClose(false)
	runNginx(t, dir, socketOf(t, l.(*net.TCPListener)), socketOf(t, cgi))
	s.ready(t, dir)
	return s
}

func writeKeyPair(t testing.TB, c tls.Certificate, dir string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	for name, b := range map[string][]byte{"server.pem": chain, "server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func socketOf(t testing.TB, l interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func runNginx(t testing.TB, dir string, sockets ...*os.File) {
	t.Helper()
	said, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	c := exec.Command("/bin/sh", "-c", run, dir)
	c.Env, c.Dir, c.Stdout, c.Stderr, c.ExtraFiles = Plain(), dir, said, said, sockets
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	tell, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		late := time.AfterFunc(time.Minute, func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
		tell.Close()
		c.Wait() // a signal of our own ended it
		if !late.Stop() {
			t.Error("nginx does not end")
		}
	})
}

// ready waits until nginx answers; its socket takes connections before.
func (s *Server) ready(t testing.TB, dir string) {
	t.Helper()
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CA.Pool()}, DisableKeepAlives: true}}
	if !Eventually(time.Minute, func() bool {
		r, err := c.Get(s.URL + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusNoContent
	}) {
		var said strings.Builder
		for _, name := range []string{"output", "error.log"} {
			b, _ := os.ReadFile(filepath.Join(dir, name)) // what there is
			said.Write(b)
		}
		t.Fatalf("nginx does not answer:\n%s", said.String())
	}
}
