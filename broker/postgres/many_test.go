package postgres

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ambit"
	"ambit/broker"
	"ambit/internal/ambittest"
	"ambit/store"
	"ambit/store/row"
)

// tasks is how many tasks TestManyTasks runs one after another, by way of the broker.
// What thousands leave in a catalog shows in TestThousandsOfLeases too, which takes less.
var (
	tasks  = flag.Int("tasks", 100, "tasks one after another")
	leases = flag.Int("leases", 1000, "leases one after another, in lanes")
)

// oneTask is a task's whole time with a database, by way of the broker. What cannot
// be ended in the time that a task's end waits is ended later.
func (h *house) oneTask(w *world, task ambit.TaskID) (err, late error) {
	p, err := h.servers.Provider(w.config(readOrders, Right{Schema: "public", Table: "customers", Columns: []string{"id", "city"}, Privilege: Select}))
	if err != nil {
		return err, nil
	}
	if err := h.Register(task, "shop", time.Now().Add(time.Hour), p); err != nil {
		return err, nil
	}
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	defer stop()
	l, err := h.Mint(ctx, task, "shop")
	if err == nil {
		_, err = query(w.url(l.Secret.Reveal()), "SELECT count(*) FROM orders")
	}
	return err, h.End(ctx, task)
}

// manyHouse is a broker with the rows of tasks that are live.
func (w *world) manyHouse(n int) (*house, []ambit.TaskID) {
	dir := w.t.TempDir()
	s := store.New(filepath.Join(dir, "state.db"))
	ids := make([]ambit.TaskID, n)
	now := time.Now()
	for i := range ids {
		ids[i] = ambit.NewTaskID()
		if err := s.AddTask(context.Background(), row.Task{ID: ids[i], Agent: "a", SPIFFE: "spiffe://x/" + string(ids[i]), Started: now, Expires: now.Add(time.Hour), State: row.TaskLive}); err != nil {
			w.t.Fatal(err)
		}
	}
	h, err := openHouse(dir, nil, &steps{Store: s})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(h.close)
	return h, ids
}

func TestManyTasks(t *testing.T) {
	w := newWorld(t)
	n := *tasks
	if testing.Short() {
		n = 20
	}
	h, ids := w.manyHouse(n)
	began := time.Now()
	for i, id := range ids {
		if err := errors.Join(h.oneTask(w, id)); err != nil {
			t.Fatalf("task %d: %v", i, err)
		}
	}
	t.Logf("%d tasks, one after another: %v", n, time.Since(began))
	for _, r := range w.roles() {
		if len(r) == len("ambit_")+32 {
			t.Errorf("role %s is left", r)
		}
	}
	h.close()
	w.emptied()
}

// emptied sees that nothing of Ambit is in the catalog, groups included, nor anything
// that was of a role which is gone.
func (w *world) emptied() {
	w.t.Helper()
	w.clean()
	for what, sql := range map[string]string{
		"members":  "SELECT count(*) FROM pg_auth_members WHERE roleid NOT IN (SELECT oid FROM pg_roles) OR member NOT IN (SELECT oid FROM pg_roles)",
		"comments": "SELECT count(*) FROM pg_shdescription WHERE classoid = 'pg_authid'::regclass AND objoid NOT IN (SELECT oid FROM pg_roles)",
		"shares":   "SELECT count(*) FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid NOT IN (SELECT oid FROM pg_roles)",
	} {
		if got := w.exec(sql); got[0][0] != "0" {
			w.t.Errorf("%s %s are left", got[0][0], what)
		}
	}
}

// TestThousandsOfLeases makes and ends as many leases as a database sees in a long time,
// and a few at once all the while: what they leave in the catalog is nothing, and what
// the tables are told of them does not grow. Each hundredth is used by a client, and
// proved to be dead. The broker's part, which never touches the catalog, is left out.
func TestThousandsOfLeases(t *testing.T) {
	lanes, each := 4, *leases/4
	if testing.Short() {
		each = 25
	}
	w := newWorld(t)
	p := w.provider(readOrders, Right{Schema: "public", Table: "customers", Columns: []string{"id", "city"}, Privilege: Select})
	one := func(lane, i int) error {
		o := broker.Order{Lease: fmt.Sprintf("%015x%017x", lane*each+i+1, 0xabc), Expires: time.Now().Add(time.Hour)}
		c, err := p.Mint(context.Background(), o)
		if err != nil {
			return err
		}
		l := row.Lease{ID: o.Lease, Handle: c.Handle}
		if i%100 > 0 {
			return p.Revoke(context.Background(), l)
		}
		_, err = query(w.url(c.Secret.Reveal()), "SELECT count(*) FROM orders")
		err = errors.Join(err, p.Revoke(context.Background(), l))
		usable, late := p.Prove(context.Background(), l)
		if usable {
			late = errors.New("it can still be used")
		}
		return errors.Join(err, late)
	}
	began := time.Now()
	if err := one(lanes, 0); err != nil {
		t.Fatal(err)
	}
	acl := "SELECT sum(pg_column_size(relacl)) FROM pg_class WHERE relacl::text LIKE '%ambit%'"
	first := w.exec(acl)[0][0]
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			for i := range each {
				if err := one(lane, i); err != nil {
					t.Errorf("lane %d, lease %d: %v", lane, i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d leases: %v", lanes*each, time.Since(began))
	if last := w.exec(acl)[0][0]; last != first || first == "" {
		t.Errorf("the lists of grants take %s bytes, and took %s after the first lease", last, first)
	}
	if err := errors.Join(p.Close(), w.servers.Close(context.Background())); err != nil {
		t.Error(err)
	}
	w.emptied()
}

func TestTasksAtOnce(t *testing.T) {
	w := newWorld(t)
	n := 200
	if testing.Short() {
		n = 20
	}
	h, ids := w.manyHouse(n)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { h.Serve(ctx, func(err error) { t.Log(err) }); close(served) }()
	errs := make(chan error, n)
	began := time.Now()
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			if err, _ := h.oneTask(w, id); err != nil {
				errs <- fmt.Errorf("task %d: %w", i, err)
			}
		})
	}
	wg.Wait()
	close(errs)
	failed := 0
	for err := range errs {
		if failed++; failed < 5 {
			t.Error(err)
		}
	}
	t.Logf("%d tasks at once: %v, %d failed", n, time.Since(began), failed)
	late := h.Ending()
	if !ambittest.Eventually(2*time.Minute, func() bool { return h.Ending() == 0 }) {
		t.Errorf("%d leases are not ended", h.Ending())
	}
	stop()
	<-served
	t.Logf("%d of them ended after their task, all of them after %v", late, time.Since(began))
}

// TestGroupsComeAndGo has roles join groups while somebody drops those that nobody
// is a member of.
func TestGroupsComeAndGo(t *testing.T) {
	w := newWorld(t)
	p := w.provider(readOrders)
	ctx, stop := context.WithCancel(t.Context())
	tidied := make(chan error, 1)
	go func() {
		var err error
		for err == nil && ctx.Err() == nil {
			_, err = p.server.tidy(context.Background())
		}
		tidied <- err
	}()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 8 {
				o := broker.Order{Lease: fmt.Sprintf("%016x%016x", i+1, j+0xf00), Expires: time.Now().Add(time.Minute)}
				c, err := p.Mint(context.Background(), o)
				if err != nil {
					t.Error(err)
					continue
				}
				if _, err := query(w.url(c.Secret.Reveal()), "SELECT count(*) FROM orders"); err != nil {
					t.Error(err)
				}
				if err := p.Revoke(context.Background(), row.Lease{ID: o.Lease, Handle: c.Handle}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	stop()
	if err := <-tidied; err != nil {
		t.Error(err)
	}
}
