package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// bench is a folder with a home of its own, and a web server to reach.
type bench struct {
	dir, ambit string
	stop       []func()
}

func newBench() (*bench, error) {
	dir, err := os.MkdirTemp("", "ambit-bench-")
	if err != nil {
		return nil, err
	}
	self, err := filepath.Abs("bin/ambit")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(self); err != nil {
		return nil, fmt.Errorf("%w: run ./check bench", err)
	}
	b := &bench{dir: dir, ambit: self}
	return b, os.Mkdir(b.path("work"), 0o755)
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) close() {
	for _, f := range b.stop {
		f()
	}
	b.stop = nil
	c := b.command(b.ambit, "daemon", "stop")
	c.Run()
	os.RemoveAll(b.dir)
}

// command runs in the bench's workspace with a state of its own.
func (b *bench) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Dir = b.path("work")
	c.Env = append(os.Environ(), "AMBIT_HOME="+b.path("home"), "BENCH_TOKEN=bench-secret")
	return c
}

// nginx serves one small page over TLS and returns its port.
func (b *bench) nginx() (int, error) {
	if err := b.certificate(); err != nil {
		return 0, err
	}
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log %[1]s/error.log; events { worker_connections 512; }
http { access_log off; client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
keepalive_requests 10000000; server { listen 127.0.0.1:%[2]d ssl; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem;
location / { default_type text/plain; return 200 "0123456789abcdef0123456789abcdef"; } } }`, b.dir, port)
	if err := os.WriteFile(b.path("nginx.conf"), []byte(conf), 0o600); err != nil {
		return 0, err
	}
	c := exec.Command("nginx", "-c", b.path("nginx.conf"), "-p", b.dir)
	c.Stderr = os.Stderr
	return port, b.background(c, port)
}

func (b *bench) background(c *exec.Cmd, port int) error {
	if err := c.Start(); err != nil {
		return err
	}
	b.stop = append(b.stop, func() { c.Process.Signal(syscall.SIGTERM); c.Wait() })
	for range 500 {
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			conn.Close()
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%s does not listen", c.Path)
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

func (b *bench) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench.test"}, DNSNames: []string{"bench.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pk := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})
	for name, data := range map[string][]byte{"cert.pem": cert, "work/cert.pem": cert, "key.pem": pk, "both.pem": append(pk, cert...)} {
		if err := os.WriteFile(b.path(name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
