package sql

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestStillness: one runs alone when all others rest, nobody begins meanwhile, and no two
// wait for each other for ever.
func TestStillness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &stillness{}
		never := make(chan struct{})
		soon := func() <-chan struct{} {
			c := make(chan struct{})
			time.AfterFunc(time.Second, func() { close(c) })
			return c
		}
		for range 2 { // both are at work, the second one inside a batch
			if !q.enter(never) {
				t.Fatal("nobody is alone, and they may not begin")
			}
		}
		if _, ok := q.only(soon(), true); ok {
			t.Error("alone beside another")
		}
		entered := make(chan bool, 1)
		got := make(chan func(), 1)
		go func() { open, _ := q.only(never, true); got <- open }()
		synctest.Wait()
		if _, ok := q.only(never, true); ok { // it would wait for one that waits for it
			t.Error("two are alone")
		}
		go func() { entered <- q.enter(never) }()
		synctest.Wait()
		select {
		case <-entered:
			t.Error("another began while one waits to be alone")
		default:
		}
		q.leave() // the first one rests
		open := <-got
		if open == nil {
			t.Fatal("not alone")
		}
		if q.enter(soon()) {
			t.Error("another began beside it")
		}
		if _, ok := q.only(soon(), false); ok {
			t.Error("two are alone")
		}
		q.leave()
		open()
		if !<-entered {
			t.Error("nobody may begin afterwards")
		}
		if _, ok := q.only(soon(), false); ok {
			t.Error("alone beside one that has begun")
		}
		q.leave()
		if open, ok := q.only(never, false); !ok {
			t.Error("it is not over")
		} else {
			q.leave()
			open()
		}
		if q.busy != 0 || q.alone {
			t.Errorf("left: %d, %v", q.busy, q.alone)
		}
	})
}
