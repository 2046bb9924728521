package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ambit"
	"ambit/broker"
	"ambit/internal/ambittest"
	"ambit/store"
	"ambit/store/row"
)

// childVar has a copy of this program be a daemon that kills itself.
const childVar = "AMBIT_POSTGRES_TEST_CHILD"

// order is what a child does.
type childOrder struct {
	Dir    string // its state
	Task   ambit.TaskID
	Admin  string
	KillAt int // the step; 0 for never
}

// steps counts what a daemon does to its store, its log and the database, and kills
// the process just before one of them.
type steps struct {
	*store.Store
	mu     sync.Mutex
	n      int
	killAt int
}

func (s *steps) at(string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n++; s.n == s.killAt {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

func (s *steps) AddLease(ctx context.Context, l row.Lease) error {
	return errors.Join(s.at("add"), s.Store.AddLease(ctx, l), s.at("added"))
}

func (s *steps) MoveLease(ctx context.Context, m row.LeaseMove) error {
	return errors.Join(s.at("move"), s.Store.MoveLease(ctx, m), s.at("moved"))
}

func (s *steps) KeepService(ctx context.Context, v row.Service) error {
	return errors.Join(s.at("keep"), s.Store.KeepService(ctx, v), s.at("kept"))
}

func (s *steps) ForgetService(ctx context.Context, task ambit.TaskID, service string) error {
	return errors.Join(s.at("forget"), s.Store.ForgetService(ctx, task, service), s.at("forgotten"))
}

// house is a daemon as far as leases go.
type house struct {
	*broker.Broker
	servers *Servers
	steps   *steps

	mu     sync.Mutex
	alerts []broker.Trouble
}

// openHouse opens the broker on a state, with or without live tasks.
func openHouse(dir string, live error, at *steps) (*house, error) {
	h := &house{servers: &Servers{}, steps: at}
	again := func(kind string, recipe []byte, _ row.Lease) (broker.Provider, error) {
		p, err := h.servers.FromRecipe(recipe)
		if err != nil {
			return nil, err
		}
		p.fault = at.at
		if kind == KindOnce {
			return p.OnceAgain(), nil
		}
		return p, nil
	}
	b, err := broker.Open(broker.Config{
		Store: at, Now: time.Now, Live: func(ambit.TaskID) error { return live }, Vault: broker.NewVault(filepath.Join(dir, "leases.key")),
		Record: func(_ context.Context, l row.Lease) error { return at.at("log " + string(l.State)) }, Make: again,
		Alert: func(x broker.Trouble) { h.mu.Lock(); h.alerts = append(h.alerts, x); h.mu.Unlock() },
	})
	h.Broker = b
	return h, err
}

func (h *house) close() {
	ctx, stop := context.WithTimeout(context.Background(), ambittest.Patience)
	defer stop()
	h.servers.Close(ctx)
	h.steps.Close()
}

// child is a daemon's life with one task: a lease, a session of it that stays open, a
// right for one statement, and the end of all.
func child() int {
	var o childOrder
	if err := json.Unmarshal([]byte(os.Getenv(childVar)), &o); err != nil {
		fmt.Println(err)
		return 1
	}
	n, err := life(o)
	fmt.Println(n, err)
	return 0
}

func life(o childOrder) (int, error) {
	at := &steps{Store: store.New(filepath.Join(o.Dir, "state.db")), killAt: o.KillAt}
	h, err := openHouse(o.Dir, nil, at)
	if err != nil {
		return 0, err
	}
	ctx := context.Background()
	p, err := h.servers.Provider(Config{Admin: []byte(o.Admin), Rights: []Right{readOrders}})
	if err != nil {
		return 0, err
	}
	p.fault = at.at
	if err := h.Register(o.Task, "shop", time.Now().Add(time.Hour), p); err != nil {
		return 0, err
	}
	l, err := h.Mint(ctx, o.Task, "shop")
	if err != nil {
		return 0, err
	}
	user, password, _ := strings.Cut(string(l.Secret.Reveal()), "\n")
	as := p.server.login
	as.user, as.password = user, []byte(password)
	c, err := as.connect(ctx, nil)
	if err != nil {
		return 0, err
	}
	once, err := h.Once(ctx, o.Task, "shop", func(base row.Lease, b broker.Provider) (broker.Provider, error) {
		return b.(*Provider).Once(base.ID, []Right{{Schema: "public", Table: "orders", Privilege: Delete}}, nil)
	})
	if err != nil {
		return 0, err
	}
	if _, err := (&session{c}).run(ctx, "SELECT 1"); err != nil {
		return 0, err
	}
	if err := errors.Join(h.EndOnce(ctx, o.Task, "shop", once.ID), lent(ctx, h, o.Task, &session{c})); err != nil {
		return 0, err
	}
	err = h.End(ctx, o.Task)
	return at.n, err
}

// lent makes a table with the right for it and the rights of an owner, in a transaction
// that is committed when they are taken back.
func lent(ctx context.Context, h *house, task ambit.TaskID, c *session) error {
	once, err := h.Once(ctx, task, "shop", func(base row.Lease, b broker.Provider) (broker.Provider, error) {
		return b.(*Provider).Once(base.ID, nil, []Need{relation("owner", "orders"), inSchema("plant", "public")})
	})
	if err != nil {
		return err
	}
	if _, err := c.run(ctx, "SET default_transaction_read_only = off; BEGIN; COMMENT ON TABLE public.orders IS 'x'; CREATE TABLE public.made (x int); CREATE VIEW public.seen AS SELECT 1 AS x"); err != nil {
		return err
	}
	if err := h.EndOnce(ctx, task, "shop", once.ID); err != nil {
		return err
	}
	if _, err = c.run(ctx, "COMMIT"); err != nil {
		return err
	}
	return h.steps.at("committed")
}

// inherited sees that what was made and committed is the owner's, and removes it.
func (w *world) inherited() (there bool) {
	w.t.Helper()
	for _, name := range []string{"made", "seen"} {
		switch got := w.owner(name); got {
		case w.keeper():
			there = true
		case "nobody: it is gone":
		default:
			w.t.Errorf("%s belongs to %s", name, got)
		}
	}
	w.exec("DROP VIEW IF EXISTS seen; DROP TABLE IF EXISTS made")
	if n := w.exec("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE r.rolname = '" + w.keeper() + "'")[0][0]; n != "0" {
		w.t.Errorf("the owner has %s members", n)
	}
	return there
}

func newState(t testing.TB) (dir string, task ambit.TaskID) {
	t.Helper()
	dir, task = t.TempDir(), ambit.NewTaskID()
	s := store.New(filepath.Join(dir, "state.db"))
	defer s.Close()
	now := time.Now()
	if err := s.AddTask(context.Background(), row.Task{ID: task, Agent: "a", SPIFFE: "spiffe://x/agent/a/task/" + string(task), Started: now, Expires: now.Add(time.Hour), State: row.TaskLive}); err != nil {
		t.Fatal(err)
	}
	return dir, task
}

func runChild(t *testing.T, o childOrder) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), childVar+"="+string(b))
	out, _ := c.CombinedOutput() // it dies by a signal
	return strings.TrimSpace(string(out))
}

// secretsAreSealed looks for the administrator's password and anything like a
// lease's in the files of a state.
func secretsAreSealed(t *testing.T, dir string, secrets ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				t.Errorf("%s holds a secret", e.Name())
			}
		}
	}
}

// TestKilledAtEachStep kills the daemon with SIGKILL before each thing that it does
// to the store, the log and the database, in the whole life of a lease. The next
// one leaves nothing behind.
func TestKilledAtEachStep(t *testing.T) {
	w := newWorld(t)
	w.keep()
	// Groups that are left when nothing is on record any more, in the minute before they
	// are dropped, go when the database is used next.
	w.provider(readOrders)
	dir, task := newState(t)
	out := runChild(t, childOrder{Dir: dir, Task: task, Admin: w.pg.AdminURL(w.db)})
	count, rest, _ := strings.Cut(out, " ")
	all, err := strconv.Atoi(count)
	if err != nil || rest != "<nil>" || all < 20 {
		t.Fatalf("the child says %q", out)
	}
	w.restart(dir, errors.New("the task is over"))
	if !w.inherited() {
		t.Error("what was approved is not there")
	}
	kept := 0
	stride := 1
	if testing.Short() {
		stride = 5
	}
	sealed := 0
	for n := 1; n <= all; n += stride {
		dir, task := newState(t)
		if out := runChild(t, childOrder{Dir: dir, Task: task, Admin: w.pg.AdminURL(w.db), KillAt: n}); out != "" {
			t.Fatalf("killed at step %d, the child says %q", n, out)
		}
		secretsAreSealed(t, dir, w.pg.Password.Value)
		s := store.New(filepath.Join(dir, "state.db"))
		services, err := s.Services(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sealed += len(services)
		s.Close()
		w.restart(dir, errors.New("the task is over"))
		if w.inherited() {
			kept++
		}
		if groups := w.roles(); len(services) > 0 && len(groups) > 0 {
			t.Errorf("groups survive the next daemon: %v", groups)
		}
		if t.Failed() {
			t.Fatalf("killed before step %d of %d", n, all)
		}
	}
	if kept == 0 || kept == all {
		t.Errorf("what was made is there %d times", kept)
	}
	if sealed == 0 {
		t.Error("nothing was ever kept: the search for secrets finds nothing")
	}
	t.Logf("%d steps", all)
}

// restart is the next start of the daemon, whose tasks are over; nothing is left.
func (w *world) restart(dir string, live error) {
	w.t.Helper()
	h, err := openHouse(dir, live, &steps{Store: store.New(filepath.Join(dir, "state.db"))})
	if err != nil {
		w.t.Fatal(err)
	}
	defer h.close()
	if err := errors.Join(h.Reconcile(context.Background()), h.Sweep(context.Background())); err != nil {
		w.t.Errorf("Reconcile: %v", err)
	}
	for _, r := range w.roles() {
		if !strings.HasPrefix(r, groupMark) { // those go when the database is not used any more
			w.t.Errorf("role %s survives the next start", r)
		}
	}
	open, err := h.steps.OpenLeases(context.Background())
	kept, err2 := h.steps.Services(context.Background())
	if len(open)+len(kept) > 0 || err != nil || err2 != nil {
		w.t.Errorf("left on record: %v %v", open, kept)
	}
}

// TestLiveTaskGoesOn kills the daemon while a task's session is open: the task that
// lives has the same role with the next one.
func TestLiveTaskGoesOn(t *testing.T) {
	w := newWorld(t)
	dir, task := newState(t)
	open := func() *house {
		h, err := openHouse(dir, nil, &steps{Store: store.New(filepath.Join(dir, "state.db"))})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.close)
		return h
	}
	h := open()
	p, err := h.servers.Provider(w.config(readOrders))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Register(task, "shop", time.Now().Add(time.Hour), p); err != nil {
		t.Fatal(err)
	}
	first, err := h.Mint(t.Context(), task, "shop")
	if err != nil {
		t.Fatal(err)
	}
	// The next daemon: the first one is simply never asked again.
	next := open()
	again, err := next.Mint(t.Context(), task, "shop")
	if err != nil || again.ID != first.ID || !bytes.Equal(again.Secret.Reveal(), first.Secret.Reveal()) || !w.usable(again.Secret.Reveal()) {
		t.Errorf("after the restart: %v, %v", again, err)
	}
	password := string(first.Secret.Reveal())[len(Role(first.ID))+1:]
	secretsAreSealed(t, dir, w.pg.Password.Value, password)
	if err := next.End(t.Context(), task); err != nil || w.usable(first.Secret.Reveal()) {
		t.Errorf("End: %v", err)
	}
	if kept, err := next.steps.Services(t.Context()); err != nil || len(kept) > 0 {
		t.Errorf("kept after the task: %v, %v", kept, err)
	}
}

// TestDatabaseDownAtTheStart: the daemon was killed, and the database is down when
// the next one starts. It tries on, says so, and ends the lease when it can.
func TestDatabaseDownAtTheStart(t *testing.T) {
	pg := ambittest.NewPostgres(t, ambittest.PostgresConfig{})
	w := worldOn(t, pg, "shop")
	dir, task := newState(t)
	if out := runChild(t, childOrder{Dir: dir, Task: task, Admin: pg.AdminURL("shop"), KillAt: 24}); out != "" {
		t.Fatalf("the child says %q", out)
	}
	if len(w.roles()) == 0 {
		t.Fatal("the child left nothing behind")
	}
	pg.Stop()
	h, err := openHouse(dir, errors.New("over"), &steps{Store: store.New(filepath.Join(dir, "state.db"))})
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if err := h.Reconcile(t.Context()); err != nil {
		t.Errorf("Reconcile: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { h.Serve(ctx, func(err error) { t.Log(err) }); close(served) }()
	seen := func() (l broker.Status) {
		all, err := h.Leases(t.Context())
		if err != nil || len(all) == 0 {
			t.Fatalf("Leases = %v, %v", all, err)
		}
		return all[0]
	}
	if !ambittest.Eventually(ambittest.Patience, func() bool { return seen().Trouble.Tries >= 2 }) {
		t.Errorf("it was not tried again: %+v", seen())
	}
	if x := seen().Trouble; x.Err == nil || !x.Next.After(x.Since) || strings.Contains(x.Err.Error(), pg.Password.Value) {
		t.Errorf("the trouble is %+v", x)
	}
	h.mu.Lock()
	if len(h.alerts) == 0 {
		t.Error("nobody was told")
	}
	h.mu.Unlock()
	pg.Start(t)
	if !ambittest.Eventually(ambittest.Patience, func() bool { return h.Ending() == 0 }) {
		t.Errorf("not ended: %+v", seen())
	}
	stop()
	<-served
	for _, r := range w.roles() {
		if !strings.HasPrefix(r, groupMark) {
			t.Errorf("role %s is left", r)
		}
	}
}
