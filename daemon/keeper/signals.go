package keeper

import (
	"context"
	"os"
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

// early ends the task by a signal that comes before there is a command to take it.
func (k *keeper) early(s os.Signal) bool {
	select {
	case <-k.going:
		return false
	default:
	}
	e := &Ended{By: "the person", Why: s.String() + " before its command was started"}
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
