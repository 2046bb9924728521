package keeper

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ambit/sandbox"
)

// Places inside the sandbox.
const (
	insideHome   = "/home/agent"
	insideBundle = "/run/ambit/ca-bundle.pem"
	insideSocket = "/run/ambit/agent.sock"
	insideSelf   = "/run/ambit/bin/ambit"
)

// bundleVars are the variables by which tools find the roots they trust, when
// they do not use the system's bundle.
var bundleVars = [...]string{
	"SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
	"PIP_CERT", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE", "DENO_CERT", "NIX_SSL_CERT_FILE", "CODEX_CA_CERTIFICATE",
}

// passAlways are the variables of the person that say how to talk to them, and
// nothing else.
var passAlways = [...]string{"TERM", "COLORTERM", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "NO_COLOR"}

// environ builds the whole environment of the agent from an allow-list.
type environ struct{ vars map[string]string }

func newEnviron(lookup func(string) (string, bool)) *environ {
	e := &environ{vars: map[string]string{}}
	for _, k := range passAlways {
		if v, ok := lookup(k); ok {
			e.vars[k] = v
		}
	}
	for _, k := range bundleVars {
		e.vars[k] = insideBundle
	}
	e.set("HOME", insideHome)
	e.set("USER", "agent")
	e.set("LOGNAME", "agent")
	e.set("SHELL", "/bin/sh")
	e.set("TMPDIR", "/tmp")
	e.set("AMBIT_SOCKET", insideSocket)
	e.set("GIT_TEMPLATE_DIR", insideTemplate)
	return e
}

func (e *environ) set(k, v string) { e.vars[k] = v }

func (e *environ) list() []string {
	out := make([]string, 0, len(e.vars))
	for k, v := range e.vars {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// systemBundles are where distributions keep the roots (crypto/x509 looks in
// the same places).
var systemBundles = [...]string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// bundle writes what the sandbox trusts into the task's folder: the machine's
// roots, for what passes through untouched, and the task's own authority. It
// is shown at a place of Ambit's and wherever this machine's tools look. The
// kernel copies the roots; they never pass through this process.
func bundle(folder string, task []byte) ([]sandbox.File, error) {
	name := filepath.Join(folder, "ca-bundle.pem")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot write the task's roots: %w", err)
	}
	defer f.Close()
	files := []sandbox.File{{Path: name, At: insideBundle, Access: sandbox.ReadOnly}}
	for _, p := range systemBundles {
		b, err := os.Open(p)
		if err != nil {
			continue
		}
		if len(files) == 1 {
			_, err = io.Copy(f, b)
		}
		b.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot write the task's roots: %w", err)
		}
		files = append(files, sandbox.File{Path: name, At: p, Access: sandbox.ReadOnly})
	}
	if _, err := f.Write(append([]byte("\n"), task...)); err != nil {
		return nil, fmt.Errorf("cannot write the task's roots: %w", err)
	}
	return files, f.Close()
}

// hostsFile is /etc/hosts inside.
func hostsFile(hostname string) []byte {
	return []byte("127.0.0.1 localhost " + hostname + "\n::1 localhost\n")
}

// resolvConf sends every look-up to the gatekeeper; in the task's network
// every address is local.
const resolvConf = "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"

// hostnameFor makes a host name of an agent's name (RFC 1123 section 2.1).
func hostnameFor(agent string) string {
	f := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}
	s := strings.Trim(strings.Map(f, agent), "-")
	return s[:min(len(s), 63)]
}
