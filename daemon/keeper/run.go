package keeper

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"ambit"
	"ambit/catalog/sql"
	"ambit/config"
	"ambit/daemon"
	"ambit/daemon/wire"
	"ambit/gate"
	gatesql "ambit/gate/sql"
	"ambit/gate/web"
	"ambit/gate/web/names"
	"ambit/grants"
	"ambit/pipeline"
	"ambit/sandbox"
)

// Options say what to run.
type Options struct {
	Home   config.Home
	Build  string
	Load   func() (*Grants, error) // reads the grants file
	Argv   []string
	Dir    string // where the person stands
	Person string // on whose behalf
	Lookup func(string) (string, bool)

	// Signals are passed on to the command. After SIGTERM or SIGHUP it has a few
	// seconds to end. Until there is a command, each ends the task.
	Signals <-chan os.Signal

	Stdin, Stdout, Stderr *os.File
	Terminal              bool // give the agent a terminal of its own
	// Prompt starts what asks the person on the terminal that the agent does not
	// occupy, and returns how to end it. It may be nil.
	Prompt func(ambit.TaskID) (stop func(), err error)
	// Elsewhere says on Stderr where questions wait, when the file has some and there
	// is no Prompt.
	Elsewhere bool
	// Report shows what the walls enforce. It may be nil.
	Report func(sandbox.Report)
}

// keeper is one gatekeeper.
type keeper struct {
	o           Options
	grants      *Grants
	plan        *plan
	roots       func() (*x509.CertPool, error)
	key         *ecdsa.PrivateKey
	csr         []byte
	applicant   *daemon.Applicant
	link        *daemon.Link
	task        wire.Enrolled
	endOnce     sync.Once
	pipe        *pipeline.Pipeline
	gate        *web.Gate
	databases   *gatesql.Gate // nil when the file names none
	reader      *sql.Parser   // of their statements
	readerReady chan error
	names       *names.Resolver
	ca          *web.Authority
	box         *sandbox.Sandbox
	start       start
	stop        context.CancelCauseFunc
}

// Ended is the error of a task that was ended by somebody's word, or the
// clock's.
type Ended struct {
	By, Why string
	Signal  syscall.Signal // that came before there was a command; 0 for none
}

// Error says who ended it and why.
func (e *Ended) Error() string { return "the task was ended by " + e.By + ": " + e.Why }

// Run runs one task to its end and returns how its command ended. An error
// says that the task did not start, or was ended.
func Run(ctx context.Context, o Options) (sandbox.Status, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	k := &keeper{o: o, stop: stop}
	done := make(chan struct{})
	defer close(done)
	go k.signals(done)
	defer func() {
		if k.link != nil {
			k.link.Close()
		}
	}()
	st, err := k.run(ctx)
	if e, ok := errors.AsType[*Ended](context.Cause(ctx)); ok && err != nil {
		err = e // whatever failed then failed because of it
	}
	k.end(st, err)
	if k.link != nil {
		ctx, cancel := context.WithTimeout(context.Background(), settleTime)
		defer cancel()
		k.link.Settle(ctx)
	}
	return st, err
}

// settleTime is how long the last outcomes have to become durable.
const settleTime = time.Second

// run asks the daemon for the task's id and reads the grants; the sandbox's init
// has started with this program and starts meanwhile.
func (k *keeper) run(ctx context.Context) (st sandbox.Status, err error) {
	k.applicant = k.apply(ctx)
	defer func() {
		if k.applicant != nil {
			k.applicant.Close()
		}
	}()
	// It may read SQL, and the first to do so compiles its grammar for seconds, which
	// nothing can stop: it is left behind.
	if err := await(ctx, k.load); err != nil {
		return st, err
	}
	streams := sandbox.Streams{Terminal: k.o.Terminal, Stdin: k.o.Stdin, Stdout: k.o.Stdout, Stderr: k.o.Stderr}
	if k.box, err = sandbox.Begin(ctx, streams); err != nil {
		return st, err
	}
	defer k.box.Abandon()
	if err := k.prepare(ctx); err != nil {
		return st, err
	}
	return k.serve(ctx)
}

// load reads the grants and works out what they need.
func (k *keeper) load() (err error) {
	if k.grants, err = k.o.Load(); err != nil {
		return err
	}
	if err := k.grants.apart(k.o.Home); err != nil {
		return err
	}
	if k.plan, err = makePlan(k.grants, k.o.Argv[0], k.o.Dir, k.o.Lookup); err != nil {
		return err
	}
	if warning := k.plan.foreign(os.Getuid()); warning != "" && k.o.Stderr != nil {
		fmt.Fprintln(k.o.Stderr, "ambit:", warning)
	}
	k.roots = systemRoots(k.plan.routes, k.plan.databases, k.o.Lookup)
	k.startReader()
	return nil
}

// prepare enrols the task and makes, while the daemon works on that, its folder,
// its authority and its walls' plan; init builds the walls from there on.
func (k *keeper) prepare(ctx context.Context) error {
	if err := k.makeKey(); err != nil {
		return err
	}
	secrets, err := k.secrets(ctx)
	if err != nil {
		return err
	}
	task, err := k.applied(ctx)
	if err != nil {
		return err
	}
	if err := k.enrol(secrets); err != nil {
		return err
	}
	wallsErr := k.walls(task)
	// A task that exists is ended in order, whatever went wrong here.
	if err := errors.Join(k.enrolled(ctx), wallsErr); err != nil {
		return err
	}
	for _, s := range k.plan.secrets {
		for _, name := range s.env {
			k.plan.env.set(name, k.task.Placeholders[s.service])
		}
	}
	return k.box.Build(k.plan.env.list())
}

// walls makes the task's folder, its door there and its authority, and works out
// its walls.
func (k *keeper) walls(task ambit.TaskID) (err error) {
	dir := filepath.Join(k.o.Home.Tasks(), string(task))
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(filepath.Join(dir, "scratch"), 0o700)); err != nil {
		return fmt.Errorf("cannot make the task's folder: %w", err)
	}
	if err := k.applicant.Listen(dir); err != nil {
		return err
	}
	if k.ca, err = web.NewAuthority(task, time.Now().Add(k.grants.File().Expires), append(intercepted(k.plan.routes), databaseHosts(k.plan.databases)...)...); err != nil {
		return err
	}
	spec, err := k.spec(dir)
	if err != nil {
		return err
	}
	return k.box.Prepare(spec)
}

// serve confines this process while init builds the walls, opens the gate to
// the sandbox, and only then lets the command go.
func (k *keeper) serve(ctx context.Context) (sandbox.Status, error) {
	stopPrompt := func() {}
	if k.o.Prompt != nil {
		stop, err := k.o.Prompt(k.task.Task)
		if err != nil {
			return sandbox.Status{}, err
		}
		stopPrompt = stop
	}
	defer stopPrompt()
	if k.o.Elsewhere && k.o.Prompt == nil && k.asks() {
		fmt.Fprintln(k.o.Stderr, "ambit: what the grants ask you about waits for you in another window: ambit watch --answer")
	}
	if err := k.makeGate(ctx); err != nil {
		return sandbox.Status{}, err
	}
	defer k.closeGates()
	confined, err := sandbox.Confine(sandbox.ConfineSpec{ReadFiles: k.readable()})
	if err != nil {
		return sandbox.Status{}, err
	}
	if err := k.box.Ready(); err != nil {
		return sandbox.Status{}, err
	}
	if k.o.Report != nil {
		k.o.Report(k.box.Report())
	}
	k.open(ctx)
	// Whoever reads a terminal holds a processor each time it waits for a key.
	if !k.o.Terminal && (k.o.Stdin == nil || !term.IsTerminal(int(k.o.Stdin.Fd()))) {
		// Not at once: a command that ends soon would wait for it.
		defer time.AfterFunc(roomAfter, daemon.LeaveRoom).Stop()
	}
	// While the record becomes durable.
	sealed := make(chan error, 1)
	go func() { sealed <- k.box.Seal() }()
	if err := errors.Join(k.recordStart(ctx, confined), <-sealed); err != nil {
		return sandbox.Status{}, err
	}
	if err := k.launch(ctx, k.box.Go); err != nil {
		return sandbox.Status{}, err
	}
	return k.wait(ctx)
}

// asks says whether some line of the file asks a person.
func (k *keeper) asks() bool {
	return slices.ContainsFunc(k.grants.File().Lines, func(l *grants.Line) bool { return l.Section == grants.SectionAsk })
}

const roomAfter = 100 * time.Millisecond

// open serves what the sandbox reaches.
func (k *keeper) open(ctx context.Context) {
	for port, ln := range k.box.TCP() {
		go k.serveOn(ctx, port, ln)
	}
	udp, tcp := k.box.DNS()
	go k.names.ServeUDP(ctx, udp)
	go k.names.ServeTCP(ctx, tcp)
	go serveAgent(k.box.Agent(), k.whoAmI)
}

// answerTime is how long the daemon has to take a new task.
const answerTime = 30 * time.Second

// recordStart makes the task's first record durable, with what the walls
// enforce.
func (k *keeper) recordStart(ctx context.Context, confined sandbox.Report) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, err := k.link.Start(ctx, wire.Start{Walls: report(k.box.Report(), confined)}); err != nil {
		return fmt.Errorf("cannot record the start, and so the command was not run: %w", err)
	}
	return nil
}

// wait returns when the command has ended, or the task was ended.
func (k *keeper) wait(ctx context.Context) (sandbox.Status, error) {
	done := make(chan struct{})
	defer close(done)
	expired := time.AfterFunc(time.Until(k.task.Expires), func() {
		k.stop(&Ended{By: "the clock", Why: "the task expired at " + k.task.Expires.Local().Format(time.TimeOnly)})
	})
	defer expired.Stop()
	go func() {
		select {
		case <-ctx.Done():
			// The connections first: what is under way must not finish.
			k.gate.Revoke()
			if k.databases != nil {
				k.databases.Revoke()
			}
			k.box.Kill()
		case <-done:
		}
	}()
	// The record of the end is made while the kernel takes down what is left.
	k.box.OnExit(func(st sandbox.Status) { go k.end(st, nil) })
	st, err := k.box.Wait()
	if e, ok := errors.AsType[*Ended](context.Cause(ctx)); ok {
		return st, e
	}
	if ctx.Err() != nil {
		return st, fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return st, err
}

// end records the end of the task, once.
func (k *keeper) end(st sandbox.Status, err error) {
	if k.link == nil {
		return // it never began
	}
	k.endOnce.Do(func() {
		e := wire.End{Status: st.Exit(), Detail: "the command ended"}
		if err != nil {
			e.Detail = clip(err.Error(), 400)
			if st == (sandbox.Status{}) {
				e.Status = -1 // it never ran
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		// The daemon records the end by itself when this does not reach it.
		k.link.End(ctx, e)
	})
}

func clip(s string, most int) string { return s[:min(len(s), most)] }

// makeGate makes the task's resolver, pipeline and web gate.
func (k *keeper) makeGate(ctx context.Context) (err error) {
	t := gate.Task{ID: k.task.Task, Agent: k.grants.File().Agent.Value}
	k.names = names.New(k.plan.hosts, k.refusedName)
	live := grants.NewLive(k.grants.Grants, time.Now)
	k.pipe, err = pipeline.New(pipeline.Config{
		Task: t.ID, Agent: t.Agent, Identity: k.link, Decider: gates{live}, Asker: asker{k.link, live}, Recorder: k.link, Minter: &minter{Minter: k.link, link: k.link, audience: k.plan.tokens},
		Freeze: func(err error) { k.stop(&Ended{By: "the pipeline", Why: err.Error()}) },
	})
	if err != nil {
		return err
	}
	var marks []web.Placeholder
	for service, v := range k.task.Placeholders {
		marks = append(marks, web.Placeholder{Value: v, Service: service})
	}
	k.gate, err = web.New(web.Config{
		Task: t, Do: k.pipe, Routes: k.plan.routes, Classifier: newClassifier(k.grants.Grants), Names: k.names, Resolve: resolve,
		Foresee:      k.foresee,
		Placeholders: marks, Alert: k.alert, Authority: k.ca, Roots: k.roots,
	})
	return errors.Join(err, k.makeDatabases(ctx, t))
}

// foresee looks ahead at a verdict, as if no limit were used up.
func (k *keeper) foresee(a *ambit.Action) ambit.Verdict {
	return k.grants.DecideWith(a, grants.Facts{Now: time.Now(), Assume: true}).Verdict
}

// closeGates cuts what is open and waits until its outcomes are recorded.
func (k *keeper) closeGates() {
	k.gate.Close()
	if k.databases != nil {
		k.databases.Close()
	}
}
