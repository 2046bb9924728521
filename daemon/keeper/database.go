package keeper

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ambit"
	"ambit/catalog/sql"
	"ambit/config"
	"ambit/daemon"
	"ambit/daemon/wire"
	"ambit/gate"
	gatesql "ambit/gate/sql"
	"ambit/grants"
)

// database plans what a service of kind postgres needs: its names and port inside
// the walls, the way to it, and the variables by which clients find it.
func (p *plan) database(s grants.Service, roots *x509.CertPool) {
	d := gatesql.Database{Service: s.Name.Value, Port: uint16(s.Port), Name: s.Database.Value, Dial: s.Address.Value, TLS: s.TLS.Value != "off", Roots: roots}
	for _, h := range s.Hosts {
		d.Hosts = append(d.Hosts, h.Value)
		if _, err := netip.ParseAddr(h.Value); err != nil && !slices.Contains(p.hosts, h.Value) {
			p.hosts = append(p.hosts, h.Value)
		}
	}
	if !slices.Contains(p.ports, d.Port) {
		p.ports = append(p.ports, d.Port)
	}
	p.databases = append(p.databases, d)
	// Its own name resolves inside whatever the host is; no secret is needed.
	at := url.URL{Scheme: "postgresql", User: url.User("agent"), Path: "/" + d.Name,
		Host: net.JoinHostPort(d.Hosts[len(d.Hosts)-1], strconv.Itoa(int(d.Port)))}
	for _, t := range s.Env {
		p.env.set(t.Value, at.String())
	}
	p.env.set("PGSSLROOTCERT", insideBundle)
}

// apart refuses a port on which both a database and something else is reached: what
// comes there is read by one gate.
func (p *plan) apart() error {
	for _, d := range p.databases {
		for _, r := range p.routes {
			if r.Port == d.Port {
				return fmt.Errorf("cannot use the database %s: the service %s has its port %d too and is no database: give one of them another port: in the grants file", d.Service, r.Service, d.Port)
			}
		}
	}
	return nil
}

// codeCache is where the compiled grammar is kept between tasks, apart from all
// that an agent can write; "" before there is a state.
func codeCache(h config.Home) string {
	if !h.Exists() {
		return ""
	}
	return filepath.Join(h.Dir, "cache")
}

// startReader makes the reader of statements ready while the daemon enrols the task:
// it needs files, and code that can be run, which this process later has not.
func (k *keeper) startReader() {
	if len(k.plan.databases) == 0 {
		return
	}
	// The first task ever makes the state a moment before its daemon would, to keep what
	// is compiled. Where it cannot, the daemon will say so.
	_ = k.o.Home.Make()
	k.reader = sql.NewParser(codeCache(k.o.Home))
	k.readerReady = make(chan error, 1)
	go func() { k.readerReady <- k.reader.Start() }()
}

// awaitReader waits until statements can be read, and says what takes so long. A task
// that is ended meanwhile does not wait: what is compiled then is left behind, and kept
// only when it is whole.
func (k *keeper) awaitReader(ctx context.Context) error {
	select {
	case err := <-k.readerReady:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second):
	}
	if k.o.Stderr != nil {
		fmt.Fprintln(k.o.Stderr, "ambit: PostgreSQL's grammar is being compiled, which takes some seconds when it is used first")
	}
	select {
	case err := <-k.readerReady:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// makeDatabases makes the gate of the task's databases, when it has any.
func (k *keeper) makeDatabases(ctx context.Context, t gate.Task) (err error) {
	if k.reader == nil {
		return nil
	}
	if err := k.awaitReader(ctx); err != nil {
		return fmt.Errorf("cannot read SQL: %w", err)
	}
	k.databases, err = gatesql.New(gatesql.Config{
		Task: t, Do: k.pipe, Databases: k.plan.databases, Names: k.names, Reader: k.reader, Resolve: resolve, Login: login, Elevator: elevator{k.link},
		Certificate: k.ca.Certificate, Foresee: k.foresee, Alert: k.alert, Roots: k.roots,
	})
	return err
}

// elevator has the daemon give the task's role what an approved statement needs.
type elevator struct{ *daemon.Link }

// Elevate gives it. What cannot be given, and why, is for the agent to know.
func (e elevator) Elevate(ctx context.Context, intent ambit.RecordID) error {
	err := e.Link.Elevate(ctx, intent)
	if bad, ok := errors.AsType[*wire.Error](err); ok && bad.Code == wire.CodeNotLent {
		return &gatesql.NotLent{Why: bad.Msg}
	}
	return err
}

// login reads a lease of a database: the role, a line end, and its password.
func login(secret []byte) (gatesql.Login, error) {
	user, password, ok := bytes.Cut(secret, []byte("\n"))
	if !ok || len(user) == 0 || len(password) == 0 || bytes.ContainsAny(password, "\n\x00") || bytes.IndexByte(user, 0) >= 0 {
		return gatesql.Login{}, errors.New("cannot use the lease: it is not a role and its password")
	}
	return gatesql.Login{User: string(user), Password: password}, nil
}

// serveOn serves one port of the sandbox: databases where the file names one, and
// else the web.
func (k *keeper) serveOn(ctx context.Context, port uint16, ln net.Listener) {
	if slices.ContainsFunc(k.plan.databases, func(d gatesql.Database) bool { return d.Port == port }) {
		k.databases.Serve(ctx, ln)
		return
	}
	k.gate.Serve(ctx, ln)
}

// statements reads SQL for people who explain a file: what each statement would do.
func statements() func(database, text string) ([]grants.TableCall, error) {
	reader := sync.OnceValue(func() *sql.Parser {
		cache := ""
		if h, err := config.Locate(os.Getenv); err == nil {
			cache = codeCache(h)
		}
		return sql.NewParser(cache)
	})
	return func(database, text string) (out []grants.TableCall, err error) {
		list, err := reader().Parse(text)
		if err != nil {
			return nil, err
		}
		for _, st := range list {
			for _, a := range gatesql.Accesses(st) {
				c := grants.TableCall{Call: grants.Call{Operation: a.Operation, Effect: a.Effect, Resource: ambit.Resource{Kind: "database", Segments: []string{database}}}}
				if a.Table != "" {
					c.Resource = ambit.Resource{Kind: "table", Segments: []string{a.Schema, a.Table}}
					c.Columns = grants.ColumnsArg(a.Columns, len(a.Columns) == 0 || slices.Contains(a.Columns, grants.AllColumns))
				}
				out = append(out, c)
			}
		}
		return out, nil
	}
}

// databaseHosts lists the hosts of databases for which the task's authority may sign.
func databaseHosts(list []gatesql.Database) (hosts []string) {
	for _, d := range list {
		for _, h := range d.Hosts {
			if !slices.Contains(hosts, h) {
				hosts = append(hosts, strings.ToLower(h))
			}
		}
	}
	return hosts
}
