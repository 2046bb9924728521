// Package daemon is ring 1: it wires the log, the authority, the approvals,
// the broker and the store together, serves gatekeepers and people on sockets
// of their own, and starts and stops all of it in order.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"ambit"
	"ambit/approval"
	"ambit/audit"
	"ambit/broker"
	"ambit/broker/postgres"
	"ambit/config"
	"ambit/console"
	"ambit/identity"
	"ambit/sandbox"
	"ambit/store"
)

// Daemon is one machine's ring 1, for one user.
type Daemon struct {
	home     config.Home
	settings config.Settings
	build    string
	compile  Compile
	arrivals arrivals
	since    time.Time

	log    *audit.Log
	public string          // the log's verifier key
	tail   func() *written // of the log of the daemons before
	store  *store.Store
	ids    *identity.Authority
	desk   *approval.Desk
	broker *broker.Broker

	servers postgres.Servers // of databases, as their administrators
	working sync.WaitGroup   // what uses the store and the log until the end

	mu       sync.Mutex
	sessions map[ambit.TaskID]*session
	busy     time.Time // when somebody last needed the daemon
	stop     context.CancelFunc
	ctx      context.Context // ends with the daemon
}

// ErrSecond says that another daemon of this home is live.
var ErrSecond = errors.New("another daemon is live")

// LeaveRoom leaves half of the processors to the agents. With fewer threads
// there are also fewer of them to wake for each request, which on a machine of two
// processors halves what a request costs. Threads that take work from each other
// sleep for some µs meanwhile, so that where there are several the timers are
// less late.
func LeaveRoom() {
	n := max(1, runtime.GOMAXPROCS(0)/2)
	runtime.GOMAXPROCS(n)
	if n > 1 {
		sandbox.CoarseTimers(time.Millisecond)
		return
	}
	sandbox.CoarseTimers(10 * time.Millisecond)
}

// Run serves until ctx ends, a person stops it, or nobody has needed it for
// the idle time. The home's lock keeps a second one away. compile is how the tasks'
// grants are read.
func Run(ctx context.Context, h config.Home, build string, compile Compile) error {
	if err := h.Make(); err != nil {
		return err
	}
	unlock, err := lock(h)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d := &Daemon{home: h, build: build, compile: compile, since: time.Now(), busy: time.Now(), sessions: map[ambit.TaskID]*session{}, stop: stop, ctx: ctx}
	if d.settings, err = h.Load(); err != nil {
		return err
	}
	if err := d.open(ctx); err != nil {
		ended := ctx.Err() != nil
		d.close()
		if ended {
			return nil // it was asked to before it was there
		}
		return err
	}
	defer d.close()
	return d.serve(ctx)
}

// lock takes the home for this process; it ends with the process, however that
// dies.
func lock(h config.Home) (func(), error) {
	f, err := os.OpenFile(filepath.Join(h.Run(), "daemon.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock Ambit's state: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrSecond
		}
		return nil, fmt.Errorf("cannot lock Ambit's state: %w", err)
	}
	return func() { f.Close() }, nil
}

// open starts the parts, the log first: nothing happens that is not recorded.
func (d *Daemon) open(ctx context.Context) (err error) {
	name := "ambit/" + d.settings.TrustDomain
	d.log, err = audit.OpenOrCreate(d.home.Log(), filepath.Join(d.home.Keys(), "log.key"), name, audit.Options{Recent: true})
	if err != nil {
		return err
	}
	key, err := audit.LoadKey(filepath.Join(d.home.Keys(), "log.key"))
	if err != nil {
		return err
	}
	d.public = key.Public()
	if err := publish(filepath.Join(d.home.Log(), "key.pub"), d.public); err != nil {
		return err
	}
	if _, err := d.log.Append(ctx, audit.Record{Type: audit.DaemonStart, Data: data(map[string]any{"build": d.build, "pid": os.Getpid()})}); err != nil {
		return err
	}
	d.tail = d.logTail()
	d.store = store.New(d.home.Store())
	if err := d.store.Ready(ctx); err != nil {
		return err
	}
	d.ids, err = identity.Open(ctx, identity.Config{
		Dir: d.home.Keys(), TrustDomain: d.settings.TrustDomain, Store: d.store, Clock: time.Now,
	})
	if err != nil {
		return err
	}
	d.desk, err = approval.Open(ctx, approval.Config{
		Store: d.store, Now: d.ids.Now, Live: d.ids.Live, Alert: d.alertQuestion, Expired: d.recordExpired,
		Life: time.Duration(d.settings.QuestionExpiry),
	})
	if err != nil {
		return err
	}
	return d.openBroker(ctx)
}

// publish writes the verifier key beside the log, for whoever checks a copy.
func publish(name, public string) error {
	if b, err := os.ReadFile(name); err == nil && string(b) == public+"\n" {
		return nil
	}
	return os.WriteFile(name, []byte(public+"\n"), 0o644)
}

func (d *Daemon) close() {
	d.stop()
	d.mu.Lock()
	open := slices.Collect(maps.Values(d.sessions))
	d.mu.Unlock()
	for _, s := range open {
		s.conn.Close()
	}
	if d.desk != nil {
		d.desk.Close()
	}
	d.working.Wait()
	d.tidy()
	if d.log != nil {
		d.log.Append(context.Background(), audit.Record{Type: audit.DaemonStop})
		d.log.Close()
	}
	if d.store != nil {
		d.store.Close()
	}
}

// tidyTime bounds what the end of the daemon does in databases that answer slowly.
const tidyTime = 3 * time.Second

// tidy removes what no task uses any more from databases. What stays gives nobody
// anything, and whoever uses the database next removes it.
func (d *Daemon) tidy() {
	ctx, stop := context.WithTimeout(context.Background(), tidyTime)
	defer stop()
	if err := d.servers.Close(ctx); err != nil {
		complainOfLeases(err)
	}
}

// serve answers on both sockets until ctx ends.
func (d *Daemon) serve(ctx context.Context) error {
	gates, err := listen(d.home.Run(), gateSocket)
	if err != nil {
		return err
	}
	defer gates.Close()
	people, err := listen(d.home.Run(), personSocket)
	if err != nil {
		return err
	}
	l := d.look()
	web := &http.Server{Handler: console.Handler(d), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10}
	defer d.ids.Watch(d.changed)()
	defer d.farewell(web)
	go web.Serve(newFreeListener(people))
	go d.acceptGates(gates)
	d.working.Go(func() { d.broker.Serve(ctx, complainOfLeases) })
	d.reconcile(l)
	d.sweep(ctx)
	return nil
}

// answerFor is how long what people have asked for is answered when the daemon ends.
const answerFor = 2 * time.Second

// farewell answers what people have asked for, and takes no more. Whoever is on the
// way asks the next daemon.
func (d *Daemon) farewell(web *http.Server) {
	d.stop() // whoever watches sees the end
	ctx, stop := context.WithTimeout(context.Background(), answerFor)
	defer stop()
	web.Shutdown(ctx)
	web.Close()
}

func (d *Daemon) acceptGates(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		newSession(d, c)
	}
}

// sweep does what time brings, every second, until the daemon is to end.
func (d *Daemon) sweep(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	settled := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := d.ids.Sweep(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "ambit daemon: cannot sweep:", err)
		}
		if d.idle() || d.useless() {
			return
		}
		if !settled && d.quiet() {
			settled = true
			go settle()
		}
	}
}

// touch notes that somebody needs the daemon.
func (d *Daemon) touch() {
	d.mu.Lock()
	d.busy = time.Now()
	d.mu.Unlock()
}

// ending says whether this daemon is on its way out.
func (d *Daemon) ending() bool { return d.ctx.Err() != nil }

func (d *Daemon) idle() bool {
	// Not under the lock: the authority tells of changes under its own.
	live, arriving := len(d.ids.Tasks()), d.arrivals.any()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sessions) > 0 || live > 0 || arriving || d.broker.Ending() > 0 {
		d.busy = time.Now()
	}
	return time.Since(d.busy) > time.Duration(d.settings.Idle)
}

// useless says that the log has failed and no task is left: the next command
// starts a daemon that opens the log anew.
func (d *Daemon) useless() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sessions) == 0 && d.log.Err() != nil
}

// record appends and complains where no caller can be told.
func (d *Daemon) record(r audit.Record) {
	if _, err := d.log.Append(context.Background(), r); err != nil {
		fmt.Fprintln(os.Stderr, "ambit daemon:", err)
	}
}

// recordExpired records a question that became a no by itself.
func (d *Daemon) recordExpired(it approval.Item) {
	r := audit.ForAction(audit.Expired, &it.Action, it.Decision, it.Digest)
	r.Detail = it.Ticket + ": nobody answered in time"
	switch {
	case it.Why != "":
		r.Detail = it.Ticket + ": " + it.Why
	case it.By != "":
		r.Detail = it.Ticket + ": approved by " + it.By + ", and not used in time"
	}
	d.record(r)
}

func (d *Daemon) alertQuestion(a approval.Alert) {
	go d.record(audit.Record{Type: audit.Alert, Task: string(a.Task), Agent: a.Agent, Detail: approval.SafeLines(a.What, 400)})
}
