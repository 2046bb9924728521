package keeper

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"ambit"
	"ambit/config"
	"ambit/daemon"
	"ambit/daemon/wire"
	"ambit/gate"
	"ambit/gate/web"
	"ambit/gate/web/names"
	"ambit/grants"
	"ambit/identity"
	"ambit/pipeline"
	"ambit/sandbox"
)

// Options say what to run.
type Options struct {
	Home   config.Home
	Build  string
	Grants *Grants
	Argv   []string
	Dir    string // where the person stands
	Person string // on whose behalf
	Lookup func(string) (string, bool)

	// Signals are passed on to the command. After SIGTERM or SIGHUP it has a few
	// seconds to end.
	Signals <-chan os.Signal

	Stdin, Stdout, Stderr *os.File
	Terminal              bool // give the agent a terminal of its own
	// Prompt starts what asks the person on the terminal that the agent does not
	// occupy, and returns how to end it. It may be nil.
	Prompt func(ambit.TaskID) (stop func(), err error)
	// Report shows what the walls enforce. It may be nil.
	Report func(sandbox.Report)
}

// keeper is one gatekeeper.
type keeper struct {
	o     Options
	plan  *plan
	key   *ecdsa.PrivateKey
	link  *daemon.Link
	task  wire.Enrolled
	pipe  *pipeline.Pipeline
	gate  *web.Gate
	names *names.Resolver
	ca    *web.Authority
	box   *sandbox.Sandbox
	stop  context.CancelCauseFunc
}

// Ended is the error of a task that was ended by somebody's word, or the
// clock's.
type Ended struct{ By, Why string }

// Error says who ended it and why.
func (e *Ended) Error() string { return "the task was ended by " + e.By + ": " + e.Why }

// Run runs one task to its end and returns how its command ended. An error
// says that the task did not start, or was ended.
func Run(ctx context.Context, o Options) (sandbox.Status, error) {
	if err := o.Grants.apart(o.Home); err != nil {
		return sandbox.Status{}, err
	}
	p, err := makePlan(o.Grants, o.Argv[0], o.Dir, o.Lookup)
	if err != nil {
		return sandbox.Status{}, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	k := &keeper{o: o, plan: p, stop: stop}
	defer func() {
		if k.link != nil {
			k.link.Close()
		}
	}()
	st, err := k.run(ctx)
	k.end(st, err)
	return st, err
}

// enrol gets an identity. Its key is made here and stays here.
func (k *keeper) enrol(ctx context.Context) error {
	secrets, err := k.secrets(ctx)
	if err != nil {
		return err
	}
	conn, dial, err := daemon.Gatekeeper(ctx, k.o.Home)
	if err != nil {
		return err
	}
	if k.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k.key)
	if err != nil {
		return err
	}
	f := k.o.Grants.File()
	e := wire.Enrol{
		Build: k.o.Build, Agent: f.Agent.Value, Owner: f.Owner.Value, Purpose: f.Purpose.Value, OnBehalfOf: k.o.Person, TTL: f.Expires,
		Command: k.o.Argv, Workspace: k.o.Grants.Workspace, Grants: k.o.Grants.Source, Digest: f.Digest(), CSR: csr, Secrets: secrets, Writable: k.writable(),
	}
	sign := func(nonce []byte) ([]byte, error) {
		if len(nonce) != len(identity.Challenge{}) {
			return nil, errors.New("the daemon's challenge has another length")
		}
		return identity.Answer(k.key, k.task.TrustDomain, identity.Challenge(nonce))
	}
	revoked := func(r wire.Revoke) { k.stop(&Ended{By: r.By, Why: r.Why}) }
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	k.link, k.task, err = daemon.Enrol(ctx, conn, dial, e, sign, revoked)
	for _, s := range secrets {
		clear(s.Value)
	}
	return err
}

// run builds the walls, opens the gate and lets the command run. The sandbox's
// init starts while the task is enrolled.
func (k *keeper) run(ctx context.Context) (st sandbox.Status, err error) {
	roots := systemRoots(k.plan.routes, k.o.Lookup)
	streams := sandbox.Spec{Terminal: k.o.Terminal, Stdin: k.o.Stdin, Stdout: k.o.Stdout, Stderr: k.o.Stderr}
	if k.box, err = sandbox.StartWhen(ctx, streams, func() (sandbox.Spec, error) { return k.prepare(ctx) }); err != nil {
		return st, err
	}
	defer k.box.Kill()
	if k.o.Report != nil {
		k.o.Report(k.box.Report())
	}
	if err := k.makeGate(roots); err != nil {
		return sandbox.Status{}, err
	}
	return k.serve(ctx)
}

// prepare enrols the task and makes its folder, its authority and its sandbox's
// specification.
func (k *keeper) prepare(ctx context.Context) (spec sandbox.Spec, err error) {
	if err := k.enrol(ctx); err != nil {
		return spec, err
	}
	dir := filepath.Join(k.o.Home.Tasks(), string(k.task.Task))
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(filepath.Join(dir, "scratch"), 0o700)); err != nil {
		return spec, fmt.Errorf("cannot make the task's folder: %w", err)
	}
	if k.ca, err = web.NewAuthority(k.task.Task, k.task.Expires, intercepted(k.plan.routes)...); err != nil {
		return spec, err
	}
	return k.spec(dir)
}

// serve opens the gate to the sandbox, confines this process, and only then
// lets the command go.
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
	confined, err := sandbox.Confine(sandbox.ConfineSpec{ReadFiles: k.readable()})
	if err != nil {
		return sandbox.Status{}, err
	}
	for _, ln := range k.box.TCP() {
		go k.gate.Serve(ctx, ln)
	}
	udp, tcp := k.box.DNS()
	go k.names.ServeUDP(ctx, udp)
	go k.names.ServeTCP(ctx, tcp)
	go serveAgent(k.box.Agent(), k.whoAmI)
	defer k.gate.Close()
	if err := k.recordStart(ctx, confined); err != nil {
		return sandbox.Status{}, err
	}
	if err := k.box.Go(); err != nil {
		return sandbox.Status{}, err
	}
	return k.wait(ctx)
}

// answerTime is how long the daemon has to take a new task.
const answerTime = 30 * time.Second

// recordStart makes the task's first record durable, with what the walls
// enforce.
func (k *keeper) recordStart(ctx context.Context, confined sandbox.Report) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if _, err := k.link.Start(ctx, wire.Start{Walls: walls(k.box.Report(), confined)}); err != nil {
		return fmt.Errorf("cannot record the start: %w", err)
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
	go k.signals(done)
	go func() {
		select {
		case <-ctx.Done():
			// The connections first: what is under way must not finish.
			k.gate.Revoke()
			k.box.Kill()
		case <-done:
		}
	}()
	st, err := k.box.Wait()
	if e, ok := errors.AsType[*Ended](context.Cause(ctx)); ok {
		return st, e
	}
	if ctx.Err() != nil {
		return st, fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return st, err
}

// endGrace is how long a command has to end after it was asked to.
const endGrace = 5 * time.Second

// signals passes on what the person's terminal or system sends.
func (k *keeper) signals(done <-chan struct{}) {
	for {
		select {
		case s := <-k.o.Signals:
			k.box.Signal(s)
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				time.AfterFunc(endGrace, func() { k.stop(&Ended{By: "the system", Why: "it did not end after " + s.String()}) })
			}
		case <-done:
			return
		}
	}
}

// end records the end of the task.
func (k *keeper) end(st sandbox.Status, err error) {
	if k.link == nil {
		return // it never began
	}
	e := wire.End{Status: st.Exit(), Detail: "the command ended"}
	if err != nil {
		e.Detail = clip(err.Error(), 400)
		if k.box == nil {
			e.Status = -1
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// The daemon records the end by itself when this does not reach it.
	k.link.End(ctx, e)
}

func clip(s string, most int) string { return s[:min(len(s), most)] }

// makeGate makes the task's resolver, pipeline and web gate.
func (k *keeper) makeGate(roots func() (*x509.CertPool, error)) (err error) {
	t := gate.Task{ID: k.task.Task, Agent: k.o.Grants.File().Agent.Value}
	k.names = names.New(k.plan.hosts, k.refusedName)
	live := grants.NewLive(k.o.Grants.Grants, time.Now)
	k.pipe, err = pipeline.New(pipeline.Config{
		Task: t.ID, Agent: t.Agent, Identity: k.link, Decider: live, Asker: asker{k.link, live}, Recorder: k.link, Minter: &minter{Minter: k.link, link: k.link, audience: k.plan.tokens},
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
		Task: t, Do: k.pipe, Routes: k.plan.routes, Classifier: newClassifier(k.o.Grants.Grants), Names: k.names, Resolve: resolve,
		Foresee: func(a *ambit.Action) ambit.Verdict {
			return k.o.Grants.DecideWith(a, grants.Facts{Now: time.Now(), Assume: true}).Verdict
		},
		Placeholders: marks, Alert: k.alert, Authority: k.ca, Roots: roots,
	})
	return err
}

// asker counts what a person approved before the action goes on.
type asker struct {
	pipeline.Asker
	live *grants.Live
}

func (a asker) Ask(ctx context.Context, q pipeline.Question) (pipeline.Answer, error) {
	ans, err := a.Asker.Ask(ctx, q)
	if err == nil && ans.Approved {
		err = a.live.Spend(&q.Action)
	}
	return ans, err
}
