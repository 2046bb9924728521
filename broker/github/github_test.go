package github

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ambit"
	"ambit/broker"
	"ambit/broker/brokertest"
	"ambit/internal/ambittest"
	"ambit/store/row"
)

// world is a stand-in of GitHub and how an App is used there.
type world struct {
	*ambittest.GitHub
	t *testing.T
	c Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ca := ambittest.NewCA(t)
	g := ambittest.NewGitHub(t, ca, nil, "acme", []string{"web", "api", "secret-plans"}, "api.github.com")
	roots, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	return &world{g, t, Config{
		App: g.App, Owner: "Acme", Repositories: []string{"web", "api"}, Permissions: map[string]string{"contents": "read", "pull_requests": "write"},
		API: "https://api.github.com", Dial: g.Addr, Roots: roots,
	}}
}

// provider makes one with a key of its own.
func (w *world) provider(change func(*Config)) *Provider {
	w.t.Helper()
	c := w.c
	key, err := Key("APP_KEY", bytes.Clone(w.Key))
	if err != nil {
		w.t.Fatal(err)
	}
	c.Key = key
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	return p
}

func order(n int) broker.Order {
	return broker.Order{Lease: fmt.Sprintf("%032x", n), Task: ambit.NewTaskID(), Service: "github", Expires: time.Now().Add(15 * time.Minute)}
}

func leaseOf(o broker.Order, handle string) row.Lease {
	return row.Lease{ID: o.Lease, Task: o.Task, Service: o.Service, Provider: Name, Handle: handle, State: row.LeaseRevoking, Minted: time.Now(), Expires: o.Expires}
}

// ended wants a lease to be revoked and proved dead, and nothing left at GitHub.
func (w *world) ended(p *Provider, l row.Lease) {
	w.t.Helper()
	if err := p.Revoke(w.t.Context(), l); err != nil {
		w.t.Errorf("Revoke: %v", err)
	}
	if usable, err := p.Prove(w.t.Context(), l); usable || err != nil {
		w.t.Errorf("Prove = %v, %v", usable, err)
	}
	if live := w.Live(); len(live) > 0 {
		w.t.Errorf("left at GitHub: %v", live)
	}
}

func TestProvider(t *testing.T) {
	brokertest.Run(t, func(t *testing.T) brokertest.World {
		w := newWorld(t)
		p := w.provider(nil)
		return brokertest.World{
			Provider: p, Usable: func(s []byte) bool { return w.Accepts(string(s)) },
			Again: func() broker.Provider { return w.again(p) },
			Down: func(down bool) {
				w.Fault(func(http.ResponseWriter, *http.Request) bool {
					if down {
						panic(http.ErrAbortHandler)
					}
					return false
				})
			},
			Refused: func() broker.Provider { return w.provider(func(c *Config) { c.Key = otherKey(t) }) },
			Lose: func() (back func()) {
				w.Fault(func(_ http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodPost {
						panic(http.ErrAbortHandler)
					}
					return false
				})
				return func() { w.Fault(nil) }
			},
			Slow: func(d time.Duration) {
				w.Fault(func(http.ResponseWriter, *http.Request) bool { time.Sleep(d); return false })
			},
		}
	})
}

// again makes the provider as the next daemon does.
func (w *world) again(p *Provider) *Provider {
	w.t.Helper()
	recipe, err := p.Recipe()
	if err != nil {
		w.t.Fatal(err)
	}
	q, err := Restore(recipe)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { q.Close() })
	return q
}

// TestRenew lets a lease go on for as long as its token lives, for another daemon too.
func TestRenew(t *testing.T) {
	w := newWorld(t)
	p, o := w.provider(nil), order(1)
	c, err := p.Mint(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	l := leaseOf(o, c.Handle)
	for name, q := range map[string]*Provider{"itself": p, "another": w.again(p)} {
		for in, gone := range map[time.Duration]bool{15 * time.Minute: false, 59 * time.Minute: false, 61 * time.Minute: true, 24 * time.Hour: true} {
			if err := q.Renew(t.Context(), l, time.Now().Add(in)); errors.Is(err, broker.ErrGone) != gone || err != nil && !gone {
				t.Errorf("%s, for %v: %v", name, in, err)
			}
		}
	}
	w.ended(w.again(p), l) // by somebody else
	if err := p.Renew(t.Context(), l, time.Now().Add(time.Minute)); !errors.Is(err, broker.ErrGone) {
		t.Errorf("what was revoked is renewed: %v", err)
	}
	w.Fault(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(500); return true })
	if err := p.Renew(t.Context(), l, time.Now().Add(time.Minute)); err == nil {
		t.Error("renewed what cannot be looked at")
	}
}

// TestTokenIsForTheGrantsAlone looks at what GitHub was asked for.
func TestTokenIsForTheGrantsAlone(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"repositories and permissions": {nil, "api,web contents:read metadata:read pull_requests:write"},
		"the installation is named":    {func(c *Config) { c.Installation = 815; c.Repositories = []string{"web"} }, "web contents:read metadata:read pull_requests:write"},
		"all repositories":             {func(c *Config) { c.Repositories, c.All = nil, true }, "all contents:read metadata:read pull_requests:write"},
		"no more than the App has": {func(c *Config) {
			c.Permissions = map[string]string{"checks": "write", "pages": "read", "contents": "read"}
		},
			"api,web checks:read contents:read metadata:read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, o := w.provider(x.change), order(1)
			c, err := p.Mint(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if live := w.Live(); len(live) != 1 || live[0] != x.want {
				t.Errorf("the token is for %q, want %q", live, x.want)
			}
			if c.Expires.After(o.Expires) {
				t.Errorf("it ends %v, after the order's %v", c.Expires, o.Expires)
			}
			w.ended(p, leaseOf(o, c.Handle))
		})
	}
}

// TestClocksThatDiffer signs for GitHub's time, and takes a token's end for what it
// is here.
func TestClocksThatDiffer(t *testing.T) {
	for _, ahead := range []time.Duration{-50 * time.Minute, -12 * time.Minute, -30 * time.Second, 30 * time.Second, 12 * time.Minute, 50 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			w := newWorld(t)
			w.Clock(ahead)
			p, o := w.provider(nil), order(1)
			o.Expires = time.Now().Add(24 * time.Hour)
			c, err := p.Mint(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(c.Expires); left < 58*time.Minute || left > 61*time.Minute {
				t.Errorf("the token is said to have %v left, want an hour", left)
			}
			w.ended(p, leaseOf(o, c.Handle))
		})
	}
	w := newWorld(t)
	w.Clock(3 * time.Hour)
	if _, err := w.provider(nil).Mint(t.Context(), order(1)); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("clocks three hours apart: %v", err)
	}
}

// TestRefusals are what GitHub or its owner refuses. Nothing is left, and the error
// says what to do.
func TestRefusals(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*Config)
		grant  map[string]string
		want   string
	}{
		"another App":                 {func(c *Config) { c.App++ }, nil, "signature"},
		"not installed":               {func(c *Config) { c.Owner = "other" }, nil, "install it for other"},
		"no such installation":        {func(c *Config) { c.Installation = 3 }, nil, "no such installation"},
		"another's installation":      {func(c *Config) { c.Installation = 815; c.Owner = "other" }, nil, "repositories of other"},
		"a repository it has not":     {func(c *Config) { c.Repositories = []string{"web", "nothing"} }, nil, "acme/nothing"},
		"none of the permissions":     {nil, map[string]string{"pages": "read"}, "none of the permissions"},
		"the wrong key":               {func(c *Config) { c.Key = otherKey(t) }, nil, "signature"},
		"somebody else answers":       {func(c *Config) { c.API = "https://other.example.org" }, nil, "certificate"},
		"nobody answers":              {func(c *Config) { c.Dial = "127.0.0.1:1" }, nil, "refused"},
		"the key's file is not there": {func(c *Config) { c.Key = broker.File{Path: "/nonexistent/key"} }, nil, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if x.grant != nil {
				w.Grant(x.grant)
			}
			p, o := w.provider(x.change), order(1)
			_, err := p.Mint(t.Context(), o)
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(x.want)) {
				t.Errorf("the error is %v, want one with %q", err, x.want)
			}
			if !errors.Is(err, broker.ErrNotMade) {
				t.Error("it does not say that nothing was made")
			}
			w.ended(p, leaseOf(o, ""))
		})
	}
}

// TestNotMade: only a refusal of GitHub's says that it made no token.
func TestNotMade(t *testing.T) {
	for status, never := range map[int]bool{401: true, 403: true, 404: true, 422: true, 429: true, 408: false, 200: false, 201: false, 202: false, 302: false, 500: false, 502: false, 504: false} {
		w := newWorld(t)
		p := w.provider(nil)
		w.Fault(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			rw.WriteHeader(status)
			rw.Write([]byte("{}"))
			return true
		})
		if _, err := p.Mint(t.Context(), order(1)); err == nil || errors.Is(err, broker.ErrNotMade) != never {
			t.Errorf("%d: %v", status, err)
		}
	}
}

var otherPEM = sync.OnceValue(func() []byte {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil // Key will say so
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
})

// otherKey is a key that the App does not have.
func otherKey(t *testing.T) *KeyValue {
	t.Helper()
	k, err := Key("OTHER", bytes.Clone(otherPEM()))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// hostile has the making of tokens answered with what make gives, after a real token
// was made for what is asked, when token is wanted.
func hostile(w *world, status int, body func(token string) string) {
	w.Fault(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != "POST" {
			return false
		}
		token := w.Issue(nil, map[string]string{"administration": "write"})
		rw.WriteHeader(status)
		rw.Write([]byte(body(token)))
		return true
	})
}

// TestHostileAnswers makes GitHub answer with more than was asked for, or with what is
// no answer. No such token is used. It is revoked when it is known, and is not called
// dead before its hour is over when it is not.
func TestHostileAnswers(t *testing.T) {
	end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	const repos = `,"repository_selection":"selected","repositories":[{"full_name":"acme/web"}]`
	with := func(rest string) func(string) string {
		return func(token string) string { return `{"token":"` + token + `"` + rest + `}` }
	}
	ends := `,"expires_at":"` + end + `"`
	for name, x := range map[string]struct {
		status int
		body   func(string) string
		known  bool // what the token is
	}{
		"another permission":   {201, with(ends + repos + `,"permissions":{"contents":"read","administration":"read"}`), true},
		"a higher level":       {201, with(ends + repos + `,"permissions":{"contents":"write"}`), true},
		"admin of metadata":    {201, with(ends + repos + `,"permissions":{"metadata":"admin"}`), true},
		"an unheard-of level":  {201, with(ends + repos + `,"permissions":{"contents":"owner"}`), true},
		"no permissions":       {201, with(ends + repos), true},
		"all repositories":     {201, with(ends + `,"repository_selection":"all","repositories":[{"full_name":"acme/web"}],"permissions":{"contents":"read"}`), true},
		"another repository":   {201, with(ends + `,"repository_selection":"selected","repositories":[{"full_name":"acme/web"},{"full_name":"acme/secret-plans"}],"permissions":{"contents":"read"}`), true},
		"another owner":        {201, with(ends + `,"repository_selection":"selected","repositories":[{"full_name":"evil/web"}],"permissions":{"contents":"read"}`), true},
		"no repository":        {201, with(ends + `,"repository_selection":"selected","repositories":[],"permissions":{"contents":"read"}`), true},
		"repositories unsaid":  {201, with(ends + `,"permissions":{"contents":"read"}`), true},
		"a day long":           {201, with(`,"expires_at":"` + time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339) + `"` + repos + `,"permissions":{"contents":"read"}`), true},
		"over already":         {201, with(`,"expires_at":"2020-01-01T00:00:00Z"` + repos + `,"permissions":{"contents":"read"}`), true},
		"no end":               {201, with(repos + `,"permissions":{"contents":"read"}`), true},
		"an end that is a map": {201, with(`,"expires_at":{}` + repos + `,"permissions":{"contents":"read"}`), true},
		"permissions a list":   {201, with(ends + repos + `,"permissions":["contents"]`), true},
		"a line end in it":     {201, func(t string) string { return `{"token":"` + t + `\r\nX: y"` + ends + repos + `,"permissions":{}}` }, false},
		"a number for a token": {201, func(string) string { return `{"token":42` + ends + repos + `,"permissions":{}}` }, false},
		"no JSON":              {201, func(string) string { return "<html>" }, false},
		"nothing":              {201, func(string) string { return "" }, false},
		"endless":              {201, func(t string) string { return `{"token":"` + t + `","x":"` + strings.Repeat("x", maxAnswer) + `"}` }, false},
		"deep":                 {201, func(string) string { return strings.Repeat("[", 1<<20) }, false},
		"another success":      {200, with(ends + repos + `,"permissions":{"contents":"read"}`), false},
		"a broken server":      {502, func(string) string { return "bad gateway" }, false},
		"a redirect":           {307, func(string) string { return "" }, true}, // nothing was made
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			hostile(w, x.status, x.body)
			if x.status == 307 {
				w.Fault(func(rw http.ResponseWriter, r *http.Request) bool {
					if r.Method == "POST" && r.URL.Path != "/elsewhere" {
						http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
						return true
					}
					return false
				})
			}
			now := time.Now()
			var ahead atomic.Int64
			p := w.provider(func(c *Config) { c.Now = func() time.Time { return now.Add(time.Duration(ahead.Load())) } })
			o := order(1)
			c, err := p.Mint(t.Context(), o)
			if err == nil || !c.Secret.Empty() {
				t.Fatalf("it was taken: %v", err)
			}
			if strings.Contains(err.Error(), "ghs_") {
				t.Errorf("the error holds the token: %v", err)
			}
			if len(w.Find("POST", "/elsewhere")) > 0 {
				t.Error("the App's token went where an answer pointed")
			}
			if x.known {
				if live := w.Live(); len(live) > 0 {
					t.Errorf("a token that is for too much was left: %v", live)
				}
				w.ended(p, leaseOf(o, ""))
				return
			}
			l := leaseOf(o, "")
			if err := p.Revoke(t.Context(), l); err != nil {
				t.Error(err)
			}
			if usable, err := p.Prove(t.Context(), l); !usable || err == nil {
				t.Errorf("what nobody can ask about counts as dead: %v, %v", usable, err)
			}
			ahead.Store(int64(tokenLife + lifeMargin))
			if usable, err := p.Prove(t.Context(), l); usable || err != nil {
				t.Errorf("after its hour: %v, %v", usable, err)
			}
		})
	}
}

// TestSlow gives up while GitHub thinks: the token that is made then is known, and
// does not outlive its lease.
func TestSlow(t *testing.T) {
	w := newWorld(t)
	thinking, asked := make(chan struct{}), make(chan struct{})
	w.Fault(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" {
			close(asked)
			<-thinking
		}
		return false
	})
	p, o := w.provider(nil), order(1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := p.Mint(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("Mint = %v", err)
	}
	l := leaseOf(o, "")
	if usable, err := p.Prove(t.Context(), l); !usable || err == nil {
		t.Errorf("it counts as dead while GitHub makes it: %v, %v", usable, err)
	}
	close(thinking)
	if !ambittest.Eventually(ambittest.Patience, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.leases[o.Lease].asking) == 0
	}) {
		t.Fatal("the request does not end")
	}
	if w.Issued() != 1 {
		t.Fatalf("%d tokens were made, want 1", w.Issued())
	}
	w.ended(p, l)
}

// TestDown keeps a lease for alive as long as GitHub does not say 401.
func TestDown(t *testing.T) {
	w := newWorld(t)
	p, o := w.provider(nil), order(1)
	c, err := p.Mint(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	l := leaseOf(o, c.Handle)
	for _, status := range []int{200, 202, 301, 403, 404, 429, 500, 503} {
		w.Fault(func(rw http.ResponseWriter, r *http.Request) bool {
			rw.WriteHeader(status)
			rw.Write([]byte(`{"message":"down \u001b[31m for maintenance"}`))
			return true
		})
		err := p.Revoke(t.Context(), l)
		if err == nil || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("%d: revoked: %v", status, err)
		}
		if usable, err := p.Prove(t.Context(), l); !usable || (err == nil) != (status == 200) {
			t.Errorf("%d: Prove = %v, %v", status, usable, err)
		}
	}
	w.Fault(nil)
	w.ended(p, l)
}

// TestAnotherDaemon ends leases that an earlier run minted: by their handle, and
// without one, which a crash leaves, when no token can be alive any more.
func TestAnotherDaemon(t *testing.T) {
	w := newWorld(t)
	p, o := w.provider(nil), order(1)
	c, err := p.Mint(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := p.Recipe()
	if err != nil {
		t.Fatal(err)
	}
	restore := func() *Provider {
		q, err := Restore(recipe)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { q.Close() })
		return q
	}
	secret := string(c.Secret.Reveal())
	if strings.Contains(c.Handle, secret) || len(c.Handle) > 1000 {
		t.Errorf("the handle is %q", c.Handle)
	}
	if bytes.Contains(recipe[:bytes.IndexByte(recipe, 0)], []byte("PRIVATE")) {
		t.Error("the key is in the JSON of the recipe")
	}
	// As a crash after Mint leaves it; as another lease's; changed; with another key.
	flipped := []byte(c.Handle)
	flipped[len(flipped)/2] ^= 1
	stranger := w.provider(nil)
	stranger.restored = true
	forgotten, err := Restore(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := forgotten.Mint(t.Context(), order(4)); err == nil || forgotten.Close() != nil {
		t.Error("it mints without a recipe")
	}
	for name, x := range map[string]struct {
		p *Provider
		l row.Lease
	}{
		"no handle":        {restore(), leaseOf(o, "")},
		"another's handle": {restore(), leaseOf(order(2), c.Handle)},
		"changed":          {restore(), leaseOf(o, string(flipped))},
		"no recipe":        {forgotten, leaseOf(o, c.Handle)},
		"another recipe":   {stranger, leaseOf(o, c.Handle)},
	} {
		if err := x.p.Revoke(t.Context(), x.l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if usable, err := x.p.Prove(t.Context(), x.l); !usable || err == nil {
			t.Errorf("%s: Prove = %v, %v", name, usable, err)
		}
		x.l.ID, x.l.Minted = fmt.Sprintf("%032x", 99), time.Now().Add(-tokenLife-lifeMargin)
		if usable, err := x.p.Prove(t.Context(), x.l); usable || err != nil {
			t.Errorf("%s, after its hour: Prove = %v, %v", name, usable, err)
		}
	}
	if !w.Accepts(secret) {
		t.Fatal("it was revoked by who does not know it")
	}
	w.ended(restore(), leaseOf(o, c.Handle))
	// And it goes on minting.
	q := restore()
	c, err = q.Mint(t.Context(), order(3))
	if err != nil {
		t.Fatal(err)
	}
	w.ended(q, leaseOf(order(3), c.Handle))
	for i := 1; i < len(recipe)-len("-----END RSA PRIVATE KEY-----\n"); i++ {
		if _, err := Restore(recipe[:i]); err == nil {
			t.Fatalf("%d of %d bytes of a recipe are enough", i, len(recipe))
		}
	}
}

// TestKeyFile reads the key from its file for every lease, and keeps only its path.
func TestKeyFile(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(path, w.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	p := w.provider(func(c *Config) { c.Key = broker.File{Path: path, Apart: []string{"/nonexistent"}} })
	c, err := p.Mint(t.Context(), order(1))
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := p.Recipe()
	if err != nil || bytes.Contains(recipe, []byte("PRIVATE")) {
		t.Errorf("the recipe holds the key: %v", err)
	}
	q, err := Restore(recipe)
	if err != nil {
		t.Fatal(err)
	}
	w.ended(q, leaseOf(order(1), c.Handle))
	if err := os.WriteFile(path, otherKey(t).b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Mint(t.Context(), order(2)); err == nil {
		t.Error("a key that was taken away is still used")
	}
}

func TestConfigRefuses(t *testing.T) {
	w := newWorld(t)
	good := w.c
	good.Key = otherKey(t)
	for name, change := range map[string]func(*Config){
		"zero":             func(c *Config) { *c = Config{} },
		"no App":           func(c *Config) { c.App = 0 },
		"no key":           func(c *Config) { c.Key = nil },
		"no owner":         func(c *Config) { c.Owner = "" },
		"a path for owner": func(c *Config) { c.Owner = "a/../b" },
		"dots for owner":   func(c *Config) { c.Owner = ".." },
		"no repository":    func(c *Config) { c.Repositories = nil },
		"all and some":     func(c *Config) { c.All = true },
		"a path for one":   func(c *Config) { c.Repositories = []string{"a/b"} },
		"too many":         func(c *Config) { c.Repositories = many(MaxRepositories + 1) },
		"no permission":    func(c *Config) { c.Permissions = nil },
		"no level":         func(c *Config) { c.Permissions = map[string]string{"contents": ""} },
		"plain HTTP":       func(c *Config) { c.API = "http://api.github.com" },
		"no API":           func(c *Config) { c.API = "" },
		"a user in it":     func(c *Config) { c.API = "https://x@api.github.com" },
		"no certificate":   func(c *Config) { c.Roots = []byte("x") },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
		good.Key = otherKey(t) // the one before was wiped
	}
	for name, pem := range map[string]string{
		"empty": "", "no PEM": "hello", "two": string(w.Key) + string(w.Key), "another": strings.ReplaceAll(string(w.Key), "RSA PRIVATE", "RSA PUBLIC")[:100], "long": strings.Repeat("x", maxKey+1),
	} {
		if _, err := Key("X", []byte(pem)); err == nil {
			t.Errorf("key %s: taken", name)
		}
	}
}

func many(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint("r", i))
	}
	return slices.Clip(out)
}
