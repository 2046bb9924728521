package postgres

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"ambit"
	"ambit/broker"
	"ambit/store/row"
)

// loss has the answer to the commit of a lease's role be lost, and the database not be
// reached after it.
type loss struct {
	mu    sync.Mutex
	armed bool
	lost  bool
}

func (l *loss) next() (back func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.lost = true, false
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.armed, l.lost = false, false
	}
}

func (l *loss) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// losing is a connection that a loss comes over.
type losing struct {
	net.Conn
	on   *loss
	made bool // the role's statements went by
}

func (c *losing) Write(b []byte) (int, error) {
	c.made = c.made || bytes.Contains(b, []byte("VALID UNTIL"))
	c.on.mu.Lock()
	lose := c.on.armed && c.made && bytes.Contains(b, []byte("COMMIT"))
	c.on.lost = c.on.lost || lose
	c.on.mu.Unlock()
	n, err := c.Conn.Write(b)
	if lose {
		_, _ = c.Conn.Read(make([]byte, 4096)) // it is done there when its answer comes
		c.Conn.Close()
	}
	return n, err
}

// refused makes a provider with a login that is not the administrator's.
func (w *world) refused(user, password string) *Provider {
	w.t.Helper()
	c := w.config(readOrders)
	c.Admin = []byte(w.pg.URL(user, password, w.db))
	return w.apart(c)
}

// apart makes a provider with connections of its own, which can tidy nothing up.
func (w *world) apart(c Config) *Provider {
	w.t.Helper()
	servers := &Servers{}
	p, err := servers.Provider(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.Close()
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		_ = servers.Close(ctx)
	})
	return p
}

// closedPort makes a provider of a port at which nobody listens.
func (w *world) closedPort() *Provider {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c := w.config(readOrders)
	u, err := url.Parse(string(c.Admin))
	if err != nil {
		w.t.Fatal(err)
	}
	u.Host = addr
	c.Admin = []byte(u.String())
	return w.apart(c)
}

// What cannot log in, or may make no role, leaves no lease: neither to this daemon nor
// to the next.
func TestNeverMade(t *testing.T) {
	w := newWorld(t)
	w.exec("CREATE ROLE weak LOGIN PASSWORD 'pw'")
	defer w.exec("DROP ROLE weak")
	for name, x := range map[string]struct {
		p      func() *Provider
		groups bool // an administrator who may has made them
		want   string
	}{
		"a wrong password":                     {func() *Provider { return w.refused("postgres", "wrong") }, false, "password authentication failed"},
		"nobody listens":                       {w.closedPort, false, "refused"},
		"a role without CREATEROLE":            {func() *Provider { return w.refused("weak", "pw") }, false, "CREATEROLE"},
		"the same, and the groups are there":   {func() *Provider { return w.refused("weak", "pw") }, true, "CREATEROLE"},
		"a user that the database has not got": {func() *Provider { return w.refused("nobody", "pw") }, false, "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			if x.groups {
				p := w.provider(readOrders)
				l, _ := w.lease(p)
				defer w.end(p, l)
			}
			before := strings.Join(w.roles(), " ")
			h, ids := w.manyHouse(1)
			if err := h.Register(ids[0], "shop", time.Now().Add(time.Hour), x.p()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, err := h.Mint(t.Context(), ids[0], "shop")
				if !errors.Is(err, broker.ErrNotMade) || !strings.Contains(err.Error(), x.want) {
					t.Errorf("the agent hears %v, want %q", err, x.want)
				}
			}
			w.nothingLeft(h, ids[0])
			if after := strings.Join(w.roles(), " "); after != before {
				t.Errorf("roles are %s, and were %s", after, before)
			}
		})
	}
}

// nothingLeft wants no lease, nothing to try, and one word to a person; and the next
// daemon to have nothing of it either.
func (w *world) nothingLeft(h *house, task ambit.TaskID) {
	w.t.Helper()
	if seen, err := h.Leases(w.t.Context()); err != nil || len(seen) > 0 || h.Ending() > 0 {
		w.t.Errorf("leases are %+v, %v; %d to end", seen, err, h.Ending())
	}
	h.mu.Lock()
	if len(h.alerts) != 1 || h.alerts[0].Lease.State != row.LeaseDead || h.alerts[0].Tries != 0 {
		w.t.Errorf("people hear %+v", h.alerts)
	}
	h.mu.Unlock()
	if err := h.End(w.t.Context(), task); err != nil {
		w.t.Errorf("End: %v", err)
	}
	if kept, err := h.steps.Services(w.t.Context()); err != nil || len(kept) > 0 {
		w.t.Errorf("kept after the task: %v, %v", kept, err)
	}
	if open, err := h.steps.OpenLeases(w.t.Context()); err != nil || len(open) > 0 {
		w.t.Errorf("the next daemon has %v, %v", open, err)
	}
}

// The twin of it: the database made the role, its answer was lost, and nobody could be
// asked then. It is tried on, and in the end the role is gone.
func TestLostAnswerIsTriedOn(t *testing.T) {
	w := newWorld(t)
	h, ids := w.manyHouse(1)
	p := w.provider(readOrders)
	var loses loss
	p.server.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if loses.done() {
			return nil, errors.New("the network is down")
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &losing{Conn: c, on: &loses}, err
	}
	if err := h.Register(ids[0], "shop", time.Now().Add(time.Hour), p); err != nil {
		t.Fatal(err)
	}
	back := loses.next()
	if _, err := h.Mint(t.Context(), ids[0], "shop"); err == nil || errors.Is(err, broker.ErrNotMade) {
		t.Errorf("Mint: %v", err)
	}
	seen, err := h.Leases(t.Context())
	if err != nil || len(seen) != 1 || seen[0].State != row.LeaseRevoking || h.Ending() != 1 {
		t.Fatalf("leases are %+v, %v; %d to end", seen, err, h.Ending())
	}
	if !strings.Contains(strings.Join(w.roles(), " "), Role(seen[0].ID)) {
		t.Error("no role was made")
	}
	back()
	if err := h.Sweep(t.Context()); err != nil || h.Ending() != 0 {
		t.Errorf("Sweep: %v; %d to end", err, h.Ending())
	}
	if strings.Contains(strings.Join(w.roles(), " "), Role(seen[0].ID)) {
		t.Error("the role is there")
	}
}
