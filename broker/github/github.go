// Package github mints the credentials of a GitHub App: installation access tokens
// for exactly the repositories and permissions that a task's grants need.
//
// A token lives for an hour at GitHub, whatever is asked for; so it is revoked when
// its lease ends, and a request with it must then be answered 401. GitHub has no list
// of the tokens of an installation. A token whose answer was lost on the way, or with
// the daemon, counts as usable until the hour is over.
//
// Sources: docs.github.com, "Generating an installation access token for a GitHub
// App", "Generating a JSON Web Token (JWT) for a GitHub App", and the REST API
// endpoints for Apps and installations, version 2022-11-28.
package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"ambit"
	"ambit/broker"
	"ambit/store/row"
)

// Name is the provider's kind.
const Name = "github-app"

const (
	// tokenLife is how long an installation access token lives at GitHub.
	tokenLife = time.Hour
	// lifeMargin is what is added before a token that nobody can ask about any more
	// counts as dead.
	lifeMargin = 2 * time.Minute
	// askTime bounds one request. It is not cut short when whoever wants the token
	// gives up: the token might be made, and nobody would know it.
	askTime = 20 * time.Second

	// MaxRepositories is how many repositories GitHub takes for one token.
	MaxRepositories = 500
)

// Config says which App mints, and for what. Owner, Permissions and either
// Repositories or All must be given.
type Config struct {
	App          int64
	Key          broker.Source // the App's private key in PEM; New takes it over
	Installation int64         // 0: the one of Owner is looked up
	Owner        string        // whose the repositories are
	Repositories []string      // their names, without the owner
	All          bool          // all that the installation has
	// Permissions are GitHub's names with "read", "write" or "admin". What the
	// installation itself does not have is not asked for.
	Permissions map[string]string

	API   string // "https://api.github.com"
	Dial  string // host:port that is really dialled; empty: API's own
	Roots []byte // PEM of whom to trust; empty: the system's

	Now func() time.Time // nil: time.Now
}

// Provider implements broker.Provider. Make it with [New] or [Restore].
type Provider struct {
	c        Config
	client   *http.Client
	restored bool     // leases that it does not know may have been minted before
	sealing  [32]byte // seals the tokens in handles

	mu     sync.Mutex
	leases map[string]*minted
	skew   time.Duration // how far GitHub's clock is ahead
}

// minted is what one lease has at GitHub.
type minted struct {
	tokens []ambit.SecretValue // not yet proved dead
	ends   time.Time           // of the last of them, by this machine's clock
	asking []chan struct{}     // each closed when a request for one has its answer
	lost   time.Time           // until then a token may live that nobody knows; zero: none
}

// New makes a provider for one task's service.
func New(c Config) (*Provider, error) {
	p, err := open(c)
	if err != nil && c.Key != nil {
		c.Key.Wipe()
	}
	return p, err
}

func open(c Config) (*Provider, error) {
	c.Repositories = slices.Clone(c.Repositories)
	slices.Sort(c.Repositories)
	c.Repositories = slices.Compact(c.Repositories)
	c.Permissions = maps.Clone(c.Permissions)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("cannot use a GitHub App: %w", err)
	}
	p := &Provider{c: c, leases: map[string]*minted{}}
	newSealing(p.sealing[:])
	var err error
	if p.client, err = newClient(c); err != nil {
		return nil, fmt.Errorf("cannot use a GitHub App: %w", err)
	}
	return p, nil
}

func (c *Config) check() error {
	switch {
	case c.App <= 0 || c.Installation < 0:
		return errors.New("app: is the App's ID, a number, and installation: that of its installation")
	case c.Key == nil:
		return errors.New("there is no key for it")
	case !word(c.Owner):
		return fmt.Errorf("%.64q is not an owner's name", c.Owner)
	case c.All == (len(c.Repositories) > 0):
		return errors.New("its token is either for named repositories or for all of the installation")
	case len(c.Repositories) > MaxRepositories:
		return fmt.Errorf("its token can be for %d repositories at most, not %d", MaxRepositories, len(c.Repositories))
	case len(c.Permissions) == 0:
		return errors.New("the grants need no permission of it: name operations that it can perform")
	}
	for _, r := range c.Repositories {
		if !word(r) {
			return fmt.Errorf("%.64q is not a repository's name", r)
		}
	}
	for name, level := range c.Permissions {
		if !word(name) || rank(level) == 0 {
			return fmt.Errorf("%.64q: %.16q is not a permission", name, level)
		}
	}
	return nil
}

// word says whether s is a name that can stand in a path as it is.
func word(s string) bool {
	return s != "" && len(s) <= 100 && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

func (p *Provider) now() time.Time {
	if p.c.Now == nil {
		return time.Now()
	}
	return p.c.Now()
}

// Format shows which App mints and nothing else, in every verb.
func (p *Provider) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "GitHub App %d with the key from %v", p.c.App, p.c.Key)
}

// Name implements [broker.Provider].
func (p *Provider) Name() string { return Name }

// Mint implements [broker.Provider]. It returns when ctx ends, and what it had begun
// goes on: a token that is made then is known, and is revoked like any other.
func (p *Provider) Mint(ctx context.Context, o broker.Order) (broker.Credential, error) {
	err := ctx.Err()
	if p.client == nil {
		err = errors.New("nothing was kept of what makes them")
	}
	if err != nil {
		return broker.Credential{}, fmt.Errorf("cannot get a token of GitHub App %d: %w", p.c.App, notMade(err))
	}
	m, answered := p.begin(o.Lease)
	done := make(chan result, 1)
	go func() {
		c, err := p.mint(context.WithoutCancel(ctx), o, m)
		p.ended(m, answered)
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			r.err = fmt.Errorf("cannot get a token of GitHub App %d: %w", p.c.App, r.err)
		}
		return r.c, r.err
	case <-ctx.Done():
		go func() { r := <-done; r.c.Secret.Wipe() }()
		return broker.Credential{}, fmt.Errorf("cannot wait for a token of GitHub App %d: %w", p.c.App, ctx.Err())
	}
}

type result struct {
	c   broker.Credential
	err error
}

func (p *Provider) mint(ctx context.Context, o broker.Order, m *minted) (c broker.Credential, err error) {
	key, err := p.key(ctx)
	if err != nil {
		return c, notMade(err)
	}
	defer wipeKey(key)
	in, err := p.installation(ctx, key)
	if err != nil {
		return c, notMade(err) // it was only read
	}
	want, err := in.grant(p.c.Permissions)
	if err != nil {
		return c, notMade(err)
	}
	t, err := p.ask(ctx, key, in.ID, want, m)
	if err != nil {
		return c, err
	}
	ends := p.until(m, t.expires)
	handle, err := p.seal(t.secret.Reveal(), ends, o.Lease)
	if o.Expires.Before(ends) {
		ends = o.Expires
	}
	if err != nil {
		return c, err
	}
	return broker.Credential{Secret: ambit.NewSecret(slices.Clone(t.secret.Reveal())), Handle: handle, Expires: ends}, nil
}

// notMade says of an error that no token can have been made.
func notMade(err error) error { return fmt.Errorf("%w: %w", broker.ErrNotMade, err) }

// begin notes that something is about to be made for a lease.
func (p *Provider) begin(lease string) (*minted, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.leases[lease]
	if m == nil {
		m = &minted{}
		p.leases[lease] = m
	}
	answered := make(chan struct{})
	m.asking = append(m.asking, answered)
	return m, answered
}

func (p *Provider) ended(m *minted, answered chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.asking = slices.DeleteFunc(m.asking, func(c chan struct{}) bool { return c == answered })
	close(answered)
}

// until notes when a token ends, by this machine's clock.
func (p *Provider) until(m *minted, ends time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.ends = ends.Add(-p.skew)
	return m.ends
}

// add remembers a token until it is proved dead.
func (p *Provider) add(m *minted, t ambit.SecretValue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.tokens = append(m.tokens, t)
}

// lose notes that a token may have been made which nobody knows.
func (p *Provider) lose(m *minted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.lost = p.now().Add(tokenLife + lifeMargin)
}

// known is what is known of a lease. What another daemon minted is in the lease's
// handle, or else it may live as long as any token does.
func (p *Provider) known(l row.Lease) (m *minted, now minted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leases == nil {
		p.leases = map[string]*minted{}
	}
	m = p.leases[l.ID]
	if m == nil {
		m = &minted{}
		p.leases[l.ID] = m
		if t, ends, err := p.unseal(l.Handle, l.ID); err == nil && p.client != nil {
			m.tokens, m.ends = append(m.tokens, t), ends
		} else if p.restored || p.client == nil { // without a client it knows of nothing
			m.lost = l.Minted.Add(tokenLife + lifeMargin)
		}
	}
	return m, minted{slices.Clone(m.tokens), m.ends, slices.Clone(m.asking), m.lost}
}

// Revoke implements [broker.Provider]. It waits for what is still being made.
func (p *Provider) Revoke(ctx context.Context, l row.Lease) error {
	_, now := p.known(l)
	for _, answered := range now.asking {
		select {
		case <-answered:
		case <-ctx.Done():
			return fmt.Errorf("GitHub has not answered yet whether it makes a token: %w", ctx.Err())
		}
	}
	_, now = p.known(l)
	var errs []error
	for _, t := range now.tokens {
		errs = append(errs, p.revoke(ctx, t))
	}
	return errors.Join(errs...)
}

// Prove implements [broker.Provider].
func (p *Provider) Prove(ctx context.Context, l row.Lease) (bool, error) {
	m, now := p.known(l)
	for _, t := range now.tokens {
		usable, err := p.usable(ctx, t)
		if err != nil || usable {
			return true, err
		}
		p.forget(m, t)
	}
	switch {
	case len(now.asking) > 0:
		return true, errors.New("GitHub has not answered yet whether it makes a token")
	case p.now().Before(now.lost):
		return true, fmt.Errorf("GitHub may have made a token whose answer was lost; it ends by itself by %s", now.lost.UTC().Format(time.RFC3339))
	}
	return false, nil
}

// forget wipes a token that is dead.
func (p *Provider) forget(m *minted, t ambit.SecretValue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.tokens = slices.DeleteFunc(m.tokens, func(o ambit.SecretValue) bool { return &o.Reveal()[0] == &t.Reveal()[0] })
	t.Wipe()
}

// Close wipes what the provider holds.
func (p *Provider) Close() error {
	if p.client != nil {
		p.client.CloseIdleConnections()
		p.c.Key.Wipe()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.leases {
		for _, t := range m.tokens {
			t.Wipe()
		}
	}
	p.leases = map[string]*minted{}
	clear(p.sealing[:])
	return nil
}
