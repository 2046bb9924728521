package ambittest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Postgres is a real PostgreSQL server that lives as long as the test, in a folder
// of its own. It does not wait for the disk.
type Postgres struct {
	Host     string // "127.0.0.1"
	Port     int
	Dir      string // the data
	Password Canary // of Superuser
	Log      string // the server's log, a file

	bin  string // the folder of the server's programs
	psql string // the folder of psql and pg_isready
	attr *syscall.SysProcAttr
	stop func(word string) // nil while it does not run
}

// Superuser is the role that owns the server.
const Superuser = "postgres"

// PostgresConfig is what a test wants of its server. The zero value is a server
// without TLS.
type PostgresConfig struct {
	Version  Version           // "" for what the environment says, and else [Stable]
	CA       *CA               // issues the server's certificate; nil for no TLS
	Names    []string          // in that certificate
	Settings map[string]string // of postgresql.conf
	HBA      string            // lines of pg_hba.conf before the last, which wants SCRAM of everybody
}

// NewPostgres starts one and waits until it answers. Root starts it as the user
// that Debian's package makes, because the server refuses to be root's.
func NewPostgres(t testing.TB, cfg PostgresConfig) *Postgres {
	t.Helper()
	dir := OpenDir(t)
	p := &Postgres{Host: "127.0.0.1", Dir: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"), Password: NewCanary("postgres password")}
	p.bin, p.psql = cfg.Version.programs(t, dir)
	p.attr = postgresUser(t, dir)
	p.create(t, dir)
	p.Port = freePort(t)
	p.configure(t, cfg, p.attr)
	t.Cleanup(func() { p.end("remove") })
	p.Start(t)
	if _, err := p.Try(p.URL(Superuser, firstPassword, "postgres"), "ALTER ROLE "+Superuser+" PASSWORD '"+p.Password.Value+"'"); err != nil {
		t.Fatal(err)
	}
	return p
}

// postgresUser makes the folder the server's and says as whom to run it; nil
// means as the test.
func postgresUser(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (p *Postgres) configure(t testing.TB, cfg PostgresConfig, attr *syscall.SysProcAttr) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "listen_addresses = '%s'\nport = %d\nunix_socket_directories = ''\nfsync = off\nshared_buffers = 32MB\nmax_connections = 300\nlog_min_messages = warning\n", p.Host, p.Port)
	if cfg.CA != nil {
		p.certificate(t, cfg, attr)
		b.WriteString("ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n")
	}
	for k, v := range cfg.Settings {
		fmt.Fprintf(&b, "%s = '%s'\n", k, strings.ReplaceAll(v, "'", "''"))
	}
	f, err := os.OpenFile(filepath.Join(p.Dir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(b.String()); err != nil {
		t.Fatal(err)
	}
	hba := cfg.HBA + "\nhost all all all scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(p.Dir, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *Postgres) certificate(t testing.TB, cfg PostgresConfig, attr *syscall.SysProcAttr) {
	t.Helper()
	c := cfg.CA.Issue(t, append([]string{p.Host}, cfg.Names...)...)
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	for name, b := range map[string][]byte{"server.pem": chain, "server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		path := filepath.Join(p.Dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if attr != nil {
			if err := os.Chown(path, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// watch runs a server until it is told to stop. When the standard input ends, as
// it does also when the test is killed, it then removes what the server kept.
const watch = `"$0/postgres" -D "$1" & pid=$!; read word; kill -QUIT $pid; wait $pid; [ "$word" = stop ] || rm -rf "$1"`

// Start runs the server until the test ends or Stop is called.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := exec.Command("/bin/sh", "-c", watch, p.bin, p.Dir)
	c.Env, c.Dir, c.SysProcAttr, c.Stdout, c.Stderr = Plain(), filepath.Dir(p.Dir), p.attr, log, log
	tell, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	p.stop = func(word string) {
		io.WriteString(tell, word+"\n") // it may have died
		tell.Close()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("PostgreSQL does not end")
		}
	}
	if !Eventually(time.Minute, func() bool { return p.answers() || hasEnded(ended) }) || hasEnded(ended) {
		b, _ := os.ReadFile(p.Log)
		t.Fatalf("PostgreSQL does not answer:\n%s", b)
	}
}

// Stop ends the server at once, as a crash does. It can be started again.
func (p *Postgres) Stop() { p.end("stop") }

func (p *Postgres) end(word string) {
	if p.stop != nil {
		p.stop(word)
		p.stop = nil
	}
}

func hasEnded(ended chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// answers says whether the server takes connections; while it starts, it
// accepts them only to refuse them.
func (p *Postgres) answers() bool {
	c := exec.Command(filepath.Join(p.psql, "pg_isready"), "-q", "-h", p.Host, "-p", strconv.Itoa(p.Port))
	c.Env = Plain()
	return c.Run() == nil
}

// URL is where a client connects as a role to a database.
func (p *Postgres) URL(role, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: net.JoinHostPort(p.Host, strconv.Itoa(p.Port)), Path: "/" + database}
	return u.String()
}

// AdminURL is URL for the superuser.
func (p *Postgres) AdminURL(database string) string {
	return p.URL(Superuser, p.Password.Value, database)
}

// Query runs SQL as the superuser by psql, and returns the rows as psql's
// unaligned output. A failure ends the test.
func (p *Postgres) Query(t testing.TB, database, sql string) string {
	t.Helper()
	out, err := p.Try(p.AdminURL(database), sql)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is Query as whom a URL says, and may fail.
func (p *Postgres) Try(url, sql string) (string, error) {
	c := exec.Command(filepath.Join(p.psql, "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", "-", url)
	c.Env, c.Stdin = Plain(), strings.NewReader(sql)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("psql: %w\n%s", err, errs.String())
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}
