package daemon

import (
	"sync"
	"time"
)

// arrivals bounds the connections that have no task. A peer that connects and
// says nothing would hold a descriptor and memory for ever, and many of them
// all that there are.
type arrivals struct {
	mu   sync.Mutex
	each map[int]int // by process; 0 is one that is not known
	all  int
}

const (
	maxArrivals     = 256
	maxArrivalsEach = 32 // of one process

	// arrivalTime is how long a connection has to get a task. A gatekeeper connects
	// first, and then runs the commands that print credentials, ten seconds each at most.
	arrivalTime = 2 * time.Minute
)

// admit counts a connection of a process; false refuses it. leave is called when
// it has a task or has ended, once or more.
func (a *arrivals) admit(pid int) (leave func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all >= maxArrivals || a.each[pid] >= maxArrivalsEach {
		return nil, false
	}
	if a.each == nil {
		a.each = map[int]int{}
	}
	a.all++
	a.each[pid]++
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all--
		if a.each[pid]--; a.each[pid] == 0 {
			delete(a.each, pid)
		}
	}), true
}

// any says whether some connection may still get a task.
func (a *arrivals) any() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all > 0
}
