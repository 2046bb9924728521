package keeper

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"
)

// endGrace is how long a command has to end after it was asked to.
const endGrace = 5 * time.Second

// signals passes on what the person's terminal or system sends.
func (k *keeper) signals(done <-chan struct{}) {
	for {
		select {
		case s := <-k.o.Signals:
			if k.early(s) {
				continue
			}
			k.box.Signal(s)
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				time.AfterFunc(endGrace, func() { k.stop(&Ended{By: "the system", Why: "it did not end after " + s.String()}) })
			}
		case <-done:
			return
		}
	}
}

// start is how far the start of the command has come.
type start struct {
	mu    sync.Mutex
	phase phase
}

type phase int

const (
	before    phase = iota // nothing of it runs
	launching              // it may run
	going
)

// launch has the command go, when nothing has ended the task before.
func (k *keeper) launch(ctx context.Context, command func() error) error {
	k.start.mu.Lock()
	ended := ctx.Err() != nil
	if !ended {
		k.start.phase = launching
	}
	k.start.mu.Unlock()
	if ended {
		return context.Cause(ctx)
	}
	// Not under the lock: what is on a file system that hangs never starts, and only a
	// signal ends that.
	if err := command(); err != nil {
		return err
	}
	k.start.mu.Lock()
	defer k.start.mu.Unlock()
	k.start.phase = going
	return nil
}

// early ends the task by a signal that comes before there is a command to take it. Of
// one that may have run already it does not say that it has not.
func (k *keeper) early(s os.Signal) bool {
	k.start.mu.Lock()
	defer k.start.mu.Unlock()
	e := &Ended{By: "the person", Why: s.String() + " before its command was started"}
	switch k.start.phase {
	case going:
		return false
	case launching:
		e.Why = s.String() + " while its command was being started"
	}
	if s == syscall.SIGTERM || s == syscall.SIGHUP {
		e.By = "the system"
	}
	e.Signal, _ = s.(syscall.Signal)
	k.stop(e)
	return true
}

// await waits for what cannot be stopped, and no longer than ctx.
func await(ctx context.Context, what func() error) error {
	done := make(chan error, 1)
	go func() { done <- what() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
