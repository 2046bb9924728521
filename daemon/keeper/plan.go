package keeper

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ambit/daemon/wire"
	gatesql "ambit/gate/sql"
	"ambit/gate/web"
	"ambit/grants"
	"ambit/sandbox"
)

// plan is all that a task needs, worked out before anything is started.
type plan struct {
	g         *Grants
	files     []sandbox.File
	visible   []string // host paths that are shown where they are
	env       *environ
	routes    []web.Route
	databases []gatesql.Database
	hosts     []string // names that the resolver knows
	ports     []uint16
	secrets   []secret
	tokens    map[string]string // service to the audience of the JWT-SVID it takes
}

// secret is a service's credential and where its placeholder goes.
type secret struct {
	service, kind string
	from          *grants.Credential
	env           []string
	ca            []byte    // of a service that the daemon speaks to itself
	app           *wire.App // when it is the key of a GitHub App
}

// makePlan works out the plan of one run. argv0 is what the person named to
// run.
func makePlan(g *Grants, argv0, dir string, lookup func(string) (string, bool)) (*plan, error) {
	p := &plan{g: g, env: newEnviron(lookup), tokens: map[string]string{}}
	path, _ := lookup("PATH")
	p.program(argv0, path, dir)
	for _, u := range g.File().Uses {
		for _, name := range u.Programs {
			p.program(name.Value, path, dir)
		}
		p.profilePaths(u)
		p.variables(u.Env, lookup)
	}
	if err := p.granted(); err != nil {
		return nil, err
	}
	p.variables(g.File().Sandbox.Env, lookup)
	p.env.set("PATH", visiblePath(path, p.visible))
	return p, p.services()
}

// program makes a program that is outside the system's folders visible.
func (p *plan) program(name, path, dir string) {
	if at := look(name, path, dir); at != "" {
		for _, f := range footprint(at, p.g.Person) {
			p.show(f, sandbox.ReadOnly)
		}
	}
}

// show adds a host path where it is, once. A later, wider access wins.
func (p *plan) show(path string, a sandbox.Access) {
	for i, f := range p.files {
		if f.Path == path && f.At == "" {
			if a == sandbox.Writable {
				p.files[i].Access = a
			}
			return
		}
	}
	p.files = append(p.files, sandbox.File{Path: path, Access: a})
	p.visible = append(p.visible, path)
}

// profilePaths shows what a profile reads, where it is and, when it is below
// the person's home, at the same place of the agent's; and its caches as
// copies that are thrown away.
func (p *plan) profilePaths(u *grants.Profile) {
	for _, t := range u.Read {
		abs := p.g.absolute(t.Value)
		if !exists(abs) || onSystem(abs) {
			continue
		}
		p.show(abs, sandbox.ReadOnly)
		if rest, ok := strings.CutPrefix(t.Value, "~/"); ok {
			p.files = append(p.files, sandbox.File{Path: abs, At: filepath.Join(insideHome, rest), Access: sandbox.ReadOnly})
		}
	}
	for _, t := range u.Caches {
		abs := p.g.absolute(t.Value)
		if !exists(abs) {
			continue
		}
		f := sandbox.File{Path: abs, Access: sandbox.CopyOnWrite}
		if rest, ok := strings.CutPrefix(t.Value, "~/"); ok {
			f.At = filepath.Join(insideHome, rest)
		}
		p.files = append(p.files, f)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// variables passes on or sets what the file names.
func (p *plan) variables(vars []grants.Env, lookup func(string) (string, bool)) {
	for _, e := range vars {
		if e.Set {
			p.env.set(e.Name, e.Value)
		} else if v, ok := lookup(e.Name); ok {
			p.env.set(e.Name, v)
		}
	}
}

// granted shows what the file itself names. A path that does not exist is an
// error: the person expects it to be there.
func (p *plan) granted() error {
	var errs []error
	add := func(path string, a sandbox.Access, by string) {
		if _, err := os.Stat(path); err != nil {
			why := err.Error()
			if errors.Is(err, fs.ErrNotExist) {
				why = "it does not exist; create it or remove the line"
			}
			errs = append(errs, fmt.Errorf("cannot grant %s (%s): %s", path, by, why))
			return
		}
		p.show(path, a)
	}
	for _, r := range p.g.Files() {
		a := sandbox.ReadOnly
		if r.Write {
			a = sandbox.Writable
		}
		add(r.Path, a, r.By)
		p.searched(r.Path)
		for _, x := range r.Except {
			if exists(x) {
				p.files = append(p.files, sandbox.File{Path: x, Access: exceptAccess(r.Write, p.readable(x))})
			}
		}
	}
	s := p.g.File().Sandbox
	at := func(t grants.Text) string { return fmt.Sprintf("%s:%d:%d", p.g.File().Name, t.Pos.Line, t.Pos.Column) }
	for _, t := range s.Read {
		add(p.g.absolute(t.Value), sandbox.ReadOnly, at(t))
		p.searched(p.g.absolute(t.Value))
	}
	for _, t := range s.Write {
		add(p.g.absolute(t.Value), sandbox.Writable, at(t))
		p.searched(p.g.absolute(t.Value))
	}
	return errors.Join(errs...)
}

// searched has the walls look for secrets below a path that a line gives as a
// whole.
func (p *plan) searched(path string) {
	for i := range p.files {
		if p.files[i].Path == path && p.files[i].At == "" {
			p.files[i].Secrets = true
		}
	}
}

// exceptAccess is what is left of a path that a line leaves out: reading, when
// another line gives it, or nothing.
func exceptAccess(write, readable bool) sandbox.Access {
	if write && readable {
		return sandbox.ReadOnly
	}
	return sandbox.Hidden
}

// readable says whether some read line gives a path.
func (p *plan) readable(path string) bool {
	return slices.ContainsFunc(p.g.Files(), func(r grants.FileRule) bool {
		return !r.Write && under(path, r.Path) && !slices.ContainsFunc(r.Except, func(x string) bool { return under(path, x) })
	})
}

// services makes the routes, the names and the secrets.
func (p *plan) services() error {
	for _, s := range p.g.Services() {
		if err := p.service(s); err != nil {
			return err
		}
	}
	for _, e := range p.g.WebHosts() {
		p.route(web.Route{Host: e.Host, Port: uint16(e.Port), Scheme: web.HTTPS, Service: "web", Kind: "web"})
	}
	return p.apart()
}

func (p *plan) service(s grants.Service) error {
	var roots *x509.CertPool
	var pem []byte
	if s.CA.Value != "" {
		var err error
		if pem, err = os.ReadFile(p.g.absolute(s.CA.Value)); err != nil {
			return fmt.Errorf("cannot use service %s: its ca: %w", s.Name.Value, err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("cannot use service %s: %s holds no certificate in PEM form", s.Name.Value, s.CA.Value)
		}
	}
	if s.IsDatabase() {
		p.database(s, roots)
		s.Hosts, s.Env = nil, nil
	}
	for _, h := range s.Hosts {
		p.route(web.Route{
			Host: h.Value, Port: uint16(s.Port), Scheme: scheme(s), Service: s.Name.Value, Kind: s.Kind.Value, Dial: s.Address.Value, Roots: roots,
			Inject: injection(s, h.Value), HasCredential: s.Credential != nil, NoOwn: s.Kind.Value == "github", EncodedSlash: s.EncodedSlash,
			Conversation: s.Kind.Value == "anthropic" || s.Kind.Value == "openai",
		})
	}
	if s.Credential != nil && s.Credential.JWT != "" {
		p.tokens[s.Name.Value] = s.Credential.JWT
	} else if s.Credential != nil {
		p.hideCredential(s.Credential.File)
		x := secret{service: s.Name.Value, kind: s.Kind.Value, from: s.Credential, app: p.app(s)}
		if s.IsDatabase() || x.app != nil {
			x.ca = pem
		}
		for _, t := range s.Env {
			x.env = append(x.env, t.Value)
		}
		p.secrets = append(p.secrets, x)
	}
	return nil
}

// hideCredential keeps the agent from reading a credential's own file, should a
// line give the folder that it is in.
func (p *plan) hideCredential(file string) {
	if abs := p.g.absolute(file); file != "" && exists(abs) {
		p.files = append(p.files, sandbox.File{Path: abs, Access: sandbox.Hidden})
	}
}

func scheme(s grants.Service) string {
	if s.Kind.Value == "tcp" {
		return web.TCP
	}
	return s.Scheme.Value
}

// injection says where the credential goes. GitHub takes tokens as a bearer on
// its API and as a password where git is served.
func injection(s grants.Service, host string) web.Inject {
	if s.Credential == nil || s.Inject == nil {
		return web.Inject{}
	}
	if s.Kind.Value == "github" && !strings.HasPrefix(host, "api.") && s.Inject.Pos == (grants.Pos{}) {
		return web.Inject{Basic: "x-access-token"}
	}
	return web.Inject{Header: s.Inject.Header, Format: s.Inject.Format, Basic: s.Inject.Basic, Query: s.Inject.Query}
}

func (p *plan) route(r web.Route) {
	p.routes = append(p.routes, r)
	if !slices.Contains(p.hosts, r.Host) {
		p.hosts = append(p.hosts, r.Host)
	}
	if !slices.Contains(p.ports, r.Port) {
		p.ports = append(p.ports, r.Port)
	}
}
