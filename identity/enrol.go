package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"ambit"
	"ambit/store/row"
)

// maxCSR bounds a signing request, in bytes; one for P-256 has some 250.
const maxCSR = 16 << 10

// Request asks for a new task.
type Request struct {
	Agent      string       // see [CheckName]
	Owner      string       // who answers for the agent, at most 256 bytes
	Purpose    string       // at most 1024 bytes
	OnBehalfOf string       // the person; empty means the parent's, or nobody
	Parent     ambit.TaskID // empty for a task that a person starts
	TTL        time.Duration

	// CSR is a PKCS #10 request (DER) for an ECDSA P-256 key. Only its key is
	// taken: who the task is, the authority says.
	CSR []byte

	// ID is one that Reserve gave to the same requester; empty makes a new one.
	ID ambit.TaskID
	// Audiences are all for which the task can get JWT-SVIDs, at most 64. A
	// child's are among its parent's.
	Audiences []string

	// These are kept for people to see. The command is cut to 4 KiB.
	Command   []string
	Workspace string
	PID       int
	Process   string       // which process that is; see [row.Task]
	Grants    ambit.Digest // of the grants file's canonical form
}

// Enrolment is a new task with its identity.
type Enrolment struct {
	Task Task
	SVID []byte // X.509-SVID, DER; the key is the requester's
}

// Enrol starts a task. Its end is TTL from now, or its parent's when that is
// sooner. The parent must be live, and a child acts on behalf of nobody else
// than its parent does. The task is durable before Enrol returns.
func (a *Authority) Enrol(ctx context.Context, q Request) (Enrolment, error) {
	if err := a.usable(); err != nil {
		return Enrolment{}, err
	}
	key, err := q.check()
	if err != nil {
		return Enrolment{}, err
	}
	a.change.Lock()
	defer a.change.Unlock()
	t, err := a.newTask(ctx, q)
	if err != nil {
		return Enrolment{}, err
	}
	t.Key = keyDigest(key)
	svid, err := a.sign(t, key)
	if err != nil {
		return Enrolment{}, err
	}
	if err := a.store.AddTask(ctx, t); err != nil {
		return Enrolment{}, err
	}
	a.mu.Lock()
	a.add(t)
	a.raised = t.Started
	a.mu.Unlock()
	a.tell(t)
	return Enrolment{Task: t, SVID: svid}, nil
}

func (q Request) check() (*ecdsa.PublicKey, error) {
	if err := CheckName(q.Agent); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		what, s string
		most    int
	}{{"owner", q.Owner, 256}, {"purpose", q.Purpose, 1024}, {"person", q.OnBehalfOf, 256}, {"workspace", q.Workspace, 4096}} {
		if err := checkText(c.what, c.s, c.most); err != nil {
			return nil, err
		}
	}
	if q.TTL <= 0 || q.TTL > MaxTTL {
		return nil, fmt.Errorf("cannot enrol %s: it would live %v: want more than nothing and at most %v", q.Agent, q.TTL, MaxTTL)
	}
	if len(q.Audiences) > maxGranted {
		return nil, fmt.Errorf("cannot enrol %s: %d audiences for its tokens, at most %d", q.Agent, len(q.Audiences), maxGranted)
	}
	for _, s := range q.Audiences {
		if err := checkAudience(s); err != nil {
			return nil, err
		}
	}
	return parseCSR(q.CSR)
}

// parseCSR returns the key, having seen that the requester holds it.
func parseCSR(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) > maxCSR {
		return nil, fmt.Errorf("cannot read signing request: %d bytes, at most %d", len(der), maxCSR)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read signing request: %w", err)
	}
	k, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil, errors.New("cannot use signing request: its key is not ECDSA P-256")
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("cannot use signing request: it was not signed with its own key: %w", err)
	}
	return k, nil
}

// newTask decides what the new task may be. change is held.
func (a *Authority) newTask(ctx context.Context, q Request) (Task, error) {
	now := a.Now().Truncate(time.Microsecond)
	t := Task{
		ID: q.ID, Agent: q.Agent, Owner: q.Owner, Purpose: q.Purpose, OnBehalfOf: q.OnBehalfOf, Parent: q.Parent,
		Command: clipCommand(q.Command), Workspace: q.Workspace, PID: q.PID, Process: q.Process,
		Started: now, Expires: now.Add(q.TTL).Truncate(time.Microsecond), State: row.TaskLive, Exit: row.NoExit, Grants: q.Grants,
		Audiences: slices.Clone(q.Audiences),
	}
	if t.ID == "" {
		t.ID = ambit.NewTaskID()
	}
	g, err := a.store.Agent(ctx, q.Agent)
	if err != nil && !errors.Is(err, row.ErrMissing) {
		return Task{}, err
	}
	if !g.Barred.IsZero() {
		return Task{}, fmt.Errorf("cannot enrol %s: %s barred the agent on %s: %q", q.Agent, g.BarredBy, g.Barred.Format(time.RFC3339), g.BarWhy)
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.live >= MaxLive {
		return Task{}, fmt.Errorf("cannot enrol %s: %d tasks are live already: end some", q.Agent, a.live)
	}
	if err := a.under(&t, now); err != nil {
		return Task{}, err
	}
	if t.Expires.After(a.root.gens[0].cert.NotAfter) {
		return Task{}, fmt.Errorf("cannot enrol %s: the authority's root ends before the task would: start the daemon again", q.Agent)
	}
	id, err := a.id(t.Agent, t.ID)
	t.SPIFFE = id.String()
	return t, err
}

// under holds a child to what its parent is: attenuation only. mu is held.
func (a *Authority) under(t *Task, now time.Time) error {
	if t.Parent == "" {
		return nil
	}
	if err := a.alive(t.Parent, now); err != nil {
		return fmt.Errorf("cannot enrol %s as a child: %w", t.Agent, err)
	}
	p := a.tasks[t.Parent]
	if t.OnBehalfOf == "" {
		t.OnBehalfOf = p.OnBehalfOf
	}
	// A child that names a person of its own choice would borrow that person's
	// rights.
	if t.OnBehalfOf != p.OnBehalfOf {
		return fmt.Errorf("cannot enrol %s as a child: its parent does not act on behalf of %q", t.Agent, clip(t.OnBehalfOf))
	}
	for _, s := range t.Audiences {
		if !slices.Contains(p.Audiences, s) {
			return fmt.Errorf("cannot enrol %s as a child: its parent has no tokens for %q", t.Agent, clip(s))
		}
	}
	if p.Expires.Before(t.Expires) {
		t.Expires = p.Expires
	}
	depth := 1
	for id := t.Parent; id != ""; id = a.tasks[id].Parent {
		depth++
	}
	if depth > MaxDepth {
		return fmt.Errorf("cannot enrol %s as a child: the chain of tasks would be %d long, at most %d", t.Agent, depth, MaxDepth)
	}
	return nil
}

// sign makes the X.509-SVID: the SPIFFE ID as its only name, no CA, usages of
// an end of a TLS connection, and an end no later than the task's.
func (a *Authority) sign(t Task, key *ecdsa.PublicKey) ([]byte, error) {
	u, err := url.Parse(t.SPIFFE)
	if err != nil {
		return nil, fmt.Errorf("cannot sign identity: %w", err)
	}
	a.mu.RLock()
	g := a.root.gens[0]
	a.mu.RUnlock()
	c := &x509.Certificate{
		SerialNumber: serial(), NotBefore: t.Started.Add(-backdate), NotAfter: t.Expires, URIs: []*url.URL{u},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, g.cert, key, g.key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign identity: %w", err)
	}
	return der, nil
}

func keyDigest(k *ecdsa.PublicKey) ambit.Digest {
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		return ambit.Digest{} // matches no key
	}
	return sha256.Sum256(der)
}

func (a *Authority) usable() error {
	if a == nil || a.store == nil {
		return errors.New("cannot use the authority: it was not opened")
	}
	return nil
}
