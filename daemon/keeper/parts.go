package keeper

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"ambit"
	"ambit/broker"
	"ambit/daemon/wire"
	gatesql "ambit/gate/sql"
	"ambit/gate/web"
	"ambit/grants"
	"ambit/pipeline"
	"ambit/sandbox"
)

// secrets collects the credentials that the file names. Values of variables
// and commands go to the daemon; a file is read by the daemon itself.
func (k *keeper) secrets(ctx context.Context) (map[string]wire.Secret, error) {
	out := map[string]wire.Secret{}
	var errs []error
	for _, s := range k.plan.secrets {
		w, err := k.secret(ctx, s)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot get the credential of service %s: %w", s.service, err))
		}
		w.Kind, w.CA = s.kind, s.ca
		out[s.service] = w
	}
	return out, errors.Join(errs...)
}

func (k *keeper) secret(ctx context.Context, s secret) (w wire.Secret, err error) {
	w.App = s.app
	switch c := s.from; {
	case c.Env != "":
		v, ok := k.o.Lookup(c.Env)
		if !ok || v == "" {
			return w, fmt.Errorf("the variable %s is not set; set it, or take the credential out of the service", c.Env)
		}
		w.Value = []byte(v)
	case c.File != "":
		w.File = k.grants.absolute(c.File)
		_, err = os.Stat(w.File)
	default:
		// Run here and not in the daemon: a password manager may want to ask the
		// person, and finds its agents in this environment. Never in the workspace: what
		// lies there is the agent's.
		w.Value, err = broker.Command{Argv: c.Command, Env: os.Environ(), Apart: k.writable()}.Read(ctx)
	}
	return w, err
}

// writable are the folders that the agent can write.
func (k *keeper) writable() (out []string) {
	for _, f := range k.plan.files {
		if f.Access == sandbox.Writable {
			out = append(out, f.Path)
		}
	}
	return out
}

// spec is the sandbox of the task, whose own folder is given. Its environment
// comes later, with the placeholders.
func (k *keeper) spec(folder string) (sandbox.Spec, error) {
	f := k.grants.File()
	host := hostnameFor(f.Agent.Value)
	home := k.o.Home.AgentHome(f.Agent.Value)
	if f.Sandbox.ThrowAway {
		home = filepath.Join(folder, "home")
	}
	if err := makeHome(home, f.Uses); err != nil {
		return sandbox.Spec{}, err
	}
	dir := k.grants.Workspace
	if under(k.o.Dir, dir) {
		dir = k.o.Dir
	}
	roots, err := bundle(folder, k.ca.Bundle())
	if err != nil {
		return sandbox.Spec{}, err
	}
	walled := protect(k.grants)
	data := gitTemplate(walled)
	data["/etc/hosts"], data["/etc/resolv.conf"] = hostsFile(host), []byte(resolvConf)
	switch config, err := k.plan.gitConfig(); {
	case err != nil:
		return sandbox.Spec{}, err
	case config != nil:
		data[gitConfigPath] = config
	}
	return sandbox.Spec{
		Argv: k.argv(), Dir: dir, Hostname: host, Files: append(roots, k.plan.files...), Home: home, HomeAt: insideHome,
		Protect: walled, Data: data,
		TCPPorts: k.plan.ports, Socket: insideSocket, Self: insideSelf, Scratch: filepath.Join(folder, "scratch"),
		Limits: sandbox.Limits{
			Memory: f.Sandbox.Memory, Processes: int64(f.Sandbox.Processes), CPUs: float64(f.Sandbox.CPU) / 1000, OpenFiles: int64(f.Sandbox.OpenFiles),
			DemandMemory: f.Sandbox.Memory > 0, DemandProcesses: f.Sandbox.Processes > 0, DemandCPUs: f.Sandbox.CPU > 0,
		},
	}, nil
}

// argv names the command as the person did; what the person's PATH finds is
// named by its path, so that the same program runs.
func (k *keeper) argv() []string {
	path, _ := k.o.Lookup("PATH")
	argv := slices.Clone(k.o.Argv)
	if at := look(argv[0], path, k.o.Dir); at != "" {
		argv[0] = at
	}
	return argv
}

// protect lists the names that no line of the file gives literally.
func protect(g *Grants) (p sandbox.Protect) {
	p.Conceal = secretFiles
	for _, n := range grants.Protected() {
		if n.Class.Reads() {
			p.Secrets = append(p.Secrets, n.Path)
		}
		if strings.HasPrefix(n.Path, ".git/") || strings.HasPrefix(n.Path, ".hg/") {
			p.Repository = append(p.Repository, n.Path)
			continue
		}
		p.Names = append(p.Names, n.Path)
	}
	// The file that says what the agent may do, whatever its name is.
	if rel, err := filepath.Rel(g.Workspace, g.Path); err == nil && filepath.IsLocal(rel) {
		p.Paths = append(p.Paths, filepath.Join(g.Workspace, rel))
	}
	allow := func(path string, write bool) {
		segs := strings.Split(strings.TrimPrefix(path, "/"), "/")
		if class, _ := grants.ProtectedIn(segs); class != "" && (write || class.Reads()) {
			p.Allowed = append(p.Allowed, path)
		}
	}
	for _, r := range g.Files() {
		allow(r.Path, r.Write)
	}
	for _, t := range g.File().Sandbox.Read {
		allow(g.absolute(t.Value), false)
	}
	for _, t := range g.File().Sandbox.Write {
		allow(g.absolute(t.Value), true)
	}
	return p
}

// intercepted lists the hosts for which the task's authority may sign.
func intercepted(routes []web.Route) (hosts []string) {
	for _, r := range routes {
		if r.Scheme == web.HTTPS && !slices.Contains(hosts, r.Host) {
			hosts = append(hosts, r.Host)
		}
	}
	return hosts
}

// readable is what the confined gatekeeper may still read: what the resolver
// of names needs.
func (k *keeper) readable() (out []string) {
	for _, p := range []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"} {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			out = append(out, real)
		}
	}
	return out
}

// resolve looks a host up in the world outside.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	r := net.Resolver{PreferGo: true}
	return r.LookupNetIP(ctx, "ip", host)
}

// refusedName takes a look-up of a name that no grant names the way of every
// action: it is refused there, and recorded.
func (k *keeper) refusedName(name string) {
	r, err := ambit.NewResource("name", printable(name, 253))
	if err != nil {
		return // the resolver gives no name of this kind
	}
	a := ambit.Action{
		Task: k.task.Task, Agent: k.grants.File().Agent.Value, Operation: "dns.resolve", Effect: ambit.Read, Resource: r,
	}
	k.pipe.Do(context.Background(), a, nil, func(context.Context, pipeline.Permit) (ambit.Outcome, string, error) {
		return ambit.Refused, "names are never looked up for the agent", nil
	})
}

// systemRoots opens what this machine trusts, when a route needs it, and
// returns how to read it. To read and parse it takes longer than all else at
// the start, so that is left to the first connection; the open file can be
// read behind the gatekeeper's own walls.
func systemRoots(routes []web.Route, databases []gatesql.Database, lookup func(string) (string, bool)) func() (*x509.CertPool, error) {
	own := func(r web.Route) bool { return r.Scheme != web.HTTPS || r.Roots != nil }
	ownDatabase := func(d gatesql.Database) bool { return !d.TLS || d.Roots != nil }
	if !slices.ContainsFunc(routes, func(r web.Route) bool { return !own(r) }) && !slices.ContainsFunc(databases, func(d gatesql.Database) bool { return !ownDatabase(d) }) {
		return nil
	}
	names := systemBundles[:]
	if v, ok := lookup("SSL_CERT_FILE"); ok && v != "" {
		names = []string{v}
	}
	for _, name := range names {
		if f, err := os.Open(name); err == nil {
			return sync.OnceValues(func() (*x509.CertPool, error) { return readRoots(f) })
		}
	}
	// No bundle is where we look for one: let the library search, now.
	pool, err := x509.SystemCertPool()
	return func() (*x509.CertPool, error) { return pool, err }
}

func readRoots(f *os.File) (*x509.CertPool, error) {
	defer f.Close()
	pem, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", f.Name())
	}
	return pool, nil
}

func (k *keeper) alert(ctx context.Context, kind string, a ambit.Action, detail string) {
	w := wire.Alert{Kind: kind, Detail: printable(detail, 400)}
	if a.Operation != "" {
		if c, err := a.Canonical(); err == nil {
			w.Action = c
		}
	}
	k.link.Alert(context.WithoutCancel(ctx), w)
}

// printable bounds text that an agent chose and makes its control characters
// visible.
func printable(s string, most int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\n", "; ") // errors that were joined
	return clip(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, s), most)
}

// whoAmI is what the agent may know of itself.
func (k *keeper) whoAmI() WhoAmI {
	f := k.grants.File()
	state := "live"
	if err := k.link.Live(); err != nil {
		state = err.Error()
	}
	return WhoAmI{
		Task: k.task.Task, Agent: f.Agent.Value, Owner: f.Owner.Value, Purpose: f.Purpose.Value, OnBehalfOf: k.o.Person,
		SPIFFEID: k.task.SPIFFEID, Expires: k.task.Expires, State: state, May: k.grants.Plain(),
	}
}

// report is what the task's first record says of the walls.
func report(box, keeper sandbox.Report) json.RawMessage {
	b, err := json.Marshal(map[string]any{"agent": box, "gatekeeper": keeper})
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}
