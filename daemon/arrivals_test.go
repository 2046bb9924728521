package daemon

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"ambit/config"
	"ambit/daemon/wire"
)

// silent connects somebody to a daemon's gate who says nothing.
func silent(d *Daemon) net.Conn {
	ours, theirs := net.Pipe()
	newSession(d, theirs)
	return ours
}

// ended says whether the daemon has hung up.
func ended(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(time.Second))
	_, err := c.Read(make([]byte, 1))
	ne, ok := err.(net.Error)
	return !ok || !ne.Timeout()
}

// TestWhoNeverEnrols: connections without a task end by themselves, and there
// are never many of them.
func TestWhoNeverEnrols(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Daemon{ctx: t.Context()}
		var open []net.Conn
		for range maxArrivalsEach {
			open = append(open, silent(d))
		}
		more := silent(d)
		if !ended(more) {
			t.Error("one process has more connections without a task than it may")
		}
		// One that reserves an id is one that has no task, too.
		w := wire.NewConn(open[0], nil)
		if err := w.Call(t.Context(), wire.MethodReserve, struct{}{}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(arrivalTime / 2)
		if ended(open[1]) {
			t.Error("a connection that can still enrol was ended")
		}
		time.Sleep(arrivalTime)
		<-w.Done()
		for i, c := range open[1:] {
			if !ended(c) {
				t.Errorf("connection %d is open after %v", i+1, arrivalTime)
			}
		}
		synctest.Wait()
		if d.arrivals.all != 0 || len(d.arrivals.each) != 0 {
			t.Errorf("%d connections still count, %v", d.arrivals.all, d.arrivals.each)
		}
		again := silent(d)
		if ended(again) {
			t.Error("there is no room after the others have gone")
		}
		again.Close()
	})
}

// TestArrivalsOfAll: many processes together are bounded too.
func TestArrivalsOfAll(t *testing.T) {
	var a arrivals
	var leave []func()
	for pid := range maxArrivals {
		l, ok := a.admit(pid + 1)
		if !ok {
			t.Fatalf("process %d is refused", pid)
		}
		leave = append(leave, l)
	}
	if _, ok := a.admit(-1); ok {
		t.Error("there is no bound")
	}
	leave[0]()
	leave[0]() // counts once
	if _, ok := a.admit(-1); !ok {
		t.Error("room that was left is not given")
	}
	if _, ok := a.admit(-2); ok {
		t.Error("room was given twice")
	}
}

// TestATaskIsNoArrival: who has a task stays, and makes room.
func TestATaskIsNoArrival(t *testing.T) {
	x := start(t, newHome(t))
	var all []*agent
	for range maxArrivalsEach + 1 {
		all = append(all, x.enrol("worker"))
	}
	for _, a := range all {
		if err := a.Live(); err != nil {
			t.Error(err)
		}
	}
	for _, a := range all {
		if err := a.End(context.WithoutCancel(t.Context()), wire.End{}); err != nil {
			t.Error(err)
		}
	}
}

// TestAnArrivalIsNeeded: the daemon does not leave under a gatekeeper that is about to
// enrol its task.
func TestAnArrivalIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Daemon{ctx: t.Context(), busy: time.Now()}
		d.settings.Idle = config.Duration(time.Second)
		c := silent(d)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if d.idle() {
			t.Error("nobody needs the daemon, it says")
		}
		c.Close()
		synctest.Wait()
		time.Sleep(2 * time.Second)
		if !d.idle() {
			t.Error("it stays for nobody")
		}
	})
}
