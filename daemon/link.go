package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"ambit"
	"ambit/daemon/wire"
	"ambit/pipeline"
)

// Signer proves that a gatekeeper holds the key of its task's SVID.
type Signer func(nonce []byte) ([]byte, error)

// Link is a gatekeeper's connection to the daemon. It carries the pipeline's
// recorder, asker, minter and identity. While the daemon is gone every one of
// them refuses; when it is back it comes to the task's door.
type Link struct {
	door   net.Listener
	sign   Signer
	revoke func(wire.Revoke)

	task    ambit.TaskID
	svid    [][]byte
	daemon  []byte // its key
	domain  string
	expires time.Time

	mu      sync.Mutex
	conn    *wire.Conn
	refused *wire.Conn     // of a daemon that did not take the task back
	gone    error          // why the link is down
	ended   error          // why the task is over
	unacked []wire.Outcome // outcomes that are not known to be durable, in order
	leases  map[string]wire.Leased
	secrets map[string]bool // the services that have a credential
	settled chan struct{}   // closed when unacked is empty, while somebody waits
	stop    context.CancelFunc
}

// maxUnacked bounds the outcomes that wait for the daemon.
const maxUnacked = 4096

// Applicant is a gatekeeper's connection before its task exists. What it asks is
// on its way at once; the gatekeeper does other work until it needs the answer.
type Applicant struct {
	link  *Link
	calls [2]*wire.Pending // for the id, and for the task
	task  ambit.TaskID
}

// Apply asks for a task's id. revoke is called once, when a person ends the
// task.
func Apply(first net.Conn, sign Signer, revoke func(wire.Revoke)) (*Applicant, error) {
	l := &Link{sign: sign, revoke: revoke, leases: map[string]wire.Leased{}, secrets: map[string]bool{}}
	l.conn = wire.NewConn(first, l.handle)
	p, err := l.conn.Send(wire.MethodReserve, struct{}{})
	if err != nil {
		l.conn.Close()
		return nil, fmt.Errorf("cannot enrol the task: %w", err)
	}
	return &Applicant{link: l, calls: [2]*wire.Pending{p}}, nil
}

// Task waits for the id that the task will have. Its folder can be made already;
// the daemon removes it when the task does not come to be.
func (a *Applicant) Task(ctx context.Context) (ambit.TaskID, error) {
	var out wire.Reserved
	if err := a.calls[0].Wait(ctx, &out); err != nil {
		return "", fmt.Errorf("cannot enrol the task: %w", err)
	}
	a.task = out.Task
	return out.Task, nil
}

// Close gives the id up. It does nothing to a task that is enrolled.
func (a *Applicant) Close() {
	if a.link.stop != nil {
		return
	}
	if a.link.door != nil {
		a.link.door.Close()
	}
	a.link.conn.Close()
}

// Listen makes the task's door in its folder. It must be there before the
// gatekeeper confines itself, which can make no Unix socket then.
func (a *Applicant) Listen(folder string) (err error) {
	a.link.door, err = listen(folder, doorSocket)
	return err
}

// Send asks for the task, whose id is known.
func (a *Applicant) Send(e wire.Enrol) (err error) {
	for service := range e.Secrets {
		a.link.secrets[service] = true
	}
	if a.calls[1], err = a.link.conn.Send(wire.MethodEnrol, e); err != nil {
		return fmt.Errorf("cannot enrol the task: %w", err)
	}
	return nil
}

// Enrolled waits for the task and returns its link.
func (a *Applicant) Enrolled(ctx context.Context) (*Link, wire.Enrolled, error) {
	l := a.link
	var out wire.Enrolled
	err := a.calls[1].Wait(ctx, &out)
	if err == nil && out.Task != a.task {
		err = errors.New("the daemon chose another id than it promised")
	}
	if err == nil && l.door == nil {
		err = errors.New("the task has no door at which a daemon would find it")
	}
	if err != nil {
		a.Close()
		return nil, out, fmt.Errorf("cannot enrol the task: %w", err)
	}
	l.task, l.svid, l.expires, l.daemon, l.domain = out.Task, out.SVID, out.Expires, out.Daemon, out.TrustDomain
	watch, stop := context.WithCancel(context.Background())
	l.stop = stop
	go l.keep(watch, l.conn)
	return l, out, nil
}

// Settle waits until the outcomes that were handed over are durable, ctx ends or
// the daemon is gone. Close forgets those that are not.
func (l *Link) Settle(ctx context.Context) {
	l.mu.Lock()
	c := l.conn
	if c == nil || len(l.unacked) == 0 {
		l.mu.Unlock()
		return
	}
	l.settled = make(chan struct{})
	settled := l.settled
	l.mu.Unlock()
	c.Flush()
	select {
	case <-settled:
	case <-c.Done():
	case <-ctx.Done():
	}
}

// Close ends the link for good.
func (l *Link) Close() {
	l.stop()
	l.door.Close() // first: the daemon looks there when the connection ends
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		l.ended = errors.New("the task has ended")
	}
	for _, s := range l.leases {
		clear(s.Secret)
	}
	for _, c := range []*wire.Conn{l.conn, l.refused} {
		if c != nil {
			c.Close()
		}
	}
}

// handle takes the daemon's calls.
func (l *Link) handle(method string, body json.RawMessage) wire.Step {
	if method != wire.MethodRevoke {
		return nil
	}
	var r wire.Revoke
	if wire.Strict(body, &r) != nil {
		return nil
	}
	l.mu.Lock()
	l.ended = fmt.Errorf("the task was revoked by %s: %s", r.By, orElse(r.Why, "no reason given"))
	l.mu.Unlock()
	l.revoke(r)
	return give(struct{}{}, nil)
}

// Live implements [pipeline.Identity].
func (l *Link) Live() error {
	_, err := l.live()
	return err
}

func (l *Link) live() (*wire.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended != nil:
		return nil, l.ended
	case !time.Now().Before(l.expires):
		return nil, fmt.Errorf("the task expired at %s", l.expires.Format(time.RFC3339))
	case l.conn == nil:
		return nil, l.gone
	}
	return l.conn, nil
}

func (l *Link) call(ctx context.Context, method string, in, out any) error {
	c, err := l.live()
	if err != nil {
		return err
	}
	return c.Call(ctx, method, in, out)
}

// Start records the beginning of the task.
func (l *Link) Start(ctx context.Context, s wire.Start) (ambit.RecordID, error) {
	var r wire.Recorded
	err := l.call(ctx, wire.MethodStart, s, &r)
	return r.Record, err
}

// End records the end of the task. An expired or revoked task is recorded too.
func (l *Link) End(ctx context.Context, e wire.End) error {
	l.mu.Lock()
	c, gone := l.conn, l.gone
	l.mu.Unlock()
	if c == nil {
		return gone
	}
	return c.Call(ctx, wire.MethodEnd, e, nil)
}

// Intent implements [pipeline.Recorder].
func (l *Link) Intent(ctx context.Context, i pipeline.Intent) (ambit.RecordID, error) {
	return l.record(ctx, wire.MethodIntent, i, "")
}

// Refusal implements [pipeline.Recorder].
func (l *Link) Refusal(ctx context.Context, i pipeline.Intent, why string) (ambit.RecordID, error) {
	return l.record(ctx, wire.MethodRefusal, i, why)
}

func (l *Link) record(ctx context.Context, method string, i pipeline.Intent, why string) (ambit.RecordID, error) {
	// A task that has expired or been revoked still has its refusals recorded.
	l.mu.Lock()
	c, gone := l.conn, l.gone
	l.mu.Unlock()
	if c == nil {
		return 0, gone
	}
	a := i.Canonical
	if a == nil { // it was refused before it had one
		var err error
		if a, err = i.Action.Canonical(); err != nil {
			return 0, err
		}
	}
	var r wire.Recorded
	err := c.Call(ctx, method, wire.Intent{Action: a, Decision: i.Decision, Approval: i.Approval, Why: why}, &r)
	return r.Record, err
}

// Outcome implements [pipeline.Recorder]: it hands the outcome over in order
// and keeps it until it is durable.
func (l *Link) Outcome(_ context.Context, e pipeline.End) error {
	o := wire.Outcome{Intent: e.Intent, Outcome: e.Outcome, Detail: e.Detail}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unacked) >= maxUnacked {
		return fmt.Errorf("cannot record the outcome of %s: %d outcomes wait for the daemon", e.Intent, len(l.unacked))
	}
	l.unacked = append(l.unacked, o)
	if l.conn == nil {
		return nil // sent when the daemon is back; until then no action passes
	}
	return l.sendOutcome(l.conn, o)
}

// sendOutcome sends o on c and forgets it once it is durable; l.mu is held.
func (l *Link) sendOutcome(c *wire.Conn, o wire.Outcome) error {
	err := c.SendLater(wire.MethodOutcome, o, func(err error) {
		if err != nil {
			// The log is broken: what follows cannot be recorded either.
			l.end(fmt.Errorf("the outcome of %s could not be recorded: %w", o.Intent, err))
			return
		}
		l.acked(o.Intent)
	})
	if errors.Is(err, wire.ErrClosed) {
		return nil // kept, and sent again
	}
	return err
}

func (l *Link) acked(id ambit.RecordID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range l.unacked {
		if o.Intent == id {
			l.unacked = append(l.unacked[:i], l.unacked[i+1:]...)
			break
		}
	}
	if len(l.unacked) == 0 && l.settled != nil {
		close(l.settled)
		l.settled = nil
	}
}

// Ask implements [pipeline.Asker].
func (l *Link) Ask(ctx context.Context, q pipeline.Question) (pipeline.Answer, error) {
	a, err := q.Action.Canonical()
	if err != nil {
		return pipeline.Answer{}, err
	}
	var w wire.Answer
	err = l.call(ctx, wire.MethodAsk, wire.Ask{Action: a, Decision: q.Decision, Preview: q.Preview}, &w)
	if err != nil {
		return pipeline.Answer{}, err
	}
	return pipeline.Answer{Approved: w.Approved, Pending: w.Pending, By: w.By, Ticket: w.Ticket, Why: w.Why, Until: w.Until}, nil
}

// leaseMargin is how long before its end a lease is not used any more.
const leaseMargin = 5 * time.Second

// Mint implements [pipeline.Minter]: a service without a credential gets the
// empty secret.
func (l *Link) Mint(ctx context.Context, a *ambit.Action) (ambit.SecretValue, error) {
	if !l.secrets[a.Service] {
		return ambit.SecretValue{}, nil
	}
	l.mu.Lock()
	s, ok := l.leases[a.Service]
	l.mu.Unlock()
	if ok && time.Until(s.Expires) > leaseMargin {
		return ambit.NewSecret(s.Secret), nil
	}
	if err := l.call(ctx, wire.MethodLease, wire.Lease{Service: a.Service}, &s); err != nil {
		return ambit.SecretValue{}, err
	}
	if !time.Now().Before(s.Expires) {
		return ambit.SecretValue{}, fmt.Errorf("the lease for %s has expired already", a.Service)
	}
	l.mu.Lock()
	l.leases[a.Service] = s
	l.mu.Unlock()
	return ambit.NewSecret(s.Secret), nil
}

// Elevate gives the task's lease of a database what one approved action needs, whose
// intent is given. Lower takes it back, and returns when it is gone, or when it is
// known that this is tried until it succeeds.
func (l *Link) Elevate(ctx context.Context, intent ambit.RecordID) error {
	var e wire.Elevated
	return l.call(ctx, wire.MethodElevate, wire.Elevate{Intent: intent}, &e)
}

// Lendable says why what an action of a service needs cannot be given, "" when it can.
func (l *Link) Lendable(ctx context.Context, service, needs string) (why string, err error) {
	err = l.call(ctx, wire.MethodLendable, wire.Lendable{Service: service, Needs: needs}, nil)
	if bad, ok := errors.AsType[*wire.Error](err); ok && bad.Code == wire.CodeNotLent {
		return bad.Msg, nil
	}
	return "", err
}

// Lower takes back what Elevate gave.
func (l *Link) Lower(ctx context.Context, intent ambit.RecordID) error {
	return l.call(ctx, wire.MethodLower, wire.Lower{Intent: intent}, nil)
}

// JWT gets a JWT-SVID for an audience.
func (l *Link) JWT(ctx context.Context, audience string) (wire.JWTAnswer, error) {
	var a wire.JWTAnswer
	return a, l.call(ctx, wire.MethodJWT, wire.JWT{Audience: audience}, &a)
}

// Alert records something that a person should look at. It does not wait for the
// log, but the alert is on its way when it returns: an agent that does the worst
// and ends at once would else be gone before it, and a task that has ended takes
// none. One that cannot be recorded ends the task.
func (l *Link) Alert(ctx context.Context, a wire.Alert) {
	c, err := l.live()
	if err != nil {
		return // the task has ended, or nothing passes until the daemon is back
	}
	p, err := c.Send(wire.MethodAlert, a)
	if err != nil {
		l.alerted(err)
		return
	}
	go func() { l.alerted(p.Wait(ctx, nil)) }()
}

// alerted takes what became of an alert.
func (l *Link) alerted(err error) {
	if we, ok := errors.AsType[*wire.Error](err); ok && we.Code == wire.CodeOver {
		return // its end was quicker
	}
	if err != nil && l.Live() == nil {
		l.end(fmt.Errorf("an alert could not be recorded: %w", err))
	}
}
