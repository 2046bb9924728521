package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"ambit"
	"ambit/store/row"
)

const (
	staticName = "static"
	maxSecret  = 64 << 10 // bytes
)

// Source is where a credential that exists already comes from: [Value], [File]
// or [Command].
type Source interface {
	// Read returns the credential; the caller owns it. No error holds any of it.
	Read(ctx context.Context) ([]byte, error)
	// String says where it comes from, with nothing secret.
	String() string
	// Wipe overwrites what the source itself holds.
	Wipe()
}

// Static returns the provider of credentials that exist already. It cannot end
// them at the service: a lease of it ends in that no one in the house holds it
// any more.
func Static(s Source) Provider { return &static{source: s} }

type static struct {
	source Source

	mu   sync.Mutex
	live map[string]struct{} // by lease
}

// Format shows where the credentials come from and nothing else, in every verb.
func (p *static) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "static from %v", p.source) }

// Name implements Provider.
func (p *static) Name() string { return staticName }

// Mint implements Provider.
func (p *static) Mint(ctx context.Context, o Order) (Credential, error) {
	if p.source == nil {
		return Credential{}, errors.New("there is no source for it")
	}
	b, err := p.source.Read(ctx)
	if err == nil {
		err = checkSecret(b)
	}
	if err != nil {
		clear(b)
		return Credential{}, fmt.Errorf("%s: %w", p.source, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		p.live = map[string]struct{}{}
	}
	p.live[o.Lease] = struct{}{}
	return Credential{Secret: ambit.NewSecret(b)}, nil
}

// Revoke implements Provider.
func (p *static) Revoke(_ context.Context, l row.Lease) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, l.ID)
	return nil
}

// Prove implements Provider.
func (p *static) Prove(_ context.Context, l row.Lease) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.live[l.ID]
	return ok, nil
}

// Close wipes the source.
func (p *static) Close() error {
	if p.source != nil {
		p.source.Wipe()
	}
	return nil
}

// checkSecret refuses what cannot be put into a request as it is. A line break
// in a header would begin a header of its own.
func checkSecret(b []byte) error {
	switch {
	case len(b) == 0:
		return errors.New("the credential is empty")
	case len(b) > maxSecret:
		return fmt.Errorf("the credential has more than %d bytes", maxSecret)
	case bytes.IndexByte(b, 0) >= 0:
		return errors.New("the credential holds a NUL byte: is it a binary file?")
	case bytes.ContainsAny(b, "\r\n"):
		return errors.New("the credential has more than one line: give the one line that the service expects")
	case b[0] == ' ' || b[0] == '\t' || b[len(b)-1] == ' ' || b[len(b)-1] == '\t':
		return errors.New("the credential begins or ends with white space: remove it")
	}
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return errors.New("the credential holds a control character")
		}
	}
	return nil
}

// trimLine takes one line end off, as files and commands end with one.
func trimLine(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}

// value is a credential that came over with the task.
type value struct {
	name string
	mu   sync.Mutex
	b    []byte
}

// Value is a credential itself, from the environment of ambit run; name is its
// variable's. It takes b over and wipes it when the task ends. What cannot be
// used is an error at once, so that the task does not start with it.
func Value(name string, b []byte) (Source, error) {
	v := &value{name: name, b: b}
	if err := checkSecret(b); err != nil {
		v.Wipe()
		return nil, fmt.Errorf("cannot use %s: %w", v, err)
	}
	return v, nil
}

// Read implements Source.
func (v *value) Read(context.Context) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.b == nil {
		return nil, errors.New("it was wiped")
	}
	return bytes.Clone(v.b), nil
}

// String implements Source.
func (v *value) String() string { return fmt.Sprintf("environment variable %.64q", v.name) }

// Wipe implements Source.
func (v *value) Wipe() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.b)
	v.b = nil
}

// GoString keeps the bytes out of %#v.
func (v *value) GoString() string { return v.String() }

// Format keeps the bytes out of every verb.
func (v *value) Format(f fmt.State, _ rune) { fmt.Fprint(f, v.String()) }
